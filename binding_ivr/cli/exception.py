"""The commands about exceptions from the number policy."""

import argparse

from binding_ivr.cli import show
from binding_ivr.cli.commands import actor, installation_of, time_of
from binding_ivr.policy.routes import stored

COLUMNS = ("state", "allows", "account", "expires_at", "reason", "who")
ADVICE = "--until: write an ISO 8601 time such as 2026-12-31T18:00, or a duration such as 12h or 30d"


async def exception_add(options: argparse.Namespace) -> int:
    """exception add NUMBER --reason TEXT [--until TIME] [--account NAME] [--prefix]"""
    until = time_of(options.until, "hd", ADVICE)
    async with installation_of(options) as installation:
        excepted, end = await installation.numbers.add_exception(
            options.account, options.number, options.reason, until, actor(), prefix=options.prefix
        )
    facts = {"allows": _allows(excepted.prefix, excepted.whole), "expires_at": end, "result": "added"}
    show.facts(facts, as_json=options.json)
    if excepted.whole and stored(excepted.prefix).kind == "UNKNOWN":
        show.note("no numbering plan holds this number: make sure that it is right")
    show.note("the lock in the dialplan does not know about it yet; make it again: binding-ivr dialplan policy")
    return 0


async def exception_remove(options: argparse.Namespace) -> int:
    """exception remove NUMBER [--account NAME] [--prefix]"""
    async with installation_of(options) as installation:
        excepted = await installation.numbers.remove_exception(
            options.account, options.number, actor(), prefix=options.prefix
        )
    show.facts({"allows": _allows(excepted.prefix, excepted.whole), "result": "removed"}, as_json=options.json)
    return 0


async def exception_list(options: argparse.Namespace) -> int:
    """exception list"""
    async with installation_of(options) as installation:
        rows = [
            {
                "state": "expired" if row.expired else "active",
                "allows": _allows(row.prefix, row.whole),
                "account": row.account or "*",
                "expires_at": row.expires_at,
                "reason": row.reason,
                "who": row.who,
            }
            for row in await installation.store.exceptions.all()
        ]
    show.table(rows, COLUMNS, as_json=options.json)
    return 0


def _allows(prefix: str, whole: bool) -> str:
    return prefix if whole else f"{prefix}…"
