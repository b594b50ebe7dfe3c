"""What the use cases and the calls need from the world, named by need. Only shapes; no behaviour lives here."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from binding_ivr.call.events import Event
from binding_ivr.call.outcome import AttemptState, Fault, Outcome, Verdict
from binding_ivr.policy.limits import Limits

EventSink = Callable[[Event], None]
"""Takes one event of a call without waiting; the receiver only enqueues."""


# --- telephony -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallOrder:
    """One outgoing call. Every string was built from validated values.

    `endpoint` is an Asterisk dial string, `caller_id` an E.164 number or empty, `ring_s` whole seconds (1 or more),
    `max_s` the absolute limit of the channel in seconds, ringing included, `language` an Asterisk language code.
    """

    channel_id: str
    endpoint: str = field(repr=False)
    caller_id: str
    ring_s: int
    max_s: int
    language: str
    variables: Mapping[str, str]


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

    def expect(self, attempt_id: UUID, channel_id: str, sink: EventSink) -> Conversation:
        """Announce the one session that *channel_id* may open for *attempt_id*."""


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


# --- the store -----------------------------------------------------------------------------------------------


class BindingStatus(StrEnum):
    """Only `verified` is ever answered to the dialplan."""

    NONE = "none"
    PENDING = "pending"
    VERIFIED = "verified"
    SUSPENDED = "suspended"


class SuspendReason(StrEnum):
    """Why a binding is suspended."""

    REPORTED = "reported"
    TAKEN_OVER = "taken_over"
    AGED = "aged"
    ADMIN = "admin"
    OWN_NUMBER = "own_number"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant. `settings` overrides sections of the configuration (see DESIGN: configuration keys)."""

    account: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class User:
    """A PBX user. `language` is empty when the account's first prompt language is to be used."""

    account: str
    user_id: str
    extensions: tuple[str, ...]
    language: str
    email: str


@dataclass(frozen=True, slots=True)
class OwnNumber:
    """A number of an account: `kind` is `extension`, `did` (E.164) or `pattern` (Asterisk pattern on E.164 digits)."""

    account: str
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class NumberException:
    """What an administrator allowed although the policy refuses it, in one account or (empty) in all.

    `prefix` is E.164 with `+`: the `whole` number, or how numbers begin.
    """

    account: str
    prefix: str = field(repr=False)
    whole: bool
    reason: str
    who: str
    created_at: datetime
    expires_at: datetime
    expired: bool


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One validation call as stored at `read_at`. Times are aware UTC datetimes. There is no code in it."""

    attempt_id: UUID
    account: str
    user_id: str
    number: str = field(repr=False)
    state: AttemptState
    digits: int
    outcome: Outcome | None
    fault: Fault | None
    tries: int
    cause: int | None
    tech_cause: int | None
    detail: str
    key_id: str
    node: str | None
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    shown_until: datetime
    expires_at: datetime
    read_at: datetime = field(compare=False)


@dataclass(frozen=True, slots=True)
class BindingRow:
    """The user's one binding. `pending_number` is set while a replacement waits for its proof.

    `verified_at` is the last proof, `stale_at` when the user was told that it grows old and `suspend_at` what was told
    as the end of the trust; `previous_number` the proven number that was changed or removed, for as long as that can be
    undone. `read_at` is the time of reading by the clock of everything.
    """

    account: str
    user_id: str
    status: BindingStatus
    reason: SuspendReason | None
    number: str | None = field(repr=False)
    pending_number: str | None = field(repr=False)
    since: datetime | None
    last_attempt: AttemptRow | None
    verified_at: datetime | None = None
    stale_at: datetime | None = None
    suspend_at: datetime | None = None
    previous_number: str | None = field(default=None, repr=False)
    changed_at: datetime | None = None
    changed_by: str | None = None
    read_at: datetime | None = field(default=None, compare=False)

    @property
    def trusted(self) -> bool:
        """True while the dialplan is told the number."""
        return self.status is BindingStatus.VERIFIED


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, for the audit: `who` such as `cli:root` or `user:1001`, `source` `cli|web|desk|call|system`.

    `reason` is why, in their words.
    """

    who: str
    source: str
    address: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line of the audit: who did what to whom, when, from where and why. `detail` may hold numbers."""

    id: int
    at: datetime
    account: str
    user_id: str
    action: str
    who: str
    source: str
    address: str
    attempt_id: UUID | None
    detail: Mapping[str, Any] = field(repr=False)
    reason: str


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """An accepted number on its way to a call.

    `replace` is the rule R3 in force (`at_once` or `when_verified`), `delay_s` seconds until the call may leave,
    `shown_s` until the code is no longer shown for an unanswered call, `attempt_s` the whole life of the attempt.
    `client` is what `address_hour` counts by, None when that limit is not for this asker. `denied`: refuse it as if
    the number were suppressed.
    """

    attempt_id: UUID
    account: str
    user_id: str
    number: str = field(repr=False)
    key_id: str
    replace: str
    delay_s: float
    shown_s: float
    attempt_s: float
    queue_length: int
    limits: Limits
    actor: Actor
    client: str | None = None
    denied: bool = False


@dataclass(frozen=True, slots=True)
class ClaimedAttempt:
    """An attempt that this node must call now."""

    attempt_id: UUID
    account: str
    user_id: str
    number: str = field(repr=False)
    language: str
    key_id: str
    expires_at: datetime
    settings: Mapping[str, Any]
    failed_tries: int = 0
    """Consecutive failed tries of the user before this call."""
    source: str = ""  # of the Actor who asked for it: at the desk phone there is no screen


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key as stored; the key itself is not."""

    key_id: str
    name: str
    scopes: frozenset[str]
    digest: bytes = field(repr=False)
    created_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A signed-in browser. Of a user, or of an API key (`key_name` and `scopes` then)."""

    account: str
    user_id: str
    key_name: str
    scopes: frozenset[str]
    signed_in_at: datetime
    expires_at: datetime


class AttemptLedger(Protocol):
    """What the dialing side needs of the store."""

    async def claim(self, node: str, most: int, lease_s: float) -> list[ClaimedAttempt]:
        """Take up to *most* queued attempts whose time has come; they are `dialing` and ours for *lease_s*.

        Queued attempts that waited too long are ended `expired` by the same call.
        """

    async def next_due(self) -> float | None:
        """Seconds until the earliest queued attempt may be claimed (0 when now), None when nothing is queued."""

    async def renew(self, node: str, attempt_ids: Sequence[UUID], lease_s: float) -> set[UUID]:
        """Renew the leases; return the ids that are still ours and not ended."""

    async def report(self, attempt_id: UUID, state: AttemptState, digits: int) -> None:
        """Write state and digit count and tell the watchers; an ended attempt stays as it is."""

    async def finish(self, attempt_id: UUID, verdict: Verdict) -> bool:
        """Write the verdict and all that follows from it in one transaction; False when it was ended before."""

    async def bill(self, seconds: Mapping[UUID, int]) -> None:
        """Write how long answered calls stood, in whole seconds; the minute budget is counted by it."""

    async def abandoned(self, node: str) -> list[UUID]:
        """Attempts that *node* once claimed and that have no verdict yet, plus those whose lease ran out anywhere."""

    async def cancel_requests(self, node: str) -> list[UUID]:
        """Calls in flight on *node* that shall be hung up, for a node that may have missed a notice."""

    async def alive(self, node: str, version: str, capacity: int) -> None:
        """Note that this node lives and makes up to *capacity* calls at once."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something changed in PostgreSQL. `kind`: `queued`, `cancel`, `attempt` (state, digits or outcome), `binding`.

    For the mirrors: `mirror` (an extension came, went or changed hands) and `compare` (compare all of AstDB).
    `clock`: a rehearsal moved the clock. `limits`: calls were paused or resumed, or a limit's alert was raised.
    """

    kind: str
    account: str = ""
    user_id: str = ""
    attempt_id: UUID | None = None
    state: str = ""
    digits: int = 0
    outcome: str = ""
    fault: str = ""
    status: str = ""


NoticeHandler = Callable[[Notice], None]


class Notices(Protocol):
    """The stream of changes (LISTEN/NOTIFY), re-established after a loss; handlers then get kind `resync`."""

    def subscribe(self, handler: NoticeHandler) -> Callable[[], None]:
        """Call *handler* for each notice until the returned function is called. It must not block."""


Closer = Callable[[], Awaitable[None]]
