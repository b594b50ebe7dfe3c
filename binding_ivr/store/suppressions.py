"""Numbers that are never called, by keyed hash only. It does not know the key and cannot tell a number."""

from dataclasses import dataclass
from datetime import datetime

from binding_ivr.errors import ConfigError, NotFoundError
from binding_ivr.ports import Actor
from binding_ivr.store.database import Database


@dataclass(frozen=True, slots=True)
class Suppression:
    """One number that is not called: its keyed hash, why (`reported`, `admin`), on whose word, since when; a note."""

    number_hash: bytes
    reason: str
    who: str
    created_at: datetime
    note: str = ""


class PgSuppressions:
    """The list of suppressed numbers. Every method raises what `Database` raises."""

    def __init__(self, db: Database) -> None:
        """Keep the list in *db*."""
        self._db = db

    async def add(self, number_hash: bytes, reason: str, who: str, actor: Actor | None = None) -> bool:
        """Suppress a number by its keyed hash (16 to 64 bytes); False when it was there. *actor*'s reason is kept."""
        async with self._db.transaction(actor) as tx:
            note = actor.reason if actor is not None else ""
            return await tx.row("suppress_noted", number_hash, reason, who, note) is not None

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
                "be called; put the right one back (without number_key: the code key with the lowest id)"
            )

    async def has(self, number_hash: bytes) -> bool:
        """Tell whether the number is suppressed."""
        row = await self._db.row("is_suppressed", number_hash)
        return row is not None and bool(row["there"])

    async def list(self) -> list[Suppression]:
        """Return all, newest first."""
        return [Suppression(*row) for row in await self._db.rows("suppressions")]
