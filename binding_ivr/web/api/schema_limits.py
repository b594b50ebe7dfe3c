"""The bodies of the calls about what limits hold back, and of lifting them."""

from datetime import datetime

from msgspec import Struct

from binding_ivr.web.api.schema import NameOrNone, Number, Why


class LimitReasonIn(Struct, forbid_unknown_fields=True):
    """Why."""

    reason: Why


class NumberResetIn(Struct, forbid_unknown_fields=True):
    """The phone number whose past calls should no longer count, and why."""

    number: Number
    reason: Why


class ResumeIn(Struct, forbid_unknown_fields=True):
    """Whose calls to resume (an empty `account`: those of the whole system), and why."""

    account: NameOrNone
    reason: Why


class PausedOut(Struct):
    """Calls of an account (empty: of the whole system) that are paused until then; `trial`: they come back one by one.

    It was judged by `answered` calls, of which `proven` proved a number.
    """

    account: str
    until: datetime
    trial: bool
    pauses: int
    failed_probes: int
    answered: int
    proven: int


class LockedOutOut(Struct):
    """A user with `failed` wrong entries of the code in a row since the last of `locks` lock-outs.

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


class LimitStateOut(Struct):
    """What is paused, who is locked out, and how much of the system's limits is used."""

    paused: list[PausedOut]
    locked_out: list[LockedOutOut]
    calls_hour: int
    calls_day: int
    minutes_day: float
    locked_users: int
    locked_numbers: int


class ResetOut(Struct):
    """How many `calls` no longer count, and how many `locks` were lifted."""

    calls: int
    locks: int
