"""Keeps the trusted numbers in AstDB of this node's Asterisk equal to PostgreSQL; it decides no trust.

By change: every change that the mirror can show marks its keys with a number (sql/migrations/0003_mirror.sql); the
mirror reads the marks above its position and writes the present values. Wholly: after each connect, each boot of
Asterisk, when asked to and once a day it lists both and writes the difference.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, assert_never

from binding_ivr.asterisk.ami.client import UnknownActionError, Write
from binding_ivr.background import Backoff, Loop
from binding_ivr.errors import BindingError, ConfigError, UnavailableError
from binding_ivr.log import get_logger
from binding_ivr.metrics import Metrics
from binding_ivr.mirror import astdb, pins
from binding_ivr.model.changes import Change, ChangeKind
from binding_ivr.ports import Changes
from binding_ivr.store import PgMirror

log = get_logger()

AT_ONCE = 500
"""Changed keys per round."""
ALIVE_S = 20.0
"""A node that told nothing for so long is taken to be down."""


class AstDb(Protocol):
    """What the mirror needs of AMI (`asterisk.ami.AmiClient`)."""

    on_up: Callable[[], None] | None
    detail: str

    @property
    def ready(self) -> bool:
        """True while actions can be sent."""

    async def apply(self, writes: Iterable[Write]) -> None:
        """Carry out writes in order."""

    async def get(self, family: str, key: str) -> str | None:
        """Return a key's value, None when it is not there."""

    async def get_all(self, family: str, keys: Sequence[str]) -> list[str | None]:
        """Return the values of *keys*, None for what is not there."""

    async def tree(self, family: str, key: str, sink: Callable[[str, str], None]) -> None:
        """Call *sink* with each key (family included) below `family/key` and its value."""

    async def delete_tree(self, family: str, key: str) -> None:
        """Remove everything below `family/key`."""


@dataclass(frozen=True, slots=True)
class MirrorTimes:
    """How often, all in seconds.

    `poll_s` is the pause between two looks without a change, `retry_s` after a fault, `tell_s` between two reports to
    the other nodes, `compare_s` between two whole comparisons, `settle_s` between the first comparison of a connection
    and the second, in which Asterisk must have carried out what a lost connection, or a service that died, had sent.
    Marks of changes are kept for `marks_s`; a mirror that
    could not read them for half of that compares everything.
    """

    poll_s: float = 3.0
    retry_s: float = 1.0
    tell_s: float = 5.0
    compare_s: float = 86_400.0
    settle_s: float = 15.0
    marks_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of a whole comparison.

    `since` is the database's time at its beginning; `listed` is False where Asterisk could not tell what AstDB holds.
    """

    since: datetime
    listed: bool
    keys: int
    put: int
    deleted: int
    seconds: float


async def compare(store: PgMirror, ami: AstDb) -> astdb.Comparison:
    """Compare AstDB with the database, writing nothing. Raises BindingError."""
    comparison = astdb.Comparison()
    async for entries in store.everything():
        comparison.want(entries)
    for branch in astdb.BRANCHES:
        await ami.tree(astdb.FAMILY, branch, comparison.saw)
    return comparison


async def make_equal(store: PgMirror, ami: AstDb, plan: astdb.Plan) -> tuple[int, Compared]:
    """Make AstDB equal to the database and to *plan*; return the position to go on from. Raises BindingError."""
    began = time.monotonic()
    for key, value in plan.items():
        if (await ami.get(astdb.FAMILY, key) or "") != value:
            await ami.apply([Write(astdb.FAMILY, key, value or None)])
    # The position is read first: whatever changes from here on is looked at again by its mark.
    position, since = await store.position()
    listed = True
    try:
        comparison = await compare(store, ami)
    except UnknownActionError:  # before 18.14 AstDB cannot be listed: begin from nothing
        listed = False
        comparison = astdb.Comparison()
        async for entries in store.everything():
            comparison.want(entries)
        for branch in astdb.BRANCHES:
            await ami.delete_tree(astdb.FAMILY, branch)
    await ami.apply(comparison.writes())
    await _compare_pins(store, ami)
    if comparison.unsound:
        log.error("mirror.unsound_entries", entries=comparison.unsound)
    put, deleted = len(comparison.wanted), len(comparison.stale)
    return position, Compared(since, listed, comparison.keys, put, deleted, round(time.monotonic() - began, 3))


async def _compare_pins(store: PgMirror, ami: AstDb) -> None:
    users: set[str] = set()

    def saw(key: str, _: str) -> None:
        if (user := pins.user_of(key)) is not None:
            users.add(user)

    with contextlib.suppress(UnknownActionError):  # before 18.14: then they go as their numbers change
        await ami.tree(pins.PINS, "", saw)
        await pins.forget_dead(ami, store, sorted(users))


class Mirror:
    """The mirror of one node, in one loop."""

    def __init__(
        self,
        ami: AstDb,
        store: PgMirror,
        changes: Changes,
        *,
        node: str,
        plan: astdb.Plan,
        metrics: Metrics,
        times: MirrorTimes | None = None,
    ) -> None:
        """Mirror *store* over *ami*, whose `on_up` it takes; *node* is the name under which it tells how it stands.

        *plan* is what the dialplan must know beside (`astdb.plan`).
        """
        self._plan = plan
        self._ami = ami
        self._store = store
        self._changes = changes
        self._node = node
        self._metrics = metrics
        self._times = times or MirrorTimes()
        self._loop = Loop(
            "mirror",
            self._turn,
            poll_s=self._times.poll_s,
            retry=Backoff(self._times.retry_s, self._times.retry_s),
            fault="mirror.fault",
        )
        self._must_compare = True
        self._again_at = float("inf")
        self._position = 0
        self._read_at = self._compared_at = self._told_at = float("-inf")
        self._in_step_at: float | None = None
        self._trouble = ""
        self._unsubscribe: Callable[[], None] = lambda: None
        self.behind: int | None = None
        """Changed keys that are not in AstDB yet; None when that is not known now."""

    # --- life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin. The first whole comparison follows as soon as AMI is connected."""
        self._ami.on_up = self._up
        self._unsubscribe = self._changes.subscribe(self._on_change)
        self._metrics.mirror_lag_seconds.set_function(self.lag_seconds)
        self._loop.start()

    async def stop(self) -> None:
        """End. AstDB keeps what it holds: look-ups go on."""
        self._ami.on_up = None
        self._unsubscribe()
        if await self._loop.stop():
            with contextlib.suppress(BindingError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._store.tell_gone(self._node)

    def lag_seconds(self) -> float:
        """Seconds since AstDB was last known to hold all that PostgreSQL held; infinite before the first time."""
        if self._in_step_at is None:
            return float("inf")
        # Between two polls nothing is known to be missing: only what exceeds them is a lag.
        return max(0.0, time.monotonic() - self._in_step_at - self._times.poll_s)

    @property
    def health(self) -> str:
        """`ok`, or what is wrong in one line."""
        if self._in_step_at is None:
            return self._trouble or "the first comparison of AstDB is under way"
        return self._trouble or "ok"

    def _up(self) -> None:
        self._must_compare = True
        # A connection that ended is no order withdrawn: Asterisk carries out what it has read of it, in its own time. A
        # number that was put there may have ended meanwhile.
        self._again_at = time.monotonic() + self._times.settle_s
        self._loop.wake()

    def _on_change(self, change: Change) -> None:
        match change.kind:
            case ChangeKind.COMPARE:
                self._must_compare = True
                self._loop.wake()
            case ChangeKind.BINDING | ChangeKind.MIRROR | ChangeKind.RESYNC:
                self._loop.wake()
            case (
                ChangeKind.QUEUED
                | ChangeKind.CANCEL
                | ChangeKind.ATTEMPT
                | ChangeKind.CLOCK
                | ChangeKind.LIMITS
                | ChangeKind.OUTBOX
                | ChangeKind.MOVE
            ):
                pass
            case _:
                assert_never(change.kind)

    # --- the loop --------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        try:
            if self._ami.ready:
                await self._keep_in_step()
                self._well()
            else:
                self._trouble = self._ami.detail or "Asterisk's AMI is not connected yet"  # AMI logs it
        except Exception as error:
            self._ill(error)
            await self._tell()
            raise
        await self._tell()

    async def _keep_in_step(self) -> None:
        now = time.monotonic()
        too_old = now - self._read_at > self._times.marks_s / 2
        settled = now >= self._again_at
        if self._must_compare or too_old or settled or now - self._compared_at > self._times.compare_s:
            await self._compare(settled=settled)
        while True:
            position, entries = await self._store.changes(self._position, AT_ONCE)
            self._read_at = time.monotonic()
            if entries:
                self._set_behind(len(entries) if len(entries) < AT_ONCE else await self._store.behind(self._position))
                await self._apply(astdb.changes(entries))
                # After the numbers: a PIN alone opens nothing.
                await pins.forget_dead(
                    self._ami,
                    self._store,
                    [f"{entry.account}/{entry.name}" for entry in entries if entry.kind == "ext"],
                )
                self._position = position
            if len(entries) < AT_ONCE:
                break
        self._set_behind(0)
        self._in_step_at = time.monotonic()

    async def _compare(self, *, settled: bool) -> None:
        self._must_compare = False
        try:
            self._position, compared = await make_equal(self._store, self._ami, self._plan)
        except BaseException:
            self._must_compare = True
            raise
        if (
            settled or not compared.listed
        ):  # where it cannot be listed each comparison takes all numbers away for a moment
            self._again_at = float("inf")
        self._compared_at = self._read_at = time.monotonic()
        self._count(compared.put, compared.deleted)
        self._metrics.mirror_keys.set(compared.keys)
        self._metrics.mirror_compare_seconds.observe(compared.seconds)
        log.info(
            "mirror.compared",
            keys=compared.keys,
            put=compared.put,
            deleted=compared.deleted,
            seconds=compared.seconds,
        )
        await self._store.tell_compared(self._node, compared.since, compared.keys, compared.put, compared.deleted)
        await self._store.forget_marks(self._times.marks_s)

    async def _apply(self, writes: list[Write]) -> None:
        try:
            await self._ami.apply(writes)
        except BindingError:
            # Part of it may be written and the reply lost; the marks are read again from the same position.
            self._must_compare = self._must_compare or not self._ami.ready
            raise
        deleted = sum(write.value is None for write in writes)
        self._count(len(writes) - deleted, deleted)

    def _count(self, put: int, deleted: int) -> None:
        self._metrics.mirror_writes.labels("put").inc(put)
        self._metrics.mirror_writes.labels("delete").inc(deleted)

    def _set_behind(self, behind: int | None) -> None:
        self.behind = behind
        self._metrics.mirror_behind.set(float("nan") if behind is None else behind)

    def _well(self) -> None:
        if self._trouble:
            log.info("mirror.in_step")
        self._trouble = ""

    def _ill(self, error: Exception) -> None:
        """Note what keeps the mirror from being in step; a new reason is a log line."""
        reason = str(error) if isinstance(error, BindingError) else "a fault in binding_ivr; see its log"
        if reason != self._trouble and not (isinstance(error, UnavailableError) and not self._ami.ready):
            log.log(40 if isinstance(error, ConfigError) else 30, "mirror.not_in_step", detail=reason)
        self._trouble = reason

    async def _tell(self) -> None:
        """Tell the other nodes, and the commands, how this mirror stands."""
        if time.monotonic() - self._told_at < self._times.tell_s:
            return
        try:
            if self._trouble and self._in_step_at is not None:
                self._set_behind(await self._store.behind(self._position))
            await self._store.tell(self._node, self._trouble, self.behind)
            self._told_at = time.monotonic()
        except BindingError:  # PostgreSQL's loss was told already
            self._set_behind(None)
