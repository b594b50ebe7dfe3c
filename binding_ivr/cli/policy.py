"""The commands about the number policy: exceptions from it, and the lock in the dialplan."""

import argparse
import os
import re
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex

from binding_ivr.app.exceptions import add_exception, remove_exception
from binding_ivr.app.lock import lock_of, locked_context, ways_out
from binding_ivr.cli import show
from binding_ivr.cli.commands import actor, house_of
from binding_ivr.errors import ConfigError

COLUMNS = ("state", "allows", "account", "expires_at", "reason", "who")
_AGE = re.compile(r"([0-9]{1,4})([hd])")
_UNITS = {"h": "hours", "d": "days"}


async def exception_add(options: argparse.Namespace) -> int:
    """exception add NUMBER --reason TEXT [--until TIME] [--account NAME] [--prefix]"""
    until = _until(options.until)
    async with house_of(options) as house:
        excepted, end = await add_exception(
            house.config, house.store, options.account, options.number, options.reason, until, actor(),
            prefix=options.prefix,
        )  # fmt: skip
    facts = {"allows": _allows(excepted.prefix, excepted.whole), "expires_at": end, "result": "added"}
    show.facts(facts, as_json=options.json)
    show.note("the lock in the dialplan does not know of it yet; make it again: binding-ivr dialplan policy")
    return 0


async def exception_remove(options: argparse.Namespace) -> int:
    """exception remove NUMBER [--account NAME] [--prefix]"""
    async with house_of(options) as house:
        excepted = await remove_exception(
            house.config, house.store, options.account, options.number, actor(), prefix=options.prefix
        )
    show.facts({"allows": _allows(excepted.prefix, excepted.whole), "result": "removed"}, as_json=options.json)
    return 0


async def exception_list(options: argparse.Namespace) -> int:
    """exception list"""
    async with house_of(options) as house:
        rows = [
            {
                "state": "expired" if row.expired else "active",
                "allows": _allows(row.prefix, row.whole),
                "account": row.account or "*",
                "expires_at": row.expires_at,
                "reason": row.reason,
                "who": row.who,
            }
            for row in await house.store.exceptions.all()
        ]
    show.table(rows, COLUMNS, as_json=options.json)
    return 0


async def dialplan_policy(options: argparse.Namespace) -> int:
    """dialplan policy [--output FILE]"""
    async with house_of(options) as house:
        text = await lock_of(house.config, house.store)
        routes = house.config.routes
    if options.output is None:
        print(text, end="")
    else:
        _write(options.output, text)
        show.note(f"wrote {options.output}; now: asterisk -rx 'dialplan reload'")
    if not any(locked_context(route) for route in routes):
        out = ways_out(routes, 0)[0]
        show.note(
            f'no route goes through it yet: add #include "{(options.output or Path("binding_ivr_out.conf")).name}" at '
            f'the end of extensions.conf, and set endpoint = "Local/{{digits}}@{out.context}/n" and '
            f'trunk = "{out.trunk}" in [[routes]]'
        )
    return 0


def _allows(prefix: str, whole: bool) -> str:
    return prefix if whole else f"{prefix}…"


def _until(text: str) -> datetime | timedelta:
    age = _AGE.fullmatch(text)
    if age:
        return timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            "--until: write an ISO 8601 time such as 2026-12-31T18:00, or a time such as 12h, 30d"
        ) from None
    return at if at.tzinfo else at.astimezone()


def _write(path: Path, text: str) -> None:
    """Write the file in one step: Asterisk must never read half a lock. Raises ConfigError."""
    fresh = path.with_name(f".{path.name}.{token_hex(4)}")
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(mode)
        os.replace(fresh, path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
