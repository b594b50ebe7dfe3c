"""Which notice an event is, for its user, for the operator and for the lamp of the desk phone. It knows no channel."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """A notice; the words are the tables of the text files."""

    VERIFIED = "verified"
    REPLACED = "replaced"
    ENDED = "ended"
    SUSPENDED_REPORTED = "suspended_reported"
    SUSPENDED_TAKEN_OVER = "suspended_taken_over"
    SUSPENDED_AGED = "suspended_aged"
    SUSPENDED_ADMIN = "suspended_admin"
    SUSPENDED_OWN_NUMBER = "suspended_own_number"
    SUSPENDED_SUPPRESSED = "suspended_suppressed"
    STALE = "stale"
    REMOVED = "removed"
    REPORTED = "reported"
    PULLED = "pulled"
    TEST = "test"
    OPERATOR_REPORTED = "operator_reported"
    OPERATOR_PAUSED = "operator_paused"
    OPERATOR_SYSTEM_PAUSED = "operator_system_paused"


USER_KINDS = frozenset(kind for kind in Kind if not kind.startswith("operator_"))
"""The notices that a user reads; the others are for the operator."""
USER_EVENTS = (
    "binding.verified",
    "binding.suspended",
    "binding.removed",
    "binding.stale",
    "attempt.ended",
    "move.ended",
)
"""The events of which a notice for the user may follow."""
OPERATOR_EVENTS = ("attempt.ended", "account.paused", "system.paused")
LAMP_EVENTS = ("binding.verified", "binding.suspended", "binding.removed", "binding.stale")

_SUSPENDED = {
    "reported": Kind.SUSPENDED_REPORTED,
    "taken_over": Kind.SUSPENDED_TAKEN_OVER,
    "aged": Kind.SUSPENDED_AGED,
    "admin": Kind.SUSPENDED_ADMIN,
    "own_number": Kind.SUSPENDED_OWN_NUMBER,
    "suppressed": Kind.SUSPENDED_SUPPRESSED,
}
_WISHES = {
    Kind.ENDED: "replaced",
    Kind.OPERATOR_REPORTED: "reported",
    Kind.OPERATOR_PAUSED: "paused",
    Kind.OPERATOR_SYSTEM_PAUSED: "paused",
    **dict.fromkeys(_SUSPENDED.values(), "suspended"),
}


def wish(kind: Kind) -> str:
    """Return the word by which `[notices]` asks for *kind*."""
    return _WISHES.get(kind, kind.value)


def for_user(name: str, facts: Mapping[str, Any]) -> Kind | None:
    """Return what the user is told of the event *name* with its *facts*; None: nothing changed that was trusted."""
    match name:
        case "binding.verified":
            return Kind.REPLACED if _has_replaced(facts) else Kind.VERIFIED
        case "binding.suspended":
            return _SUSPENDED.get(str(facts.get("reason")), Kind.SUSPENDED_ADMIN)
        case "binding.removed":
            if facts.get("status") == "pending":
                return Kind.ENDED
            return Kind.REMOVED if facts.get("previous_status") in ("verified", "suspended") else None
        case "binding.stale":
            return Kind.STALE
        case "attempt.ended":
            return Kind.REPORTED if facts.get("outcome") == "reported" else None
        case "move.ended":
            taken = facts.get("kind") == "pull" and facts.get("outcome") == "moved"
            return Kind.PULLED if taken else None
    return None


def can_be_undone(kind: Kind, facts: Mapping[str, Any]) -> bool:
    """Return whether the user may go back to the number that the notice *kind* says ended."""
    return kind in (Kind.REPLACED, Kind.ENDED, Kind.REMOVED) and facts.get("previous_status") == "verified"


def _has_replaced(facts: Mapping[str, Any]) -> bool:
    old = facts.get("previous_number")
    return facts.get("previous_status") == "verified" and old is not None and old != facts.get("number")


def for_operator(name: str, facts: Mapping[str, Any]) -> Kind | None:
    """Return what the operator is told of the event *name* with its *facts*."""
    match name:
        case "attempt.ended":
            return Kind.OPERATOR_REPORTED if facts.get("outcome") == "reported" else None
        case "account.paused":
            return Kind.OPERATOR_PAUSED
        case "system.paused":
            return Kind.OPERATOR_SYSTEM_PAUSED
    return None


def lamp(name: str, facts: Mapping[str, Any]) -> bool | None:
    """Return whether the user must do something about the number: the lamp is lit, goes out, or (None) stays."""
    match name:
        case "binding.suspended" | "binding.stale":
            return True
        case "binding.verified":
            return False
        case "binding.removed":
            return None if facts.get("status") == "pending" else False
    return None


def numbers(name: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """Return the last two digits of the number that the notice is about, and of the one that it took the place of."""
    number, old = facts.get("number"), facts.get("previous_number")
    if name == "binding.removed" and facts.get("status") != "pending":
        number = old
    return _end(number), _end(old)


def _end(number: Any) -> str:
    return str(number)[-2:] if number else ""
