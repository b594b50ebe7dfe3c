"""The kinds of rows that the audit has, each with its word. Only shapes; who writes which row is in sql/migrations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from binding_ivr.model.actors import Actor


class AuditKind(StrEnum):
    """What was done. The value is the row's `action`; the page's texts say it in words (`[audit]`)."""

    ACCOUNT_ADDED = "account.added"
    ACCOUNT_CHANGED = "account.changed"
    ACCOUNT_REMOVED = "account.removed"
    ACCOUNT_PAUSED = "account.paused"
    ACCOUNT_RESUMED = "account.resumed"
    SYSTEM_PAUSED = "system.paused"
    SYSTEM_RESUMED = "system.resumed"
    USER_ADDED = "user.added"
    USER_CHANGED = "user.changed"
    USER_REMOVED = "user.removed"
    USER_EXPORTED = "user.exported"
    USER_ERASED = "user.erased"
    USER_LOCKED = "user.locked"
    USER_STOPPED = "user.stopped"
    USER_UNLOCKED = "user.unlocked"
    EXTENSION_ADDED = "extension.added"
    EXTENSION_CHANGED = "extension.changed"
    EXTENSION_REMOVED = "extension.removed"
    OWN_NUMBER_ADDED = "own_number.added"
    OWN_NUMBER_CHANGED = "own_number.changed"
    OWN_NUMBER_REMOVED = "own_number.removed"
    NUMBER_LOCKED = "number.locked"
    NUMBER_UNLOCKED = "number.unlocked"
    EXCEPTION_ADDED = "exception.added"
    EXCEPTION_REMOVED = "exception.removed"
    SUPPRESSION_ADDED = "suppression.added"
    SUPPRESSION_CHANGED = "suppression.changed"
    SUPPRESSION_REMOVED = "suppression.removed"
    BINDING_NONE = "binding.none"
    BINDING_PENDING = "binding.pending"
    BINDING_VERIFIED = "binding.verified"
    BINDING_STALE = "binding.stale"
    BINDING_SUSPENDED = "binding.suspended"
    BINDING_CHANGED = "binding.changed"
    BINDING_REMOVED = "binding.removed"
    ATTEMPT_QUEUED = "attempt.queued"
    """Of before 0021_audit.sql."""
    ATTEMPT_DIALING = "attempt.dialing"
    ATTEMPT_CANCEL = "attempt.cancel"
    ATTEMPT_ENDED = "attempt.ended"
    KEY_ADDED = "key.added"
    KEY_CHANGED = "key.changed"
    KEY_REMOVED = "key.removed"
    LINK_MADE = "link.made"
    LINK_USED = "link.used"
    LINK_CHANGED = "link.changed"
    LINK_ENDED = "link.ended"
    SESSION_BEGAN = "session.began"
    SESSION_CHANGED = "session.changed"
    SESSION_ENDED = "session.ended"
    SIGNIN_SEEN = "signin.seen"
    SIGNIN_REFUSED = "signin.refused"
    LIST_READ = "list.read"
    DELIVERY_DROPPED = "delivery.dropped"
    LIMIT_ALERT = "limit.alert"
    CLOCK_MOVED = "clock.moved"
    RETENTION_DONE = "retention.done"
    AUDIT_MASKED = "audit.masked"
    AUDIT_FORGOTTEN = "audit.forgotten"
    DATABASE_CHANGED = "database.changed"
    DATABASE_EMPTIED = "database.emptied"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A row that is to be written, of something that changes no table."""

    kind: AuditKind
    actor: Actor
    account: str = ""
    user_id: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
