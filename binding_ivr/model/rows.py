"""What the store keeps, as the use cases see it. Only shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from binding_ivr.model.actors import Who
from binding_ivr.model.outcome import AttemptState, Fault, Outcome

STARTS_IN = timedelta(seconds=2)
"""A node with a free line claims a call well within this time of `not_before`."""


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
    """One validation call as stored at `read_at`. Times are aware UTC datetimes. There is no code in it.

    `not_before` is when it may leave.
    """

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
    not_before: datetime
    shown_until: datetime
    expires_at: datetime
    read_at: datetime = field(compare=False)

    @property
    def waits_for_line(self) -> bool:
        """True when it should have left by now, and no node had a line for it."""
        return self.state is AttemptState.QUEUED and self.read_at >= self.not_before + STARTS_IN


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
    changed_by: Who | None = None
    read_at: datetime | None = field(default=None, compare=False)

    @property
    def trusted(self) -> bool:
        """True while the dialplan is told the number."""
        return self.status is BindingStatus.VERIFIED


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
class KeyRow:
    """An API key as stored; the key itself is not. `use_is_due`: who lets it in should note that it is used now.

    `expires_at` is None for a key without an end.
    """

    key_id: str
    name: str
    scopes: frozenset[str]
    digest: bytes = field(repr=False)
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime | None
    has_ended: bool
    use_is_due: bool


@dataclass(frozen=True, slots=True)
class Credential:
    """By what a request was let in, as it is stored: one of the three, or none of them (a trusted proxy's header)."""

    session: bytes = field(default=b"", repr=False)
    key_id: str = ""
    token: bytes = field(default=b"", repr=False)


NO_CREDENTIAL = Credential()


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A signed-in browser. Of a user, or of an API key (`key_name` and `scopes` then)."""

    account: str
    user_id: str
    key_name: str
    scopes: frozenset[str]
    signed_in_at: datetime
    expires_at: datetime
