"""What became of one try to tell somebody something. It tries nothing itself."""

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """What became of one try; the words are the metrics' label.

    `refused` and `deferred` are about this one message (a deferred one still holds up the later ones of its user),
    `unavailable` and `unreachable` about the receiver, `gone` ends the delivery; `skipped` had nothing to tell.
    """

    DELIVERED = "delivered"
    SKIPPED = "skipped"
    REFUSED = "refused"
    DEFERRED = "deferred"
    UNAVAILABLE = "unavailable"
    UNREACHABLE = "unreachable"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of one try. `detail` has no address in it; `retry_after_s` is what the receiver asked for, else 0."""

    result: Result
    detail: str = ""
    retry_after_s: float = 0.0
