"""The command that brings the database to this version's schema."""

import argparse

from binding_ivr.app.installation import open_database
from binding_ivr.cli import show
from binding_ivr.config import load
from binding_ivr.log import set_up
from binding_ivr.store import migrate as apply_migrations


async def migrate(options: argparse.Namespace) -> int:
    """migrate"""
    config = load(options.config)
    set_up("console", "error")
    async with open_database(config, 2, migrations="skip") as store:
        applied = await apply_migrations(store.db)
    if options.json:
        show.json_line({"applied": applied})
    else:
        print("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")
    return 0
