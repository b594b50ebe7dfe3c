"""Enrolment at the desk phone, over SIP: a desk phone dials *68, and its user does what it hears."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from binding_ivr.call.prompts import Prompt
from binding_ivr.lab import Lab, Phone
from binding_ivr.lab.net import free_port
from binding_ivr.lab.phones.handset import PhoneCall, until
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.model.rows import AttemptRow, BindingStatus, User
from tests.e2e.installation import QUICK_CALL, TESTER, Installation
from tests.e2e.overheard import digits_after, hears, overheard
from tests.e2e.proxy import Proxy
from tests.e2e.rig import Take, no_channels, phones_of
from tests.e2e.test_adversity import behind_a_proxy

CELL, OTHER_CELL = "+12025550161", "+12025550162"
CALL = {**QUICK_CALL, "ring_s": 25, "first_digit_s": 5}  # people need the time, and so do their phones here
USERS = [User("default", f"u{desk}", (desk,), "en", "") for desk in ("1001", "1003")]  # nobody has 1004, as a rule


@dataclass
class Node:
    """The installation at which *68 arrives; its service reaches PostgreSQL through a proxy."""

    one: Installation
    proxy: Proxy

    async def status(self, desk: str) -> tuple[BindingStatus, str | None]:
        binding = await self.one.opened.bindings.status("default", f"u{desk}")
        return binding.status, binding.number

    async def attempts(self, desk: str) -> list[AttemptRow]:
        return await self.one.opened.store.attempts.attempts(account="default", user_id=f"u{desk}")

    async def outcome(self, desk: str) -> Outcome | None:
        """The outcome of the user's last attempt, when it has ended."""
        last = (await self.attempts(desk))[0]
        await self.one.state(last.attempt_id, AttemptState.ENDED)
        return (await self.attempts(desk))[0].outcome

    async def done(self, desk: str, result: str) -> None:
        """Wait until the last dialogue of the user of *desk* (empty: of nobody) has ended, and expect how."""
        user = f"u{desk}" if desk else ""

        def results() -> list[str]:
            lines = [json.loads(line) for line in self.one.log.read_text().splitlines() if '"desk.done"' in line]
            return [line["result"] for line in lines if line["user"] == user]

        await until(lambda: results()[-1:] == [result], lambda: f"{desk}: {results()}")

    async def forget(self, desk: str) -> None:
        if (await self.status(desk))[1] is not None:
            await self.one.opened.bindings.remove("default", f"u{desk}", TESTER)


@asynccontextmanager
async def serving(lab: Lab, folder: Path, sections: Mapping[str, Mapping[str, Any]]) -> AsyncIterator[Node]:
    port = free_port("127.0.0.1")
    async with behind_a_proxy(lab, folder, "desk", {"call": CALL, "agi": {"port": port}, **sections}) as (one, proxy):
        await one.opened.store.directory.import_users(USERS)
        await lab.pbx.rx(f"dialplan set global BINDING_AGI 127.0.0.1:{port}")
        try:
            yield Node(one, proxy)
        finally:
            await lab.pbx.rx(f"dialplan set global BINDING_AGI 127.0.0.1:{lab.agi_port}")


@pytest.fixture(scope="module")
async def node(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    async with serving(lab, tmp_path_factory.mktemp("desk"), {}) as made:
        yield made


@pytest.fixture
async def take(lab: Lab) -> AsyncIterator[Take]:
    async with phones_of(lab) as taken:
        yield taken
    await no_channels(lab)


@asynccontextmanager
async def spanish(node: Node, desk: str) -> AsyncIterator[None]:
    """Let somebody who speaks Spanish have *desk* for a while."""
    directory = node.one.opened.store.directory
    await directory.import_users([User("default", f"u{desk}", (desk,), "es", "")])
    try:
        yield
    finally:
        await directory.import_users([User("default", f"u{desk}", (), "es", "")])


async def dialled(take: Take, desk: str = "1001") -> tuple[Phone, PhoneCall]:
    """A desk phone that has dialled the feature code, and was answered."""
    phone = await take(desk)
    call = await phone.call("*68")
    return phone, await call.answered()


async def key_in(phone: Phone, call: PhoneCall, number: str, language: str = "en") -> None:
    """Key a number in, and say that it is right as soon as it is read out."""
    times = overheard(call, language).count(Prompt.ENROL_ENTERED) + 1
    await phone.press(f"{number}#")
    await hears(call, Prompt.ENROL_ENTERED, times=times, language=language)
    await phone.press("1")


async def the_code(node: Node, call: PhoneCall, times: int = 1) -> str:
    """Hear the access code read out to its end, for the *times*-th time."""
    length = node.one.config.code.length

    def whole() -> bool:
        heard = overheard(call)
        return heard.count(Prompt.ENROL_CODE) >= times and len(digits_after(call, Prompt.ENROL_CODE)) == length

    await until(whole, lambda: f"heard {[str(prompt) for prompt in overheard(call)]}", 30)
    return digits_after(call, Prompt.ENROL_CODE)


async def test_a_number_is_proven_by_two_phones_alone(node: Node, take: Take) -> None:
    cell = await take(CELL, answers=False)
    desk, call = await dialled(take)
    await hears(call, Prompt.ENROL_ENTER)
    await desk.press("2025550161#")
    await hears(call, Prompt.ENROL_CONFIRM)
    assert digits_after(call, Prompt.ENROL_ENTERED) == "2025550161"
    await desk.press("1")
    code = await the_code(node, call)
    ringing = await cell.rings()
    await cell.answer()
    await hears(ringing, Prompt.GREETING, Prompt.ASK_CODE_DESK)
    await hears(call, Prompt.ENROL_THEN, Prompt.ENROL_ANSWERED)
    await cell.press(code)
    await hears(call, Prompt.ENROL_VERIFIED, Prompt.ENROL_GOODBYE)
    await hears(ringing, Prompt.VERIFIED)
    await call.over()
    await cell.idle()
    await node.done("1001", "verified")
    assert await node.status("1001") == (BindingStatus.VERIFIED, CELL)
    assert not [prompt for prompt in overheard(ringing) if prompt.startswith("digit_")]  # never at the cell phone
    row = (await node.one.opened.store.personal.audit(user_id="u1001", action="attempt.dialing"))[-1]
    assert (row.who, row.source) == ("user:u1001", "desk")
    assert row.address.startswith("PJSIP/1001-")
    log = node.one.said()
    assert code not in log
    assert "2025550161" not in log


async def test_the_desk_may_hang_up_when_the_code_was_heard(node: Node, take: Take) -> None:
    """The same user again: the verified number is offered by its last digits; the attempt outlives the desk's call."""
    cell = await take(CELL, answers=False)
    desk, call = await dialled(take)
    await hears(call, Prompt.ENROL_CURRENT, Prompt.ENROL_MENU)
    assert digits_after(call, Prompt.ENROL_CURRENT) == "61"
    await desk.press("1")
    code = await the_code(node, call)
    await hears(call, Prompt.ENROL_THEN)  # the code was told to its end
    await desk.hangup()
    await node.done("1001", "hung_up")
    await cell.answer()
    await cell.press(code)
    assert await node.outcome("1001") is Outcome.VERIFIED
    await cell.idle()


async def test_who_hangs_up_before_the_code_rings_nobody(node: Node, take: Take) -> None:
    cell = await take(OTHER_CELL, answers=False)
    desk, call = await dialled(take, "1003")
    await hears(call, Prompt.ENROL_ENTER)
    await key_in(desk, call, "2025550162")
    await hears(call, Prompt.ENROL_CODE)
    await desk.hangup()
    await node.done("1003", "hung_up")
    assert await node.outcome("1003") is Outcome.CANCELED
    await cell.idle()
    # Again, and now the cell phone is busy.
    desk, call = await dialled(take, "1003")
    await hears(call, Prompt.ENROL_MENU)
    assert digits_after(call, Prompt.ENROL_UNVERIFIED) == "62"
    await desk.press("1")
    await cell.rings()
    await cell.rings()
    await cell.decline()
    await hears(call, Prompt.ENROL_NOT_REACHED, Prompt.ENROL_GOODBYE)
    await call.over()
    await node.done("1003", "busy")
    await node.forget("1003")


async def test_numbers_that_may_not_be_bound(node: Node, take: Take) -> None:
    """Each is refused in the user's language and may be corrected; no call leaves."""
    async with spanish(node, "1004"):
        desk, call = await dialled(take, "1004")
        await hears(call, Prompt.ENROL_ENTER, language="es")
        for number, refused in (
            ("19005550100", Prompt.ENROL_NOT_ALLOWED),  # premium
            ("911", Prompt.ENROL_NOT_ALLOWED),
            ("202555016", Prompt.ENROL_NOT_A_NUMBER),  # too short
            ("2025550199", Prompt.ENROL_OWN_NUMBER),  # what the calls show
        ):
            await key_in(desk, call, number, "es")
            await hears(call, refused, language="es")
        await desk.press("44*")  # star begins again
        await hears(call, Prompt.ENROL_NO_ENTRY, Prompt.ENROL_GOODBYE, language="es")  # the fifth entry was the last
        await call.over()
    await node.done("1004", "no_entry")
    assert await node.attempts("1004") == []


async def test_phones_that_cannot_enrol(node: Node, take: Take) -> None:
    """At the same time: one that nobody has, one whose user may make no more calls, one that says nothing."""
    directory = node.one.opened.store.directory
    await directory.set_settings("default", {"limits": {"user_hour": 0}})
    try:
        (_, nobody), (limited, many), (_, silent) = await asyncio.gather(
            dialled(take, "1004"), dialled(take, "1001"), dialled(take, "1003")
        )

        async def over_the_limit() -> None:
            await hears(many, Prompt.ENROL_MENU)
            await limited.press("1")
            await hears(many, Prompt.ENROL_LIMIT, Prompt.ENROL_GOODBYE)
            await many.over()

        async def says_nothing() -> None:
            await hears(silent, Prompt.ENROL_ENTER, times=3, timeout_s=60)
            await hears(silent, Prompt.ENROL_GOODBYE)
            await silent.over()

        await asyncio.gather(hears(nobody, Prompt.ENROL_NO_USER), over_the_limit(), says_nothing())
        await nobody.over()
    finally:
        await directory.set_settings("default", {})
    await node.done("", "no_user")
    await node.done("1001", "limit_reached")
    await node.done("1003", "no_entry")


async def test_a_caller_id_makes_nobody_else(node: Node, take: Take) -> None:
    """Extension 1004 shows the number of 1001 and stays 1004; from the trunk the code does not exist."""
    desk, cell = await take("1004"), await take(CELL)
    call = await desk.call("*68", caller_id="1001")
    await call.answered()
    await hears(call, Prompt.ENROL_NO_USER)
    await call.over()
    stranger = await cell.call("*68", caller_id="1001")
    await stranger.over()
    assert stranger.up_at is None


async def test_postgresql_is_away(node: Node, take: Take) -> None:
    await node.proxy.cut()
    try:
        _, call = await dialled(take)
        await hears(call, Prompt.ENROL_PROBLEM, timeout_s=30)
        await call.over()
    finally:
        await node.proxy.start()
    await node.done("", "problem")


async def test_the_service_stops_dies_and_is_away(node: Node, take: Take) -> None:
    """Whoever is in the middle of an entry hears of a problem; so does who dials then. Who follows a call does so."""
    cell = await take(OTHER_CELL, answers=False)
    async with spanish(node, "1004"):
        (desk, following), (_, entering) = await asyncio.gather(dialled(take, "1003"), dialled(take, "1004"))
        await hears(following, Prompt.ENROL_ENTER)
        await hears(entering, Prompt.ENROL_ENTER, language="es")
    await key_in(desk, following, "2025550162")
    code = await the_code(node, following)
    await cell.answer()
    process = node.one.process
    assert process is not None
    process.terminate()
    await hears(entering, Prompt.ENROL_PROBLEM, language="es")
    await entering.over()
    await cell.press(code)
    await hears(following, Prompt.ENROL_VERIFIED, Prompt.ENROL_GOODBYE)
    await following.over()
    await process.wait()
    assert Prompt.ENROL_PROBLEM not in overheard(following)
    _, late = await dialled(take, "1001")
    await hears(late, Prompt.ENROL_PROBLEM)
    await late.over()
    assert await node.status("1003") == (BindingStatus.VERIFIED, OTHER_CELL)
    await node.one.serve()
    _, cut_off = await dialled(take, "1001")
    await hears(cut_off, Prompt.ENROL_CURRENT)
    await node.one.kill()
    await hears(cut_off, Prompt.ENROL_PROBLEM)
    await cut_off.over()


async def test_the_code_only_after_the_answer(lab: Lab, tmp_path: Path, take: Take) -> None:
    async with serving(lab, tmp_path, {"code": {"reveal": "on_answer"}}) as node:
        cell = await take(CELL, answers=False)
        desk, call = await dialled(take)
        await hears(call, Prompt.ENROL_ENTER)
        await key_in(desk, call, "0012025550161")
        await hears(call, Prompt.ENROL_ANSWER_FIRST)
        await cell.rings()
        assert Prompt.ENROL_CODE not in overheard(call)
        asked = await cell.answer()
        await hears(call, Prompt.ENROL_ANSWERED)
        code = await the_code(node, call)
        await hears(asked, Prompt.ASK_CODE_DESK)  # what is keyed before counts for nothing
        await cell.press(code)
        await hears(call, Prompt.ENROL_VERIFIED)
        await call.over()
        assert await node.status("1001") == (BindingStatus.VERIFIED, CELL)
