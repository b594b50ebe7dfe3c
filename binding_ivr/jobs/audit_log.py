"""Tells every row of the audit in the log, once, on whichever node takes it first. It writes no row."""

import logging

from binding_ivr.background import Loop, Trouble
from binding_ivr.log import get_logger
from binding_ivr.model.rows import AuditRow
from binding_ivr.store.audit import PgAudit

log = get_logger()

PAUSE_S = 2.0
BATCH = 200


class AuditLog:
    """The log's lines of the audit: of what the service did, commands, and people in psql alike."""

    def __init__(self, audit: PgAudit, pause_s: float = PAUSE_S) -> None:
        """Look for rows in *audit* every *pause_s* seconds. What happens while no node runs is told by the next one."""
        self._audit = audit
        self._told: set[int] = set()
        trouble = Trouble(begins="audit.waits", ends="audit.goes_on", level=logging.INFO)
        self._loop = Loop(
            "audit log",
            self._turn,
            poll_s=pause_s,
            fault="audit.failed",
            ill=trouble.ill,
            well=trouble.well,
            scattered=True,
        )

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    async def stop(self) -> None:
        """End; what is not told yet is told by another node, or by the next start."""
        await self._loop.stop()

    async def _turn(self) -> float | None:
        """Tell a batch. A line is written before its row counts as told, so that a crash tells twice rather than never.

        When only the end of the transaction failed, the rows come again and are known.
        """
        async with self._audit.untold(BATCH) as rows:
            for row in rows:
                if row.id not in self._told:
                    tell(row)
                    self._told.add(row.id)
        self._told.clear()
        return 0.0 if len(rows) == BATCH else None


def tell(row: AuditRow) -> None:
    """Write the line of *row*, which has no numbers; what is empty stays out."""
    facts = {
        "id": row.id,
        "action": row.action,
        "account": row.account,
        "user": row.user_id,
        "who": row.who,
        "source": row.source,
        "address": row.address,
        "attempt": str(row.attempt_id) if row.attempt_id else "",
        "reason": row.reason,
        "detail": {name: value for name, value in row.detail.items() if not name.endswith("_hash")},
    }
    log.info("audit", **{name: value for name, value in facts.items() if value})
