"""Runs the jobs that any one node does for all, each at most once an hour, and shows how the bindings stand."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from binding_ivr.background import Loop, Trouble
from binding_ivr.errors import BindingError, UnavailableError
from binding_ivr.metrics import Metrics
from binding_ivr.model.changes import Change, ChangeKind
from binding_ivr.policy.limit_state import LimitState
from binding_ivr.ports import Changes
from binding_ivr.store import LimitAdmin, PgJobs, PgLifecycle

STATUSES = ("none", "pending", "verified", "suspended")


class Turn:
    """One run of a job on this node. `position` is how far earlier runs came; it is the job's own, and kept."""

    def __init__(self, store: PgJobs, job: str, node: str, position: int, lease_s: float) -> None:
        """The run of *job* that *node* has claimed for *lease_s* seconds."""
        self._store = store
        self._job = job
        self._node = node
        self._lease_s = lease_s
        self.position = position

    async def keep(self) -> None:
        """Keep the job for as long again, and its position; to be called between two batches.

        Raises UnavailableError when another node has taken it over.
        """
        if not await self._store.renew(self._job, self._node, lease_s=self._lease_s, position=self.position):
            raise UnavailableError(f"another node has taken over the job {self._job}")

    async def all(self, batch: Callable[[], Awaitable[int]], most: int) -> int:
        """Call *batch* until it does less than *most* rows; return how many it did in all."""
        total = 0
        while True:
            count = await batch()
            total += count
            if count < most:
                return total
            await self.keep()
            await asyncio.sleep(0)


class Job(Protocol):
    """Something to be done from time to time."""

    @property
    def name(self) -> str:
        """Its name, of small letters and _."""

    async def run(self, turn: Turn) -> Counter[str]:
        """Do it in batches; return how many rows were changed, by what was done to them. Raises BindingError."""


@dataclass(frozen=True, slots=True)
class JobTimes:
    """How often, all in seconds: `every_s` between the end of a run and the next, by the clock of everything; `look_s`
    between two looks of a node whether it is time; a run is one node's for `lease_s` after each batch.
    """

    every_s: float = 3600.0
    look_s: float = 60.0
    lease_s: float = 120.0
    stop_s: float = 1.0


class Jobs:
    """The jobs of one node, in one loop."""

    def __init__(
        self,
        jobs: Sequence[Job],
        store: PgJobs,
        lifecycle: PgLifecycle,
        limits: LimitAdmin,
        changes: Changes,
        *,
        node: str,
        metrics: Metrics,
        times: JobTimes | None = None,
    ) -> None:
        """Run *jobs* as *node* when *store* says that they are due."""
        self._jobs = jobs
        self._store = store
        self._lifecycle = lifecycle
        self._limits = limits
        self._changes = changes
        self._node = node
        self._metrics = metrics
        self._times = times or JobTimes()
        trouble = Trouble(begins="jobs.wait", ends="jobs.go_on", level=logging.INFO)
        self._loop = Loop(
            "jobs",
            self._turn,
            poll_s=self._times.look_s,
            fault="jobs.fault",
            ill=trouble.ill,
            well=trouble.well,
            scattered=True,  # many nodes should not look in step
        )
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin."""
        self._unsubscribe = self._changes.subscribe(self._on_change)
        self._loop.start()

    async def stop(self) -> None:
        """End; a run in the middle is given back, and goes on at the next node that looks."""
        self._unsubscribe()
        await self._loop.stop()

    def _on_change(self, change: Change) -> None:
        match change.kind:
            case ChangeKind.CLOCK | ChangeKind.LIMITS | ChangeKind.RESYNC:
                self._loop.wake()
            case (
                ChangeKind.QUEUED
                | ChangeKind.CANCEL
                | ChangeKind.ATTEMPT
                | ChangeKind.BINDING
                | ChangeKind.MIRROR
                | ChangeKind.COMPARE
                | ChangeKind.OUTBOX
                | ChangeKind.MOVE
            ):
                pass
            case _:
                assert_never(change.kind)

    async def _turn(self) -> None:
        for job in self._jobs:
            await self.turn(job)
        await self._show()

    async def turn(self, job: Job) -> bool:
        """Run *job* if it is due and nobody else is at it; tell whether it ran. Raises BindingError."""
        times = self._times
        position = await self._store.claim(job.name, self._node, every_s=times.every_s, lease_s=times.lease_s)
        if position is None:
            return False
        turn = Turn(self._store, job.name, self._node, position, times.lease_s)
        try:
            done = await job.run(turn)
            await turn.keep()
        except BaseException:
            with contextlib.suppress(BindingError, TimeoutError):
                async with asyncio.timeout(times.stop_s):
                    await self._store.left(job.name, self._node)
            raise
        await self._store.ended(job.name, self._node, done)
        for what, count in done.items():
            self._metrics.job_rows.labels(what).inc(count)
        return True

    async def _show(self) -> None:
        ages = {row.job: row.age_s for row in await self._store.list()}
        for job in self._jobs:
            age = ages.get(job.name)
            self._metrics.job_age_seconds.labels(job.name).set(float("nan") if age is None else age)
        counts = await self._lifecycle.counts()
        for status in STATUSES:
            self._metrics.bindings.labels(status).set(counts.by_status.get(status, 0))
        self._metrics.bindings.labels("stale").set(counts.stale)
        show_limits(await self._limits.state(), self._metrics)


def show_limits(state: LimitState, metrics: Metrics) -> None:
    """Set the gauges of the limits."""
    system = sum(not row.account for row in state.paused)
    metrics.paused.labels("system").set(system)
    metrics.paused.labels("account").set(len(state.paused) - system)
    metrics.used.labels("system_hour").set(state.calls_hour)
    metrics.used.labels("system_day").set(state.calls_day)
    metrics.used.labels("system_minutes_day").set(state.minutes_day)
    metrics.locked.labels("users").set(state.locked_users)
    metrics.locked.labels("numbers").set(state.locked_numbers)
