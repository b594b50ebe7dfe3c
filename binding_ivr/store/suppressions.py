"""Numbers that are never called, kept by keyed hash only. It does not know the key."""

from dataclasses import dataclass
from datetime import datetime

from binding_ivr.errors import ConfigError, NotFoundError
from binding_ivr.model.actors import Actor
from binding_ivr.store.database import OnDatabase
from binding_ivr.store.endings import end_call


@dataclass(frozen=True, slots=True)
class Suppression:
    """One number that is not called: its keyed hash, why (`reported`, `admin`), on whose word, since when; a note."""

    number_hash: bytes
    reason: str
    who: str
    created_at: datetime
    note: str = ""


class PgSuppressions(OnDatabase):
    """The list of suppressed numbers. Every method raises what `Database` raises."""

    async def add(self, number: str, number_hash: bytes, reason: str, who: str, actor: Actor | None = None) -> bool:
        """Suppress *number* (E.164) by its keyed hash (16 to 64 bytes), whether or not it was; False when it was.

        In the same transaction a call to it ends, and whoever has proven it loses the trust (`suppressed`). A number
        that only waits for its proof stays so: its user must not learn what is known of it. *actor*'s reason is kept.
        """
        async with self._db.transaction(actor) as tx:
            await tx.run("lock_accept")  # else a call could be accepted that does not see the suppression yet
            note = actor.reason if actor is not None else ""
            added = await tx.row("suppress_noted", number_hash, reason, who, note) is not None
            for call in await tx.rows("live_attempts_of", [], [], [number]):
                await end_call(tx, call)
            await tx.run("lock_number", number)
            await tx.run("suspend_suppressed", number)
            return added

    async def remove(self, number_hash: bytes, actor: Actor | None = None) -> None:
        """Allow the number again. Raises NotFoundError."""
        async with self._db.transaction(actor) as tx:
            if await tx.row("unsuppress", number_hash) is None:
                raise NotFoundError("this number is not suppressed")

    async def check_key(self, digest: bytes) -> None:
        """Raise ConfigError when numbers were hashed with another key than the one that makes *digest* (32 bytes)."""
        row = await self._db.row("key_check")
        if row is None or row["digest"] != digest:
            row = await self._db.row("note_key", digest)
        if row is None or row["digest"] != digest:
            raise ConfigError(
                "code.number_key: not the key with which this database's numbers were hashed, so suppressed ones would "
                "be called; put the right key back (without number_key: the code key with the lowest id)"
            )

    async def has(self, number_hash: bytes) -> bool:
        """Return whether the number is suppressed."""
        row = await self._db.row("is_suppressed", number_hash)
        return row is not None and bool(row["there"])

    async def list(self) -> list[Suppression]:
        """Return all, newest first."""
        return [Suppression(*row) for row in await self._db.rows("suppressions")]
