"""What the call machine asks of the world: a closed set of frozen commands."""

from dataclasses import dataclass

from binding_ivr.call.prompts import Prompt
from binding_ivr.model.outcome import AttemptState, Verdict


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
class Progress:
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


Command = Originate | Handoff | Say | Ask | Progress | Finish | Hangup
