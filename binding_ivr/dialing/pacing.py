"""Spaces the calls that leave: a trunk refuses, and a PBX stumbles over, many calls in the same instant."""

BURST_S = 0.2
"""So many seconds' worth of calls may leave at once after a quiet time."""


class Pacer:
    """A token bucket of *per_second* calls (above 0). Times are seconds of any monotonic clock."""

    def __init__(self, per_second: float, now: float) -> None:
        """Begin with a full bucket."""
        self._rate = per_second
        self._most = max(1.0, per_second * BURST_S)
        self._tokens = self._most
        self._at = now

    def allowance(self, now: float) -> int:
        """How many calls may leave now."""
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return int(self._tokens)

    def spend(self, calls: int) -> None:
        """So many have left."""
        self._tokens -= calls

    @property
    def wait_s(self) -> float:
        """Seconds until at least one call may leave, 0 when one may now."""
        return max(0.0, (1.0 - self._tokens) / self._rate)
