"""What the calls need from Asterisk: to be placed and ended, and words with a phone. Only shapes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from binding_ivr.call.events import Event

EventSink = Callable[[Event], None]
"""Takes one event of a call without waiting; the receiver only enqueues."""


@dataclass(frozen=True, slots=True)
class CallOrder:
    """One outgoing call. Every string was built from validated values.

    `endpoint` is an Asterisk dial string, `caller_id` an E.164 number or empty, `ring_s` whole seconds (1 or more),
    `max_s` the absolute limit of the channel in seconds, ringing included, `language` an Asterisk language code.
    `channel_id` can be seen by others on the host; the `secret` is what the channel's session proves itself with.
    """

    channel_id: str
    secret: str = field(repr=False)
    endpoint: str = field(repr=False)
    caller_id: str
    ring_s: int
    max_s: int
    language: str
    variables: Mapping[str, str] = field(repr=False)


class PlaceError(Exception):
    """A call could not be placed or handed over; the message is one line without numbers."""

    def __init__(self, detail: str, *, network: bool = False) -> None:
        """Say why in *detail*; *network* is true when the route itself is there but is out of order."""
        super().__init__(detail)
        self.detail = detail
        self.network = network


class Telephony(Protocol):
    """Places, watches and ends calls (ARI)."""

    @property
    def ready(self) -> bool:
        """True while calls can be placed and their events are heard."""

    def watch(self, channel_id: str, sink: EventSink) -> None:
        """Send the events of *channel_id* to *sink* from now on. Called before the channel exists."""

    def unwatch(self, channel_id: str) -> None:
        """Stop sending events of *channel_id*; unknown ids are ignored."""

    async def place(self, order: CallOrder) -> None:
        """Ask Asterisk for the call. Raises PlaceError. Ringing, Answered and Ended arrive at the sink."""

    async def handoff(self, channel_id: str) -> None:
        """Send the answered channel into the dialplan context of the conversation. Raises PlaceError."""

    async def hangup(self, channel_id: str) -> bool:
        """End the channel. True when it is known to be gone or ending, False when Asterisk could not be asked."""

    async def strays(self) -> list[str] | None:
        """Ids of all channels of this application's id prefix that exist now; None when Asterisk cannot be asked."""


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """A channel as Asterisk knows it: its name (`PJSIP/1001-0000002a`), whether it is up, and where its dialplan is."""

    name: str
    is_up: bool
    context: str

    @property
    def endpoint(self) -> str:
        """The endpoint that the channel is of; empty for a Local channel, which is of none."""
        technology, _, rest = self.name.partition("/")
        return "" if technology == "Local" else rest.rpartition("-")[0]


class Channels(Protocol):
    """Looks at any channel of Asterisk (ARI)."""

    async def channel(self, channel_id: str) -> ChannelFacts | None:
        """Return the channel; None when there is none, or Asterisk cannot be asked."""

    async def variable(self, channel_id: str, name: str) -> str | None:
        """Return a variable of the channel; None when there is none, or Asterisk cannot be asked."""

    async def tell(self, variable: str, value: str) -> bool:
        """Set a global variable, which all channels can read; False when Asterisk cannot be asked."""


class Conversation(Protocol):
    """The FastAGI session of one call. Results arrive as events at the sink given to `expect`."""

    def admit(self) -> None:
        """The channel was answered: from now on its (one) session may begin. Talking follows when it does."""

    def say(self, prompts: Sequence[str], escape: str) -> None:
        """Play prompts one after another: Digit, SayDone or TalkLost follows."""

    def ask(self, prompts: Sequence[str], most: int, first_s: float, next_s: float) -> None:
        """Play prompts and collect up to *most* digits: Digits, then perhaps Silence, or TalkLost (see call.Ask)."""

    def close(self) -> None:
        """End the session, if it began, and forget it. No event follows. May be called twice."""


class Conversations(Protocol):
    """Waits for the FastAGI sessions of our own calls."""

    def expect(self, attempt_id: UUID, channel_id: str, secret: str, sink: EventSink) -> Conversation:
        """Announce the one session that *channel_id* may open for *attempt_id*, if it names the *secret*."""


@dataclass(frozen=True, slots=True)
class DeskCaller:
    """The desk phone at which a dialogue begins, as the dialplan names it.

    `channel` is Asterisk's name of its channel, `language` the channel's; `account` and `extension` are not checked.
    """

    channel: str
    account: str
    extension: str
    language: str


class DeskConversation(Protocol):
    """The FastAGI session of a desk phone. Results arrive as events at `DeskDialogue.post`."""

    def speak(self, language: str) -> None:
        """Play what follows in *language*. No event follows."""

    def say(self, prompts: Sequence[str], escape: str) -> None:
        """Play prompts one after another: Digit, SayDone or TalkLost follows."""

    def ask(self, prompts: Sequence[str], most: int, first_s: float, next_s: float) -> None:
        """Play prompts and collect up to *most* digits: Digits, then perhaps Silence, or TalkLost (see call.Ask)."""

    def leave(self, variable: str, value: str) -> None:
        """When all that was asked for is done, set a channel variable and end the session. No event follows."""

    async def ended(self) -> None:
        """Wait for the end of the session."""

    def close(self) -> None:
        """End the session at once. No event follows. May be called twice."""


class DeskDialogue(Protocol):
    """One dialogue at a desk phone."""

    def post(self, event: Event) -> None:
        """Tell it what happened at the phone. Never blocks."""

    async def run(self, conversation: DeskConversation) -> None:
        """Run it to its end over *conversation*, which it ends."""


class Desk(Protocol):
    """Has something to say to users at their desk phones."""

    def dialogue(self, caller: DeskCaller) -> DeskDialogue:
        """Return a new dialogue; it begins when it is run and Talking was posted."""
