"""UserEvents from the outbox: once, in order, while they are news; and what the store refuses of an operator's ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import structlog.testing

from binding_ivr.asterisk.ami.client import AmiReply
from binding_ivr.delivery.user_events import UserEvents
from binding_ivr.errors import NotFoundError, UnavailableError
from binding_ivr.metrics import Metrics
from binding_ivr.model.rows import SuspendReason
from binding_ivr.store import Store
from tests.patience import SLOW

if TYPE_CHECKING:
    from tests.integration.conftest import World

A, B = "+15551230001", "+15551230002"


class FakeManager:
    """Stands for AMI: keeps what was sent."""

    def __init__(self) -> None:
        self.ready = True
        self.success = True
        self.lost = False
        self.sent: list[dict[str, str]] = []

    async def action(self, name: str, fields: Mapping[str, str] | None = None) -> AmiReply:
        assert name == "UserEvent"
        if self.lost:
            raise UnavailableError("lost")
        self.sent.append(dict(fields or {}))
        return AmiReply(self.success, "" if self.success else "Permission denied", {})

    @property
    def names(self) -> list[str]:
        return [fields["UserEvent"] for fields in self.sent]


@asynccontextmanager
async def telling(store: Store, ami: FakeManager, metrics: Metrics | None = None) -> AsyncIterator[None]:
    events = UserEvents(ami, store.outbox, store.changes, metrics=metrics or Metrics(), poll_s=0.03)
    await events.start()
    try:
        yield
    finally:
        await events.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15 * SLOW):
        while not condition():
            await asyncio.sleep(0.01)


async def test_each_event_once_and_in_order(store: Store, world: World) -> None:
    ami = FakeManager()
    await world.users("1001")
    await world.prove("1001", A)
    async with telling(store, ami):
        await world.prove("1001", B)
        await store.bindings.suspend("default", "1001", SuspendReason.ADMIN, world.actor)
        await until(lambda: len(ami.sent) == 4)
    async with telling(store, ami):  # a new start does not tell it again
        await store.bindings.remove("default", "1001", world.actor)
        await until(lambda: len(ami.sent) == 5)
    assert ami.names == [
        "BindingRemoved",
        "BindingAttemptEnded",
        "BindingVerified",
        "BindingSuspended",
        "BindingRemoved",
    ]
    assert ami.sent[1]["Outcome"] == "verified"
    assert ami.sent[2]["Extension"] == "1001"
    assert ami.sent[3]["Reason"] == "admin"
    assert "555" not in str(
        [{k: v for k, v in one.items() if k not in ("Event-ID", "Attempt", "Time")} for one in ami.sent]
    )


async def test_what_is_no_news_any_more_is_not_told(store: Store, world: World) -> None:
    ami = FakeManager()
    ami.ready = False
    await world.users("1001", "1002")
    async with telling(store, ami):
        await world.prove("1001", A)
        await world.sql("UPDATE binding_ivr.outbox SET created_at = created_at - interval '2 minutes'")
        await world.prove("1002", B)
        ami.ready = True
        await until(lambda: len(ami.sent) == 2)
    assert {fields["User"] for fields in ami.sent} == {"1002"}


async def test_a_refusal_is_said_once_and_a_loss_costs_one_event(store: Store, world: World) -> None:
    ami, metrics = FakeManager(), Metrics()
    ami.success = False
    await world.users("1001", "1002")
    with structlog.testing.capture_logs() as lines:
        async with telling(store, ami, metrics):
            await world.prove("1001", A)
            await until(lambda: len(ami.sent) == 2)
            ami.lost = True
            await world.prove("1002", B)

            def counted(result: str) -> float:
                return metrics.registry.get_sample_value("binding_ivr_user_events_total", {"result": result}) or 0

            await until(lambda: counted("lost") == 2)
            assert counted("refused") == 2
    assert [line["event"] for line in lines] == ["user_events.refused"]


async def test_ids_that_are_not_there(store: Store) -> None:
    with pytest.raises(NotFoundError, match="outbox list"):
        await store.outbox.retry(uuid4(), 60)
    with pytest.raises(NotFoundError, match="outbox list"):
        await store.outbox.drop(uuid4())
    assert await store.outbox.retry(None, 60) == 0
