"""Measures how late the event loop runs, for those who have a way that does not mind. It mends nothing."""

import asyncio
import contextlib
from collections import deque

PERIOD_S = 0.05
MEMORY = 40
"""Readings that count: the last two seconds."""


class LoopLag:
    """The worst delay of a timer in the last two seconds."""

    def __init__(self) -> None:
        """Begin with no delay seen."""
        self._late: deque[float] = deque([0.0], maxlen=MEMORY)
        self._task: asyncio.Task[None] | None = None

    @property
    def worst_s(self) -> float:
        """Seconds by which the loop was late at its worst."""
        return max(self._late)

    def start(self) -> None:
        """Begin to measure; to be called in the running loop."""
        self._task = asyncio.create_task(self._measure(), name="loop-lag")

    async def stop(self) -> None:
        """Stop measuring."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            self._late.append(max(0.0, loop.time() - due))
