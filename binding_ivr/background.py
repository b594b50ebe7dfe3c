"""The one background loop and the one back-off: what a part does beside its callers runs here. It knows no work."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from binding_ivr.errors import BindingError
from binding_ivr.log import get_logger

log = get_logger()

STOP_S = 5.0
Jitter = Callable[[], float]
"""Returns an even number from 0 up to 1."""
Turn = Callable[[], Awaitable[float | None]]
"""Does the work once; returns the seconds until the next turn, None for the loop's own pause."""
Wait = Callable[[asyncio.Event, float], Awaitable[object]]
"""Waits for the event, at most so many seconds."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing pauses in seconds: `first_s`, each `factor` times longer, at most `longest_s`, each up to a fifth off.

    It knows no clock and rolls no dice: the jitter is given. It keeps many nodes from coming back in step.
    """

    first_s: float
    longest_s: float
    factor: float = 2.0

    def pause(self, failures: int, jitter: float) -> float:
        """Return the pause after the *failures*-th failure in a row (1 or more); *jitter* is from 0 to 1."""
        grown = self.first_s
        for _ in range(failures - 1):
            grown *= self.factor
            if grown >= self.longest_s:
                break
        return min(grown, self.longest_s) * (0.8 + 0.4 * jitter)


class Trouble:
    """What keeps some work from being done: one log line when it begins and one when it ends, whoever notices."""

    def __init__(self, *, begins: str, ends: str = "", level: int = logging.WARNING) -> None:
        """Begin without trouble; *begins* and *ends* are the names of the log events, *level* is that of the first.

        Without *ends* somebody else logs the end.
        """
        self._begins = begins
        self._ends = ends
        self._level = level
        self._reason = ""

    def ill(self, error: BindingError) -> None:
        """Note what went wrong."""
        if not self._reason:
            log.log(self._level, self._begins, reason=str(error))
        self._reason = str(error)

    def well(self) -> None:
        """Note that it works."""
        if self._reason and self._ends:
            log.info(self._ends)
        self._reason = ""


class Loop:
    """Takes one turn after another in a task of its own: when woken, and else after a pause.

    Whatever a turn raises, the loop goes on after its back-off. A BindingError is a trouble; anything else is a fault
    of ours, which is logged with its traceback, once until a turn succeeds.
    """

    def __init__(
        self,
        name: str,
        turn: Turn,
        *,
        poll_s: float,
        fault: str,
        ill: Callable[[BindingError], None] | None = None,
        well: Callable[[], None] | None = None,
        retry: Backoff | None = None,
        at_once: bool = True,
        scattered: bool = False,
        wait: Wait | None = None,
        jitter: Jitter = random.random,
        **facts: str,
    ) -> None:
        """Prepare. *poll_s* is the pause between two turns; half of it is random when *scattered*.

        *retry* holds the pauses after turns that failed; without it they grow from a second to *poll_s*.
        *fault* is the log event of a fault, *facts* belong to it. *ill* hears of each trouble, *well* of each turn
        that ends without one (`Trouble` has both). Without *at_once* the first turn comes after a pause.
        """
        self.name = name
        self._turn = turn
        self._poll_s = poll_s
        self._fault = fault
        self._ill = ill
        self._well = well
        self._retry = retry or Backoff(min(1.0, poll_s), poll_s)
        self._at_once = at_once
        self._scattered = scattered
        self._wait = wait or happens
        self._jitter = jitter
        self._facts = facts
        self._wake = asyncio.Event()
        self._failures = 0
        self._resting = False
        self._told = ""
        self._ending = False
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """True between `start` and `stop`."""
        return self._task is not None

    @property
    def woken(self) -> bool:
        """True when the next turn comes at once."""
        return self._wake.is_set()

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._ending = False
        self._task = asyncio.create_task(self._run(), name=self.name)

    def wake(self) -> None:
        """Take a turn now, or right after the one under way. A back-off is waited out: nobody makes a loop spin."""
        if not self._resting:
            self._wake.set()

    def works(self) -> None:
        """Forget earlier failures in the middle of a turn: for one that lasts as long as a connection."""
        self._failures, self._told = 0, ""
        if self._well is not None:
            self._well()

    def cancel(self) -> None:
        """Take no turn any more and end the one under way; `stop` waits for it."""
        self._ending = True
        if self._task is not None:
            self._task.cancel()

    async def stop(self, within_s: float = STOP_S) -> bool:
        """End, also in the middle of a turn; wait at most *within_s* seconds for it. Tells whether it was running."""
        self.cancel()
        task, self._task = self._task, None
        if task is None:
            return False
        _, late = await asyncio.wait([task], timeout=within_s)
        if late:
            log.error("loop.does_not_end", loop=self.name)
        return True

    async def _run(self) -> None:
        pause = 0.0 if self._at_once else self._pause()
        while not self._ending:
            if pause > 0:
                await self._wait(self._wake, pause)
            else:
                await asyncio.sleep(0)
            self._wake.clear()
            self._resting = False
            pause = await self._next()

    async def _next(self) -> float:
        """Take one turn; return the pause after it."""
        try:
            asked = await self._turn()
        except BindingError as error:
            if self._ill is not None:
                self._ill(error)
        except asyncio.CancelledError as error:
            if self._is_ending():
                raise
            self._tell(error)  # something below was cancelled, not we
        except Exception as error:
            self._tell(error)
        else:
            self.works()
            return self._pause() if asked is None else asked
        self._failures += 1
        self._resting = True
        self._wake.clear()
        return self._retry.pause(self._failures, self._jitter())

    def _pause(self) -> float:
        return self._poll_s * (0.5 + self._jitter() / 2) if self._scattered else self._poll_s

    def _is_ending(self) -> bool:
        task = asyncio.current_task()
        return self._ending or (task is not None and task.cancelling() > 0)

    def _tell(self, error: BaseException) -> None:
        told = repr(error)
        if told != self._told:
            log.exception(self._fault, **self._facts)
        self._told = told


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Wait for *event*, at most *within_s* seconds; True when it came."""
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
