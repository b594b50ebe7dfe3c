"""What may happen to one call: a closed set of frozen events. Which interface an event came from is not told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Begin:
    """The attempt was claimed by this node; the call may be placed."""


@dataclass(frozen=True, slots=True)
class Ringing:
    """The far end rings, or early media is heard: the network has found the number."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The channel was answered and waits for its conversation."""


@dataclass(frozen=True, slots=True)
class Talking:
    """The channel's conversation (its FastAGI session) has begun; Say and Ask may be sent."""


@dataclass(frozen=True, slots=True)
class Digit:
    """The callee pressed *digit*, one of `0-9*#A-D`; it stops what is being said."""

    digit: str


@dataclass(frozen=True, slots=True)
class SayDone:
    """All prompts of the Say under way were played (or could not be) and no escape digit came."""


@dataclass(frozen=True, slots=True)
class Silence:
    """The Ask under way ended because no further digit came."""


@dataclass(frozen=True, slots=True)
class TalkLost:
    """The conversation broke while the channel may still be up: the FastAGI session closed, stalled or failed."""

    detail: str


@dataclass(frozen=True, slots=True)
class HangupNoticed:
    """The callee hung up; the channel's end (Ended) follows."""


@dataclass(frozen=True, slots=True)
class PlaceFailed:
    """The call could not be placed, or not be handed to its conversation; no Ended need follow.

    `network` is true when Asterisk had the route but the far side could not take the call.
    """

    detail: str
    network: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The channel is gone. `cause` is the Q.850 cause, `tech_cause` the SIP status; None when unknown."""

    cause: int | None = None
    tech_cause: int | None = None


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The user or an operator wants this call to end now."""


@dataclass(frozen=True, slots=True)
class Abort:
    """The call cannot go on for a reason of ours: the service stops, or another node has taken the attempt."""

    detail: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """The verdict of Finish is committed, or it was given up (`committed` false)."""

    committed: bool = True


Event = (
    Begin
    | Ringing
    | Answered
    | Talking
    | Digit
    | SayDone
    | Silence
    | TalkLost
    | HangupNoticed
    | PlaceFailed
    | Ended
    | CancelRequested
    | Abort
    | Recorded
)
