"""The bodies of the calls about single numbers: never to be called, or allowed although the policy refuses them."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from binding_ivr.model import forms
from binding_ivr.web.api.schema import NameOrNone, Number, Reason


class SuppressIn(Struct, forbid_unknown_fields=True):
    """A phone number that must never be called, and why."""

    number: Number
    reason: Reason = ""


class ExceptionIn(Struct, forbid_unknown_fields=True):
    """A number that is allowed until a time; with `prefix`, all numbers that begin with `number` (+ and digits).

    Without `account` in all accounts. `reason` is kept by the audit.
    """

    number: Number
    reason: Annotated[str, Meta(min_length=forms.SHORTEST_REASON, max_length=forms.LONGEST_REASON)]
    until: Annotated[datetime, Meta(tz=True, description="ISO 8601 with a time zone, within 366 days.")]
    prefix: bool = False
    account: NameOrNone = ""


class ExceptionQuery(Struct, forbid_unknown_fields=True):
    """Which exception: of an account (default: of all accounts), of a number or of a prefix."""

    account: NameOrNone = ""
    prefix: Literal["true", "false"] = "false"


class Suppression(Struct):
    """A number that is never called, by its keyed hash."""

    number_hash: str
    reason: str
    who: str
    created_at: datetime
    note: str


class Suppressions(Struct):
    """Newest first."""

    suppressions: list[Suppression]


class Suppressed(Struct):
    """`added` is false when it was already suppressed."""

    added: bool


class NumberException(Struct):
    """What is allowed although the policy refuses it: the `whole` number, or all numbers that begin with `number`.

    An empty `account` means all accounts.
    """

    prefix: str = field(name="number")
    whole: bool
    account: str
    reason: str
    who: str
    created_at: datetime
    expires_at: datetime
    expired: bool


class NumberExceptions(Struct):
    """Those still in force come first."""

    exceptions: list[NumberException]


class ExceptionAdded(Struct):
    """The exception as it is stored."""

    number: str
    whole: bool
    expires_at: datetime
