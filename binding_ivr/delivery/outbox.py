"""Delivers the events of the outbox to webhooks and notices, at least once and in order per user; it writes no event.

One loop routes new events to their receivers and keeps the tables small; each receiver has a loop of its own, so that
one that is slow or down keeps nobody else waiting. All state that must survive is in PostgreSQL (store/outbox.py).
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from binding_ivr.background import Backoff, Jitter, Loop, Trouble
from binding_ivr.config import Config
from binding_ivr.delivery import backoff
from binding_ivr.delivery.webhooks import WebhookChannel
from binding_ivr.delivery.wire.http import HttpTimes, WebhookClient
from binding_ivr.delivery.wire.reply import Reply, Result
from binding_ivr.errors import BindingError, StatementRefused
from binding_ivr.metrics import Metrics
from binding_ivr.model.changes import Change, ChangeKind
from binding_ivr.ports import Changes
from binding_ivr.store.outbox import Delivery, OutboxCounts, PgOutbox, Receiver

ROUTE_AT_ONCE = 500
DAY_S = 86_400.0
_DOWN = (Result.UNAVAILABLE, Result.UNREACHABLE)
_DONE = (Result.DELIVERED, Result.SKIPPED)


@dataclass(frozen=True, slots=True)
class OutboxTimes:
    """How long, all in seconds.

    `poll_s` is the pause between two looks without a change, `retry_s` after PostgreSQL was away, `tidy_s` between two
    rounds of forgetting. A delivery is one node's for `lease_s` (longer than one try; a channel may need more) and is
    tried for `give_up_s`. A receiver that was down for `hasten_s` gets all that waits as soon as it is back. `stop_s`
    bounds `stop`'s query.
    """

    poll_s: float = 5.0
    retry_s: float = 1.0
    lease_s: float = 60.0
    tidy_s: float = 3600.0
    hasten_s: float = 300.0
    give_up_s: float = backoff.GIVE_UP_S
    stop_s: float = 1.0
    delivery: Backoff = backoff.DELIVERY
    receiver: Backoff = backoff.RECEIVER
    http: HttpTimes = field(default_factory=HttpTimes)


class Channel(Protocol):
    """One way to tell, and whom: a webhook, or the notices by e-mail or on the desk phone."""

    @property
    def receiver(self) -> Receiver:
        """The name under which deliveries wait, and the events that are wanted."""

    @property
    def ready(self) -> bool:
        """False while there is no point in trying: what waits stays as it is."""

    @property
    def at_once(self) -> int:
        """Deliveries under way at once on this node."""

    @property
    def lease_s(self) -> float:
        """How long they may take together, in seconds; 0 when the outbox's own lease will do."""

    @property
    def beside(self) -> str | None:
        """The node that delivers for accounts that name none (empty: any); None: every node delivers for all."""

    async def tell(self, delivery: Delivery) -> Reply:
        """Try once and tell what became of it; never raises but for cancellation."""

    def works_by(self, reply: Reply) -> bool:
        """Return whether *reply* shows that the receiver works, whatever it says of this one message."""

    def failing(self, detail: str) -> None:
        """Log that the receiver takes nothing; once per outage."""

    def recovered(self, seconds: float) -> None:
        """Log that it works again."""

    def dead(self, deliveries: int, detail: str) -> None:
        """Log that so many *deliveries* were given up."""

    async def close(self) -> None:
        """End what it holds open."""


class Courier:
    """Delivers to one receiver."""

    def __init__(
        self,
        channel: Channel,
        store: PgOutbox,
        *,
        node: str,
        times: OutboxTimes,
        trouble: Trouble,
        jitter: Jitter,
    ) -> None:
        """Deliver over *channel* what *node* claims in *store*."""
        self._channel = channel
        self._store = store
        self._node = node
        self._times = times
        self._trouble = trouble
        self._jitter = jitter
        self._failures = 0
        self._failing_since: float | None = None
        self._closed_until = 0.0
        self.loop = Loop(
            "courier",
            self._turn,
            poll_s=times.poll_s,
            retry=Backoff(times.retry_s, times.retry_s),
            fault="outbox.fault",
            ill=trouble.ill,  # it hears that all is well only of who asked PostgreSQL
            receiver=channel.receiver.name,
        )

    def wake(self) -> None:
        """Look for deliveries now, unless the receiver is given a rest."""
        if time.monotonic() >= self._closed_until:
            self.loop.wake()

    def hurry(self) -> None:
        """Look for deliveries now, whatever the receiver said last."""
        self._closed_until = 0.0
        self.loop.wake()

    async def _turn(self) -> float | None:
        if not self._rest() and await self._round() and not self._failures:
            return 0.0  # there may be more, and the next of each user's
        return self._rest() or None

    def _rest(self) -> float:
        return max(0.0, self._closed_until - time.monotonic())

    async def _round(self) -> int:
        """Deliver once what is due; while the receiver is down, one message at a time finds out whether it is back."""
        channel = self._channel
        if not channel.ready:
            return 0
        most = 1 if self._failures else channel.at_once
        lease_s = max(self._times.lease_s, channel.lease_s)
        claimed = await self._store.claim(self._node, channel.receiver.name, most, lease_s, channel.beside)
        self._trouble.well()
        if not claimed:
            return 0
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._deliver(delivery)) for delivery in claimed]
        done = [task.result() for task in tasks]
        await self._judge([reply for reply, _ in done])
        dead = [reply for reply, is_dead in done if is_dead]
        if dead:
            channel.dead(len(dead), dead[-1].detail)
        return len(done)

    async def _deliver(self, delivery: Delivery) -> tuple[Reply, bool]:
        """Tell of one event and write down what became of it; the second value tells that it is dead now."""
        reply = await self._channel.tell(delivery)
        return reply, await self._settle(delivery, reply)

    async def _settle(self, delivery: Delivery, reply: Reply) -> bool:
        """Write the result, however long PostgreSQL is away: what was taken should not be sent again."""
        pause = max(self._times.delivery.pause(delivery.tries, self._jitter()), reply.retry_after_s)
        while True:
            try:
                if reply.result in _DONE:
                    await self._store.taken(delivery)
                    return False
                return await self._store.failed(
                    delivery,
                    reply.detail,
                    pause,
                    dead=reply.result is Result.GONE,
                    holds=reply.result is not Result.REFUSED,
                )
            except StatementRefused:
                raise  # it would be refused again
            except BindingError as error:
                self._trouble.ill(error)
                await asyncio.sleep(self._times.retry_s)

    async def _judge(self, replies: list[Reply]) -> None:
        """Note whether the receiver works, by all replies of a round: it does when it took anything."""
        replies = [reply for reply in replies if reply.result is not Result.SKIPPED]
        if not replies:
            return
        now = time.monotonic()
        if any(self._channel.works_by(reply) for reply in replies):
            since, self._failing_since = self._failing_since, None
            self._failures = 0
            if since is None:
                return
            self._channel.recovered(round(now - since, 1))
            if now - since >= self._times.hasten_s:
                await self._store.hasten(self._channel.receiver.name)
            return
        if self._failing_since is None:
            self._failing_since = now
            self._channel.failing(replies[-1].detail)
        down = [reply for reply in replies if reply.result in _DOWN]
        if down:
            self._failures += 1
            asked = max(reply.retry_after_s for reply in down)
            self._closed_until = now + max(self._times.receiver.pause(self._failures, self._jitter()), asked)


class Outbox:
    """The outbox of one node. Without receivers it only forgets old events."""

    def __init__(
        self,
        config: Config,
        store: PgOutbox,
        changes: Changes,
        *,
        metrics: Metrics,
        channels: Sequence[Channel] = (),
        elsewhere: Sequence[Receiver] = (),
        times: OutboxTimes | None = None,
        now: Callable[[], float] = time.time,
        jitter: Jitter = random.random,
    ) -> None:
        """Deliver what *store* holds to the webhooks of *config* and over *channels*.

        Events for the receivers *elsewhere* are routed here, as by every node, but other nodes deliver them. *now*
        (POSIX seconds) is signed into each webhook.
        """
        self._config = config
        self._store = store
        self._changes = changes
        self._metrics = metrics
        self._times = times or OutboxTimes()
        self._jitter = jitter
        self._client = WebhookClient(now, self._times.http)
        self._channels = [*(WebhookChannel(one, self._client, metrics) for one in config.webhooks), *channels]
        self._receivers = [*(channel.receiver for channel in self._channels), *elsewhere]
        self._trouble = Trouble(begins="outbox.waits", ends="outbox.goes_on")
        self._router = Loop(
            "outbox",
            self._turn,
            poll_s=self._times.poll_s,
            retry=Backoff(self._times.retry_s, self._times.retry_s),
            fault="outbox.fault",
            ill=self._ill,
            well=self._trouble.well,
        )
        self._tidied_at = self._counted_at = float("-inf")
        self._couriers: list[Courier] = []
        self._unsubscribe: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Begin, in loops of its own. Raises BindingError when PostgreSQL does not answer."""
        await self._store.release(self._config.node)  # what a crash of this node left claimed
        await self._store.note_receivers([one.name for one in self._receivers])
        await self._client.__aenter__()
        self._couriers = [
            Courier(
                channel,
                self._store,
                node=self._config.node,
                times=self._times,
                trouble=self._trouble,
                jitter=self._jitter,
            )
            for channel in self._channels
        ]
        self._unsubscribe = self._changes.subscribe(self._on_change)
        for loop in self._loops:
            loop.start()

    @property
    def _loops(self) -> list[Loop]:
        return [self._router, *(courier.loop for courier in self._couriers)]

    async def stop(self) -> None:
        """End at once; what was under way is given back and may be sent again."""
        self._unsubscribe()
        if any(await asyncio.gather(*(loop.stop() for loop in self._loops))):
            with contextlib.suppress(BindingError, TimeoutError):
                async with asyncio.timeout(self._times.stop_s):
                    await self._store.release(self._config.node)
        for channel in self._channels:
            await channel.close()
        await self._client.__aexit__(None, None, None)

    def _on_change(self, change: Change) -> None:
        if change.kind is ChangeKind.OUTBOX:  # the operator wants it tried now
            for courier in self._couriers:
                courier.hurry()
        elif change.may_be_told:
            self._router.wake()

    def _ill(self, error: BindingError) -> None:
        self._trouble.ill(error)
        self._show(OutboxCounts(0, 0, 0.0), known=False)

    async def _turn(self) -> None:
        if self._receivers:
            while True:
                routed = await self._store.route(self._receivers, ROUTE_AT_ONCE, self._times.give_up_s)
                for courier in self._couriers:
                    courier.wake()
                if routed < ROUTE_AT_ONCE:
                    break
        if time.monotonic() - self._tidied_at >= self._times.tidy_s:
            keep = self._config.outbox
            names = [one.name for one in self._receivers]
            await self._store.tidy(names, keep.keep_days * DAY_S, keep.dead_days * DAY_S)
            self._tidied_at = time.monotonic()
        if time.monotonic() - self._counted_at >= self._times.poll_s:
            self._show(await self._store.counts())
            self._counted_at = time.monotonic()

    def _show(self, counts: OutboxCounts, *, known: bool = True) -> None:
        nothing = float("nan")
        self._metrics.webhook_pending.set(counts.pending if known else nothing)
        self._metrics.webhook_dead.set(counts.dead if known else nothing)
        self._metrics.webhook_oldest_seconds.set(counts.oldest_s if known else nothing)
