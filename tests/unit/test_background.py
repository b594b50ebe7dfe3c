"""The background loop and the back-off, on a clock of the tests: nothing here sleeps."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from binding_ivr.background import Backoff, Loop, Trouble, happens
from binding_ivr.errors import BindingError, UnavailableError
from tests.unit.fakes import until

POLL_S = 60.0
RETRY = Backoff(1.0, 8.0)
AWAY = UnavailableError("PostgreSQL does not answer")


class Scene:
    """A loop whose turns do what `script` says, and whose pauses end when the test says so."""

    def __init__(self, *script: object, **how: Any) -> None:
        self.script = list(script)
        self.turns = 0
        self.pauses: list[float] = []
        self.over = asyncio.Event()
        self.trouble = Trouble(begins="x.waits", ends="x.goes_on")
        how = {"ill": self.trouble.ill, "well": self.trouble.well, "retry": RETRY, **how}
        self.loop = Loop(
            "x", self.turn, poll_s=POLL_S, fault="x.fault", wait=self.wait, jitter=lambda: 0.5, part="one", **how
        )

    async def turn(self) -> float | None:
        self.turns += 1
        told = self.script.pop(0) if self.script else None
        if isinstance(told, BaseException):
            raise told
        if callable(told):
            await told()
            return None
        assert told is None or isinstance(told, float)
        return told

    async def wait(self, event: asyncio.Event, pause_s: float) -> None:
        self.pauses.append(pause_s)
        ends = [asyncio.create_task(one.wait()) for one in (event, self.over)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        self.over.clear()

    async def waits(self, times: int) -> None:
        await until(lambda: len(self.pauses) >= times)

    async def pass_over(self, times: int) -> None:
        """Let so many pauses come to their end."""
        for _ in range(times):
            seen = len(self.pauses)
            self.over.set()
            await self.waits(seen + 1)


@asynccontextmanager
async def scene(*script: object, **how: Any) -> AsyncIterator[Scene]:
    made = Scene(*script, **how)
    made.loop.start()
    try:
        yield made
    finally:
        await made.loop.stop()
        assert not made.loop.running


async def test_turns_follow_pauses() -> None:
    async with scene(None, 5.0) as one:
        await one.waits(1)
        assert (one.turns, one.pauses) == (1, [POLL_S])
        await one.pass_over(2)
        assert (one.turns, one.pauses) == (3, [POLL_S, 5.0, POLL_S])


async def test_the_first_turn_may_come_later_and_pauses_may_be_scattered() -> None:
    async with scene(at_once=False, scattered=True) as one:
        await one.waits(1)
        assert (one.turns, one.pauses) == (0, [POLL_S * 0.75])
        await one.pass_over(1)
        assert one.turns == 1


async def test_no_pause_where_the_turn_asks_for_none() -> None:
    async with scene(0.0, 0.0, 0.0) as one:
        await one.waits(1)
        assert (one.turns, one.pauses) == (4, [POLL_S])


async def test_waking() -> None:
    async with scene() as one:
        await one.waits(1)
        one.loop.wake()
        assert one.loop.woken
        await one.waits(2)
        assert (one.turns, one.loop.woken) == (2, False)


async def test_waking_in_the_middle_of_a_turn_brings_one_more() -> None:
    async def woken() -> None:
        one.loop.wake()
        one.loop.wake()

    one = Scene(woken)
    one.loop.start()
    await one.waits(2)  # the first of them ends at once
    await until(lambda: one.turns == 2)
    await one.loop.stop()


async def test_a_trouble_is_two_lines_and_its_pauses_grow() -> None:
    with capture_logs() as lines:
        async with scene(*[AWAY] * 6) as one:
            await one.waits(1)
            await one.pass_over(6)
            assert one.pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0, POLL_S]
    assert lines == [
        {"event": "x.waits", "log_level": "warning", "reason": str(AWAY)},
        {"event": "x.goes_on", "log_level": "info"},
    ]


async def test_a_fault_is_logged_once_and_the_loop_goes_on() -> None:
    with capture_logs() as lines:
        async with scene(*[KeyError("a")] * 3, KeyError("b"), None, KeyError("b")) as one:
            await one.waits(1)
            await one.pass_over(5)
            assert one.pauses == [1.0, 2.0, 4.0, 8.0, POLL_S, 1.0]
    assert [(line["event"], line["part"], line["exc_info"]) for line in lines] == [("x.fault", "one", True)] * 3


@pytest.mark.parametrize("error", [AWAY, ValueError("x")], ids=repr)
async def test_nobody_makes_a_failing_loop_spin(error: Exception) -> None:
    async def fails() -> None:
        one.loop.wake()
        raise error

    one = Scene(fails, None)
    one.loop.start()
    await one.waits(1)
    one.loop.wake()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (one.turns, one.pauses) == (1, [1.0])
    await one.pass_over(1)
    assert (one.turns, one.pauses) == (2, [1.0, POLL_S])
    one.loop.wake()  # it works again
    await one.waits(3)
    await one.loop.stop()


async def test_a_loop_that_is_woken_while_it_mends_itself_looks_once_more() -> None:
    async def woken() -> None:
        one.loop.wake()

    one = Scene(AWAY, woken)
    one.loop.start()
    await one.waits(1)
    await one.pass_over(1)
    await until(lambda: one.turns == 3)
    await one.loop.stop()


async def test_what_was_cancelled_below_does_not_end_the_loop() -> None:
    with capture_logs() as lines:
        async with scene(asyncio.CancelledError()) as one:
            await one.waits(1)
            await one.pass_over(1)
            assert one.turns == 2
    assert [line["event"] for line in lines] == ["x.fault"]


async def test_a_long_turn_says_that_it_works() -> None:
    async def connected_then_lost() -> None:
        one.loop.works()
        raise AWAY

    one = Scene(AWAY, AWAY, connected_then_lost)
    with capture_logs() as lines:
        one.loop.start()
        await one.waits(1)
        await one.pass_over(2)
        assert one.pauses == [1.0, 2.0, 1.0]
        await one.loop.stop()
    assert [line["event"] for line in lines] == ["x.waits", "x.goes_on", "x.waits"]


async def test_without_words_of_its_own_a_trouble_is_silent_and_pauses_reach_the_poll() -> None:
    with capture_logs() as lines:
        async with scene(*[AWAY] * 8, ill=None, well=None, retry=None) as one:
            await one.waits(1)
            await one.pass_over(7)
            assert one.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert lines == []


async def test_stopping_ends_a_turn_in_the_middle() -> None:
    ended: list[str] = []

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("turn")

    one = Scene(for_ever)
    assert await one.loop.stop() is False
    one.loop.start()
    await until(lambda: one.turns == 1)
    assert await one.loop.stop() is True
    assert ended == ["turn"]
    assert await one.loop.stop() is False
    one.loop.start()  # it may begin again
    await one.waits(1)
    await one.loop.stop()


async def test_stopping_has_a_time_limit() -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    one = Scene(stubborn)
    one.loop.start()
    await until(lambda: one.turns == 1)
    with capture_logs() as lines:
        assert await one.loop.stop(within_s=0.0) is True
    assert lines == [{"event": "loop.does_not_end", "log_level": "error", "loop": "x"}]
    release.set()
    await until(lambda: "x" not in {task.get_name() for task in asyncio.all_tasks()})
    assert one.turns == 1


def pauses(backoff: Backoff, jitter: Callable[[], float]) -> list[float]:
    return [round(backoff.pause(failures, jitter()), 3) for failures in range(1, 7)]


def test_pauses_grow_up_to_the_longest_and_are_a_fifth_off_at_most() -> None:
    backoff = Backoff(0.5, 5.0)
    assert pauses(backoff, lambda: 0.5) == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert pauses(backoff, lambda: 0.0) == [0.4, 0.8, 1.6, 3.2, 4.0, 4.0]
    assert pauses(backoff, lambda: 1.0) == [0.6, 1.2, 2.4, 4.8, 6.0, 6.0]
    assert pauses(Backoff(10.0, 21_600.0, 3.0), lambda: 0.5) == [10, 30, 90, 270, 810, 2430]
    assert backoff.pause(10**9, 0.5) == 5.0
    assert Backoff(3.0, 3.0).pause(10, 0.5) == 3.0


@pytest.mark.parametrize("set_", [True, False])
async def test_an_event_happens_or_not(set_: bool) -> None:
    event = asyncio.Event()
    if set_:
        event.set()
    waits: Awaitable[bool] = happens(event, 0.0 if not set_ else POLL_S)
    assert await waits is set_


def test_the_end_of_a_trouble_may_be_somebody_elses_to_log() -> None:
    trouble = Trouble(begins="x.lost")
    with capture_logs() as lines:
        for error in (AWAY, BindingError("another reason")):
            trouble.ill(error)
        trouble.well()
        trouble.ill(AWAY)
    assert [line["event"] for line in lines] == ["x.lost", "x.lost"]
