"""PostgreSQL's clock, by which everything is decided and told; only rehearsals move it, and only forward."""

from dataclasses import dataclass
from datetime import datetime

from binding_ivr.model.actors import Actor
from binding_ivr.store.database import OnDatabase


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The time now (aware UTC), and by how many seconds a rehearsal has moved it: 0 on every serving system."""

    now: datetime
    ahead_s: float


class PgClock(OnDatabase):
    """Reads and moves `binding_ivr.clock()`. Every method raises what `Database` raises."""

    async def read(self) -> ClockReading:
        """Return the time now."""
        row = await self._db.row("clock")
        assert row is not None
        return ClockReading(row["now"], row["ahead_s"])

    async def advance(self, seconds: float, actor: Actor) -> datetime:
        """Move the clock forward for tests and rehearsals, for all nodes; return the time after it.

        *seconds* is 0 or more. It is audited, `doctor` and the service's log tell of it, and only a database user that
        owns the schema may do it: others get ConfigError.
        """
        if seconds < 0:
            raise ValueError("the clock only moves forward")
        async with self._db.transaction(actor) as tx:
            row = await tx.row("move_clock", seconds)
            assert row is not None
            now: datetime = row["now"]
            return now
