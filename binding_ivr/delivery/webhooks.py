"""Webhooks as channels of the outbox: one event becomes one signed POST."""

from typing import Protocol

from binding_ivr.config import Webhook
from binding_ivr.delivery import message
from binding_ivr.delivery.wire.reply import Reply, Result
from binding_ivr.log import get_logger
from binding_ivr.metrics import Metrics
from binding_ivr.store.outbox import Delivery, Receiver

log = get_logger()

AT_ONCE = 8


class Poster(Protocol):
    """What is needed of HTTP (`notify.http.WebhookClient`)."""

    async def post(self, url: str, secret: str, *, event: str, delivery: str, body: bytes) -> Reply:
        """Send one signed message and tell what became of it; never raises."""


class WebhookChannel:
    """Tells one webhook."""

    ready = True
    at_once = AT_ONCE
    lease_s = 0.0
    beside: str | None = None

    def __init__(self, webhook: Webhook, client: Poster, metrics: Metrics) -> None:
        """Tell *webhook* over *client*."""
        self.receiver = Receiver(webhook.name, webhook.events, webhook.accounts)
        self._webhook = webhook
        self._client = client
        self._metrics = metrics

    async def tell(self, delivery: Delivery) -> Reply:
        """Send one message."""
        event, webhook = delivery.event, self._webhook
        text = message.body(
            event_id=event.event_id,
            sequence=event.sequence,
            name=event.name,
            time=event.created_at,
            account=event.account,
            user_id=event.user_id,
            facts=event.facts,
            full_numbers=webhook.numbers == "full",
        )
        identity = str(delivery.delivery_id)
        reply = await self._client.post(webhook.url, webhook.secret, event=event.name, delivery=identity, body=text)
        self._metrics.webhook_deliveries.labels(webhook.name, reply.result.value).inc()
        return reply

    def works_by(self, reply: Reply) -> bool:
        """A webhook works when it takes something."""
        return reply.result is Result.DELIVERED

    def failing(self, detail: str) -> None:
        """Log the begin of an outage."""
        log.warning("webhook.failing", receiver=self._webhook.name, detail=detail)

    def recovered(self, seconds: float) -> None:
        """Log its end."""
        log.info("webhook.recovered", receiver=self._webhook.name, seconds=seconds)

    def dead(self, deliveries: int, detail: str) -> None:
        """Log dead letters."""
        log.error("webhook.dead", receiver=self._webhook.name, deliveries=deliveries, detail=detail)

    async def close(self) -> None:
        """Nothing: the client belongs to the outbox."""
