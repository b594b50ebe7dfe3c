"""The command that tells what would happen to a number."""

import argparse

from binding_ivr.cli import show
from binding_ivr.cli.commands import actor, installation_of

COLUMNS = ("step", "result", "detail")


async def number_check(options: argparse.Namespace) -> int:
    """number check NUMBER [--account NAME] [--user USER] [--now]"""
    async with installation_of(options) as installation:
        told = await installation.bindings.check(
            options.account, options.number, actor(), options.user, now=options.now
        )
    rows = [{"step": step.step, "result": step.result.value, "detail": step.detail} for step in told.steps]
    if options.json:
        refused_by = told.refusal.code if told.refusal else None
        show.json_line(
            {"would_be_called": told.refusal is None, "number": told.number, "refused_by": refused_by, "steps": rows}
        )
    else:
        show.table(rows, COLUMNS, as_json=False)
    if told.refusal is None:
        return 0
    if not options.json:
        show.note(f"it would not be called: {told.refusal}")
    return 1
