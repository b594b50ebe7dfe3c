"""Webhooks and UserEvents of a real call: in order, through crashes and stalls, and at an operator's wish."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from binding_ivr.lab import Lab
from binding_ivr.model.outcome import Outcome
from tests.e2e.installation import GENEROUS, TESTER, Installation, installed
from tests.integration.webhook_receiver import SECRET, WebhookReceiver
from tests.patience import SLOW


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    """A lab of this module's own: one AstDB has one mirror."""
    async with Lab() as running:
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver() as it:
        yield it
        assert it.forged == 0


@pytest.fixture
async def one(lab: Lab, receiver: WebhookReceiver, tmp_path: Path) -> AsyncIterator[Installation]:
    await lab.pbx.rx("database deltree binding")
    sections: dict[str, Any] = {"webhooks": [{"name": "portal", "url": receiver.url, "secret": SECRET}]}
    async with installed(lab, tmp_path, node="hooks", app="hooks", sections=sections, answers_lookups=True) as made:
        yield made


@asynccontextmanager
async def listening(lab: Lab) -> AsyncIterator[asyncio.StreamReader]:
    """A program on AMI that hears UserEvents, on nothing but a socket."""
    reader, writer = await asyncio.open_connection(lab.plan.pbx, lab.plan.ami_port)
    try:
        login = f"Action: Login\r\nUsername: lab\r\nSecret: {lab.plan.lab_secret}\r\nEvents: user\r\n\r\n"
        writer.write(login.encode())
        assert b"Success" in await reader.readuntil(b"\r\n\r\n")
        yield reader
    finally:
        writer.close()


async def heard(reader: asyncio.StreamReader) -> dict[str, str]:
    """The next UserEvent of ours."""
    async with asyncio.timeout(30 * SLOW):
        while True:
            block = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.partition(": ")[::2] for line in block.splitlines() if line)
            if fields.get("UserEvent", "").startswith("Binding"):
                return fields


async def test_a_call_is_told(one: Installation, receiver: WebhookReceiver) -> None:
    await one.serve()
    user, number = await one.new_user(), one.lab.number("right", 140)
    async with listening(one.lab) as ami:
        shown = await one.bind(user, number)
        attempt = await one.ended(shown)
        ended_at = time.monotonic()
        assert attempt.outcome is Outcome.VERIFIED
        await receiver.wait(lambda: len(receiver.got) == 2)
        print(f"\nend of the call to the second message: {time.monotonic() - ended_at:.3f} s")
        first, second = await heard(ami), await heard(ami)
    assert [message.what for message in receiver.got] == [(user, "attempt.ended"), (user, "binding.verified")]
    facts = receiver.got[0].body["facts"]
    assert (facts["attempt_id"], facts["outcome"], facts["node"]) == (str(attempt.attempt_id), "verified", "hooks")
    assert receiver.got[1].body["facts"]["number"] == number
    assert shown.code is not None
    assert all(f'"{shown.code}"' not in str(message.body).replace("'", '"') for message in receiver.got)
    assert (first["UserEvent"], first["Attempt"], first["Outcome"]) == (
        "BindingAttemptEnded",
        str(attempt.attempt_id),
        "verified",
    )
    assert (second["UserEvent"], second["Account"], second["User"], second["Extension"]) == (
        "BindingVerified",
        "default",
        user,
        user,
    )
    assert second["Event-ID"] == receiver.got[1].body["id"]

    busy = one.lab.number("busy", 20)
    attempt = await one.ended(await one.bind(await one.new_user(), busy))
    await receiver.wait(lambda: len(receiver.got) == 3)
    assert receiver.got[2].body["facts"]["outcome"] == attempt.outcome == Outcome.BUSY
    text = await asyncio.to_thread(one.log.read_text)
    for secret in (SECRET, "never-log-me", number, busy):
        assert secret not in text


async def test_killed_in_the_middle_of_a_delivery(one: Installation, receiver: WebhookReceiver) -> None:
    receiver.script = ["stall"]
    await one.serve()
    user = await one.new_user()
    await one.ended(await one.bind(user, one.lab.number("right", 142)))
    await receiver.wait(lambda: len(receiver.got) == 1)
    await one.kill()
    receiver.release()
    await one.serve()
    await receiver.wait(lambda: len(receiver.got) == 3)
    assert [message.what[1] for message in receiver.got] == ["attempt.ended", "attempt.ended", "binding.verified"]
    assert receiver.got[0].body == receiver.got[1].body


async def test_stopping_with_a_receiver_that_stalls_is_quick(one: Installation, receiver: WebhookReceiver) -> None:
    receiver.usual = "stall"
    process = await one.serve()
    await one.ended(await one.bind(await one.new_user(), one.lab.number("right", 143)))
    await receiver.wait(lambda: len(receiver.got) == 1)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10 * SLOW):
        await process.wait()
    print(f"\nstopped after {time.monotonic() - began:.2f} s")
    assert process.returncode == 0
    receiver.release()
    receiver.usual = "204"
    waiting = await one.json_command("outbox", "list")
    assert [(row["receiver"], row["event"], row["state"]) for row in waiting] == [
        ("portal", "attempt.ended", "pending"),
        ("portal", "binding.verified", "pending"),
    ]


async def test_the_operators_commands(one: Installation, receiver: WebhookReceiver) -> None:
    receiver.usual = "410"
    await one.serve()
    await one.ended(await one.bind(await one.new_user(), one.lab.number("right", 144)))
    await one.logged('"webhook.dead"')

    async def dead() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await one.json_command("outbox", "list", "--dead")
        return rows

    async with asyncio.timeout(30 * SLOW):
        while len(await dead()) < 2:
            await asyncio.sleep(0.05)
    first, second = await dead()
    assert (first["event"], first["detail"], first["tries"]) == ("attempt.ended", "HTTP 410", 1)
    status, out, _ = await one.command("outbox", "list", "--dead")
    assert (status, out.splitlines()[0].split()[:3]) == (0, ["id", "receiver", "event"])
    assert await one.json_command("outbox", "drop", first["id"]) == {"dropped": 1}
    status, _, told = await one.command("outbox", "drop", first["id"])
    assert (status, told.count("\n")) == (1, 1)
    assert (await one.command("outbox", "retry"))[0] == 2
    receiver.usual = "200"
    assert await one.json_command("outbox", "retry", second["id"]) == {"retried": 1}
    await receiver.wait(lambda: len(receiver.taken) == 1)
    assert receiver.taken[0].delivery == second["id"]
    assert await one.json_command("outbox", "retry", "--all") == {"retried": 0}


async def test_calls_that_prove_nothing_pause_the_account_until_an_administrator_or_a_proof(
    lab: Lab, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await lab.pbx.rx("database deltree binding")
    sections: dict[str, Any] = {
        "webhooks": [{"name": "portal", "url": receiver.url, "secret": SECRET, "events": ["account.paused"]}],
        "limits": {**GENEROUS, "breaker_calls": 2},
    }
    async with (
        installed(lab, tmp_path, node="hooks", app="hooks", sections=sections, answers_lookups=True) as one,
        listening(lab) as ami,
    ):
        await one.serve()
        for at in (21, 22):
            attempt = await one.ended(await one.bind(await one.new_user(), one.lab.number("hangup_at", at)))
            assert attempt.outcome is Outcome.HUNG_UP
        await receiver.wait(lambda: len(receiver.got) == 1)
        assert receiver.got[0].what == ("", "account.paused")
        facts = receiver.got[0].body["facts"]
        assert (facts["answered"], facts["proven"]) == (2, 0)
        while (told := await heard(ami))["UserEvent"] != "BindingAccountPaused":
            pass
        assert told["Account"] == "default"
        await one.logged("calls.paused")
        user, number = await one.new_user(), one.lab.number("right", 145)
        refused = await one.command("bind", user, number)
        assert (refused[0], "(limit account_breaker); try again in 60 min" in refused[2]) == (1, True)
        await one.opened.store.clock.advance(3601, TESTER)
        assert (await one.ended(await one.bind(user, number))).outcome is Outcome.VERIFIED
        assert (await one.json_command("limits", "show"))["paused"] == []
        while (await heard(ami))["UserEvent"] != "BindingAccountResumed":
            pass
        assert await one.command("limits", "resume", "--reason", "a drill") == (
            1,
            "",
            "binding-ivr: calls of account default are not paused\n",
        )
