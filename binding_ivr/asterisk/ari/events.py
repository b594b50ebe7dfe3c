"""Decodes ARI's event frames and turns those of one channel into call events; it does no I/O and keeps no registry."""

from dataclasses import dataclass, field
from enum import Enum

import msgspec

from binding_ivr.call.events import Answered, Ended, Event, HangupNoticed, Ringing
from binding_ivr.ports import EventSink

SILENCED = ("ChannelVarset", "ChannelDialplan", "ChannelCallerId", "ChannelConnectedLine")
"""Event types that Asterisk is asked not to send: half of all bytes, and we use none of them."""


class Place(msgspec.Struct, frozen=True):
    """The part of ARI's DialplanCEP that is used."""

    context: str = ""


class Channel(msgspec.Struct, frozen=True):
    """The part of ARI's Channel that is used. `state` is `Down`, `Ringing`, `Up`, …"""

    id: str
    state: str = ""
    name: str = ""
    dialplan: Place = Place()


class Variable(msgspec.Struct, frozen=True):
    """ARI's Variable."""

    value: str = ""


class AriEvent(msgspec.Struct, frozen=True):
    """The union of the fields that the handled event types carry."""

    type: str
    channel: Channel | None = None
    peer: Channel | None = None
    dialstatus: str = ""
    cause: int | None = None
    tech_cause: int | None = None
    application: str = ""

    @property
    def channel_id(self) -> str:
        """The channel that the event is about; empty when it is about none. A Dial event names it `peer`."""
        subject = self.peer if self.type == "Dial" else self.channel
        return subject.id if subject is not None else ""


class _Head(msgspec.Struct):
    type: str


_HANDLED = frozenset(
    ("Dial", "ChannelStateChange", "StasisStart", "ChannelHangupRequest", "ChannelDestroyed", "ApplicationReplaced")
)
_head = msgspec.json.Decoder(_Head)
_event = msgspec.json.Decoder(AriEvent)
_channels = msgspec.json.Decoder(list[Channel])
_channel = msgspec.json.Decoder(Channel)
_variable = msgspec.json.Decoder(Variable)


class UndecodableError(Exception):
    """What Asterisk sent is not what ARI documents."""


def decode_event(data: str | bytes) -> AriEvent | None:
    """Decode one frame. None for the many event types that are not used. Raises UndecodableError.

    The type is looked at first: other types may carry a `peer` or `channel` of another shape.
    """
    try:
        if _head.decode(data).type not in _HANDLED:
            return None
        return _event.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UndecodableError(type(error).__name__) from error


def decode_channel(data: bytes) -> Channel:
    """Decode the reply to `GET /channels/{id}`. Raises UndecodableError."""
    try:
        return _channel.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UndecodableError(type(error).__name__) from error


def decode_channels(data: bytes) -> list[Channel]:
    """Decode the reply to `GET /channels`. Raises UndecodableError."""
    try:
        return _channels.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UndecodableError(type(error).__name__) from error


def decode_value(data: bytes) -> str:
    """Return the value in the reply to `GET /channels/{id}/variable`; empty when there is none."""
    try:
        return _variable.decode(data).value
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""


class Stage(Enum):
    """How far our own request for the channel has come."""

    NEW = "new"
    PLACING = "placing"
    PLACED = "placed"


@dataclass(slots=True)
class Line:
    """What is known of one watched channel. The flags make each notice go out once, whatever Asterisk repeats."""

    sink: EventSink
    stage: Stage = Stage.NEW
    placed_at: float = field(default=0.0)
    seen: bool = False
    rang: bool = False
    answered: bool = False
    hangup_requested: bool = False
    ended: bool = False

    def translate(self, event: AriEvent) -> tuple[Event, ...]:
        """Note *event* and return what the call must hear of it, in this order; mostly one thing or nothing."""
        self.seen = True
        match event.type:
            case "Dial":
                return self._ringing() if event.dialstatus in ("RINGING", "PROGRESS") else ()
            case "ChannelStateChange":
                return self._ringing() if event.channel is not None and event.channel.state == "Ringing" else ()
            case "StasisStart":
                return self.answer()
            case "ChannelHangupRequest":
                return self._hangup_requested()
            case "ChannelDestroyed":
                return self.end(event.cause or None, event.tech_cause or None)  # 0 is Asterisk's word for unknown
            case _:
                return ()

    def answer(self) -> tuple[Event, ...]:
        """The channel was answered."""
        if self.answered or self.ended:
            return ()
        self.answered = True
        # A callee who hangs up at once is quicker than the application: the request then comes before StasisStart.
        return (Answered(), HangupNoticed()) if self.hangup_requested else (Answered(),)

    def end(self, cause: int | None, tech_cause: int | None) -> tuple[Event, ...]:
        """The channel is gone."""
        if self.ended:
            return ()
        self.ended = True
        return (Ended(cause, tech_cause),)

    def _ringing(self) -> tuple[Event, ...]:
        if self.rang or self.answered or self.ended:
            return ()
        self.rang = True
        return (Ringing(),)

    def _hangup_requested(self) -> tuple[Event, ...]:
        # Without an answer the request is the network's refusal on its way; ChannelDestroyed brings its cause.
        news = self.answered and not self.hangup_requested and not self.ended
        self.hangup_requested = True
        return (HangupNoticed(),) if news else ()
