"""What the calls need from the store: attempts on their way to a call, and the stream of changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from binding_ivr.model.actors import Actor, Source
from binding_ivr.model.changes import ChangeHandler
from binding_ivr.model.outcome import AttemptState, Verdict
from binding_ivr.policy.limits import Limits


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
    source: Source = Source.SYSTEM  # of the Actor who asked for it: at the desk phone there is no screen


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

    async def progress(self, attempt_id: UUID, state: AttemptState, digits: int) -> None:
        """Write state and digit count and tell the watchers; an ended attempt stays as it is."""

    async def finish(self, attempt_id: UUID, verdict: Verdict) -> bool:
        """Write the verdict and all that follows from it in one transaction; False when it was ended before."""

    async def bill(self, seconds: Mapping[UUID, int]) -> None:
        """Write how long answered calls stood, in whole seconds; the minute budget is counted by it."""

    async def abandoned(self, node: str) -> list[UUID]:
        """Attempts that *node* once claimed and that have no verdict yet, plus those whose lease ran out anywhere."""

    async def cancel_requests(self, node: str) -> list[UUID]:
        """Calls in flight on *node* that shall be hung up, for a node that may have missed a change."""

    async def alive(self, node: str, version: str, capacity: int) -> None:
        """Note that this node lives and makes up to *capacity* calls at once."""


class Changes(Protocol):
    """The stream of changes (LISTEN/NOTIFY), re-established after a loss; handlers then get a `RESYNC`."""

    def subscribe(self, handler: ChangeHandler) -> Callable[[], None]:
        """Call *handler* for each change until the returned function is called. It must not block."""
