"""Pure rules of the circuit breaker: when calls pause because too few prove anything, and how they come back.

Closed, calls leave. When too few of the last answered ones were proven it opens: calls pause. After the pause it is
half open: calls leave one at a time, as probes. A proof closes it; a few answered probes in a row without one open it
again, for twice as long. A call that nobody answered says nothing. It counts nothing itself and knows no account.
"""

from dataclasses import dataclass, replace

BEGINNING = float("-inf")


@dataclass(frozen=True, slots=True)
class Rules:
    """It opens when under *percent* of the last *calls* answered calls were proven (*calls* 0: never).

    The first pause is *pause_s* seconds, each further one twice the last, up to *longest_s* if that is longer;
    *probes* answered calls in a row without a proof end the trial after a pause.
    """

    calls: int = 0
    percent: int = 20
    pause_s: float = 3600.0
    longest_s: float = 86_400.0
    probes: int = 3


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state. Times are POSIX seconds.

    Answered calls count when they ended after `counts_from`. `paused_until` is None while it is closed; `pauses` counts
    those since it was closed, `failed_probes` the answered ones since the last pause. `probe_until` is when the probe
    in flight must have ended, None when there is none.
    """

    counts_from: float = BEGINNING
    paused_until: float | None = None
    pauses: int = 0
    failed_probes: int = 0
    probe_until: float | None = None

    @property
    def is_closed(self) -> bool:
        """True while it hinders nobody."""
        return self.paused_until is None

    def is_half_open(self, now: float) -> bool:
        """True while calls may leave as probes only."""
        return self.paused_until is not None and self.paused_until <= now

    def lifts(self, now: float) -> float | None:
        """Return when the next call may come; None when that is now. A probe mostly ends before the time told."""
        if self.paused_until is None:
            return None
        if self.paused_until > now:
            return self.paused_until
        return None if self.probe_until is None else max(self.probe_until, now + 60.0)


CLOSED = Breaker()


@dataclass(frozen=True, slots=True)
class Answered:
    """An answered call that has just ended; of the last ones, itself included: how many, and how many proven."""

    proven: bool
    was_probe: bool
    last_calls: int
    last_proven: int


def after(rules: Rules, breaker: Breaker, call: Answered, now: float) -> Breaker:
    """Return the breaker after *call* ended at *now* (POSIX seconds): the same one when nothing follows."""
    if not rules.calls:
        return breaker
    if breaker.is_closed:
        too_few = call.last_proven * 100 < rules.percent * call.last_calls
        return _pause(rules, breaker, now) if call.last_calls >= rules.calls and too_few else breaker
    if not call.was_probe:  # it left before the pause
        return breaker
    if call.proven:
        return closed(now)
    if breaker.failed_probes + 1 < rules.probes:
        return replace(breaker, failed_probes=breaker.failed_probes + 1)
    return _pause(rules, breaker, now)


def closed(now: float) -> Breaker:
    """Return a breaker that was closed at *now*; what was before no longer counts."""
    return Breaker(counts_from=now)


def _pause(rules: Rules, breaker: Breaker, now: float) -> Breaker:
    seconds = min(rules.pause_s * 2.0 ** min(breaker.pauses, 30), max(rules.pause_s, rules.longest_s))
    return replace(breaker, paused_until=now + seconds, pauses=breaker.pauses + 1, failed_probes=0, probe_until=None)
