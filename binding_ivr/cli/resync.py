"""The command that compares Asterisk's AstDB with the database."""

import argparse

from binding_ivr.cli import show
from binding_ivr.cli.commands import installation_of
from binding_ivr.mirror.resync import resync as make_mirrors_equal

COLUMNS = ("node", "status", "keys", "put", "deleted")


async def resync(options: argparse.Namespace) -> int:
    """resync"""
    async with installation_of(options) as installation:
        rows = await make_mirrors_equal(installation)
    show.table(rows, COLUMNS, as_json=options.json)
    return 0 if all(row["status"] == "ok" for row in rows) else 1
