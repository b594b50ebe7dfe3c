"""What may happen in a dialogue at a desk phone, and what it asks of the world: closed sets of frozen words."""

from dataclasses import dataclass, field

from binding_ivr.call import events as ev
from binding_ivr.call.commands import Ask, Say
from binding_ivr.model.outcome import AttemptState, Outcome

# --- events ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """The phone's user was found.

    `ends_in` are the last two digits of the number that could be called again, empty when there is none; `verified`
    tells whether that number is proven, `busy` that a call to it is under way, `held` that an administrator suspended
    the user.
    """

    ends_in: str = ""
    verified: bool = False
    busy: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """No user has this phone's extension."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An attempt was begun; `code` is None while it must not be told."""

    code: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """No attempt was begun, for the reason with the stable word *code*."""

    code: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The attempt is in *state*; `code` is None while it must not be told."""

    state: AttemptState
    code: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Over:
    """The attempt has ended."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Trouble:
    """A part of ours does not answer, so that what was asked for cannot be done or told."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The service stops: nothing new may begin; when *now*, nothing may go on."""

    now: bool = False


DeskEvent = ev.Event | Known | Unknown | Accepted | Refused | Progress | Over | Trouble | Stopping


# --- commands --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identify:
    """Find the phone's user; Known, Unknown or Trouble follows. From then on speak the user's language."""


@dataclass(frozen=True, slots=True)
class Bind:
    """Begin an attempt for the number that was keyed in; Accepted, Refused or Trouble follows."""

    keyed: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Revalidate:
    """Begin an attempt for the number that is known; Accepted, Refused or Trouble follows."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the attempt that this dialogue began. Nothing follows."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The dialogue is over; *result* is one stable word. The dialplan goes on and hangs up.

    With *at_once* whatever is being said or asked is broken off, and the dialplan says that there is a problem.
    """

    result: str
    at_once: bool = False


DeskCommand = Say | Ask | Identify | Bind | Revalidate | Cancel | Leave
