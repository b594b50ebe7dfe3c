"""The commands about what is kept: the audit, moves of calls, and one person's data, forgotten."""

import argparse
from dataclasses import asdict

from binding_ivr.app.personal import erase as erase_user
from binding_ivr.cli import show
from binding_ivr.cli.commands import installation_of, read_list, since_of, with_reason
from binding_ivr.cli.facts import audit_facts, in_short, move_facts

AUDIT_COLUMNS = ("at", "account", "user_id", "action", "who", "address", "reason", "detail")


async def audit(options: argparse.Namespace) -> int:
    """audit [--user U] [--since T]"""
    since = since_of(options.since) if options.since else None
    async with installation_of(options) as installation:
        found = await installation.store.personal.audit(
            account=options.account, user_id=options.user, since=since, limit=options.limit, action=options.action
        )
        await read_list(installation, "audit", len(found), options.account)
    rows = [audit_facts(row) for row in found]
    if not options.json:
        for row in rows:
            row["detail"] = in_short(row["detail"])
    show.table(rows, AUDIT_COLUMNS, as_json=options.json)
    return 0


MOVE_COLUMNS = ("ended_at", "account", "user_id", "extension", "kind", "outcome", "proof", "call_id", "leg_id")


async def moves(options: argparse.Namespace) -> int:
    """moves [EXT] [--user U] [--since T]"""
    since = since_of(options.since) if options.since else None
    async with installation_of(options) as installation:
        found = await installation.store.moves.moves(
            account=options.account,
            user_id=options.user,
            extension=options.extension,
            since=since,
            limit=options.limit,
        )
    show.table([move_facts(row) for row in found], MOVE_COLUMNS, as_json=options.json)
    return 0


async def erase(options: argparse.Namespace) -> int:
    """erase USER --reason TEXT"""
    who = with_reason(options.reason)
    async with installation_of(options) as installation:
        done = await erase_user(installation, options.account, options.user, who)
    show.facts(asdict(done), as_json=options.json)
    return 0
