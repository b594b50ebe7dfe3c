"""Accounts, users, extensions and own numbers. It validates form, not policy."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.model import forms
from binding_ivr.model.actors import Actor
from binding_ivr.model.rows import Account, OwnNumber, User
from binding_ivr.policy.own import own_numbers
from binding_ivr.store.bindings import forget
from binding_ivr.store.database import OnDatabase, Transaction
from binding_ivr.store.endings import Key, end_all, used_and_own
from binding_ivr.store.rows import made, no_account, settings

SHORTEST_NUMBER = 6
"""Digits of the shortest number that can be bound; a shorter extension is none."""

_OWN = {"extension": forms.EXTENSION, "did": forms.E164, "pattern": forms.OWN_PATTERN}


class PgDirectory(OnDatabase):
    """Who and what is on the PBX. Every method raises what `Database` raises."""

    # --- accounts

    async def accounts(self) -> list[Account]:
        """Return all accounts by name."""
        return [Account(row["account"], settings(row["settings"])) for row in await self._db.rows("accounts")]

    async def account(self, account: str) -> Account:
        """Return one account with its settings. Raises NotFoundError."""
        row = await self._db.row("account", account)
        if row is None:
            raise no_account(account)
        return Account(row["account"], settings(row["settings"]))

    async def add_account(
        self, account: str, values: Mapping[str, Any] | None = None, actor: Actor | None = None
    ) -> None:
        """Add an account. Raises Refusal with code `exists` or `invalid`."""
        forms.check(forms.ACCOUNT, account)
        async with self._db.transaction(actor) as tx:
            if await tx.row("add_account", account, _json(values or {})) is None:
                raise Refusal("exists", f"the account {account} exists already")

    async def set_settings(self, account: str, values: Mapping[str, Any], actor: Actor | None = None) -> None:
        """Replace the settings of an account. Raises NotFoundError."""
        async with self._db.transaction(actor) as tx:
            if await tx.row("set_settings", account, _json(values)) is None:
                raise no_account(account)

    # --- users and their extensions

    async def users(self, account: str | None = None) -> list[User]:
        """Return the users of one account, or of all."""
        return [made(User, row) for row in await self._db.rows("users", account)]

    async def user(self, account: str, user_id: str) -> User:
        """Return one user. Raises NotFoundError."""
        row = await self._db.row("user", account, user_id)
        if row is None:
            raise NotFoundError(f"there is no user {user_id} in account {account}")
        return made(User, row)

    async def user_of_extension(self, account: str, extension: str) -> User:
        """Return the user who has *extension*. Raises NotFoundError."""
        row = await self._db.row("user_of_extension", account, extension)
        if row is None:
            raise NotFoundError(f"no user of account {account} has the extension {extension}")
        return await self.user(account, row["user_id"])

    async def add_user(self, user: User, actor: Actor | None = None) -> None:
        """Add a user with the extensions.

        Raises NotFoundError (account) or Refusal with code `exists`, `extension_taken` or `invalid`.
        """
        async with self._db.transaction(actor) as tx:
            put = _Put(tx)
            if not await put.user(user):
                raise Refusal("exists", f"the user {user.user_id} exists already in account {user.account}")
            await put.consequences()

    async def import_users(self, users: Iterable[User], actor: Actor | None = None) -> tuple[int, int]:
        """Add or change all *users*, or none; return how many were added and how many were there before.

        Extensions become exactly those given; who loses the last one loses the binding. Raises as `add_user`, but never
        `exists`.
        """
        added = changed = 0
        async with self._db.transaction(actor) as tx:
            put = _Put(tx)
            for user in users:
                if await put.user(user):
                    added += 1
                else:
                    changed += 1
            await put.consequences()
        return added, changed

    async def remove_user(self, account: str, user_id: str, actor: Actor) -> None:
        """Remove a user, the binding and the extensions; a call in progress is ended. Raises NotFoundError."""
        async with self._db.transaction(actor) as tx:
            await forget(tx, account, user_id)
            if await tx.row("remove_user", account, user_id) is None:
                raise NotFoundError(f"there is no user {user_id} in account {account}")

    # --- own numbers

    async def own_numbers(self, account: str | None = None) -> list[OwnNumber]:
        """Return the listed own numbers of one account, or of all."""
        return [OwnNumber(*row) for row in await self._db.rows("own_numbers", account)]

    async def add_own_number(self, own: OwnNumber, actor: Actor | None = None) -> bool:
        """Add one; False when it was there. Raises NotFoundError (account) or Refusal `invalid`."""
        return await self.import_own_numbers([own], actor) == 1

    async def import_own_numbers(self, numbers: Iterable[OwnNumber], actor: Actor | None = None) -> int:
        """Add all, or none; return how many were new. Raises as `add_own_number`.

        A binding whose number is among them is suspended (`own_number`), a call to it ended.
        """
        new: list[OwnNumber] = []
        async with self._db.transaction(actor) as tx:
            for own in numbers:
                _check_own(own)
                if await tx.row("account", own.account) is None:
                    raise no_account(own.account)
                if await tx.row("add_own_number", own.account, own.kind, own.value) is not None:
                    new.append(own)
            if new:
                await tx.run("lock_own_numbers")  # not before: a long import must not hold up proofs
                listed = own_numbers((own.kind, own.value) for own in new)
                await end_all(tx, (), await used_and_own(tx, listed))
        return len(new)

    async def remove_own_number(self, own: OwnNumber, actor: Actor | None = None) -> None:
        """Remove one. Raises NotFoundError."""
        async with self._db.transaction(actor) as tx:
            if await tx.row("remove_own_number", own.account, own.kind, own.value) is not None:
                return
            raise NotFoundError(f"account {own.account} has no such {own.kind} among its own numbers")

    async def own_numbers_for_check(self, texts: Iterable[str]) -> list[OwnNumber]:
        """Return what may forbid a number (R1), over all accounts: exact matches of *texts* and every pattern.

        *texts* are all writings to compare: E.164 with and without `+`, national, as typed; users' extensions count.
        """
        return [OwnNumber(*row) for row in await self._db.rows("own_numbers_for_check", sorted(set(texts) - {""}))]


class _Put:
    """Writes users in one transaction, and at its end what follows for bindings: all locks are taken in one order."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._without: dict[Key, None] = {}
        self._own: list[str] = []

    async def user(self, user: User) -> bool:
        """Write *user*; True when it was new."""
        tx = self._tx
        _check_user(user)
        if await tx.row("account", user.account) is None:
            raise no_account(user.account)
        row = await tx.row("put_user", user.account, user.user_id, user.language, user.email)
        assert row is not None
        dropped = await tx.rows("drop_other_extensions", user.account, user.user_id, list(user.extensions))
        self._without.pop((user.account, user.user_id), None)
        if dropped and not user.extensions:
            self._without[user.account, user.user_id] = None
        for extension in user.extensions:
            put = await tx.row("add_extension", user.account, extension, user.user_id)
            if put is None:
                raise Refusal(
                    "extension_taken",
                    f"the extension {extension} belongs to another user of account {user.account}; "
                    "remove it there first",
                )
            if put["added"] and len(extension) >= SHORTEST_NUMBER and extension.isdecimal():
                self._own.append(extension)
        return bool(row["added"])

    async def consequences(self) -> None:
        """End what cannot go on: bindings of users without an extension, and numbers that are extensions now."""
        own: list[str] = []
        if self._own:
            await self._tx.run("lock_own_numbers")
            own = await used_and_own(self._tx, own_numbers(("extension", extension) for extension in self._own))
        await end_all(self._tx, self._without, own)


def _check_user(user: User) -> None:
    forms.check(forms.USER, user.user_id)
    forms.check(forms.LANGUAGE, user.language)
    forms.check_kept_email(user.email)
    for extension in user.extensions:
        forms.check(forms.EXTENSION, extension)


def _check_own(own: OwnNumber) -> None:
    form = _OWN.get(own.kind)
    if form is None:
        raise Refusal("invalid", "the kind of an own number is extension, did or pattern")
    forms.check(form, own.value)


def _json(values: Mapping[str, Any]) -> str:
    return msgspec.json.encode(dict(values)).decode()
