"""What PostgreSQL says has changed. Only shapes."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from binding_ivr.model.outcome import AttemptState


class ChangeKind(StrEnum):
    """What has changed. The value is what PostgreSQL notifies."""

    QUEUED = "queued"
    """An attempt waits for its call."""
    CANCEL = "cancel"
    """An attempt shall end."""
    ATTEMPT = "attempt"
    """State, digits or outcome of an attempt."""
    BINDING = "binding"
    MIRROR = "mirror"
    """An extension came, went or changed hands."""
    COMPARE = "compare"
    """The operator wants all of AstDB compared."""
    CLOCK = "clock"
    """A rehearsal moved the clock."""
    LIMITS = "limits"
    """Calls were paused or resumed, or a limit's alert was raised."""
    OUTBOX = "outbox"
    """The operator wants everything sent that waits."""
    MOVE = "move"
    """A move of a call was kept."""
    RESYNC = "resync"
    """Changes may have been missed: the connection is new."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed in PostgreSQL; what the kind says nothing of is empty."""

    kind: ChangeKind
    account: str = ""
    user_id: str = ""
    attempt_id: UUID | None = None
    state: str = ""
    digits: int = 0
    outcome: str = ""
    fault: str = ""
    status: str = ""

    @property
    def may_be_told(self) -> bool:
        """True when something may have come of it that others are told of: an event in the outbox."""
        match self.kind:
            case ChangeKind.BINDING | ChangeKind.LIMITS | ChangeKind.MOVE | ChangeKind.RESYNC:
                return True
            case ChangeKind.ATTEMPT:
                return self.state == AttemptState.ENDED
            case (
                ChangeKind.QUEUED
                | ChangeKind.CANCEL
                | ChangeKind.MIRROR
                | ChangeKind.COMPARE
                | ChangeKind.CLOCK
                | ChangeKind.OUTBOX
            ):
                return False
            case _:
                assert_never(self.kind)


ChangeHandler = Callable[[Change], None]
