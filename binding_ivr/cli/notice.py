"""The commands about notices to people."""

import argparse

from binding_ivr.cli import show
from binding_ivr.cli.commands import installation_of
from binding_ivr.delivery.notices_try import try_channels
from binding_ivr.delivery.wire.reply import Result

COLUMNS = ("channel", "to", "result", "detail")


async def test(options: argparse.Namespace) -> int:
    """notice test USER"""
    async with installation_of(options) as installation:
        rows = await try_channels(installation, options.account, options.user)
    show.table(rows, COLUMNS, as_json=options.json)
    return 0 if all(row["result"] == Result.DELIVERED for row in rows) else 1
