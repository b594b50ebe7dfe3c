"""Writes the audit's rows that no trigger writes, and hands out those that no log line tells yet. It logs nothing."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from binding_ivr.model.actors import Actor
from binding_ivr.model.audit import AuditEntry, AuditKind
from binding_ivr.model.rows import AuditRow
from binding_ivr.store.database import OnDatabase, Row, Transaction


async def write(
    tx: Transaction, kind: AuditKind, account: str = "", user_id: str = "", detail: Mapping[str, Any] | None = None
) -> None:
    """Write one row in the name of the transaction's actor."""
    await tx.run("write_audit", account, user_id, kind.value, None, _json(detail or {}))


def audit_row(row: Row) -> AuditRow:
    """Return one row as read."""
    return AuditRow(**{**dict(row), "detail": msgspec.json.decode(row["detail"], type=dict[str, Any])})


class PgAudit(OnDatabase):
    """The audit as it is written. Every method raises what `Database` raises. For reading see personal."""

    async def write(self, entries: Sequence[AuditEntry]) -> None:
        """Write all *entries*, or none."""
        rows = [
            {
                "account": entry.account,
                "user_id": entry.user_id,
                "action": entry.kind.value,
                "who": entry.actor.who,
                "source": entry.actor.source,
                "address": entry.actor.address,
                "detail": entry.detail,
            }
            for entry in entries
        ]
        await self._db.run("write_audits", _json(rows))

    async def reading(self, actor: Actor, what: str, rows: int, account: str = "") -> None:
        """Write that *actor* reads the list *what* of *account* (empty: of all); once an hour for each of them."""
        detail = {"list": what, "rows": rows}
        await self._db.run("write_reading", account, actor.who, actor.source, actor.address, what, _json(detail))

    @asynccontextmanager
    async def untold(self, most: int) -> AsyncIterator[list[AuditRow]]:
        """Hand out up to *most* rows that no log line tells yet, oldest first, without numbers.

        They count as told when the block ends without an error. Meanwhile no other node gets them.
        """
        async with self._db.transaction() as tx:
            yield [audit_row(row) for row in await tx.rows("take_untold", most)]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
