"""The outbox with real PostgreSQL and real HTTP: who is told, how often, in which order, whatever fails on the way."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import structlog.testing

from binding_ivr.background import Backoff
from binding_ivr.config import Config, Webhook
from binding_ivr.delivery.outbox import Outbox, OutboxTimes
from binding_ivr.delivery.wire.http import HttpTimes, WebhookClient
from binding_ivr.delivery.wire.reply import Result
from binding_ivr.embedded.server import open_embedded
from binding_ivr.metrics import Metrics
from binding_ivr.model.outcome import Outcome
from binding_ivr.store import Store, open_store
from binding_ivr.store.outbox import Receiver
from tests.generous import nothing_follows
from tests.integration.tcp_proxy import TcpProxy
from tests.integration.webhook_receiver import SECRET, WebhookReceiver
from tests.patience import SLOW

if TYPE_CHECKING:
    from tests.integration.conftest import World

A, B, C = "+15551230001", "+15551230002", "+15551230003"
QUICK = OutboxTimes(
    poll_s=0.05,
    retry_s=0.05,
    lease_s=30.0,
    hasten_s=1000.0,
    delivery=Backoff(0.02, 0.1, 2.0),
    receiver=Backoff(0.02, 0.1, 2.0),
    http=HttpTimes(0.5, 0.5),
)


def webhook(receiver: WebhookReceiver, name: str = "one", **changes: Any) -> Webhook:
    return Webhook(**{"name": name, "url": receiver.url, "secret": SECRET, **changes})


@asynccontextmanager
async def sending(
    store: Store, *webhooks: Webhook, node: str = "node1", times: OutboxTimes = QUICK, metrics: Metrics | None = None
) -> AsyncIterator[Outbox]:
    """A running outbox; stopping it must be quick whatever happens."""
    config = msgspec.structs.replace(
        Config(), webhooks=webhooks, service=msgspec.structs.replace(Config().service, node=node)
    )
    outbox = Outbox(config, store.outbox, store.changes, metrics=metrics or Metrics(), times=times)
    await outbox.start()
    try:
        yield outbox
    finally:
        began = time.monotonic()
        await outbox.stop()
        assert time.monotonic() - began < 2


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver() as it:
        yield it
        assert it.forged == 0
        assert it.strayed == 0


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """All that is logged; no line may hold what is nobody's business."""
    with structlog.testing.capture_logs() as captured:
        yield captured
    text = repr(captured)
    assert "never-log-me" not in text
    assert SECRET not in text
    assert not re.search(r"\+1555123", text)


def told(lines: list[Any], prefix: str = "webhook.") -> list[str]:
    return [line["event"] for line in lines if line["event"].startswith(prefix)]


async def states(world: World) -> dict[str, int]:
    rows = await world.sql("SELECT state, count(*)::int AS n FROM binding_ivr.deliveries GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds * SLOW):
        while not await condition():
            await asyncio.sleep(0.01)


async def all_delivered(world: World, count: int) -> None:
    async def done() -> bool:
        return await states(world) == {"delivered": count}

    await until(done)


async def test_a_proof_is_told_in_order(store: Store, world: World, receiver: WebhookReceiver) -> None:
    await store.changes.start()
    await store.changes.wait_connected()
    async with sending(store, webhook(receiver)):
        await world.users("1001")
        await world.prove("1001", A)
        await receiver.wait(lambda: len(receiver.got) == 2)
        await all_delivered(world, 2)
    first, second = receiver.got
    assert [one.body["event"] for one in (first, second)] == ["attempt.ended", "binding.verified"]
    assert first.body["sequence"] < second.body["sequence"]
    assert (first.body["account"], first.body["user_id"]) == ("default", "1001")
    assert first.body["facts"]["outcome"] == "verified"
    assert second.body["facts"]["number"] == A
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["User-Agent"].startswith("binding-ivr/")
    assert first.headers["Binding-Event"] == "attempt.ended"
    assert first.delivery != second.delivery
    assert "code" not in str(first.body).replace("wrong_code", "")
    rows = await world.sql("SELECT event_id, name FROM binding_ivr.outbox ORDER BY sequence")
    assert [(str(row["event_id"]), row["name"]) for row in rows] == [
        (one.body["id"], one.body["event"]) for one in receiver.got
    ]


async def test_a_notice_wakes_it(store: Store, world: World, receiver: WebhookReceiver) -> None:
    await store.changes.start()
    await store.changes.wait_connected()
    patient = OutboxTimes(poll_s=600.0)
    async with sending(store, webhook(receiver), times=patient):
        await world.users("1001")
        began = time.monotonic()
        await world.prove("1001", A)
        await receiver.wait(lambda: len(receiver.got) == 2)
        print(f"\nproof to second message: {time.monotonic() - began:.3f} s")
        assert time.monotonic() - began < 2


async def test_who_wants_what(store: Store, world: World) -> None:
    await store.directory.add_account("other")
    await world.users("1001")
    await world.users("1001", account="other")
    async with WebhookReceiver() as all_, WebhookReceiver() as proofs, WebhookReceiver() as other:
        hooks = [
            webhook(all_, "all"),
            webhook(proofs, "proofs", events=("binding.verified",), numbers="masked"),
            webhook(other, "other", accounts=("other",)),
        ]
        async with sending(store, *hooks):
            await world.prove("1001", A)
            await world.prove("1001", B, account="other")
            await all_delivered(world, 4 + 2 + 2)
        assert sorted(one.what for one in all_.got) == sorted(
            2 * [("1001", "attempt.ended"), ("1001", "binding.verified")]
        )
        assert [one.body["facts"]["number"] for one in proofs.got] == ["+1…01", "+1…02"]
        assert {one.body["account"] for one in other.got} == {"other"}


async def test_nothing_from_before_its_time(store: Store, world: World, receiver: WebhookReceiver) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", A)
    async with sending(store, webhook(receiver)):
        await world.prove("1002", B)
        await all_delivered(world, 2)
    await world.prove("1001", C)  # while nobody sends: this one is not lost
    async with sending(store, webhook(receiver)):
        await all_delivered(world, 5)
    assert [one.what for one in receiver.got[2:]] == [
        ("1001", "binding.removed"),
        ("1001", "attempt.ended"),
        ("1001", "binding.verified"),
    ]
    assert {one.body["user_id"] for one in receiver.got[:2]} == {"1002"}


@pytest.mark.parametrize(
    "answer", ["500", "404", "302 Location: /elsewhere", "307 Location: /elsewhere", "cut", "stall", "garbage", "503"]
)
async def test_failures_are_tried_again(
    store: Store, world: World, receiver: WebhookReceiver, lines: list[Any], answer: str
) -> None:
    receiver.script = 3 * [answer]
    metrics = Metrics()
    await world.users("1001")
    async with sending(store, webhook(receiver), metrics=metrics):
        await world.prove("1001", A)
        await all_delivered(world, 2)
        receiver.release()
    assert [one.what[1] for one in receiver.got] == 4 * ["attempt.ended"] + ["binding.verified"]
    assert len({one.delivery for one in receiver.got}) == 2
    assert len({one.body["id"] for one in receiver.got}) == 2
    assert told(lines) == ["webhook.failing", "webhook.recovered"]
    print(f"\n{answer}: {next(line['detail'] for line in lines if line['event'] == 'webhook.failing')}")
    counted = {
        sample.labels["result"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "binding_ivr_webhook_deliveries_total"
    }
    assert counted.pop("delivered") == 2
    assert list(counted.values()) == [3]


async def test_the_one_that_took_it_is_not_told_again(store: Store, world: World, lines: list[Any]) -> None:
    await world.users("1001")
    async with WebhookReceiver() as good, WebhookReceiver(script=5 * ["500"]) as bad:
        async with sending(store, webhook(good, "good"), webhook(bad, "bad")):
            await world.prove("1001", A)
            await all_delivered(world, 4)
        assert len(good.got) == 2
        assert len(bad.got) == 7
        assert [one.what for one in good.taken] == [one.what for one in bad.taken]


async def test_a_stalled_receiver_keeps_nobody_else_waiting(store: Store, world: World) -> None:
    names = [f"u{n}" for n in range(20)]
    await world.users(*names)
    patient = OutboxTimes(poll_s=0.05, http=HttpTimes(30, 30))
    async with WebhookReceiver() as good, WebhookReceiver(usual="stall") as stuck:
        async with sending(store, webhook(good, "good"), webhook(stuck, "stuck"), times=patient):
            for at, name in enumerate(names):
                await world.prove(name, f"+1555123{at:04}")
            await good.wait(lambda: len(good.got) == 40)
            assert 1 <= len(stuck.got) <= 8
        # Stopping gives back what was under way.
        rows = await world.sql("SELECT count(*) AS n FROM binding_ivr.deliveries WHERE lease_until IS NOT NULL")
        assert rows[0]["n"] == 0
        stuck.release()


async def test_refused_events_hold_nobody_up_and_others_do(
    store: Store, world: World, receiver: WebhookReceiver
) -> None:
    await world.users("1001", "1002")

    def choose(body: dict[str, Any]) -> str | None:
        if body["event"] != "attempt.ended":
            return None
        return "422" if body["user_id"] == "1001" else "500"

    receiver.choose = choose
    async with sending(store, webhook(receiver)):
        await world.prove("1001", A)
        await receiver.wait(lambda: ("1001", "binding.verified") in [one.what for one in receiver.taken])
        await world.prove("1002", B)
        await receiver.wait(lambda: [one.what for one in receiver.got].count(("1002", "attempt.ended")) >= 3)
        assert ("1002", "binding.verified") not in [one.what for one in receiver.got]
        receiver.choose = None
        await all_delivered(world, 4)
    ended = [one.what[1] for one in receiver.taken if one.what[0] == "1002"]
    assert ended == ["attempt.ended", "binding.verified"]


async def test_retry_after_is_heard_and_the_operator_may_overrule_it(
    store: Store, world: World, receiver: WebhookReceiver
) -> None:
    await store.changes.start()
    await store.changes.wait_connected()
    await world.users("1001", "1002")
    receiver.script = ["429 Retry-After: 3600"]
    async with sending(store, webhook(receiver)):
        await world.prove("1001", A)
        await receiver.wait(lambda: len(receiver.got) == 1)

        async def noted() -> bool:
            return await world.sql("SELECT 1 FROM binding_ivr.deliveries WHERE detail = 'HTTP 429'") != []

        await until(noted)
        rows = await world.sql(
            "SELECT delivery_id, next_try > clock_timestamp() + interval '59 minutes' AS late"
            " FROM binding_ivr.deliveries WHERE tries = 1"
        )
        assert [row["late"] for row in rows] == [True]
        await world.prove("1002", B)
        await asyncio.gather(*(world.sql("SELECT pg_sleep(0.05)") for _ in range(5)))
        assert len(receiver.got) == 1  # it rests, for others too
        assert await store.outbox.retry(rows[0]["delivery_id"], 60) == 1
        await all_delivered(world, 4)


async def test_gone_is_dead_at_once_and_can_be_revived(
    store: Store, world: World, receiver: WebhookReceiver, lines: list[Any]
) -> None:
    await store.changes.start()
    await store.changes.wait_connected()
    receiver.usual = "410"
    await world.users("1001")
    metrics = Metrics()
    async with sending(store, webhook(receiver), metrics=metrics):
        await world.prove("1001", A)

        async def dead() -> bool:
            return await states(world) == {"dead": 2}

        await until(dead)
        assert len(receiver.got) == 2
        listed = await store.outbox.deliveries("dead", 10)
        assert [(one.name, one.detail, one.tries) for one in listed] == [
            ("attempt.ended", "HTTP 410", 1),
            ("binding.verified", "HTTP 410", 1),
        ]
        assert told(lines).count("webhook.failing") == 1
        assert sum(line["deliveries"] for line in lines if line["event"] == "webhook.dead") == 2
        receiver.usual = "200"
        await store.outbox.drop(listed[0].delivery_id)
        assert await store.outbox.retry(None, 60) == 1
        await receiver.wait(lambda: len(receiver.taken) == 1)

        async def done() -> bool:
            return await states(world) == {"dropped": 1, "delivered": 1}

        await until(done)


async def test_after_its_time_it_is_dead(store: Store, world: World, receiver: WebhookReceiver) -> None:
    receiver.usual = "500"
    await world.users("1001")
    short = OutboxTimes(
        poll_s=0.02, give_up_s=0.3, delivery=Backoff(0.02, 0.05, 2.0), receiver=Backoff(0.02, 0.05, 2.0)
    )
    async with sending(store, webhook(receiver), times=short):
        await world.prove("1001", A)

        async def dead() -> bool:
            return await states(world) == {"dead": 2}

        await until(dead)
    tries = [one.tries for one in await store.outbox.deliveries("dead", 10)]
    assert tries[0] > 1
    assert all(tries)  # each was tried, however late it was


async def test_two_nodes_send_once(
    store: Store, world: World, receiver: WebhookReceiver, dsn: str, tmp_path: Path
) -> None:
    names = [f"u{n}" for n in range(40)]
    await world.users(*names)
    async with open_store(dsn, 10, limits_of=nothing_follows, migrations="skip") as second:
        await store.changes.start()
        await second.changes.start()
        hooks = [webhook(receiver)]
        async with (
            sending(store, *hooks, node="a"),
            sending(second, *hooks, node="b"),
            sending(second, *hooks, node="c"),
        ):
            order = list(enumerate(names))
            random.Random(1).shuffle(order)
            calls = [await world.answer(name, f"+1555123{at:04}") for at, name in order]
            await asyncio.gather(*(world.finish(call, Outcome.VERIFIED) for call in calls))
            await all_delivered(world, 80)
    assert len(receiver.got) == 80
    assert len({one.body["id"] for one in receiver.got}) == 80
    for name in names:
        assert [one.what[1] for one in receiver.got if one.body["user_id"] == name] == [
            "attempt.ended",
            "binding.verified",
        ]
    shares = await world.sql("SELECT node, count(*) AS n FROM binding_ivr.deliveries GROUP BY node ORDER BY node")
    print(f"\nshares: {[(row['node'], row['n']) for row in shares]}; at once: {receiver.most_at_once}")


async def test_a_crash_in_the_middle_sends_it_again(store: Store, world: World, receiver: WebhookReceiver) -> None:
    """The receiver has it, and the node dies before it can note that: the next start sends it again."""
    receiver.script = ["stall"]
    await world.users("1001")
    patient = OutboxTimes(poll_s=0.05, http=HttpTimes(30, 30))
    async with sending(store, webhook(receiver), times=patient) as outbox:
        await world.prove("1001", A)
        await receiver.wait(lambda: len(receiver.got) == 1)
        for loop in outbox._loops:  # as kill -9 does: nothing is given back
            await loop.stop()
    rows = await world.sql("SELECT node FROM binding_ivr.deliveries WHERE lease_until > clock_timestamp()")
    assert [row["node"] for row in rows] == ["node1"]
    receiver.release()
    async with sending(store, webhook(receiver), node="another"):

        async def routed() -> bool:
            return len(await world.sql("SELECT 1 FROM binding_ivr.deliveries")) == 2

        await until(routed)  # the lease still holds
        assert len(receiver.got) == 1
    async with sending(store, webhook(receiver)):
        await all_delivered(world, 2)
    assert [one.what[1] for one in receiver.got] == ["attempt.ended", "attempt.ended", "binding.verified"]
    assert receiver.got[0].delivery == receiver.got[1].delivery


async def test_a_lease_runs_out(store: Store, world: World, receiver: WebhookReceiver) -> None:
    await world.users("1001")
    async with sending(store, webhook(receiver, events=("binding.verified",))):
        pass
    await world.prove("1001", A)
    assert await store.outbox.route([Receiver("one", ("binding.verified",))], 10, 60) == 2
    claimed = await store.outbox.claim("dead-node", "one", 10, 0.3)
    assert [one.event.name for one in claimed] == ["binding.verified"]
    async with sending(store, webhook(receiver)):
        await all_delivered(world, 1)
    # What the dead node might still write is not about the present try.
    assert not await store.outbox.failed(claimed[0], "late", 1.0, dead=True, holds=True)
    assert await states(world) == {"delivered": 1}


async def test_postgresql_goes_away_between_the_answer_and_the_note(
    tmp_path: Path, receiver: WebhookReceiver, lines: list[Any]
) -> None:
    from tests.integration.conftest import World as Words

    embedded = await open_embedded(tmp_path)
    try:
        async with open_store(
            embedded.dsn, limits_of=nothing_follows, connect_timeout=SLOW, command_timeout=SLOW
        ) as store:
            world = Words(store)
            await world.users("1001")
            await store.changes.start()
            receiver.script = ["stall"]
            patient = OutboxTimes(poll_s=0.05, retry_s=0.05, http=HttpTimes(30, 30))
            async with sending(store, webhook(receiver), times=patient):
                await world.prove("1001", A)
                await receiver.wait(lambda: len(receiver.got) == 1)
                pid = embedded.pid
                assert pid is not None
                os.kill(pid, signal.SIGQUIT)

                async def gone() -> bool:
                    return embedded.pid is None

                await until(gone)
                receiver.release()  # it answers 204 now

                async def waits() -> bool:
                    return "outbox.waits" in told(lines, "outbox.")

                await until(waits)
                again = await open_embedded(tmp_path)
                try:
                    await all_delivered(world, 2)
                finally:
                    await again.close()
            assert [one.what[1] for one in receiver.got] == ["attempt.ended", "binding.verified"]
            assert told(lines, "outbox.")[:2] == ["outbox.waits", "outbox.goes_on"]
    finally:
        await embedded.close()


async def test_a_line_that_is_cut_at_every_step(store: Store, world: World, receiver: WebhookReceiver) -> None:
    await world.users(*(f"u{n}" for n in range(10)))
    port = int(re.findall(r":(\d+)/", receiver.url)[0])
    async with TcpProxy("127.0.0.1", port) as proxy:
        through = webhook(receiver, url=receiver.url.replace(str(port), str(proxy.port)))
        async with sending(store, through):
            for at in range(10):
                await world.prove(f"u{at}", f"+1555123{at:04}")
                proxy.cut()
                if at == 4:
                    proxy.stall()
                if at == 7:
                    proxy.cut()
                    proxy.flow()
            await all_delivered(world, 20)
    firsts: dict[str, list[str]] = {}
    for one in receiver.got:
        order = firsts.setdefault(one.body["user_id"], [])
        if one.body["event"] not in order:
            order.append(one.body["event"])
    assert all(order == ["attempt.ended", "binding.verified"] for order in firsts.values())


async def test_after_a_long_outage_nothing_waits_for_its_pause(
    store: Store, world: World, receiver: WebhookReceiver, lines: list[Any]
) -> None:
    await world.users("1001", "1002")
    receiver.script = ["500", "500"]
    times = OutboxTimes(poll_s=0.02, hasten_s=0.0, delivery=Backoff(3600, 3600, 1), receiver=Backoff(0.02, 0.02, 1))
    async with sending(store, webhook(receiver), times=times):
        await world.prove("1001", A)
        await receiver.wait(lambda: len(receiver.got) == 1)
        await world.prove("1002", B)
        await receiver.wait(lambda: len(receiver.got) == 2)
        await world.users("1003")
        await world.prove("1003", C)
        await all_delivered(world, 6)
    assert told(lines) == ["webhook.failing", "webhook.recovered"]


async def test_nobody_listens_there(store: Store, world: World, lines: list[Any]) -> None:
    async with WebhookReceiver() as receiver:
        hook = webhook(receiver)
    await world.users("1001")
    async with sending(store, hook, msgspec.structs.replace(hook, name="nowhere", url="http://nowhere.invalid/")):
        await world.prove("1001", A)

        async def tried() -> bool:
            rows = await world.sql("SELECT DISTINCT detail FROM binding_ivr.deliveries WHERE tries > 1")
            return {row["detail"] for row in rows} == {"connection refused", "its name cannot be resolved"}

        await until(tried)
    assert sorted(told(lines)) == ["webhook.failing", "webhook.failing"]


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    process = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    async with WebhookReceiver(tls=tls) as receiver, WebhookClient(time.time) as client:
        reply = await client.post(receiver.url, SECRET, event="x", delivery="1", body=b"{}")
        assert (reply.result, reply.detail) == (Result.UNREACHABLE, "its TLS certificate was not accepted")
        plain = receiver.url.replace("https", "http")
        reply = await client.post(plain, SECRET, event="x", delivery="1", body=b"{}")
        assert reply.result is Result.UNREACHABLE
        assert receiver.got == []


async def test_an_endless_reply_is_not_read(receiver: WebhookReceiver) -> None:
    receiver.usual = "200 long"
    async with WebhookClient(time.time, HttpTimes(1, 5)) as client:
        began = time.monotonic()
        body = b'{"user_id": "1", "event": "x"}'
        reply = await client.post(receiver.url, SECRET, event="x", delivery="1", body=body)
        assert reply.result is Result.DELIVERED
        assert time.monotonic() - began < 2


async def test_old_events_and_dead_letters_are_forgotten(store: Store, world: World, receiver: WebhookReceiver) -> None:
    await world.users("1001", "1002", "1003")
    async with sending(store, webhook(receiver)):
        await world.prove("1001", A)
        await all_delivered(world, 2)
        receiver.usual = "410"
        await world.prove("1002", B)

        async def dead() -> bool:
            return (await states(world)).get("dead") == 2

        await until(dead)
    await world.prove("1003", C)  # not routed: it stays as long as there is a receiver
    day = 86_400
    assert await store.outbox.tidy(["one"], 7 * day, 30 * day) == 0
    await world.sql("UPDATE binding_ivr.outbox SET created_at = created_at - interval '8 days'")
    await world.sql("UPDATE binding_ivr.deliveries SET ended_at = ended_at - interval '8 days'")
    assert await store.outbox.tidy(["one"], 7 * day, 30 * day) == 2
    assert await states(world) == {"dead": 2}
    await world.sql("UPDATE binding_ivr.deliveries SET ended_at = ended_at - interval '30 days'")
    assert await store.outbox.tidy(["one"], 7 * day, 30 * day) == 2
    assert len(await world.sql("SELECT 1 FROM binding_ivr.outbox")) == 2
    await world.sql("UPDATE binding_ivr.receivers SET seen_at = seen_at - interval '8 days'")
    assert await store.outbox.tidy([], 7 * day, 30 * day) == 2


async def test_what_waits_for_a_receiver_that_was_taken_out(
    store: Store, world: World, receiver: WebhookReceiver
) -> None:
    receiver.usual = "500"
    await world.users("1001")
    async with sending(store, webhook(receiver, "old")):
        await world.prove("1001", A)
        await receiver.wait(lambda: len(receiver.got) == 1)
    async with sending(store, webhook(receiver, "new")):
        pass
    for statement in (
        "UPDATE binding_ivr.deliveries SET give_up_at = clock_timestamp()",
        "UPDATE binding_ivr.receivers SET seen_at = seen_at - interval '2 days' WHERE receiver = 'old'",
    ):
        assert await states(world) == {"pending": 2}
        await world.sql(statement)
        await store.outbox.tidy(["new"], 7 * 86_400, 30 * 86_400)
    assert await states(world) == {"dead": 2}


async def test_without_webhooks_nothing_is_sent_and_old_events_go(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await world.sql("UPDATE binding_ivr.outbox SET created_at = created_at - interval '8 days'")
    async with sending(store):

        async def empty() -> bool:
            return await world.sql("SELECT 1 FROM binding_ivr.outbox") == []

        await until(empty)


async def test_the_claim_of_one_among_many_is_quick(store: Store, world: World) -> None:
    """100,000 wait for a receiver, most of them behind another one of the same user."""
    await world.sql("INSERT INTO binding_ivr.receivers (receiver) VALUES ('one')")
    await world.sql(
        "INSERT INTO binding_ivr.outbox (name, account, user_id, payload)"
        " SELECT 'attempt.ended', 'default', 'u' || n % 1000, '{}' FROM generate_series(1, 100000) n"
    )
    await world.sql(
        "INSERT INTO binding_ivr.deliveries (event_id, receiver, account, user_id, sequence, give_up_at, next_try)"
        " SELECT event_id, 'one', account, user_id, sequence, now() + interval '1 day',"
        "   CASE WHEN sequence <= 1000 THEN now() + interval '1 hour' ELSE now() END FROM binding_ivr.outbox"
    )
    await world.sql("ANALYZE binding_ivr.deliveries")
    began = time.monotonic()
    assert await store.outbox.claim("a", "one", 8, 60) == []  # the worst case: all are looked over, none is due
    worst = time.monotonic() - began
    await store.outbox.hasten("one")
    began = time.monotonic()
    claimed = await store.outbox.claim("a", "one", 8, 60)
    print(f"\nnone of 100,000 due: {worst:.3f} s; the first 8: {time.monotonic() - began:.3f} s")
    assert len(claimed) == 8
    assert worst < 5


async def test_the_end_of_a_call_alone(store: Store, world: World, receiver: WebhookReceiver) -> None:
    await world.users("1001")
    async with sending(store, webhook(receiver)):
        attempt_id = await world.dial("1001", A)
        await world.finish(attempt_id, Outcome.BUSY)
        await all_delivered(world, 1)
    assert receiver.got[0].body["facts"]["attempt_id"] == str(attempt_id)
