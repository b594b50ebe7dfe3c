"""Work that any one node does for all, at most so often: who is at it, and what was done last. It does none of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from binding_ivr.store.database import OnDatabase
from binding_ivr.store.rows import made, settings


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job: its last run that came to its end (None: never), `age_s` seconds ago, on `node`, and what it did."""

    job: str
    node: str
    ended_at: datetime | None
    age_s: float | None
    running: bool
    detail: Mapping[str, Any]


class PgJobs(OnDatabase):
    """The list of jobs. Every method raises what `Database` raises."""

    async def claim(self, job: str, node: str, *, every_s: float, lease_s: float) -> int | None:
        """Take *job* for *lease_s* seconds and return its position, None when it is not due or another node is at it.

        It is due *every_s* seconds after the end of its last run, by the clock of everything.
        """
        row = await self._db.row("claim_job", job, node, lease_s, every_s)
        return None if row is None else int(row["position"])

    async def renew(self, job: str, node: str, *, lease_s: float, position: int) -> bool:
        """Keep it for another *lease_s* seconds and note how far it came; False when another node has taken it over."""
        return await self._db.row("renew_job", job, node, lease_s, position) is not None

    async def ended(self, job: str, node: str, detail: Mapping[str, Any]) -> None:
        """Note that the run came to its end, and what it did."""
        await self._db.run("end_job", job, node, msgspec.json.encode(dict(detail)).decode())

    async def left(self, job: str, node: str) -> None:
        """Give it back: the run failed, and the job is due as before."""
        await self._db.run("leave_job", job, node)

    async def list(self) -> list[JobRow]:
        """Return all jobs that ever ran."""
        rows = await self._db.rows("jobs")
        return [made(JobRow, row, running=bool(row["running"]), detail=settings(row["detail"])) for row in rows]
