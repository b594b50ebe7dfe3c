"""Reads what the hot-switch dialplan noted of moves in this node's AstDB, keeps it in PostgreSQL, and empties the list.

    hotswitch_moves/<n>     1,<id>,<kind>,<outcome>,<proof>,<account>/<extension>,<begin>,<call>,<leg>,<end>
    hotswitch_list/head     n of the latest entry: written by the dialplan
    hotswitch_list/tail     n of the latest one that was read: written here, and by nobody else
    hotswitch_list/dropped  how many found no place

A UserEvent wakes it and is worth no more than that: anybody on AMI can send one. Other programs can write to AstDB too,
so each entry is read strictly; one that is not of this form is dropped, counted and logged without what is in it.
"""

import asyncio
import re
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from binding_ivr.asterisk.ami.client import Write
from binding_ivr.background import Backoff, Loop, Trouble
from binding_ivr.errors import Refusal
from binding_ivr.log import get_logger
from binding_ivr.metrics import Metrics
from binding_ivr.model import forms
from binding_ivr.model.moves import Move, MoveKind, MoveOutcome, MoveProof
from binding_ivr.store.moves import PgMoves

log = get_logger()

ENTRIES = "hotswitch_moves"
LIST = "hotswitch_list"
NEWS = "HotswitchMoves"
"""The UserEvent that says that there is something to read."""
LONGEST_LIST = 10_000
"""Entries; the dialplan (hotswitch.conf) writes no more."""
AT_ONCE = 100
POLL_S = 5.0
GAP_S = 0.2
"""Between two looks, however many UserEvents come."""
TELL_S = 30.0
ALIVE_S = 90.0
"""A list that nobody told of for so long is taken to be read by nobody."""
MOST_MOVED, MOST_OTHERS = 1000, 200
"""Moves of one extension that are kept in an hour: whoever forges a caller ID can make many that do not move."""
OLDEST = timedelta(days=400)
NEWEST = timedelta(days=1)

_ID = r"[0-9]{1,40}-[0-9]{1,10}"
_CHANNEL_ID = r"[A-Za-z0-9._-]{0,150}"
_TIME = r"[0-9]{9,11}\.[0-9]{3}"
_ENTRY = re.compile(
    rf"1,(?P<id>{_ID}),(?P<kind>[a-z_]+),(?P<outcome>[a-z_]+),(?P<proof>[a-z]*),"
    rf"(?P<account>{forms.ACCOUNT})/(?P<extension>{forms.EXTENSION}),"
    rf"(?P<begin>{_TIME}),(?P<call>{_CHANNEL_ID}),(?P<leg>{_CHANNEL_ID}),(?P<end>{_TIME})",
    re.ASCII,
)


class AstDb(Protocol):
    """What is needed of AMI (`asterisk.ami.AmiClient`)."""

    @property
    def ready(self) -> bool:
        """True while actions can be sent."""

    async def get_all(self, family: str, keys: Sequence[str]) -> list[str | None]:
        """Return the values of *keys*, None for what is not there."""

    async def apply(self, writes: Iterable[Write]) -> None:
        """Carry out writes in order."""


def read_entry(text: str, now: datetime) -> Move | None:
    """Return the move that an entry notes; None when it has another form, or its times cannot be."""
    found = _ENTRY.fullmatch(text)
    if found is None:
        return None
    try:
        kind, outcome, proof = MoveKind(found["kind"]), MoveOutcome(found["outcome"]), MoveProof(found["proof"])
    except ValueError:
        return None
    begin, end = (datetime.fromtimestamp(float(found[name]), UTC) for name in ("begin", "end"))
    if not now - OLDEST < end < now + NEWEST or end - begin > NEWEST:
        return None
    return Move(
        move_id=found["id"],
        kind=kind,
        outcome=outcome,
        proof=proof,
        account=found["account"],
        extension=found["extension"],
        started_at=min(begin, end),  # the clock of the host may have been set back
        ended_at=end,
        call_id=found["call"],
        leg_id=found["leg"],
    )


def count_of(text: str | None) -> int:
    """Return the number that a key of the list holds, as the dialplan reads it: by its digits."""
    return int("0" + re.sub(r"[^0-9]", "", text or "")[:15])


class MoveReader:
    """Reads the list of one node's Asterisk, in one loop."""

    def __init__(
        self, ami: AstDb, store: PgMoves, *, node: str, metrics: Metrics, poll_s: float = POLL_S, gap_s: float = GAP_S
    ) -> None:
        """Keep in *store* what *ami* shows, every *poll_s* seconds and when `news` comes."""
        self._ami = ami
        self._store = store
        self._node = node
        self._metrics = metrics
        self._gap_s = gap_s
        self._trouble = Trouble(begins="moves.wait", ends="moves.go_on")
        self._loop = Loop(
            "moves",
            self._turn,
            poll_s=poll_s,
            retry=Backoff(1.0, 10.0),
            fault="moves.fault",
            ill=self._trouble.ill,
            well=self._trouble.well,
        )
        self._looked_at = self._told_at = float("-inf")
        self._bad = self._flood = 0
        self._bad_logged = False

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    async def stop(self) -> None:
        """End. What was not read waits in AstDB."""
        await self._loop.stop()

    def news(self, user_event: str) -> None:
        """Hear of a UserEvent by its name."""
        if user_event == NEWS:
            self._loop.wake()

    async def _turn(self) -> float | None:
        await asyncio.sleep(max(0.0, self._looked_at + self._gap_s - time.monotonic()))
        self._looked_at = time.monotonic()
        if not self._ami.ready:
            self._metrics.moves_waiting.set(float("nan"))
            return None
        head, tail, dropped = map(count_of, await self._ami.get_all(LIST, ("head", "tail", "dropped")))
        waiting = head - tail
        self._metrics.moves_waiting.set(max(0, waiting))
        if not 0 <= waiting <= 2 * LONGEST_LIST:
            # Somebody wrote to the list who should not: go on with what the dialplan writes from here on.
            log.error("moves.list_was_changed", reason="hotswitch_list in AstDB was written by another program")
            await self._ami.apply([Write(LIST, "tail", str(head))])
            self._bad += 1
        elif waiting:
            await self._read(range(tail + 1, min(head, tail + AT_ONCE) + 1))
        await self._tell(max(0, waiting - AT_ONCE), dropped)
        return 0.0 if waiting else None

    async def _read(self, places: range) -> None:
        """Keep these entries and remove them. Whatever ends it in between, each is kept once: by its own id."""
        keys = [str(place) for place in places]
        values = await self._ami.get_all(ENTRIES, keys)
        for text in values:
            if text is not None:  # another service beside this Asterisk has had it
                await self._keep(text)
        gone = [Write(ENTRIES, key, None) for key, text in zip(keys, values, strict=True) if text is not None]
        await self._ami.apply([*gone, Write(LIST, "tail", keys[-1])])

    async def _keep(self, text: str) -> None:
        move = read_entry(text, datetime.now(UTC))
        result = None
        if move is not None:
            try:
                most = MOST_MOVED if move.outcome is MoveOutcome.MOVED else MOST_OTHERS
                result = await self._store.keep(move, self._node, most)
            except Refusal:  # a value that PostgreSQL does not take would be read again and again
                move = None
        if move is None:
            self._bad += 1
            if not self._bad_logged:
                log.error("moves.entry_is_not_ours", reason="hotswitch_moves in AstDB has an entry of another form")
            self._bad_logged = True
        elif result == "kept":
            self._metrics.moves.labels(move.kind.value, move.outcome.value).inc()
        elif result == "flood":
            self._flood += 1

    async def _tell(self, waiting: int, dropped: int) -> None:
        """Tell the commands how the list stands, when there is something new and now and then."""
        now = time.monotonic()
        if now - self._told_at < TELL_S and not (self._bad or self._flood):
            return
        lost = await self._store.tell(self._node, waiting, dropped, self._bad, self._flood)
        self._bad = self._flood = 0
        self._told_at = now
        for reason, count in (("full", lost.full), ("bad", lost.bad), ("flood", lost.flood)):
            self._metrics.moves_lost.labels(reason).set(count)


async def waiting(ami: AstDb) -> int:
    """Return how many entries of the list nobody has read. Raises BindingError."""
    head, tail = map(count_of, await ami.get_all(LIST, ("head", "tail")))
    return max(0, head - tail)
