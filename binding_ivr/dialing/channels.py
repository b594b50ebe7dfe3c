"""Counts the channels in use on each route of this node, so that a route's `max_channels` holds."""

from collections import Counter
from collections.abc import Callable


class ChannelBudget:
    """Channels in use, by route name."""

    def __init__(self) -> None:
        """Begin with no channel in use."""
        self._used: Counter[str] = Counter()

    def take(self, route: str, most: int) -> Callable[[], None] | None:
        """Take one channel of *route* and return what gives it back; None when *most* are in use."""
        if self._used[route] >= most:
            return None
        self._used[route] += 1

        def give_back() -> None:
            self._used[route] -= 1

        return give_back
