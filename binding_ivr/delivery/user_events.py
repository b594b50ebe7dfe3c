"""Tells this node's Asterisk what happened, as AMI UserEvents: best effort, while it is news; it keeps nothing.

A program on AMI that was not connected has missed an event anyway; who must not miss any takes a webhook.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import quote
from uuid import UUID

from binding_ivr.asterisk.ami.client import AmiReply, FieldError
from binding_ivr.background import Loop
from binding_ivr.errors import BindingError
from binding_ivr.log import get_logger
from binding_ivr.metrics import Metrics
from binding_ivr.model.changes import Change
from binding_ivr.ports import Changes
from binding_ivr.store.outbox import OutEvent, PgOutbox

log = get_logger()

NEWS_S = 60.0
"""An event that is older is not told any more, for example after Asterisk was away."""
POLL_S = 5.0
MOST = 1000
LONGEST = 500
"""Characters of a value; an AMI line holds 1024 bytes."""
HINT = "Asterisk does not take UserEvents from [ami] user: its section in manager.conf needs write = ...,user"

NAMES: Mapping[str, str] = {
    "binding.verified": "BindingVerified",
    "binding.stale": "BindingStale",
    "binding.suspended": "BindingSuspended",
    "binding.removed": "BindingRemoved",
    "attempt.ended": "BindingAttemptEnded",
    "account.paused": "BindingAccountPaused",
    "account.resumed": "BindingAccountResumed",
    "system.paused": "BindingSystemPaused",
    "system.resumed": "BindingSystemResumed",
    "limit.alert": "BindingLimitAlert",
    "move.ended": "BindingMoveEnded",
}
_FACTS = {
    "status": "Status",
    "reason": "Reason",
    "attempt_id": "Attempt",
    "outcome": "Outcome",
    "fault": "Fault",
    "kind": "Kind",
    "proof": "Proof",
    "limit": "Limit",
    "paused_until": "PausedUntil",
}
_PLAIN = "".join(chr(code) for code in range(33, 127) if chr(code) != "%")


class Manager(Protocol):
    """What is needed of AMI (`asterisk.ami.AmiClient`)."""

    @property
    def ready(self) -> bool:
        """True while actions can be sent."""

    async def action(self, name: str, fields: Mapping[str, str] | None = None) -> AmiReply:
        """Send one action and return its reply."""


class UserEvents:
    """Sends the events of one database to one Asterisk, in one loop."""

    def __init__(
        self, ami: Manager, store: PgOutbox, changes: Changes, *, metrics: Metrics, poll_s: float = POLL_S
    ) -> None:
        """Read *store* at each of *changes*, and every *poll_s* seconds."""
        self._ami = ami
        self._store = store
        self._changes = changes
        self._metrics = metrics
        # When PostgreSQL or AMI is away, others say so, and there is nothing to make up for.
        self._loop = Loop("user events", self._turn, poll_s=poll_s, fault="user_events.fault")
        self._told: set[UUID] | None = None
        self._refused = False
        self._unsubscribe: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Begin with what happens from now on."""
        with contextlib.suppress(BindingError):
            self._told = {event.event_id for event in await self._store.recent(NEWS_S, MOST)}
        self._unsubscribe = self._changes.subscribe(self._on_change)
        self._loop.start()

    async def stop(self) -> None:
        """End."""
        self._unsubscribe()
        await self._loop.stop()

    def _on_change(self, change: Change) -> None:
        if change.may_be_told:
            self._loop.wake()

    async def _turn(self) -> None:
        if not self._ami.ready:
            return
        # By the set of what was told, not by a position: an event may be committed after one with a higher sequence.
        recent = await self._store.recent(NEWS_S, MOST)
        told = self._told if self._told is not None else {event.event_id for event in recent}
        self._told = told & {event.event_id for event in recent}
        for event in recent:
            if event.event_id not in self._told:
                self._told.add(event.event_id)
                await self._tell(event)

    async def _tell(self, event: OutEvent) -> None:
        try:
            reply = await self._ami.action("UserEvent", fields(event))
        except (BindingError, FieldError):
            self._metrics.user_events.labels("lost").inc()
            raise
        self._metrics.user_events.labels("sent" if reply.success else "refused").inc()
        if not reply.success and not self._refused:
            log.warning("user_events.refused", detail=HINT)
        self._refused = not reply.success


def fields(event: OutEvent) -> dict[str, str]:
    """Return the headers of the UserEvent. There is no number among them: manager users need not all see it."""
    told = {
        "UserEvent": NAMES.get(event.name, "BindingOther"),  # a newer node's word
        "Event-ID": str(event.event_id),
        "Time": event.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "Account": event.account,
        "User": event.user_id,
        "Extension": event.extensions[0] if event.extensions else "",
        "Extensions": ",".join(event.extensions),
    }
    told |= {header: str(event.facts[fact]) for fact, header in _FACTS.items() if event.facts.get(fact) is not None}
    return {header: sanitised(value) for header, value in told.items() if value}


def sanitised(value: str) -> str:
    """Return *value* as one AMI line may hold it: printable ASCII, all else (and %) percent-encoded, not too long."""
    encoded = quote(value, safe=_PLAIN)
    return encoded if len(encoded) <= LONGEST else encoded[: LONGEST - 3].rpartition("%")[0] + "..."
