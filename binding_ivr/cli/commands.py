"""The commands about a user's number: bind, revalidate, status, lookup and the like."""

import argparse
import contextlib
import getpass
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime, timedelta

from binding_ivr.app.installation import Installation, open_installation
from binding_ivr.app.live import follow, grouped, sentence
from binding_ivr.app.view import Begun, Shown
from binding_ivr.cli import show
from binding_ivr.cli.facts import attempt_facts, binding_facts, shown_facts
from binding_ivr.config import load
from binding_ivr.errors import BindingError, ConfigError
from binding_ivr.log import set_up
from binding_ivr.model import forms
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.lookups import LookupStatus
from binding_ivr.model.outcome import Outcome
from binding_ivr.policy.numbers import as_people_write_it

SINCE_COLUMNS = ("created_at", "account", "user_id", "number", "state", "outcome", "fault", "tries", "detail")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@asynccontextmanager
async def installation_of(options: argparse.Namespace) -> AsyncIterator[Installation]:
    """Open the installation that the options name. Raises BindingError."""
    config = load(options.config)
    set_up("console", "error")  # faults are told in one line of our own
    async with open_installation(config) as installation:
        yield installation


def actor(reason: str = "") -> Actor:
    """Who runs this command, for the audit, and why."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):
        who = "unknown"
    return Actor(ActorKind.CLI, who, Source.CLI, reason=forms.tidy_reason(reason)[: forms.LONGEST_REASON])


def with_reason(reason: str) -> Actor:
    """Like `actor`, for what needs a reason. Raises ConfigError without one."""
    who = actor(reason)
    if len(who.reason) < forms.SHORTEST_REASON:
        raise ConfigError(
            f"--reason: say why, in at least {forms.SHORTEST_REASON} characters; the audit keeps it, so name nobody"
        )
    return who


async def bind(options: argparse.Namespace) -> int:
    """bind USER NUMBER [--wait]"""
    async with installation_of(options) as installation:
        shown = await installation.bindings.bind(
            options.account, options.user, options.number, actor(), now=options.now
        )
        return await _told(installation, shown, options)


async def revalidate(options: argparse.Namespace) -> int:
    """revalidate USER [--wait]"""
    async with installation_of(options) as installation:
        shown = await installation.bindings.revalidate(options.account, options.user, actor(), now=options.now)
        return await _told(installation, shown, options)


async def undo(options: argparse.Namespace) -> int:
    """undo USER [--wait]"""
    async with installation_of(options) as installation:
        shown = await installation.bindings.undo(options.account, options.user, actor(), now=options.now)
        return await _told(installation, shown, options)


async def _told(installation: Installation, shown: Begun, options: argparse.Namespace) -> int:
    """Print number and code, and with --wait the live call; the code is asked for again until it may be shown."""
    if not await installation.store.attempts.nodes_alive():
        show.note("no node is running, so no call is made; start one: binding-ivr serve")
    if options.json and not options.wait:
        show.json_line({**binding_facts(shown.view), "attempt": shown_facts(shown)})
        return 0
    length = installation.config.code.length
    if not options.json:
        print(f"number       {as_people_write_it(shown.attempt.number)}")
        _print_code(shown)
    if not options.wait:
        if shown.code is None:
            show.note("the code is shown once the call is answered; use --wait to see it")
        return 0

    code_told = shown.code is not None

    def tell(step: str, now: Shown) -> None:
        nonlocal code_told
        if options.json:
            show.json_line({"step": step, **attempt_facts(now.attempt), "code": now.code})
            return
        if now.code is not None and not code_told:
            _print_code(now)
            code_told = True
        print(f"call         {sentence(step, now, length)}", flush=True)

    ended = await follow(installation, shown, tell)
    return 0 if ended.outcome is Outcome.VERIFIED else 1


def _print_code(shown: Shown) -> None:
    if shown.code is not None:
        print(f"access code  {grouped(shown.code)}", flush=True)


async def status(options: argparse.Namespace) -> int:
    """status USER"""
    async with installation_of(options) as installation:
        values = binding_facts(await installation.bindings.view(options.account, options.user, actor()))
        if not options.json:
            if last := values.pop("last_attempt"):
                values["last_call"] = f"{last['outcome'] or last['state']} ({last['created_at']})"
                values["last_call_detail"] = last["detail"]
            if back := values.pop("undo"):
                values["changed"] = f"{back['changed_at']} by {back['changed_by']}"
                values["undo"] = f"{back['number']}, until {back['until']}: binding-ivr undo {options.user}"
        show.facts(values, as_json=options.json)
    return 0


async def cancel(options: argparse.Namespace) -> int:
    """cancel USER"""
    async with installation_of(options) as installation:
        await installation.bindings.cancel(options.account, options.user, actor())
    return _done(options, "canceled")


async def remove(options: argparse.Namespace) -> int:
    """remove USER"""
    async with installation_of(options) as installation:
        await installation.bindings.remove(options.account, options.user, actor(options.reason))
    return _done(options, "removed")


async def suspend(options: argparse.Namespace) -> int:
    """suspend USER"""
    async with installation_of(options) as installation:
        await installation.bindings.suspend(options.account, options.user, actor(options.reason))
    return _done(options, "suspended")


async def resume(options: argparse.Namespace) -> int:
    """resume USER"""
    async with installation_of(options) as installation:
        after = await installation.bindings.resume(options.account, options.user, actor(options.reason))
    return _done(options, after.value)


def _done(options: argparse.Namespace, word: str) -> int:
    if options.json:
        show.json_line({"account": options.account, "user_id": options.user, "result": word})
    else:
        print(word)
    return 0


async def lookup(options: argparse.Namespace) -> int:
    """lookup EXTENSION | --caller NUMBER"""
    async with installation_of(options) as installation:
        if options.caller is not None:
            answer = await installation.lookups.trusted_caller(options.caller)
        else:
            answer = await installation.lookups.trusted_number(options.account, options.extension)
    show.facts(asdict(answer), as_json=options.json)
    if answer.status is LookupStatus.ERROR:
        show.note("binding-ivr: the database did not answer; to see why: binding-ivr doctor")
        return 1
    return 0


async def attempts(options: argparse.Namespace) -> int:
    """attempts [--user U] [--since T]"""
    since = since_of(options.since) if options.since else None
    async with installation_of(options) as installation:
        found = await installation.store.attempts.attempts(
            account=options.account, user_id=options.user, since=since, limit=options.limit
        )
        await read_list(installation, "attempts", len(found), options.account)
    show.table([attempt_facts(attempt) for attempt in found], SINCE_COLUMNS, as_json=options.json)
    return 0


async def read_list(installation: Installation, what: str, rows: int, account: str | None) -> None:
    """Have it audited that whoever runs this reads the list *what* of an account (None: of all).

    A server that takes no changes still gives lists: who can read there needs no command for it.
    """
    with contextlib.suppress(BindingError):
        await installation.store.audit.reading(actor(), what, rows, account or "")


def since_of(text: str) -> datetime:
    """Return the time that --since names. Raises ConfigError."""
    found = time_of(text, "mhd", "--since: write an ISO 8601 time such as 2026-11-23T10:00, or an age such as 12h")
    return show.now() - found if isinstance(found, timedelta) else found


def time_of(text: str, units: str, advice: str) -> datetime | timedelta:
    """Return the time (aware) or the duration, in one of *units*, that *text* is. Raises ConfigError with *advice*."""
    if age := re.fullmatch(rf"([0-9]{{1,5}})([{units}])", text):
        return timedelta(**{UNITS[age[2]]: int(age[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(advice) from None
    return at if at.tzinfo else at.astimezone()


async def suppress(options: argparse.Namespace) -> int:
    """suppress add|remove|check NUMBER, suppress list"""
    async with installation_of(options) as installation:
        if options.action == "list":
            rows = [
                {
                    "since": s.created_at.isoformat(timespec="seconds"),
                    "reason": s.reason,
                    "who": s.who,
                    "note": s.note,
                    "hash": s.number_hash.hex(),
                }
                for s in await installation.store.suppressions.list()
            ]
            show.table(rows, ("since", "reason", "who", "note", "hash"), as_json=options.json)
            return 0
        if options.action == "add":
            word = (
                "suppressed"
                if await installation.numbers.suppress(options.number, actor(options.reason))
                else "was suppressed before"
            )
        elif options.action == "remove":
            await installation.numbers.unsuppress(options.number, actor(options.reason))
            word = "removed"
        else:
            word = "suppressed" if await installation.numbers.suppressed(options.number) else "not suppressed"
    if options.json:
        show.json_line({"result": word})
    else:
        print(word)
    return 0
