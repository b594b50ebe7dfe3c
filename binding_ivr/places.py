"""A bounded number of places for connections; the silent ones lose theirs first. It opens and closes nothing."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Places(Generic[T]):
    """Who has a place: `fresh` have shown nothing yet, `idle` did and are silent now, `busy` keep theirs.

    When all places are taken, a newcomer takes that of who is fresh the longest, else of who is idle the longest:
    whoever comes and speaks at once is never kept out by those who only wait.
    """

    def __init__(self, most: int, drop: Callable[[T], None], clock: Callable[[], float]) -> None:
        """Have *most* places; *drop* ends who lost one, *clock* returns seconds that never go back."""
        self._most = most
        self._drop = drop
        self._clock = clock
        self._fresh: OrderedDict[T, float] = OrderedDict()
        self._idle: OrderedDict[T, float] = OrderedDict()
        self._busy: set[T] = set()
        self.dropped = 0
        """How many lost their place to a newcomer."""

    def __len__(self) -> int:
        """How many places are taken."""
        return len(self._fresh) + len(self._idle) + len(self._busy)

    @property
    def busy(self) -> int:
        """How many keep their place."""
        return len(self._busy)

    @property
    def full(self) -> bool:
        """True when a newcomer must take somebody's place."""
        return len(self) >= self._most

    def enter(self, who: T) -> bool:
        """Give *who* a place; False when there is none to be had: all are busy."""
        if self.full:
            silent = self._fresh or self._idle
            if not silent:
                return False
            victim, _ = silent.popitem(last=False)
            self.dropped += 1
            self._drop(victim)
        self._fresh[who] = self._clock()
        return True

    def hold(self, who: T) -> None:
        """*who* has shown what it came for, and keeps its place; one that has none gets none."""
        if self._fresh.pop(who, None) is not None or self._idle.pop(who, None) is not None:
            self._busy.add(who)

    def release(self, who: T) -> None:
        """*who* is silent again, from now on."""
        if who in self._busy:
            self._busy.discard(who)
            self._idle[who] = self._clock()

    def leave(self, who: T) -> None:
        """Take the place back from *who*, which has gone."""
        self._fresh.pop(who, None)
        self._idle.pop(who, None)
        self._busy.discard(who)

    def end_silent(self, fresh_s: float, idle_s: float) -> None:
        """Drop those who are fresh for *fresh_s* seconds, or idle for *idle_s*."""
        now = self._clock()
        for table, longest_s in ((self._fresh, fresh_s), (self._idle, idle_s)):
            while table:
                who, since = next(iter(table.items()))
                if now - since < longest_s:
                    break
                del table[who]
                self._drop(who)
