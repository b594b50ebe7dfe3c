"""Events on their way out: routed to receivers, claimed, settled, listed. It sends nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from binding_ivr.errors import NotFoundError
from binding_ivr.model.actors import Actor
from binding_ivr.store.database import OnDatabase, Row
from binding_ivr.store.rows import made

FORGET_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who wants to be told of what: `events` by name, of `accounts` or, when that is empty, of all."""

    name: str
    events: Sequence[str]
    accounts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class OutEvent:
    """One event as it was written with its change. `sequence` grows with every event."""

    event_id: UUID
    sequence: int
    name: str
    account: str
    user_id: str
    facts: Mapping[str, Any] = field(repr=False)
    created_at: datetime
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one receiver, claimed by this node for its try number `tries`."""

    delivery_id: UUID
    tries: int
    event: OutEvent


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery as commands show it. `created_at` is the event's time, `detail` what the last try met."""

    delivery_id: UUID
    event_id: UUID
    receiver: str
    name: str
    account: str
    user_id: str
    state: str
    tries: int
    detail: str
    created_at: datetime
    next_try: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """How much waits, in deliveries; `oldest_s` is the age of the oldest pending one in seconds."""

    pending: int
    dead: int
    oldest_s: float


class PgOutbox(OnDatabase):
    """The outbox and its deliveries. Every method raises what `Database` raises."""

    # --- sending

    async def note_receivers(self, names: Sequence[str]) -> None:
        """Note that this node is configured with the receivers *names*; to be repeated within a day."""
        await self._db.run("note_receivers", list(names))

    async def route(self, receivers: Sequence[Receiver], most: int, give_up_s: float) -> int:
        """Make the deliveries of up to *most* new events, in order; return of how many events.

        A delivery that was not taken *give_up_s* seconds later is given up. One node at a time does it.
        """
        events = [(one.name, event) for one in receivers for event in one.events]
        accounts = [(one.name, account) for one in receivers for account in one.accounts]
        async with self._db.transaction() as tx:
            await tx.run("lock_routing")
            rows = await tx.rows(
                "route_events", most, [one.name for one in receivers], *_columns(events), *_columns(accounts), give_up_s
            )
        return len(rows)

    async def claim(
        self, node: str, receiver: str, most: int, lease_s: float, beside: str | None = None
    ) -> list[Delivery]:
        """Take up to *most* deliveries that are due for *receiver*; they are *node*'s for *lease_s* seconds.

        With *beside* only those of accounts whose phones are at *node*: an account's setting `desk_notices.node`, else
        *beside*, is *node* or empty (any node).
        """
        rows = await self._db.rows("claim_deliveries", node, receiver, most, lease_s, beside)
        return [Delivery(row["delivery_id"], row["tries"], _event(row)) for row in rows]

    async def taken(self, delivery: Delivery) -> None:
        """Note that the receiver took it; nothing happens when another node has claimed it since."""
        await self._db.run("delivery_taken", delivery.delivery_id, delivery.tries)

    async def failed(self, delivery: Delivery, detail: str, pause_s: float, *, dead: bool, holds: bool) -> bool:
        """Note that the try failed: the next follows in *pause_s* seconds, unless *dead* or too old. True: it is dead.

        While it *holds*, later events of the same user wait for it.
        """
        row = await self._db.row("delivery_failed", delivery.delivery_id, delivery.tries, detail, pause_s, dead, holds)
        return row is not None and row["state"] == "dead"

    async def release(self, node: str) -> None:
        """Give back what *node* had claimed; it may be sent twice."""
        await self._db.run("release_deliveries", node)

    async def hasten(self, receiver: str) -> None:
        """Make due what waits for *receiver*."""
        await self._db.run("hasten_deliveries", receiver)

    # --- keeping order

    async def tidy(self, receivers: Sequence[str], keep_s: float, dead_s: float) -> int:
        """Forget events that everybody took *keep_s* seconds ago and dead letters after *dead_s*; return how many."""
        if receivers:
            await self.note_receivers(receivers)
        await self._db.run("bury_deliveries", list(receivers))
        await self._db.run("forget_receivers", keep_s)
        await self._db.run("forget_dead", dead_s)
        forgotten = 0
        while True:
            rows = await self._db.rows("forget_events", keep_s, FORGET_AT_ONCE)
            forgotten += len(rows)
            if len(rows) < FORGET_AT_ONCE:
                return forgotten

    async def counts(self) -> OutboxCounts:
        """Return how much waits, for all receivers together."""
        row = await self._db.row("outbox_counts")
        assert row is not None
        return OutboxCounts(**row)

    # --- the operator

    async def deliveries(self, state: str, most: int) -> list[DeliveryRow]:
        """Return up to *most* deliveries in *state* (`pending`, `dead`, `delivered`, `dropped`), oldest event first."""
        return [DeliveryRow(**row) for row in await self._db.rows("deliveries", state, most)]

    async def retry(self, delivery_id: UUID | None, give_up_s: float) -> int:
        """Try a delivery now, or all dead ones (None); return how many. Raises NotFoundError."""
        async with self._db.transaction() as tx:
            if delivery_id is None:
                rows = await tx.rows("retry_dead", give_up_s)
            else:
                rows = await tx.rows("retry_delivery", delivery_id, give_up_s)
            await tx.run("tell_outbox")
        if delivery_id is not None and not rows:
            raise _not_there()
        return len(rows)

    async def drop(self, delivery_id: UUID, actor: Actor | None = None) -> None:
        """Give a delivery up for good. Raises NotFoundError."""
        async with self._db.transaction(actor) as tx:
            if await tx.row("drop_delivery", delivery_id) is None:
                raise _not_there()

    # --- those who only listen

    async def recent(self, age_s: float, most: int) -> list[OutEvent]:
        """Return the newest events, not older than *age_s* seconds and at most *most*, oldest first."""
        return [_event(row, tuple(row["extensions"])) for row in await self._db.rows("recent_events", age_s, most)]


def _columns(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [left for left, _ in pairs], [right for _, right in pairs]


def _event(row: Row, extensions: tuple[str, ...] = ()) -> OutEvent:
    facts = msgspec.json.decode(row["payload"], type=dict[str, Any])
    return made(OutEvent, row, facts=facts, extensions=extensions)


def _not_there() -> NotFoundError:
    return NotFoundError("there is no such delivery, waiting or dead; see: binding-ivr outbox list")
