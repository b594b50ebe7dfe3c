"""The bodies and queries of the API as typed structures: they check what comes in and document what goes out."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct, field

from binding_ivr.model import forms
from binding_ivr.model.lookups import LookupStatus
from binding_ivr.model.outcome import AttemptState, Fault, Outcome
from binding_ivr.model.rows import BindingStatus, SuspendReason

Number = Annotated[
    str, Meta(min_length=1, max_length=200, description="In national or international form, or as a `tel:` URI.")
]
Reason = Annotated[
    str, Meta(max_length=forms.LONGEST_REASON, pattern=forms.whole(forms.REASON), description="The audit keeps it.")
]
Why = Annotated[Reason, Meta(min_length=forms.SHORTEST_REASON)]
"""A reason that must be given."""
Name = Annotated[str, Meta(pattern=forms.whole(forms.ACCOUNT))]
NameOrNone = Annotated[str, Meta(pattern=forms.whole(forms.ACCOUNT, may_be_empty=True))]
"""An account, or all of them."""
UserId = Annotated[str, Meta(pattern=forms.whole(forms.USER))]
Extension = Annotated[str, Meta(pattern=forms.whole(forms.EXTENSION))]


# --- what comes in: unknown fields are refused


class BindIn(Struct, forbid_unknown_fields=True):
    """The number to call. `now`: call even outside calling hours, which is otherwise refused with `outside_hours`."""

    number: Number
    now: bool = False


class NowIn(Struct, forbid_unknown_fields=True):
    """`now`: call even outside calling hours, which is otherwise refused with `outside_hours`."""

    now: bool = False


class ReasonIn(Struct, forbid_unknown_fields=True):
    """Why, in your words; the audit keeps it."""

    reason: Reason = ""


class EraseIn(Struct, forbid_unknown_fields=True):
    """Why a person is forgotten; the audit keeps it, so name nobody."""

    reason: Why


class AccountIn(Struct, forbid_unknown_fields=True):
    """An account's own settings: sections of the configuration, or routes. They replace those it had."""

    settings: Annotated[dict[str, Any], Meta(max_length=10)] = field(default_factory=dict)


class UserIn(Struct, forbid_unknown_fields=True):
    """A PBX user; the extensions become exactly these."""

    extensions: Annotated[list[Extension], Meta(max_length=50)] = field(default_factory=list)
    language: Annotated[str, Meta(pattern=forms.whole(forms.LANGUAGE))] = ""
    email: Annotated[str, Meta(max_length=forms.LONGEST_EMAIL, pattern=forms.whole(forms.EMAIL_CHARACTERS))] = ""


class ReasonQuery(Struct, forbid_unknown_fields=True):
    """Why, in your words; the audit keeps it."""

    reason: Reason = ""


class NoQuery(Struct, forbid_unknown_fields=True):
    """No parameters."""


class AttemptsQuery(Struct, forbid_unknown_fields=True):
    """Which attempts."""

    account: Name | None = None
    user_id: UserId | None = None
    since: Annotated[datetime, Meta(tz=True, description="ISO 8601 with a time zone.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class AuditQuery(AttemptsQuery, forbid_unknown_fields=True):
    """Which rows of the audit. `action` is a kind such as `key.added`, or its first word (`key`)."""

    action: Annotated[str, Meta(pattern=r"^[a-z_]{1,30}(\.[a-z_]{1,30})?$")] | None = None


class UsersQuery(Struct, forbid_unknown_fields=True):
    """Which users. `q` is searched for in ids, extensions and e-mail addresses; `after` is the last id you have."""

    q: Annotated[str, Meta(pattern=r"^[ -~]{0,64}$")] = ""
    after: Annotated[str, Meta(pattern=forms.whole(forms.USER, may_be_empty=True))] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class LookupIn(Struct, forbid_unknown_fields=True):
    """Either `number` (a caller's), or `extension` with `account`. `key`: an API key, for who can send no header.

    Nothing of it stands in an address, so that no log of addresses holds it. For `format` see the other look-ups.
    """

    key: str = ""
    account: str = "default"
    extension: str = ""
    number: str = ""
    format: Literal["json", "text", "csv"] = "json"


class LookupQuery(Struct, forbid_unknown_fields=True):
    """`text`: only the number (or extension) in plain text, empty when there is none; for CURL() of a dialplan.

    `csv`: status, number, account, extension, since and dial in one line, as the dialplan's subroutines want it.
    """

    format: Literal["json", "text", "csv"] = "json"


# --- what goes out


class Attempt(Struct):
    """One validation call. `code` is the access code while it is valid and may be shown; otherwise null."""

    id: UUID
    state: AttemptState
    digits: int
    outcome: Outcome | None
    fault: Fault | None
    tries: int
    code: str | None
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    shown_until: datetime
    expires_at: datetime


class Step(Struct):
    """Whether it can be done now. If not: why, which limit stops it, and when that lifts."""

    allowed: bool
    code: str | None = None
    detail: str | None = None
    limit: str | None = None
    retry_at: datetime | None = None


class Next(Struct):
    """What may be done next. `undo`: whether there is an earlier number to go back to."""

    bind: Step
    revalidate: Step
    undo: bool
    cancel: bool
    remove: bool


class Undo(Struct):
    """A proven number that was changed or removed; until `until` it can be called and proven again."""

    number: str
    number_written: str
    changed_at: datetime
    changed_by: Literal["user", "administrator", "system"]
    until: datetime


class Binding(Struct):
    """The user's one binding. Numbers are E.164; `…_written` is how people write them.

    `verified_at` is the last proof; `stale_since` when it was told that it grows old; `verify_by` when the trust ends
    unless the number is proven again (null: never).
    """

    account: str
    user_id: str
    status: BindingStatus
    reason: SuspendReason | None
    number: str | None
    number_written: str | None
    pending_number: str | None
    pending_number_written: str | None
    since: datetime | None
    verified_at: datetime | None
    stale_since: datetime | None
    verify_by: datetime | None
    undo: Undo | None
    last_attempt: Attempt | None
    next: Next
    caller_ids: list[str]


class Accepted(Struct):
    """A call was requested."""

    binding: Binding
    attempt: Attempt


class StatusOut(Struct):
    """The status of a binding after a change."""

    status: BindingStatus


class Lookup(Struct):
    """The dialplan's answer. All fields but `status` are empty unless it is FOUND."""

    status: LookupStatus
    number: str
    dial: str
    account: str
    extension: str
    since: str


class AttemptEntry(Struct):
    """One attempt in a list for administrators; never with its code."""

    attempt_id: UUID = field(name="id")
    account: str
    user_id: str
    number: str
    state: AttemptState
    digits: int
    outcome: Outcome | None
    fault: Fault | None
    tries: int
    cause: int | None
    tech_cause: int | None
    detail: str
    node: str | None
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None


class Attempts(Struct):
    """Attempts, newest first."""

    attempts: list[AttemptEntry]


class AccountOut(Struct):
    """An account with its own settings."""

    account: str
    settings: dict[str, Any]


class Accounts(Struct):
    """All accounts that you may see."""

    accounts: list[AccountOut]


class UserOut(Struct):
    """A PBX user."""

    account: str
    user_id: str
    extensions: list[str]
    language: str
    email: str


class UserEntry(Struct):
    """A PBX user with the status of the binding."""

    account: str
    user_id: str
    extensions: list[str]
    language: str
    email: str
    status: BindingStatus
    number: str | None
    since: datetime | None


class Users(Struct):
    """A page of users by id; `next` is the `after` for the next page, and null on the last one."""

    users: list[UserEntry]
    next: str | None


class Limits(Struct):
    """The limits in force, by their configuration keys."""

    limits: dict[str, float | list[float]]


class AuditEntry(Struct):
    """Who did what to whom, when, from where and why."""

    id: int
    at: datetime
    account: str
    user_id: str
    action: str
    who: str
    source: str
    address: str
    attempt_id: UUID | None
    detail: dict[str, Any]
    reason: str


class Audit(Struct):
    """Rows of the audit, newest first."""

    audit: list[AuditEntry]


class Export(Struct):
    """Everything that is stored about a user, as it is stored; digests and keyed hashes are left out."""

    parts: dict[str, Any]


class Erased(Struct):
    """A user was forgotten: the pseudonym that replaces the name, and in how many rows.

    `events_waiting` are events that name the user until their receivers have them.
    """

    pseudonym: str
    attempts: int
    audit: int
    events_waiting: int


class Session(Struct):
    """Who you are. `csrf`: what forms, or the header X-CSRF-Token, must carry; empty without a session."""

    kind: Literal["user", "key", "proxy", "first_run"]
    account: str
    user_id: str
    scopes: list[str]
    name: str
    signed_in_at: datetime | None
    expires_at: datetime | None
    csrf: str
