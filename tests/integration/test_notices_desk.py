"""Which node tells which desk phone: each phone's own Asterisk does, whoever routed the event."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import structlog.testing

from binding_ivr.config import Config, DeskNotices
from binding_ivr.delivery.notices import Readers
from binding_ivr.delivery.notices_desk import desk_channels
from binding_ivr.delivery.outbox import Outbox
from binding_ivr.metrics import Metrics
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.rows import SuspendReason, User
from binding_ivr.store import Store
from tests.integration.test_webhook import QUICK, states, until
from tests.patience import SLOW
from tests.unit.test_notices_desk import Asterisk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.conftest import World

ROOT = Actor(ActorKind.CLI, "root", Source.CLI)
SALES, DEPOT, OTHER = "+15551230001", "+15551230002", "+15551230003"


@asynccontextmanager
async def node(store: Store, name: str, asterisk: Asterisk | None, **desk: Any) -> AsyncIterator[Outbox]:
    """The outbox of one node beside *asterisk*."""
    config = msgspec.structs.replace(
        Config(),
        service=msgspec.structs.replace(Config().service, node=name),
        desk_notices=DeskNotices(**{"message": ("suspended",), **desk}),
    )
    metrics = Metrics()
    channels, elsewhere = desk_channels(config, Readers(config, store), asterisk, metrics)
    outbox = Outbox(
        config, store.outbox, store.changes, metrics=metrics, channels=channels, elsewhere=elsewhere, times=QUICK
    )
    await outbox.start()
    try:
        yield outbox
    finally:
        await outbox.stop()


async def told(world: World, count: int) -> None:
    """Wait until so many deliveries are done and none waits."""

    async def done() -> bool:
        return await states(world) == {"delivered": count}

    await until(done)


def targets(asterisk: Asterisk) -> list[str]:
    return sorted(fields["To"] for fields in asterisk.of("MessageSend"))


async def three_accounts(store: Store, world: World) -> None:
    await store.directory.add_account("sales", {"desk_notices": {"node": "pbx1"}})
    await store.directory.add_account("depot", {"desk_notices": {"node": "pbx2"}})
    for account, number in (("sales", SALES), ("depot", DEPOT), ("default", OTHER)):
        await store.directory.add_user(User(account, account, (account,), "en", ""))
        await world.prove(account, number, account=account)


async def suspend_all(store: Store) -> None:
    for account in ("sales", "depot", "default"):
        await store.bindings.suspend(account, account, SuspendReason.ADMIN, ROOT)


async def test_each_phone_is_told_by_its_own_node(store: Store, world: World) -> None:
    await three_accounts(store, world)
    await world.sql("DELETE FROM binding_ivr.outbox")
    one, two = Asterisk("sales", "depot", "default"), Asterisk("sales", "depot", "default")
    async with node(store, "pbx1", one), node(store, "pbx2", two), node(store, "web", None):
        await suspend_all(store)
        await told(world, 3)
    assert set(targets(one) + targets(two)) == {"pjsip:sales", "pjsip:depot", "pjsip:default"}
    assert "pjsip:depot" not in targets(one)
    assert "pjsip:sales" not in targets(two)
    assert len(targets(one)) + len(targets(two)) == 3


async def test_the_installations_node_is_that_of_accounts_without_one(store: Store, world: World) -> None:
    await three_accounts(store, world)
    await world.sql("DELETE FROM binding_ivr.outbox")
    one, two = Asterisk("sales", "depot", "default"), Asterisk("sales", "depot", "default")
    async with AsyncExitStack() as nodes:
        await nodes.enter_async_context(node(store, "pbx1", one, node="pbx1"))
        await nodes.enter_async_context(node(store, "pbx2", two, node="pbx1"))
        await suspend_all(store)
        await told(world, 3)
    assert targets(one) == ["pjsip:default", "pjsip:sales"]
    assert targets(two) == ["pjsip:depot"]


async def test_what_is_meant_for_a_node_waits_for_it(store: Store, world: World) -> None:
    """Also when a node without an Asterisk routed the event, and while AMI is away; nobody calls that an outage."""
    await three_accounts(store, world)
    await world.sql("DELETE FROM binding_ivr.outbox")
    one, two = Asterisk("sales", "default"), Asterisk("depot")
    two.ready = False
    with structlog.testing.capture_logs() as lines:
        async with node(store, "web", None), node(store, "pbx1", one):
            await suspend_all(store)

            async def most() -> bool:
                return await states(world) == {"delivered": 2, "pending": 1}

            await until(most)
            async with node(store, "pbx2", two):
                await until(most)
                two.ready = True
                await told(world, 3)
    assert targets(two) == ["pjsip:depot"]
    assert not [line for line in lines if line["event"].startswith("notice.")]


async def test_a_phone_that_comes_back(store: Store, world: World) -> None:
    await three_accounts(store, world)
    await world.sql("DELETE FROM binding_ivr.outbox")
    one = Asterisk("default")
    async with node(store, "pbx1", one):
        await store.bindings.suspend("sales", "sales", SuspendReason.ADMIN, ROOT)
        await store.bindings.suspend("default", "default", SuspendReason.ADMIN, ROOT)
        async with asyncio.timeout(20 * SLOW):
            while len(one.of("MessageSend")) < 4:  # the absent one is tried again, the other is not
                await asyncio.sleep(0.01)
        one.phones = ("default", "sales")
        await told(world, 2)
    assert targets(one).count("pjsip:default") == 1
