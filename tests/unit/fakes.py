"""Hand-written stand-ins for the ports, for tests of the dialing side without Asterisk and PostgreSQL."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from binding_ivr.call import events as ev
from binding_ivr.errors import NotFoundError, UnavailableError
from binding_ivr.model.changes import Change, ChangeHandler
from binding_ivr.model.channels import is_of
from binding_ivr.model.outcome import AttemptState, Verdict
from binding_ivr.ports import CallOrder, ClaimedAttempt, EventSink, PlaceError


def attempt(number: str = "+12025550123") -> ClaimedAttempt:
    expires = datetime.now(UTC) + timedelta(minutes=10)
    return ClaimedAttempt(uuid4(), "default", "1001", number, "en", "1", expires, {})


def attempt_of(order: CallOrder) -> UUID:
    """Return the attempt that an order is of."""
    return UUID(order.variables["BINDING_ATTEMPT"].partition("/")[0])


class FakeTelephony:
    def __init__(self) -> None:
        self.ready = True
        self.sinks: dict[str, EventSink] = {}
        self.placed: list[CallOrder] = []
        self.handed: list[str] = []
        self.hung_up: list[str] = []
        self.channels: list[str] = []
        self.refuse: list[PlaceError] = []

    def watch(self, channel_id: str, sink: EventSink) -> None:
        self.sinks[channel_id] = sink

    def unwatch(self, channel_id: str) -> None:
        self.sinks.pop(channel_id, None)

    async def place(self, order: CallOrder) -> None:
        self.placed.append(order)
        if self.refuse:
            raise self.refuse.pop(0)
        self.channels.append(order.channel_id)

    async def handoff(self, channel_id: str) -> None:
        self.handed.append(channel_id)

    async def hangup(self, channel_id: str) -> bool:
        self.hung_up.append(channel_id)
        if channel_id in self.channels:
            self.channels.remove(channel_id)
            if channel_id in self.sinks:
                self.sinks[channel_id](ev.Ended(16, None))
        return True

    async def strays(self) -> list[str] | None:
        return [channel for channel in self.channels if is_of("binding_ivr", channel)]


class FakeConversation:
    def __init__(self, sink: EventSink, answers: Callable[[tuple[str, ...]], ev.Event | None]) -> None:
        self.sink = sink
        self.answers = answers
        self.said: list[tuple[str, ...]] = []
        self.closed = False

    def admit(self) -> None:
        self.sink(ev.Talking())

    def say(self, prompts: Sequence[str], escape: str) -> None:
        self.said.append(tuple(prompts))
        self._tell(self.answers(tuple(prompts)))

    def ask(self, prompts: Sequence[str], most: int, first_s: float, next_s: float) -> None:
        self.said.append(tuple(prompts))
        while most and (event := self.answers(())):
            self.sink(event)
            most -= 1

    def _tell(self, event: ev.Event | None) -> None:
        if event is not None:
            self.sink(event)

    def close(self) -> None:
        self.closed = True


class FakeConversations:
    """Each conversation keys *keys* one after another, then nothing more is heard of it."""

    def __init__(self, keys: str = "") -> None:
        self.keys = keys
        self.all: list[FakeConversation] = []

    def expect(self, attempt_id: UUID, channel_id: str, secret: str, sink: EventSink) -> FakeConversation:
        left = list(self.keys)

        def answer(prompts: tuple[str, ...]) -> ev.Event | None:
            if prompts:
                return ev.SayDone()
            return ev.Digit(left.pop(0)) if left else None

        self.all.append(FakeConversation(sink, answer))
        return self.all[-1]


class FakeLedger:
    def __init__(self) -> None:
        self.queued: list[ClaimedAttempt] = []
        self.reports: list[tuple[AttemptState, int]] = []
        self.finished: dict[UUID, Verdict] = {}
        self.billed: dict[UUID, int] = {}
        self.left_behind: list[UUID] = []
        self.lost: set[UUID] = set()
        self.canceled: set[UUID] = set()
        self.asked_for_cancels = 0
        self.down = 0
        self.gone = False
        self.changed = asyncio.Event()

    async def claim(self, node: str, most: int, lease_s: float) -> list[ClaimedAttempt]:
        claimed, self.queued = self.queued[:most], self.queued[most:]
        return claimed

    async def next_due(self) -> float | None:
        return 0.0 if self.queued else None

    async def renew(self, node: str, attempt_ids: Sequence[UUID], lease_s: float) -> set[UUID]:
        return set(attempt_ids) - self.lost

    async def progress(self, attempt_id: UUID, state: AttemptState, digits: int) -> None:
        self.reports.append((state, digits))
        self.changed.set()

    async def finish(self, attempt_id: UUID, verdict: Verdict) -> bool:
        if self.down:
            self.down -= 1
            raise UnavailableError("PostgreSQL does not answer")
        if self.gone:
            raise NotFoundError("there is no such attempt")
        first = attempt_id not in self.finished
        self.finished.setdefault(attempt_id, verdict)
        self.changed.set()
        return first

    async def bill(self, seconds: Mapping[UUID, int]) -> None:
        self.billed |= seconds

    async def abandoned(self, node: str) -> list[UUID]:
        return [a for a in self.left_behind if a not in self.finished]

    async def cancel_requests(self, node: str) -> list[UUID]:
        self.asked_for_cancels += 1
        return list(self.canceled)

    async def alive(self, node: str, version: str, capacity: int) -> None:
        pass


class FakeChanges:
    def __init__(self) -> None:
        self.handlers: list[ChangeHandler] = []

    def subscribe(self, handler: ChangeHandler) -> Callable[[], None]:
        self.handlers.append(handler)
        return lambda: self.handlers.remove(handler)

    def tell(self, change: Change) -> None:
        for handler in list(self.handlers):
            handler(change)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for *condition*, checked at each turn of the loop; fails after *seconds*."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)
