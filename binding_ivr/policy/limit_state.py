"""What an administrator sees of the limits: what is paused, who is locked out, how much is used. Only shapes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Paused:
    """Calls of an account (empty: of the whole system) are paused, or come back one at a time.

    `proven` of the `answered` calls it was judged by proved a number; `pauses` were there in a row, and `failed_probes`
    answered calls since the last one proved nothing. `trial` is true since `until` has passed.
    """

    account: str
    until: datetime
    trial: bool
    pauses: int
    failed_probes: int
    answered: int
    proven: int


@dataclass(frozen=True, slots=True)
class LockedOut:
    """A user with `failed` wrong entries in a row since the last of `locks` lock-outs, which ends at `until`.

    `failures` in a row there were since the last proof; `stopped`: so many that only an administrator lifts it.
    """

    account: str
    user_id: str
    failed: int
    locks: int
    until: datetime | None
    locked: bool
    failures: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class LimitState:
    """All of it now. Calls are those that count for the whole system, in the last hour and day; minutes of the day."""

    paused: Sequence[Paused]
    locked_out: Sequence[LockedOut]
    calls_hour: int
    calls_day: int
    minutes_day: float
    locked_users: int
    locked_numbers: int


@dataclass(frozen=True, slots=True)
class Reset:
    """What an administrator's reset gave back: `calls` that count no more, and `locks` that are lifted."""

    calls: int
    locks: int
