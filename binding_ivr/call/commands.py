"""What the call machine asks of the world: a closed set of frozen commands and the names of the prompts."""

from dataclasses import dataclass
from enum import StrEnum

from binding_ivr.call.outcome import AttemptState, Verdict


class Prompt(StrEnum):
    """A recording that the call may play. The value is the file's base name in every language."""

    GREETING = "greeting"  # who calls; the first second of the call, so that call screening hears speech
    REASON = "reason"  # why: somebody asked to link this number to a desk extension
    ASK_CODE = "ask_code"  # enter the access code shown on the screen; star if it was not you
    WRONG_CODE = "wrong_code"  # a whole entry that was not the code
    INCOMPLETE = "incomplete"  # an entry with too few digits
    VERIFIED = "verified"  # thank you, verified, goodbye
    NO_MORE_TRIES = "no_more_tries"  # that was the last try; ask for a new call; goodbye
    NO_INPUT = "no_input"  # nothing was entered; goodbye
    REPORTED = "reported"  # thank you for telling us; no more calls; goodbye
    PROBLEM = "problem"  # a technical problem; the page shows the result; goodbye


@dataclass(frozen=True, slots=True)
class Originate:
    """Place the call on route number *route* (0 is the first that serves the number)."""

    route: int


@dataclass(frozen=True, slots=True)
class Handoff:
    """The channel was answered: send it into the dialplan, where its FastAGI session begins."""


@dataclass(frozen=True, slots=True)
class Say:
    """Play *prompts* one after another; a digit of *escape* stops them and arrives as a Digit event.

    Without such a digit a SayDone event follows. Other digits pressed meanwhile are dropped by Asterisk.
    """

    prompts: tuple[Prompt, ...]
    escape: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Play *prompts* (there may be none) and collect up to *most* digits 0-9; the first key stops the prompts.

    Each key arrives as a Digit event. It is over with the last digit, with `#` or `*`, or with a Silence event: after
    *first_s* seconds without a first key, or *next_s* seconds without a further one.
    """

    prompts: tuple[Prompt, ...]
    most: int
    first_s: float
    next_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """Tell whoever watches: the attempt's state and how many digits of the current entry were heard."""

    state: AttemptState
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """The call's one verdict: write it in one transaction, then answer with a Recorded event."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the channel, whatever it does."""


Command = Originate | Handoff | Say | Ask | Report | Finish | Hangup
