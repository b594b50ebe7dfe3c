"""Token buckets by name, in a bounded table. Time is an argument."""

from collections import OrderedDict
from collections.abc import Callable

MOST = 20_000
BURST_S = 10.0


class Buckets:
    """Allows *rate* requests per second and name, and BURST_S seconds' worth at once."""

    def __init__(self, rate: float, clock: Callable[[], float], burst: float | None = None) -> None:
        """*clock* returns seconds that never go back; *burst* is how many may come at once."""
        self._rate = rate
        self._burst = rate * BURST_S if burst is None else burst
        self._clock = clock
        self._table: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, name: str, cost: float = 1.0) -> float:
        """Take *cost* for *name* and return 0; or the seconds until it may be taken, taking nothing."""
        now = self._clock()
        left, at = self._table.pop(name, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        lacking = cost - left
        if lacking <= 0:
            left -= cost
        self._table[name] = (left, now)
        if len(self._table) > MOST:
            self._table.popitem(last=False)  # the longest unused; it is full again, or nearly
        return max(0.0, lacking / self._rate)
