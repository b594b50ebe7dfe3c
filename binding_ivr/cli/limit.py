"""The commands about what limits hold back: show it, and lift it."""

import argparse

from binding_ivr.cli import show
from binding_ivr.cli.commands import installation_of, with_reason
from binding_ivr.policy.limit_state import LimitState

COLUMNS = ("what", "account", "user_id", "state", "until", "detail")


async def limits_show(options: argparse.Namespace) -> int:
    """limits show [--account NAME]"""
    async with installation_of(options) as installation:
        state = await installation.store.limits.state(options.account)
    if options.json:
        show.json_line(state)
        return 0
    show.table(_rows(state), COLUMNS, as_json=False)
    print(
        f"\ncalls: {state.calls_hour} in the last hour, {state.calls_day} in the last day; "
        f"{state.minutes_day:.1f} minutes; locked: {state.locked_users} users, {state.locked_numbers} numbers"
    )
    return 0


def _rows(state: LimitState) -> list[dict[str, object]]:
    paused: list[dict[str, object]] = [
        {
            "what": "calls",
            "account": row.account or "* (the system)",
            "state": "trial, one call at a time" if row.trial else "paused",
            "until": row.until,
            "detail": f"{row.proven} of {row.answered} answered calls verified a number; pause {row.pauses}",
        }
        for row in state.paused
    ]
    users: list[dict[str, object]] = [
        {
            "what": "user",
            "account": row.account,
            "user_id": row.user_id,
            "state": "stopped, until it is reset" if row.stopped else "locked out" if row.locked else "may call",
            "until": row.until if row.locked and not row.stopped else None,
            "detail": f"{row.failed} failed tries in a row; locked out {row.locks} times; {row.failures} failures"
            " since the last proof",
        }
        for row in state.locked_out
    ]
    return paused + users


async def limits_reset_user(options: argparse.Namespace) -> int:
    """limits reset-user USER --reason TEXT"""
    who = with_reason(options.reason)
    async with installation_of(options) as installation:
        done = await installation.store.limits.reset_user(options.account, options.user, who)
    show.facts({"calls_that_count_no_more": done.calls, "locks_lifted": done.locks}, as_json=options.json)
    return 0


async def limits_reset_number(options: argparse.Namespace) -> int:
    """limits reset-number NUMBER --reason TEXT"""
    who = with_reason(options.reason)
    async with installation_of(options) as installation:
        done = await installation.numbers.reset(options.number, who)
    show.facts({"calls_that_count_no_more": done.calls, "locks_lifted": done.locks}, as_json=options.json)
    return 0


async def limits_resume(options: argparse.Namespace) -> int:
    """limits resume --account NAME | --system"""
    who = with_reason(options.reason)
    account = "" if options.system else options.account
    async with installation_of(options) as installation:
        await installation.store.limits.resume(account, who)
    show.facts({"account": account or "* (the system)", "result": "calls leave again"}, as_json=options.json)
    return 0
