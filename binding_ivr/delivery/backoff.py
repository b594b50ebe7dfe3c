"""How long to wait after failures. It knows no clock and rolls no dice: the jitter is given."""

from collections.abc import Callable
from dataclasses import dataclass

Jitter = Callable[[], float]
"""Returns an even number from 0 up to 1."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing pauses in seconds: `first_s`, each `factor` times longer, at most `longest_s`, each up to a fifth off."""

    first_s: float
    longest_s: float
    factor: float

    def pause(self, failures: int, jitter: float) -> float:
        """Return the pause after the *failures*-th failure in a row (1 or more); *jitter* is from 0 to 1."""
        grown = self.first_s
        for _ in range(failures - 1):
            grown *= self.factor
            if grown >= self.longest_s:
                break
        return min(grown, self.longest_s) * (0.8 + 0.4 * jitter)


DELIVERY = Backoff(10.0, 21_600.0, 3.0)
"""Between two tries of one delivery: 10 s, 30 s, … 6 h."""
RECEIVER = Backoff(1.0, 60.0, 2.0)
"""Between two tries of anything while a receiver is down."""
GIVE_UP_S = 259_200.0
"""For how long a delivery is tried: three days."""
