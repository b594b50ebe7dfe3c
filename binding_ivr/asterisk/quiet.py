"""A limiter that keeps a repeated complaint to one log line per interval; it does not write the line itself."""

import time
from collections.abc import Callable


class Quiet:
    """Says whether a complaint may be logged now, and how many of its kind were swallowed since the last line."""

    def __init__(self, interval_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Let one line per kind through every *interval_s* seconds. Kinds come from the code, never from a peer."""
        self._interval_s = interval_s
        self._clock = clock
        self._last: dict[str, float] = {}
        self._swallowed: dict[str, int] = {}

    def admits(self, kind: str) -> int | None:
        """Return the number of lines swallowed since the last one of *kind*, or None to stay silent now."""
        now = self._clock()
        last = self._last.get(kind)
        if last is not None and now - last < self._interval_s:
            self._swallowed[kind] = self._swallowed.get(kind, 0) + 1
            return None
        self._last[kind] = now
        return self._swallowed.pop(kind, 0)
