"""Shortens and deletes what is older than it may be, in small batches that wait for nobody. It decides no age."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from binding_ivr.model.actors import system
from binding_ivr.model.audit import AuditKind
from binding_ivr.policy.masking import HashOf, masked
from binding_ivr.store.audit import write
from binding_ivr.store.database import OnDatabase

BATCH = 500
"""Rows at once; sql/queries/retention.sql has it written out where attempts are meant."""
BY_TIME = system(reason="retention")


@dataclass(frozen=True, slots=True)
class AuditStep:
    """One batch of audit rows: how many were looked at, how many had numbers, and the last one's id."""

    seen: int
    masked: int
    last: int


class PgRetention(OnDatabase):
    """What is kept. Every method raises what `Database` raises, does at most BATCH rows and returns how many.

    Rows that somebody else has locked are left for the next round. *days* are days by the clock of everything.
    """

    async def mask_attempts(self, days: int) -> int:
        """Shorten the numbers of attempts that ended so long ago; their keyed hash stays, by which limits count."""
        return len(await self._db.rows("mask_attempts", days))

    async def mask_erased(self) -> int:
        """Shorten the numbers of calls of erased users that are an hour old."""
        return len(await self._db.rows("mask_erased"))

    async def forget_attempts(self, days: int) -> int:
        """Delete attempts that are so old."""
        return len(await self._db.rows("forget_attempts", days))

    async def mask_audit(self, after: int, days: int, hash_of: HashOf) -> AuditStep:
        """Shorten the numbers in audit rows after the id *after*, and clear the addresses of sign-ins."""
        async with self._db.transaction(BY_TIME) as tx:
            rows = await tx.rows("audit_to_mask", after, days, BATCH)
            short: dict[int, str] = {}
            for row in rows:
                text = masked_text(row["detail"], hash_of)
                if text is not None or row["has_address"]:
                    short[row["id"]] = text or row["detail"]
            if short:
                await tx.row("mask_audit", list(short), list(short.values()))
        return AuditStep(len(rows), len(short), rows[-1]["id"] if rows else after)

    async def forget_audit(self, days: int) -> int:
        """Delete audit rows that are so old (365 days or more)."""
        async with self._db.transaction(BY_TIME) as tx:
            row = await tx.row("forget_audit", days, BATCH)
            assert row is not None
            return int(row["deleted"])

    async def mask_events(self, days: int, hash_of: HashOf) -> int:
        """Shorten the numbers in events of the outbox, but for those that still wait for their receiver."""
        async with self._db.transaction() as tx:
            rows = await tx.rows("events_to_mask", days, BATCH)
            short = {row["event_id"]: masked_text(row["payload"], hash_of) or row["payload"] for row in rows}
            if short:
                await tx.run("mask_events", list(short), list(short.values()))
        return sum(short[row["event_id"]] is not row["payload"] for row in rows)

    async def forget_exceptions(self, days: int) -> int:
        """Delete exceptions of the number policy that ended so long ago."""
        async with self._db.transaction(BY_TIME) as tx:
            return len(await tx.rows("forget_exceptions", days, BATCH))

    async def forget_moves(self, days: int) -> int:
        """Delete moves of calls that ended so long ago."""
        return len(await self._db.rows("forget_moves", days, BATCH))

    async def forget_gone_bindings(self, days: int) -> int:
        """Delete what was left of users who were removed so long ago."""
        return len(await self._db.rows("forget_gone_bindings", days, BATCH))

    async def note_done(self, rows: Mapping[str, int]) -> None:
        """Write into the audit what one run did, if anything: how many rows, by what was done to them."""
        if rows:
            async with self._db.transaction(BY_TIME) as tx:
                await write(tx, AuditKind.RETENTION_DONE, detail=rows)


def masked_text(text: str, hash_of: HashOf) -> str | None:
    """Return the JSON object *text* with its numbers shortened; None when it has none."""
    facts = masked(msgspec.json.decode(text, type=dict[str, Any]), hash_of)
    return None if facts is None else msgspec.json.encode(facts).decode()
