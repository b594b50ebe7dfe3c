"""What the web needs of what is below it, by need: use cases, credentials, kept replies. Only shapes live here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from aiohttp import web

from binding_ivr.model.actors import Actor
from binding_ivr.model.changes import ChangeHandler
from binding_ivr.model.lookups import LookupAnswer
from binding_ivr.model.rows import (
    Account,
    AttemptRow,
    AuditRow,
    BindingRow,
    BindingStatus,
    KeyRow,
    NumberException,
    SessionRow,
    User,
)
from binding_ivr.policy.lifecycle import Life
from binding_ivr.policy.limit_state import LimitState, Reset


class Shown(Protocol):
    """An attempt as its user may see it: `code` is None while it must not be shown."""

    @property
    def attempt(self) -> AttemptRow:
        """The attempt; there is no code in it."""

    @property
    def code(self) -> str | None:
        """The access code while it lives and may be shown."""


@dataclass(frozen=True, slots=True)
class Step:
    """May something be done now? If not: why (a refusal's code and sentence), by which limit, and when it lifts."""

    allowed: bool
    code: str = ""
    detail: str = ""
    limit: str | None = None
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class View:
    """All that a user may see of the own binding at one moment."""

    binding: BindingRow
    last: Shown | None
    number_written: str | None = field(repr=False)
    """The number as people write it."""
    pending_written: str | None = field(repr=False)
    bind: Step
    revalidate: Step
    caller_ids: tuple[str, ...]
    """The numbers that may call, E.164, of the routes that serve the number; of all routes while there is none."""
    life: Life = field(default_factory=Life)
    """Until when it is trusted without a new proof, and what can be gone back to."""
    undo_written: str | None = field(default=None, repr=False)

    @property
    def can_cancel(self) -> bool:
        """True while a call is in flight."""
        return self.last is not None and self.last.attempt.outcome is None

    @property
    def can_remove(self) -> bool:
        """True while there is a number."""
        return self.binding.status is not BindingStatus.NONE


@dataclass(frozen=True, slots=True)
class SuppressedNumber:
    """A number that is never called, by the hexadecimal text of its keyed hash: nobody can tell the number from it."""

    number_hash: str
    reason: str
    who: str
    created_at: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What became of a person who was erased: the pseudonym, and the rows in which it stands."""

    pseudonym: str
    attempts: int
    audit: int
    events_waiting: int
    """Events that name the user until their receivers have them."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user with the status of the binding, for lists."""

    user: User
    status: BindingStatus
    number: str | None = field(repr=False)
    since: datetime | None


class Portal(Protocol):
    """The use cases. Every method raises BindingError; each names what else.

    `attempt_id` is chosen by the caller, so that a request that is sent again finds what the first one began.
    """

    async def view(self, account: str, user_id: str, actor: Actor | None = None) -> View:
        """Everything about the user's binding now; what may be done next is for *actor*. Raises NotFoundError."""

    async def bind(
        self, account: str, user_id: str, number: str, actor: Actor, attempt_id: UUID, *, now: bool = False
    ) -> Shown:
        """Accept *number* and start an attempt; with *now* at any hour. Raises Refusal, NotFoundError."""

    async def revalidate(
        self, account: str, user_id: str, actor: Actor, attempt_id: UUID, *, now: bool = False
    ) -> Shown:
        """Call the present number again, with a new code. Raises Refusal, NotFoundError."""

    async def undo(self, account: str, user_id: str, actor: Actor, attempt_id: UUID, *, now: bool = False) -> Shown:
        """Call the proven number that was changed or removed last. Raises Refusal, NotFoundError."""

    async def cancel(self, account: str, user_id: str, actor: Actor) -> None:
        """End the call in flight. Raises NotFoundError when there is none."""

    async def remove(self, account: str, user_id: str, actor: Actor) -> None:
        """Forget the number. Raises NotFoundError when there is none."""

    async def suspend(self, account: str, user_id: str, actor: Actor) -> None:
        """Take the trust away until `resume`. Raises NotFoundError."""

    async def resume(self, account: str, user_id: str, actor: Actor) -> BindingStatus:
        """End a suspension. Raises NotFoundError."""

    async def attempt(self, attempt_id: UUID) -> Shown:
        """One attempt as its user may see it now. Raises NotFoundError."""

    async def attempts(
        self, *, account: str | None, user_id: str | None, since: datetime | None, limit: int
    ) -> Sequence[AttemptRow]:
        """Up to *limit* attempts, newest first."""

    async def accounts(self) -> Sequence[Account]:
        """All accounts."""

    async def account(self, account: str) -> Account:
        """One account with its own settings. Raises NotFoundError."""

    async def put_account(self, account: str, settings: Mapping[str, Any]) -> bool:
        """Add an account or replace its settings; True when it was new. Raises Refusal `invalid`."""

    async def users(self, account: str | None, text: str, after: str, limit: int) -> Sequence[UserRow]:
        """Up to *limit* users after the user id *after* whose id, extension or e-mail holds *text* (empty: all)."""

    async def user(self, account: str, user_id: str) -> User:
        """One user. Raises NotFoundError."""

    async def put_user(self, user: User, actor: Actor) -> bool:
        """Add or change a user; True when new. Raises NotFoundError (account), Refusal."""

    async def remove_user(self, account: str, user_id: str, actor: Actor) -> None:
        """Remove a user and the binding. Raises NotFoundError."""

    async def suppressions(self) -> Sequence[SuppressedNumber]:
        """All numbers that are never called, newest first."""

    async def suppress(self, number: str, actor: Actor) -> bool:
        """Have a number never called again; False when it was so before. Raises Refusal for no number."""

    async def unsuppress(self, number: str, actor: Actor) -> None:
        """Allow a number again, or the hash that stands for it in the list. Raises NotFoundError, Refusal."""

    async def audit(
        self, *, account: str | None, user_id: str | None, since: datetime | None, limit: int
    ) -> Sequence[AuditRow]:
        """Up to *limit* rows of the audit, newest first."""

    async def export(self, account: str, user_id: str) -> Mapping[str, Any]:
        """All that is held about a user. Raises NotFoundError."""

    async def erase(self, account: str, user_id: str, actor: Actor) -> Erasure:
        """Forget a user. Raises NotFoundError, Refusal `call_in_progress`."""

    async def exceptions(self) -> Sequence[NumberException]:
        """All exceptions from the number policy, those that count first."""

    async def add_exception(
        self, account: str, number: str, reason: str, until: datetime, actor: Actor, *, prefix: bool
    ) -> tuple[str, bool]:
        """Allow a number or a prefix; return it in E.164, and whether it is a whole number.

        Raises NotFoundError (account), Refusal.
        """

    async def remove_exception(self, account: str, number: str, actor: Actor, *, prefix: bool) -> None:
        """End an exception. Raises NotFoundError, Refusal."""

    async def limits(self, account: str) -> Mapping[str, float | Sequence[float]]:
        """The limits in force for an account, by configuration key. Raises NotFoundError."""

    async def limit_state(self) -> LimitState:
        """What is paused, who is locked out, and how much of the system's limits is used."""

    async def reset_user(self, account: str, user_id: str, actor: Actor) -> Reset:
        """Let what a user asked for and the failed tries count no more. Raises NotFoundError."""

    async def reset_number(self, number: str, actor: Actor) -> Reset:
        """Let the calls to a number count no more for it, and lift its lock. Raises Refusal for no number."""

    async def resume_calls(self, account: str, actor: Actor) -> None:
        """Let paused calls of an account (empty: of the whole system) leave again. Raises NotFoundError: not paused."""

    async def settings(self, account: str) -> Mapping[str, Any]:
        """What the page must know of an account's configuration.

        `code_length`, `caller_ids`, `languages`, `site_name`, `default_region`, `hours`, `step_up_minutes`.
        """

    async def trusted_number(self, account: str, extension: str) -> LookupAnswer:
        """The look-up of the dialplan; never raises."""

    async def trusted_caller(self, number: str) -> LookupAnswer:
        """The look-up of the dialplan; never raises."""

    async def health(self) -> Mapping[str, str]:
        """For each part `ok` or what is wrong with it."""

    def watch(self, handler: ChangeHandler) -> Callable[[], None]:
        """Call *handler* for each change until the returned function is called."""


class Doors(Protocol):
    """Stored credentials. Secrets come in as SHA-256 digests only. Raises UnavailableError."""

    async def key(self, key_id: str) -> KeyRow | None:
        """An API key by its visible id."""

    async def used(self, key_id: str) -> None:
        """Note that a key was used now."""

    async def session(self, digest: bytes) -> SessionRow | None:
        """A session that has not expired."""

    async def open_session(self, digest: bytes, session: SessionRow, key_id: str | None) -> None:
        """Keep a session; of a key, it ends with the key."""

    async def close_session(self, digest: bytes) -> None:
        """End a session; unknown ones are ignored."""

    async def redeem_link(self, digest: bytes) -> tuple[str, str] | None:
        """Use up a sign-in link; return (account, user_id), None when unknown, used or expired."""

    async def spend(self, digest: bytes, until: datetime) -> bool:
        """Use up a token that lives until *until*; False when it was used up before."""

    async def spent(self, digest: bytes) -> bool:
        """Return whether a token was used up."""


@dataclass(frozen=True, slots=True)
class KeptReply:
    """The reply to a request that is sent again.

    `status` is None while the first one runs (or died). A reply that showed an access code keeps no body, only
    `attempt_id`: the code is derived again, never stored.
    """

    request: bytes
    attempt_id: UUID
    status: int | None
    body: bytes = field(repr=False)
    mine: bool
    """True when this call made (or took over) the entry: the request shall be carried out."""


class Replies(Protocol):
    """Keeps replies by Idempotency-Key for 24 h. Raises UnavailableError."""

    async def begin(self, caller: str, digest: bytes, request: bytes, attempt_id: UUID) -> KeptReply:
        """Enter a request, or return what is kept under the same *caller* and *digest* of the key."""

    async def finish(self, caller: str, digest: bytes, status: int, body: bytes) -> None:
        """Keep the reply."""

    async def forget(self, caller: str, digest: bytes) -> None:
        """The request was refused: the same key may be used again."""


PORTAL: web.AppKey[Portal] = web.AppKey("binding_ivr.portal")
DOORS: web.AppKey[Doors] = web.AppKey("binding_ivr.doors")
REPLIES: web.AppKey[Replies] = web.AppKey("binding_ivr.replies")
