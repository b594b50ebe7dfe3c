"""What an administrator sees of the limits and lifts of them, audited. It counts nothing for a request."""

from binding_ivr.errors import NotFoundError
from binding_ivr.model.actors import Actor
from binding_ivr.model.audit import AuditKind
from binding_ivr.policy.limit_state import LimitState, LockedOut, Paused, Reset
from binding_ivr.store.audit import write
from binding_ivr.store.breakers import SYSTEM, Turned, tell
from binding_ivr.store.database import OnDatabase

MOST_LOCKED_OUT = 200


class LimitAdmin(OnDatabase):
    """The administrator's side of the limits. Every method raises what `Database` raises."""

    async def state(self, account: str | None = None) -> LimitState:
        """Return what is paused, who is locked out (of *account*; None: of all) and how much is used."""
        usage = await self._db.row("usage")
        assert usage is not None
        breakers = await self._db.rows("breakers")
        paused = [Paused(**row) for row in breakers if account is None or row["account"] in (SYSTEM, account)]
        locked_out = [LockedOut(**row) for row in await self._db.rows("lockouts", account, MOST_LOCKED_OUT)]
        return LimitState(paused, locked_out, **usage)

    async def reset_user(self, account: str, user_id: str, actor: Actor) -> Reset:
        """Let what a user asked for in the last day, and the failed tries, count no more. Raises NotFoundError."""
        async with self._db.transaction(actor) as tx:
            if await tx.row("user", account, user_id) is None:
                raise NotFoundError(f"there is no user {user_id} in account {account}")
            row = await tx.row("reset_user_limits", account, user_id)
            assert row is not None
            done = Reset(**row)
            detail = {"calls": done.calls, "locks": done.locks}
            await write(tx, AuditKind.USER_UNLOCKED, account, user_id, detail)
            return done

    async def reset_number(self, number_hash: bytes, actor: Actor) -> Reset:
        """Let the calls to a number count no more for it, and lift its lock. *number_hash* is its keyed hash."""
        async with self._db.transaction(actor) as tx:
            row = await tx.row("reset_number_limits", number_hash)
            assert row is not None
            done = Reset(**row)
            detail = {"calls": done.calls, "locks": done.locks, "number_hash": number_hash.hex()}
            await write(tx, AuditKind.NUMBER_UNLOCKED, detail=detail)
            return done

    async def resume(self, account: str, actor: Actor) -> None:
        """Let the calls of *account* (empty: of the whole system) leave again. Raises NotFoundError: not paused."""
        async with self._db.transaction(actor) as tx:
            if await tx.row("close_breaker", account) is None:
                where = f"of account {account}" if account else "of the whole system"
                raise NotFoundError(f"calls {where} are not paused")
        tell(Turned(account, None, 0, 0))
