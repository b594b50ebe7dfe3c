"""Notices by e-mail with real PostgreSQL and a real mail server: who is told what, and what a failing server does."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import structlog.testing

from binding_ivr.config import Config, Mail, Notices, Web
from binding_ivr.delivery.notices import Readers, mail_channels
from binding_ivr.delivery.outbox import Outbox
from binding_ivr.delivery.wire.reply import Result
from binding_ivr.delivery.wire.smtp import SmtpClient
from binding_ivr.metrics import Metrics
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.moves import Move, MoveKind, MoveOutcome, MoveProof
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import SuspendReason, User
from binding_ivr.store import Store
from tests.integration.mail_server import PASSWORD, USER, MailServer, certificate
from tests.integration.test_webhook import QUICK, states, until

if TYPE_CHECKING:
    from tests.integration.conftest import World

A, B, C = "+15551230001", "+15551230002", "+15551230077"
SENDER = "Example <numbers@pbx.example>"
NOBODY = 9  # the port "discard", which nothing listens on here


def mail(mta: MailServer, **changes: Any) -> Mail:
    return Mail(**{"host": "localhost", "port": mta.port, "tls": "none", "sender": SENDER, "timeout_s": 5, **changes})


def configured(mta: MailServer, notices: Notices | None = None, **changes: Any) -> Config:
    return msgspec.structs.replace(
        Config(),
        service=msgspec.structs.replace(Config().service, node="node1"),
        web=Web(public_url="https://pbx.example/binding"),
        mail=mail(mta, **changes),
        notices=notices or Notices(),
    )


@asynccontextmanager
async def telling(store: Store, config: Config, metrics: Metrics | None = None) -> AsyncIterator[Outbox]:
    """A running outbox with the channels by e-mail."""
    metrics = metrics or Metrics()
    channels = mail_channels(config, Readers(config, store), metrics)
    outbox = Outbox(config, store.outbox, store.changes, metrics=metrics, channels=channels, times=QUICK)
    await outbox.start()
    try:
        yield outbox
    finally:
        began = time.monotonic()
        await outbox.stop()
        assert time.monotonic() - began < 2


@pytest.fixture
async def mta() -> AsyncIterator[MailServer]:
    async with MailServer() as it:
        yield it


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """All that is logged; no line may hold a number, an address or a password."""
    with structlog.testing.capture_logs() as captured:
        yield captured
    text = repr(captured)
    assert PASSWORD not in text
    assert not re.search(r"\+1555123|@users\.example", text)


async def person(store: Store, name: str, language: str = "en", mailbox: str | None = None) -> None:
    box = f"{name}@users.example" if mailbox is None else mailbox
    await store.directory.add_user(User("default", name, (name,), language, box))


async def settled(world: World) -> None:
    """Wait until every event is routed and no delivery waits."""

    async def done() -> bool:
        waiting = await world.sql(
            "SELECT (SELECT count(*) FROM binding_ivr.outbox WHERE routed_at IS NULL)"
            " + (SELECT count(*) FROM binding_ivr.deliveries WHERE state = 'pending') AS n"
        )
        return int(waiting[0]["n"]) == 0

    await until(done)


def told(mta: MailServer) -> list[tuple[str, str]]:
    return [(one.to[0].partition("@")[0], str(one.message["Subject"])) for one in mta.got]


async def test_the_story_of_a_number(store: Store, world: World, mta: MailServer) -> None:
    """Everything that can happen to two users' numbers; each is told in the own language, and of nothing else."""
    await person(store, "anna", "de_AT")
    await person(store, "ben", "en")
    await person(store, "carla", "en", mailbox="")
    async with telling(store, configured(mta)):
        await world.prove("anna", A)
        await settled(world)
        await world.prove("ben", B)
        await world.prove("ben", C, replace="when_verified")
        await settled(world)
        await world.prove("ben", A)  # takes anna's number over; ben's own is given up first
        await settled(world)
        await store.bindings.suspend("default", "ben", SuspendReason.ADMIN, Actor(ActorKind.CLI, "root", Source.CLI))
        await settled(world)
        await store.bindings.remove("default", "ben", Actor(ActorKind.CLI, "root", Source.CLI))
        await settled(world)
        await world.prove("carla", B)
        await settled(world)
    assert [pair for pair in told(mta) if pair[0] == "anna"] == [
        ("anna", "Ihre Nummer mit den Endziffern 01 ist bestätigt"),
        ("anna", "Ihrer Nummer mit den Endziffern 01 wird nicht mehr vertraut"),
    ]
    assert [pair for pair in told(mta) if pair[0] != "anna"] == [
        ("ben", "Your number ending in 02 is verified"),
        ("ben", "Your trusted number was changed"),
        ("ben", "Your number ending in 77 is no longer trusted"),
        ("ben", "Your number ending in 01 is verified"),
        ("ben", "Your number ending in 01 is suspended"),
        ("ben", "Your number ending in 01 was removed"),
    ]
    replaced = mta.got[2].part("plain")
    assert "ending in 77" in replaced
    assert "It replaces the number ending in 02" in replaced
    ended, removed = (one.part("plain") for one in mta.got if str(one.message["Subject"]) in (
        "Your number ending in 77 is no longer trusted", "Your number ending in 01 was removed"))  # fmt: skip
    assert "For 24 h after the change, your page lets you go back" in ended
    assert "after the change" not in removed  # it was suspended: there is no trust to go back to
    for one in mta.got:
        assert not re.search(r"5551230|\d{6}", one.part("plain") + one.part("html"))


async def test_a_pull_is_told_where_it_is_wanted(store: Store, world: World, mta: MailServer) -> None:
    """Only a call that was taken over by a call to the access number; an account may leave it out."""
    await store.directory.add_account("quiet")
    await store.directory.set_settings("quiet", {"notices": {"mail": ["verified"]}})
    await person(store, "anna", "de_AT")
    await store.directory.add_user(User("quiet", "ben", ("ben",), "en", "ben@users.example"))
    now = await _now(world)
    async with telling(store, configured(mta, Notices(mail=("pulled",)))):
        await world.prove("anna", A)
        for place, (account, extension, kind, outcome) in enumerate(
            [
                ("default", "anna", MoveKind.PULL, MoveOutcome.MOVED),
                ("default", "anna", MoveKind.PULL, MoveOutcome.WRONG_PIN),
                ("default", "anna", MoveKind.TO_CELL, MoveOutcome.MOVED),
                ("default", "nobody", MoveKind.PULL, MoveOutcome.MOVED),
                ("quiet", "ben", MoveKind.PULL, MoveOutcome.MOVED),
            ]
        ):
            move = Move(f"{place}-1", kind, outcome, MoveProof.PIN, account, extension, now, now, "", "")
            assert await store.moves.keep(move, "n1", 100) == "kept"
        await settled(world)
    assert told(mta) == [("anna", "Ein Gespräch der Nebenstelle anna wurde auf Ihr Mobiltelefon geholt")]
    assert "Endziffern 01" in mta.got[0].part("plain")


async def _now(world: World) -> datetime:
    now: datetime = (await world.sql("SELECT now() AS now"))[0]["now"]
    return now


async def test_what_a_message_is_made_of(store: Store, world: World, mta: MailServer) -> None:
    await person(store, "anna")
    async with telling(store, configured(mta)):
        await world.prove("anna", A)
        await settled(world)
    (one,) = mta.got
    rows = await world.sql("SELECT event_id, created_at FROM binding_ivr.outbox WHERE name = 'binding.verified'")
    message = one.message
    assert message["Message-ID"] == f"<{rows[0]['event_id']}@pbx.example>"
    assert message["Date"].datetime == rows[0]["created_at"].replace(microsecond=0)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["From"] == SENDER
    assert message["To"] == "anna@users.example"
    assert message["Content-Language"] == "en"
    assert (one.sender, one.to) == ("numbers@pbx.example", ["anna@users.example"])
    assert message.get_content_type() == "multipart/alternative"
    assert "https://pbx.example/binding" in one.part("plain")
    assert '<a href="https://pbx.example/binding">' in one.part("html")
    assert b"\r\n" in one.raw
    assert one.raw.isascii()


async def test_names_cannot_add_a_header(store: Store, world: World, mta: MailServer) -> None:
    evil = 'x"><script>alert(1)<b>\u202e'
    await store.directory.add_user(User("default", evil, (), "en", "evil@users.example"))
    await world.sql("UPDATE binding_ivr.accounts SET settings = $1::jsonb", msgspec.json.encode(
        {"notices": {"site_name": "Bad\r\nBcc: all@users.example\r\n\r\n<b>"}}).decode())  # fmt: skip
    async with telling(store, configured(mta)):
        await world.prove(evil, A)
        await settled(world)
    (one,) = mta.got
    assert one.to == ["evil@users.example"]
    assert one.message["Bcc"] is None
    assert one.message.defects == []
    assert "<script>" not in one.part("html")
    assert "&lt;script&gt;" in one.part("html")
    assert "\u202e" not in one.part("plain")
    assert "Bad Bcc: all@users.example <b>" in one.part("plain")


@pytest.mark.parametrize(
    "mailbox",
    [
        "no-at.example",
        "a b@users.example",
        "<x@y.example>",
        "a@b.example, c@d.example",
        "x@y.example>\u2028",
        "ä@b.example",
    ],
)
async def test_an_address_that_is_none_is_a_dead_letter(
    store: Store, world: World, mta: MailServer, mailbox: str
) -> None:
    await person(store, "anna", mailbox=mailbox.replace("\u2028", ""))
    async with telling(store, configured(mta)):
        await world.prove("anna", A)
        await settled(world)
    assert mta.tries == 0
    (dead,) = await store.outbox.deliveries("dead", 10)
    assert (dead.receiver, dead.name, dead.detail) == (
        "mail",
        "binding.verified",
        "the user's e-mail address is not an e-mail address",
    )


async def test_a_report_is_told_once_to_the_user_and_to_the_operator(
    store: Store, world: World, mta: MailServer
) -> None:
    await person(store, "anna")
    await person(store, "ben")
    config = configured(mta, Notices(admin=("ops@pbx.example", "night@pbx.example"), language="fr"))
    async with telling(store, config):
        await world.finish(await world.answer("anna", A), Outcome.REPORTED)
        await settled(world)
        await world.prove("ben", B)
        await world.finish(await world.answer("ben", C, replace="when_verified"), Outcome.REPORTED)
        await settled(world)
    users = sorted(pair for pair in told(mta) if pair[0] in ("anna", "ben"))
    assert users == [
        ("anna", "Your number ending in 01 is suspended"),
        ("ben", "Our call to the number ending in 77 was not wanted"),
        ("ben", "Your number ending in 02 is verified"),
    ]
    operator = [one for one in mta.got if one.to == ["ops@pbx.example", "night@pbx.example"]]
    assert [str(one.message["Subject"]) for one in operator] == [
        "Appel non souhaité signalé (utilisateur anna)",
        "Appel non souhaité signalé (utilisateur ben)",
    ]
    assert "binding-ivr attempts --account default --user anna" in operator[0].part("plain")


async def test_pauses_are_told_to_the_operator(store: Store, world: World, mta: MailServer) -> None:
    await world.sql("ALTER TABLE binding_ivr.outbox DROP CONSTRAINT outbox_name_check")
    async with telling(store, configured(mta, Notices(admin=("ops@pbx.example",)))):
        for name, account in (("account.paused", "default"), ("system.paused", "")):
            await world.sql(
                "INSERT INTO binding_ivr.outbox (name, account, user_id, payload) VALUES ($1, $2, '', '{}')",
                name,
                account,
            )
            await settled(world)
    assert told(mta) == [
        ("ops", "Validation calls of account default are paused"),
        ("ops", "All validation calls are paused"),
    ]


async def test_a_stale_proof_is_told_with_its_day(store: Store, world: World, mta: MailServer) -> None:
    await person(store, "anna", "es")
    async with telling(store, configured(mta)):
        await world.prove("anna", A)
        await world.sql("UPDATE binding_ivr.bindings SET stale_at = now(), suspend_at = '2027-03-05 12:00+00'")
        await settled(world)
    assert told(mta)[-1] == ("anna", "Verifique de nuevo su número terminado en 01")
    assert "antes del 5 de marzo de 2027" in mta.got[-1].part("plain")


async def test_wishes_of_accounts(store: Store, world: World, mta: MailServer) -> None:
    for account, wishes in (("quiet", []), ("some", ["removed"])):
        await store.directory.add_account(account, {"notices": {"mail": wishes, "site_name": account.title()}})
        await store.directory.add_user(User(account, "u", ("1",), "xx", f"{account}@users.example"))
    metrics = Metrics()
    async with telling(store, configured(mta, Notices(language="de")), metrics):
        await world.prove("u", A, account="quiet")
        await world.prove("u", B, account="some")
        await store.bindings.remove("some", "u", Actor(ActorKind.CLI, "root", Source.CLI))
        await settled(world)
    assert told(mta) == [("some", "Ihre Nummer mit den Endziffern 02 wurde entfernt")]
    assert "Some sendet diese Nachricht" in mta.got[0].part("plain")
    assert metrics.registry.get_sample_value(
        "binding_ivr_notices_total", {"channel": "mail", "result": "delivered"}
    ) == 1  # fmt: skip
    assert (await states(world)) == {"delivered": 7}


async def test_who_is_gone_is_told_nothing(store: Store, world: World, mta: MailServer) -> None:
    await person(store, "anna")
    await world.prove("anna", A)
    mta.usual = "451 later"
    async with telling(store, configured(mta)):
        await world.sql("UPDATE binding_ivr.bindings SET since = now() + interval '1 second' WHERE user_id = 'anna'")
        await mta.wait(lambda: mta.tries >= 1)
        await store.directory.remove_user("default", "anna", Actor(ActorKind.CLI, "root", Source.CLI))
        await settled(world)
    assert mta.got == []


# --- servers that fail


async def test_refused_for_now_then_taken(store: Store, world: World, mta: MailServer) -> None:
    await person(store, "anna")
    mta.script = ["451 4.3.0 try later", "452 4.2.2 full"]
    async with telling(store, configured(mta)):
        await world.prove("anna", A)
        await settled(world)
    assert (mta.tries, len(mta.got)) == (3, 1)


async def test_one_full_mailbox_keeps_nobody_else_waiting(
    store: Store, world: World, mta: MailServer, lines: list[Any]
) -> None:
    await person(store, "anna")
    await person(store, "ben")
    mta.refused["anna@users.example"] = "452 4.2.2 anna@users.example is full"
    async with telling(store, configured(mta)):
        await world.prove("anna", A)
        await mta.wait(lambda: mta.tries >= 2)
        await world.prove("ben", B)
        await mta.wait(lambda: len(mta.got) == 1)
        (waiting,) = [
            row
            for row in await store.outbox.deliveries("pending", 10)
            if row.user_id == "anna" and row.name == "binding.verified"
        ]
        assert waiting.detail == "SMTP 452 for this address"
        del mta.refused["anna@users.example"]
        await settled(world)
    assert sorted(name for name, _ in told(mta)) == ["anna", "ben"]
    assert not any(line["event"].startswith("notice.") for line in lines)


async def test_refused_for_good_is_a_dead_letter(store: Store, world: World, mta: MailServer, lines: list[Any]) -> None:
    await person(store, "anna")
    mta.refused["anna@users.example"] = "550 5.1.1 no such user anna@users.example"
    async with telling(store, configured(mta)):
        await world.prove("anna", A)
        await settled(world)
        (dead,) = await store.outbox.deliveries("dead", 10)
        assert (dead.detail, dead.tries) == ("SMTP 550 for this address", 1)
        mta.refused.clear()
        await store.outbox.retry(dead.delivery_id, 60)
        await mta.wait(lambda: len(mta.got) == 1)
    assert [line["event"] for line in lines if line["event"].startswith("notice.")] == ["notice.dead"]


async def test_a_server_that_is_away(store: Store, world: World, mta: MailServer, lines: list[Any]) -> None:
    """What waits is kept, told once in the log, and sent over one connection when the server is back."""
    names = [f"user{at}" for at in range(6)]
    for name in names:
        await person(store, name)
    mta.choose = lambda raw: "cut" if mta.tries < 3 else None
    async with telling(store, configured(mta)):
        for at, name in enumerate(names):
            await world.prove(name, f"+1555123010{at}")
        await settled(world)
    assert sorted(name for name, _ in told(mta)) == names
    events = [line["event"] for line in lines if line["event"].startswith("notice.")]
    assert events == ["notice.failing", "notice.recovered"]
    assert next(line for line in lines if line["event"] == "notice.failing")["detail"] == "the connection was cut"


async def test_a_stalled_server_is_left(store: Store, world: World, mta: MailServer) -> None:
    await person(store, "anna")
    mta.script = ["stall"]
    async with telling(store, configured(mta, timeout_s=1)):
        await world.prove("anna", A)
        await settled(world)
    assert len(mta.got) == 1


async def test_killed_in_the_middle_sends_the_same_again(store: Store, world: World, mta: MailServer) -> None:
    await person(store, "anna")
    caught: list[bytes] = []

    def choose(raw: bytes) -> str | None:
        caught.append(raw)
        return "stall" if len(caught) == 1 else None

    mta.choose = choose
    async with telling(store, configured(mta, timeout_s=60)):
        await world.prove("anna", A)
        await mta.wait(lambda: mta.tries == 1)
    async with telling(store, configured(mta)):
        await settled(world)
    assert len(caught) == 2
    assert caught[0] == caught[1]


async def test_many_go_over_few_connections(store: Store, world: World, mta: MailServer) -> None:
    names = [f"user{at}" for at in range(12)]
    for at, name in enumerate(names):
        await person(store, name)
        await world.prove(name, f"+15551230{at:03d}")
    await world.sql("DELETE FROM binding_ivr.outbox")
    await store.outbox.note_receivers(["mail", "mail-admin"])
    for name in names:
        await store.bindings.suspend("default", name, SuspendReason.ADMIN, Actor(ActorKind.CLI, "root", Source.CLI))
    async with telling(store, configured(mta)):
        await settled(world)
    assert len(mta.got) == 12
    assert mta.connections <= 6


# --- the client alone


async def sent(config: Mail, to: str = "anna@users.example") -> tuple[Result, str]:
    client = SmtpClient(config)
    try:
        reply = await client.send("numbers@pbx.example", [to], b"Subject: x\r\n\r\n.hello\r\n")
    finally:
        await client.close()
    return reply.result, reply.detail


async def test_starttls_and_login(tmp_path: Path) -> None:
    tls, authority = certificate(tmp_path)
    async with MailServer(tls=tls, login=True) as mta:
        good = mail(mta, tls="starttls", user=USER, password=PASSWORD, ca_file=authority, hello="pbx.example")
        assert await sent(good) == (Result.DELIVERED, "")
        assert (mta.got[0].tls, mta.got[0].login, mta.got[0].hello) == (True, USER.encode(), "pbx.example")
        assert mta.got[0].raw.endswith(b".hello\r\n")
        wrong = msgspec.structs.replace(good, password="wrong")
        assert await sent(wrong) == (
            Result.UNAVAILABLE,
            "the mail server refuses the login: check [mail] user and password (SMTP 535)",
        )
        unknown = msgspec.structs.replace(good, ca_file="")
        assert await sent(unknown) == (Result.UNREACHABLE, "its TLS certificate was not accepted")
        nothing = msgspec.structs.replace(good, ca_file=str(tmp_path / "nothing.pem"))
        assert await sent(nothing) == (
            Result.UNAVAILABLE,
            f"mail.ca_file: {tmp_path}/nothing.pem cannot be read, or holds no certificate",
        )
        result, detail = await sent(msgspec.structs.replace(good, tls="none", user="", password=""))
        assert (result, detail) == (
            Result.UNAVAILABLE,
            "the mail server refuses the sender: check [mail] sender (SMTP 530)",
        )
        assert len(mta.got) == 1


async def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    tls, authority = certificate(tmp_path)
    async with MailServer(tls=tls, implicit=True, login=True) as mta:
        good = mail(mta, tls="tls", user=USER, password=PASSWORD, ca_file=authority)
        assert await sent(good) == (Result.DELIVERED, "")
        assert mta.got[0].tls
        result, _ = await sent(mail(mta, tls="starttls", timeout_s=1))
        assert result is Result.UNREACHABLE
    async with MailServer() as plain:
        assert await sent(mail(plain, tls="tls", timeout_s=2)) == (
            Result.UNREACHABLE,
            "no TLS connection; is [mail] tls right for this port?",
        )
        assert await sent(mail(plain, tls="starttls")) == (
            Result.UNAVAILABLE,
            "the mail server offers no STARTTLS: check [mail] tls",
        )
        assert await sent(mail(plain, user=USER, password=PASSWORD)) == (
            Result.UNAVAILABLE,
            "the mail server offers no login that we support: check [mail] tls and user",
        )


async def test_every_way_to_fail(mta: MailServer) -> None:
    assert await sent(mail(mta, port=NOBODY)) == (Result.UNREACHABLE, "connection refused")
    assert await sent(mail(mta, host="nobody.invalid")) == (Result.UNREACHABLE, "its name cannot be resolved")
    for answer, expected in (
        ("554 5.7.1 spam", (Result.GONE, "SMTP 554 for this message")),
        ("451 later", (Result.DEFERRED, "SMTP 451 for this message")),
        ("421 closing", (Result.UNAVAILABLE, "SMTP 421")),
        ("cut", (Result.UNREACHABLE, "the connection was cut")),
        ("stall", (Result.UNREACHABLE, "no reply in time")),
    ):
        mta.script = [answer]
        assert await sent(mail(mta, timeout_s=1)) == expected, answer
    mta.release()
    mta.senders = "550 5.7.1 not you"
    assert await sent(mail(mta)) == (
        Result.UNAVAILABLE,
        "the mail server refuses the sender: check [mail] sender (SMTP 550)",
    )
    mta.senders = ""
    for refusal, outcome in (("550 no", (Result.GONE, "SMTP 550 for this address")), ("450 greylisted", (
        Result.DEFERRED, "SMTP 450 for this address"))):  # fmt: skip
        mta.refused["anna@users.example"] = refusal
        assert await sent(mail(mta)) == outcome
    assert await sent(mail(mta), to="anna smith@users.example") == (Result.GONE, "not an e-mail address")


async def test_some_of_several_addresses(mta: MailServer) -> None:
    mta.refused["b@pbx.example"] = "550 no"
    client = SmtpClient(mail(mta))
    reply = await client.send("numbers@pbx.example", ["a@pbx.example", "b@pbx.example"], b"Subject: x\r\n\r\nx\r\n")
    assert (reply.result, reply.detail) == (Result.DELIVERED, "refused for 1 of 2 addresses")
    assert mta.got[0].to == ["a@pbx.example"]


async def test_those_who_wait_for_a_dead_server_need_not_find_out_themselves(mta: MailServer) -> None:
    mta.usual = "stall"
    client = SmtpClient(mail(mta, timeout_s=1))
    began = time.monotonic()
    replies = await asyncio.gather(
        *(client.send("numbers@pbx.example", [f"u{at}@users.example"], b"Subject: x\r\n\r\n") for at in range(4))
    )
    assert {reply.detail for reply in replies} == {"no reply in time"}
    assert time.monotonic() - began < 3
    assert mta.tries == 1
    await client.close()
