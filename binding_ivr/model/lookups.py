"""What a look-up of the dialplan answers. Only shapes."""

from dataclasses import dataclass
from enum import StrEnum

AGI_KEY = "BINDING_AGI_KEY"
"""The global variable of Asterisk that shows who asks over FastAGI."""


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
