"""Notices about a real call: to a mail server, and on the lab's desk phone by SIP MESSAGE and message lamp."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from binding_ivr.lab import Lab
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import User
from tests.e2e.installation import Installation, installed
from tests.integration.mail_server import MailServer
from tests.patience import SLOW

ALL = ["verified", "replaced", "suspended", "stale", "removed", "reported"]
PHONE = "1001"


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    """A lab of this module's own: one AstDB has one mirror."""
    async with Lab() as running:
        yield running


@pytest.fixture(scope="module")
async def mta() -> AsyncIterator[MailServer]:
    async with MailServer() as it:
        yield it


@pytest.fixture(scope="module")
async def one(lab: Lab, mta: MailServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("notices")
    sections: dict[str, Any] = {
        "mail": {"host": "127.0.0.1", "port": mta.port, "tls": "none", "sender": "Example <numbers@pbx.example>"},
        "notices": {"admin": ["ops@pbx.example"]},
        "desk_notices": {"message": ALL, "lamp": True, "message_from": "Example <sip:binding@pbx.example>"},
    }
    async with installed(lab, folder, node="notices", app="notices", sections=sections, answers_lookups=True) as made:
        await made.opened.store.directory.import_users([User("default", PHONE, (PHONE,), "de", "anna@users.example")])
        await made.serve()
        yield made


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30 * SLOW):
        while not await condition():
            await asyncio.sleep(0.05)


async def kept(lab: Lab, key: str) -> str:
    """What the desk phone has of its last message; empty before the first."""
    told = await lab.carrier.rx(f"database get lab/{key} {PHONE}")
    return told.partition("Value: ")[2].strip()


async def messages(lab: Lab, count: int) -> str:
    """Wait for the desk phone's message number *count* and return it."""

    async def came() -> bool:
        return await kept(lab, "messages") == str(count)

    await until(came)
    return base64.b64decode(await kept(lab, "message")).decode()


async def lamp(lab: Lab, state: str) -> None:
    """Wait for the message lamp of the desk phones: `INUSE` is lit."""

    async def shows() -> bool:
        return f"Result: {state}\n" in await lab.carrier.rx("dialplan eval function DEVICE_STATE(MWI:lamp@desk)") + "\n"

    await until(shows)


async def test_a_number_is_proven_suspended_and_removed(one: Installation, lab: Lab, mta: MailServer) -> None:
    number = lab.number("right", 150)
    shown = await one.bind(PHONE, number)
    assert (await one.ended(shown)).outcome is Outcome.VERIFIED
    end = number[-2:]
    assert (
        await messages(lab, 1)
        == f"Example: Die Nummer mit den Endziffern {end} ist für die Nebenstelle 1001 bestätigt."
    )
    assert await kept(lab, "message_from") == '"Example" <sip:binding@pbx.example>'
    await lamp(lab, "NOT_INUSE")
    assert (await one.command("suspend", PHONE))[0] == 0
    text = await messages(lab, 2)
    assert text == f"Example: Ihr Administrator hat die Nummer mit den Endziffern {end} der Nebenstelle 1001 gesperrt."
    await lamp(lab, "INUSE")
    assert (await one.command("remove", PHONE))[0] == 0
    assert "wurde von der Nebenstelle 1001 entfernt" in await messages(lab, 3)
    await lamp(lab, "NOT_INUSE")
    await mta.wait(lambda: len(mta.got) == 3)
    assert [str(one.message["Subject"]) for one in mta.got] == [
        f"Ihre Nummer mit den Endziffern {end} ist bestätigt",
        f"Ihre Nummer mit den Endziffern {end} ist gesperrt",
        f"Ihre Nummer mit den Endziffern {end} wurde entfernt",
    ]
    assert shown.code is not None
    told = [mail.part(kind) for mail in mta.got for kind in ("plain", "html")]
    assert not any(secret in text for text in told for secret in (shown.code, number[1:], number[-7:]))
    log = await asyncio.to_thread(one.log.read_text)
    assert number not in log
    assert "anna@users.example" not in log


async def test_a_report_reaches_the_operator(one: Installation, lab: Lab, mta: MailServer) -> None:
    before = len(mta.got)
    user = await one.new_user()
    attempt = await one.ended(await one.bind(user, lab.number("star", 20)))
    assert attempt.outcome is Outcome.REPORTED
    await mta.wait(lambda: len(mta.got) == before + 1)
    assert mta.got[-1].to == ["ops@pbx.example"]
    assert str(mta.got[-1].message["Subject"]) == f"Unwanted call reported (user {user})"


async def test_a_phone_that_is_not_registered(one: Installation, lab: Lab) -> None:
    user = await one.new_user()
    await one.ended(await one.bind(user, lab.number("right", 151)))

    async def waiting() -> dict[str, str]:
        rows = await one.json_command("outbox", "list")
        return {row["receiver"]: row["detail"] for row in rows if row["user_id"] == user and row["tries"]}

    async def both() -> bool:
        return len(await waiting()) == 2

    await until(both)
    assert await waiting() == {
        "sip-message": "Asterisk could not send it: is the phone registered?",
        "lamp": "the phone is not registered",
    }
    rows = await one.json_command("outbox", "list")
    for row in rows:
        assert (await one.command("outbox", "drop", row["id"]))[0] == 0


async def test_the_operator_tries_it_out(one: Installation, lab: Lab, mta: MailServer) -> None:
    count = int(await kept(lab, "messages"))
    rows = await one.json_command("notice", "test", PHONE)
    assert [(row["channel"], row["to"], row["result"]) for row in rows] == [
        ("mail", "anna@users.example", "delivered"),
        ("mail-admin", "ops@pbx.example", "delivered"),
        ("sip-message", PHONE, "delivered"),
        ("lamp", PHONE, "delivered"),
    ]
    assert await messages(lab, count + 1) == "Example: Das ist ein Test für die Nebenstelle 1001."
    assert str(mta.got[-1].message["Subject"]) == "Ein Test von Example"
    await lamp(lab, "NOT_INUSE")
    user = await one.new_user()
    status, out, _ = await one.command("notice", "test", user)
    assert status == 1
    assert "the user has no e-mail address" in out
    assert "is the phone registered?" in out
    status, _, err = await one.command("notice", "test", "nobody")
    assert (status, err.count("\n")) == (1, 1)


async def test_doctor_looks_at_them(one: Installation, mta: MailServer) -> None:
    lines = {line["check"]: line for line in await one.json_command("doctor")}
    assert lines["mail"]["status"] == lines["desk notices"]["status"] == "ok", lines
    assert lines["mail"]["detail"] == f"127.0.0.1:{mta.port} answers, without a login, not encrypted"
    tries = mta.tries
    status, out, _ = await one.command("doctor", environ={"BINDING_IVR__MAIL__PORT": "9"})
    assert status == 1
    assert "connection refused; check [mail], then: binding-ivr notice test USER" in out
    assert mta.tries == tries
    status, out, _ = await one.command("doctor", environ={"BINDING_IVR__NOTICES__TEMPLATES": "/nothing"})
    assert status == 1
    assert "notices.templates: /nothing is not a folder" in out
