"""The commands about accounts, users and own numbers."""

import argparse
import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from binding_ivr.cli import show
from binding_ivr.cli.commands import actor, installation_of, read_list
from binding_ivr.config import ACCOUNT_SECTIONS
from binding_ivr.errors import BindingError, ConfigError
from binding_ivr.model.rows import OwnNumber, User

LARGEST_FILE = 50_000_000
T = TypeVar("T")


async def account_add(options: argparse.Namespace) -> int:
    """account add NAME"""
    async with installation_of(options) as installation:
        await installation.store.directory.add_account(options.name, actor=actor())
    return show.done(options.json, account=options.name, result="added")


async def account_list(options: argparse.Namespace) -> int:
    """account list"""
    async with installation_of(options) as installation:
        accounts = await installation.store.directory.accounts()
    rows: list[dict[str, Any]] = [{"account": a.account, "settings": dict(a.settings)} for a in accounts]
    if not options.json:
        for row in rows:
            row["settings"] = msgspec.json.encode(row["settings"]).decode()
    show.table(rows, ("account", "settings"), as_json=options.json)
    return 0


async def account_set(options: argparse.Namespace) -> int:
    """account set NAME SECTION.KEY [JSON]"""
    section, _, key = options.key.partition(".")
    if section not in ACCOUNT_SECTIONS or (key == "") != (section == "routes"):
        raise ConfigError(
            f"{options.key}: write SECTION.KEY with a section of {', '.join(ACCOUNT_SECTIONS)}, or routes"
        )
    async with installation_of(options) as installation:
        value = None if options.value is None else _json_or_text(options.value)
        await installation.accounts.set(options.name, section, key, value, actor())
    return show.done(options.json, account=options.name, result="set" if options.value is not None else "cleared")


def _json_or_text(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


async def user_add(options: argparse.Namespace) -> int:
    """user add USER [--extension EXT …]"""
    extensions = tuple(options.extension) or ((options.user,) if re.fullmatch(r"[0-9]{2,10}", options.user) else ())
    user = User(options.account, options.user, extensions, options.language, options.email)
    async with installation_of(options) as installation:
        added, _ = await installation.store.directory.import_users([user], actor())
    return show.done(options.json, account=user.account, user_id=user.user_id, result="added" if added else "changed")


async def user_remove(options: argparse.Namespace) -> int:
    """user remove USER"""
    async with installation_of(options) as installation:
        await installation.store.directory.remove_user(options.account, options.user, actor(options.reason))
    return show.done(options.json, account=options.account, user_id=options.user, result="removed")


async def user_list(options: argparse.Namespace) -> int:
    """user list [--account NAME]"""
    async with installation_of(options) as installation:
        users = await installation.store.directory.users(options.account)
        await read_list(installation, "users", len(users), options.account)
    show.table(
        [asdict(user) for user in users],
        ("account", "user_id", "extensions", "language", "email"),
        as_json=options.json,
    )
    return 0


async def user_import(options: argparse.Namespace) -> int:
    """user import FILE.csv"""

    def user(row: dict[str, str]) -> User:
        extensions = tuple(re.split(r"[;\s]+", row["extensions"])) if row.get("extensions") else ()
        return User(options.account, row["user"], extensions, row.get("language", ""), row.get("email", ""))

    users = list(_rows(options.file, ("user",), ("user", "extensions", "language", "email"), user))
    async with installation_of(options) as installation:
        added, changed = await installation.store.directory.import_users(users, actor())
    return show.done(options.json, account=options.account, added=added, changed=changed)


async def own_number(options: argparse.Namespace) -> int:
    """own-number add|remove VALUE"""
    async with installation_of(options) as installation:
        own = installation.accounts.own_number(options.account, options.value, options.kind or "")
        if options.action == "remove":
            await installation.store.directory.remove_own_number(own, actor())
            word = "removed"
        else:
            word = "added" if await installation.store.directory.add_own_number(own, actor()) else "was there"
    return show.done(options.json, account=own.account, kind=own.kind, value=own.value, result=word)


async def own_number_list(options: argparse.Namespace) -> int:
    """own-number list [--account NAME]"""
    async with installation_of(options) as installation:
        found = await installation.store.directory.own_numbers(options.account)
        await read_list(installation, "own-numbers", len(found), options.account)
    show.table([asdict(own) for own in found], ("account", "kind", "value"), as_json=options.json)
    return 0


async def own_number_import(options: argparse.Namespace) -> int:
    """own-number import FILE.csv"""
    async with installation_of(options) as installation:

        def own(row: dict[str, str]) -> OwnNumber:
            return installation.accounts.own_number(options.account, row["value"], row.get("kind", ""))

        numbers = list(_rows(options.file, ("value",), ("value", "kind"), own))
        added = await installation.store.directory.import_own_numbers(numbers, actor())
    return show.done(options.json, account=options.account, added=added, present=len(numbers) - added)


def _rows(
    path: Path, needed: tuple[str, ...], known: tuple[str, ...], read: Callable[[dict[str, str]], T]
) -> Iterator[T]:
    """Read a CSV file whose first line names its columns; every fault is reported with its line."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(f"{path}: larger than {LARGEST_FILE // 1_000_000} MB; is this the right file?")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    reader = csv.DictReader(io.StringIO(text))
    names = [name.strip() for name in reader.fieldnames or ()]
    if not set(needed) <= set(names) <= set(known):
        raise ConfigError(f"{path}: the first line must name the columns, from {','.join(known)}")
    reader.fieldnames = names
    for row in reader:
        if None in row or None in row.values():
            raise ConfigError(f"{path}: line {reader.line_num}: needs {len(names)} fields")
        try:
            yield read({name: value.strip() for name, value in row.items()})
        except BindingError as error:
            raise ConfigError(f"{path}: line {reader.line_num}: {error}") from None
