"""A line of `binding-ivr doctor`; it checks nothing itself."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """`warn` may wait, `fail` keeps calls or look-ups from working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at and how it stands; `detail` says what to do unless it is `ok`."""

    check: str
    status: Status
    detail: str

    @property
    def is_bad(self) -> bool:
        """True when something must be done."""
        return self.status is not Status.OK


def ok(check: str, detail: str) -> Check:
    """Make a good line."""
    return Check(check, Status.OK, detail)


def warn(check: str, detail: str) -> Check:
    """Make a line that may wait."""
    return Check(check, Status.WARN, detail)


def fail(check: str, detail: str) -> Check:
    """Make a line that must be mended."""
    return Check(check, Status.FAIL, detail)
