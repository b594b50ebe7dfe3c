"""The users' bindings and the look-ups on them. Proving a number is not here: see attempts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from binding_ivr.errors import Refusal
from binding_ivr.model.actors import Actor
from binding_ivr.model.rows import AttemptRow, BindingRow, BindingStatus, SuspendReason
from binding_ivr.policy.callers import E164_ONLY, CallerPlan
from binding_ivr.policy.ranges import Excepted
from binding_ivr.store.attempts import cancel_live
from binding_ivr.store.database import OnDatabase, Row, Transaction
from binding_ivr.store.endings import own_among
from binding_ivr.store.rows import binding_row, made, no_account, no_user, settings


@dataclass(frozen=True, slots=True)
class TrustedRow:
    """What a look-up finds, with all that its answer needs: each further query would make the dialplan wait for it.

    `number` (E.164) is None unless `status` is verified; `since` when the status began; `settings` are the account's.
    """

    account: str
    extension: str
    user_id: str
    status: BindingStatus
    number: str | None = field(repr=False)
    since: datetime
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SqlDoor:
    """How the SQL door stands: its role, whether that has its rights, how many have the role, and the plan in force."""

    role: bool
    granted: bool
    members: int
    plan: CallerPlan
    answers: bool


@dataclass(frozen=True, slots=True)
class BindingFacts:
    """All that a user's number is judged by, as it was at `read_at`.

    `settings` are the account's, None when there is no such account; `binding` is None when there is no such user.
    `own` are numbers of the PBX, over all accounts (kind and value): those that equal a text that was asked about, and
    every pattern.
    """

    account: str
    user_id: str
    settings: Mapping[str, Any] | None
    binding: BindingRow | None
    excepted: Collection[Excepted]
    own: Sequence[tuple[str, str]] = field(repr=False)
    read_at: datetime

    @property
    def known(self) -> BindingRow:
        """The binding. Raises NotFoundError for an unknown user."""
        if self.binding is None:
            raise no_user(self.account, self.user_id)
        return self.binding

    @property
    def known_settings(self) -> Mapping[str, Any]:
        """The account's settings. Raises NotFoundError for an unknown account."""
        if self.settings is None:
            raise no_account(self.account)
        return self.settings


class PgBindings(OnDatabase):
    """Reads and changes bindings. Every method raises what `Database` raises."""

    async def get(self, account: str, user_id: str) -> BindingRow:
        """Return the user's binding (status `none` when there is none yet). Raises NotFoundError."""
        return (await self.facts(account, user_id)).known

    async def facts(self, account: str, user_id: str, texts: Collection[str] | None = None) -> BindingFacts:
        """Return all that a number of the user is judged by, in one round trip.

        *texts* are the writings by which own numbers may forbid it (R1): see policy.reading.candidates.
        """
        row = await self._db.row("binding_facts", account, user_id, None if texts is None else sorted({*texts} - {""}))
        assert row is not None
        last = made(AttemptRow, row) if row["known"] and row["attempt_id"] else None
        return BindingFacts(
            account=account,
            user_id=user_id,
            settings=settings(row["settings"]) if row["settings"] is not None else None,
            binding=binding_row(row, last) if row["known"] else None,
            excepted=[
                *(Excepted(number, whole=True) for number in row["excepted_numbers"]),
                *(Excepted(prefix, whole=False) for prefix in row["excepted_prefixes"]),
            ],
            own=[(kind, value) for kind, value in row["own"]],
            read_at=row["read_at"],
        )

    async def remove(self, account: str, user_id: str, actor: Actor) -> bool:
        """Forget the number and end a call in progress; False when there was no number. Raises NotFoundError."""
        async with self._db.transaction(actor) as tx:
            if await tx.row("user", account, user_id) is None:
                raise no_user(account, user_id)
            return await forget(tx, account, user_id)

    async def suspend(self, account: str, user_id: str, reason: SuspendReason, actor: Actor) -> None:
        """Take the trust away; with reason `admin` no new number is accepted until `resume`. Raises NotFoundError.

        A call in progress goes on, but its proof no longer counts for this binding.
        """
        async with self._db.transaction(actor) as tx:
            await _lock(tx, account, user_id)
            await tx.run("suspend_binding", account, user_id, reason.value)

    async def resume(self, account: str, user_id: str, actor: Actor) -> BindingStatus:
        """End a suspension and return the status after it. Raises NotFoundError, and Refusal `own_number`.

        `verified` when the administrator had suspended a proven number that nobody else has proven since; else
        `pending`: the number must be proven again.
        """
        async with self._db.transaction(actor) as tx:
            await tx.run("share_own_numbers")
            before = await tx.row("number_of_binding", account, user_id)
            number = None if before is None else before["number"]
            if number is not None:
                await tx.run("lock_number", number)
            await _lock(tx, account, user_id)
            if number is not None and await own_among(tx, [number]):
                raise Refusal("own_number", "this number belongs to this phone system; remove it from one of the two")
            await tx.run("resume_binding", account, user_id)
            after = await _lock(tx, account, user_id)
            return BindingStatus(after["status"])

    async def trusted_number(self, account: str, extension: str) -> TrustedRow | None:
        """Return the verified or suspended binding of an extension's user, None when there is neither."""
        return _trusted(await self._db.row("trusted_number", account, extension))

    async def trusted_caller(self, number: str, plan: CallerPlan = E164_ONLY) -> TrustedRow | None:
        """Return the user (by the lowest extension) whose verified number a caller ID is, None without exactly one."""
        return _trusted(await self._db.row("trusted_caller", number, plan.country, plan.national, plan.international))

    async def set_caller_plan(self, plan: CallerPlan) -> None:
        """Note how the SQL door reads caller IDs."""
        await self._db.run("set_caller_plan", plan.country, plan.national, plan.international)

    async def sql_door(self) -> SqlDoor:
        """Return how the SQL door stands, having asked both functions. Raises StatementRefused when they fail."""
        row = await self._db.row("sql_door")
        tried = await self._db.row("try_sql_door")
        assert row is not None
        assert tried is not None
        plan = CallerPlan(row["country"], row["national"], row["international"])
        return SqlDoor(
            row["role"], row["granted"], row["members"], plan, {tried["number"], tried["caller"]} == {"NONE"}
        )


async def forget(tx: Transaction, account: str, user_id: str) -> bool:
    """End the user's call and forget the number in the transaction *tx*; False when there was no number."""
    await cancel_live(tx, account, user_id)
    # Not locked before: a lock is a write, and whoever has no number may ask for its removal all day.
    return await tx.row("forget_binding", account, user_id) is not None


async def _lock(tx: Transaction, account: str, user_id: str) -> Row:
    await tx.run("ensure_binding", account, user_id)
    row = await tx.row("lock_binding", account, user_id)
    if row is None:
        raise no_user(account, user_id)
    return row


def _trusted(row: Row | None) -> TrustedRow | None:
    if row is None:
        return None
    return made(TrustedRow, row, settings=settings(row["settings"]))
