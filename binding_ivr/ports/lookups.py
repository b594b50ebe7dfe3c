"""The look-ups of the dialplan, as every door asks and answers them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class LookupStatus(StrEnum):
    """The answer's kind at every door of the look-up."""

    FOUND = "FOUND"
    NONE = "NONE"
    SUSPENDED = "SUSPENDED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class LookupAnswer:
    """What a look-up tells the dialplan; all but `status` empty unless it is FOUND.

    `number` is E.164 with `+`, `dial` the dial string of the route that serves it, `since` ISO 8601 UTC.
    """

    status: LookupStatus
    number: str = ""
    dial: str = ""
    account: str = ""
    extension: str = ""
    since: str = ""


class Lookups(Protocol):
    """Answers the dialplan."""

    async def trusted_number(self, account: str, extension: str) -> LookupAnswer:
        """The trusted number of an extension. Bad input is NONE; a fault of ours is ERROR, never an exception."""

    async def trusted_caller(self, number: str) -> LookupAnswer:
        """The extension whose user's trusted number is *number* (any writing with a country code)."""
