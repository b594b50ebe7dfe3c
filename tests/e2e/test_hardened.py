"""Hardened mode over SIP: greetings that key the code, the gate, and a code that nobody is shown before the answer.

Each is tried twice: with digits read one by one, and with so many calls under way that Asterisk's Read() collects them.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from binding_ivr.app.bindings import Bindings
from binding_ivr.app.live import grouped
from binding_ivr.app.view import Shown
from binding_ivr.call.prompts import Prompt
from binding_ivr.lab import Lab
from binding_ivr.lab.phones.handset import PhoneCall
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.model.rows import AttemptRow, BindingStatus, User
from tests.e2e.installation import QUICK_CALL, TESTER, Installation, installed
from tests.e2e.overheard import hears, overheard
from tests.e2e.rig import Take, no_channels, phones_of
from tests.patience import SLOW

CALL = {**QUICK_CALL, "ring_s": 100, "first_digit_s": 5, "max_s": 100}
CELL, OTHER_CELL = "+12025550161", "+12025550162"
CROWD = 11
"""Calls under way above which entries are collected by Read() (docs/decisions/digits.md)."""
GATED = "gated"
"""The account with a gate."""
AFTER_THE_OPENING_MS = 11_000
"""From the answer; greeting and reason last 8 s, then the code is asked for."""


@pytest.fixture(scope="module")
async def node(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    sections: dict[str, dict[str, Any]] = {"code": {"reveal": "on_answer"}, "call": CALL}
    folder: Path = tmp_path_factory.mktemp("hardened")
    async with installed(lab, folder, node="hardened", app="hardened", sections=sections) as made:
        assert (await made.command("account", "add", GATED))[0] == 0
        assert (await made.command("account", "set", GATED, "call.gate", "true"))[0] == 0
        await made.serve()
        yield made


@pytest.fixture
async def take(lab: Lab) -> AsyncIterator[Take]:
    async with phones_of(lab) as taken:
        yield taken


@pytest.fixture(params=["one by one", "in one go"])
async def way(request: pytest.FixtureRequest, node: Installation) -> AsyncIterator[str]:
    """How digits are collected; so many phones ring meanwhile that it is so."""
    crowd = CROWD if request.param == "in one go" else 0
    ringing = [await asked(node, "default", node.lab.number("no_answer", index)) for index in range(crowd)]
    await asyncio.gather(*(node.state(shown.attempt.attempt_id, AttemptState.RINGING) for shown in ringing))
    yield request.param
    for shown in ringing:
        await node.opened.bindings.cancel("default", shown.attempt.user_id, TESTER)
        await node.state(shown.attempt.attempt_id, AttemptState.ENDED)
    await node.no_channels()


async def asked(node: Installation, account: str, number: str, attempt_id: UUID | None = None) -> Shown:
    """Ask for a call of a new user; nobody is shown a code, but the phone has it all the same."""
    node.users += 1
    user = f"{3000 + node.users}"
    installation, chosen = node.opened, attempt_id or uuid4()
    await installation.store.directory.import_users([User(account, user, (user,), "en", "")])
    shown = await Bindings(installation.config, installation.store, installation.codes, lambda: chosen).bind(
        account, user, number, TESTER
    )
    assert shown.code is None
    await node.lab.set_code(number, code_of(node, shown.attempt))
    return shown


def code_of(node: Installation, attempt: AttemptRow) -> str:
    return node.opened.codes.of_attempt(attempt.attempt_id, attempt.key_id)


async def greeted(node: Installation, account: str, index: int, **params: Any) -> AttemptRow:
    """Call a voicemail box whose greeting has this call's code in tones, as if its owner had known it before."""
    attempt_id = uuid4()
    code = node.opened.codes.of_attempt(attempt_id, node.opened.codes.active_key)
    number = node.lab.number("voicemail", index)
    await node.lab.set_script(number, "voicemail", digits=code, **params)
    return await node.ended(await asked(node, account, number, attempt_id))


async def called(node: Installation, account: str, behaviour: str, index: int, **params: Any) -> AttemptRow:
    """Call the phone that behaves so, to the end of the attempt."""
    number = node.lab.number(behaviour, index)
    await node.lab.set_script(number, behaviour, **params)
    return await node.ended(await asked(node, account, number))


@asynccontextmanager
async def reading(node: Installation, way: str) -> AsyncIterator[None]:
    """Meanwhile Read() collects digits on the PBX when *way* says so; on a busy machine it may in the other way too."""
    seen = 0

    async def watch() -> None:
        nonlocal seen
        while True:
            seen += (await node.lab.pbx.rx("core show channels concise")).count("!Read!")
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
    assert seen > 0 or way != "in one go"


async def status(node: Installation, attempt: AttemptRow) -> BindingStatus:
    return (await node.opened.bindings.status(attempt.account, attempt.user_id)).status


async def test_digits_before_the_request_are_ignored_and_star_is_not(node: Installation, way: str) -> None:
    late = {"after_ms": AFTER_THE_OPENING_MS}
    async with reading(node, way):
        *early, right, star, late_star = await asyncio.gather(
            greeted(node, "default", 1, pace_ms=60_000),
            called(node, "default", "burst_early", 1),
            called(node, "default", "barge", 1),
            called(node, "default", "right", 300, **late),
            called(node, "default", "star", 1),
            called(node, "default", "star", 2, **late),
        )
    for attempt in (star, late_star):
        await node.opened.numbers.unsuppress(attempt.number, TESTER)
    for attempt in early:
        heard = await node.lab.heard(attempt.number)
        assert heard["digits"] == code_of(node, attempt)  # it did key the right code
        assert (attempt.outcome, attempt.tries, attempt.digits) == (Outcome.NO_INPUT, 0, 0), attempt.detail
        assert await status(node, attempt) is BindingStatus.PENDING
    assert (right.outcome, right.tries) == (Outcome.VERIFIED, 1)
    assert await status(node, right) is BindingStatus.VERIFIED
    assert (star.outcome, late_star.outcome) == (Outcome.REPORTED, Outcome.REPORTED)


async def test_a_greeting_does_not_get_through_the_gate(node: Installation, way: str) -> None:
    tones, early, star = await asyncio.gather(
        greeted(node, GATED, 2, pace_ms=100_000),
        called(node, GATED, "burst_early", 2),
        called(node, GATED, "star", 3),
    )
    await node.opened.numbers.unsuppress(star.number, TESTER)
    for attempt in (tones, early):
        heard = await node.lab.heard(attempt.number)
        assert heard["digits"] == code_of(node, attempt)
        assert (attempt.outcome, attempt.tries, attempt.digits) == (Outcome.NO_INPUT, 0, 0)
        assert attempt.detail == "the key of the gate was not pressed"
        assert await status(node, attempt) is BindingStatus.PENDING
    assert star.outcome is Outcome.REPORTED


async def key_named(call: PhoneCall, times: int) -> str:
    """Wait until the gate has named a key so many times, and return the last one."""

    def named() -> list[Prompt]:
        return [prompt for prompt in overheard(call) if prompt.startswith("digit_")]

    async with asyncio.timeout(30 * SLOW):
        while len(named()) < times:
            await asyncio.sleep(0.05)
    return named()[-1][-1]


async def test_a_person_gets_through_the_gate(node: Installation, way: str, take: Take) -> None:
    async with reading(node, way):
        cell = await take(CELL, answers=False)
        shown = await asked(node, GATED, CELL)
        await cell.rings()
        call = await cell.answer()
        key = await key_named(call, 1)
        assert overheard(call) == [Prompt.GREETING, Prompt.REASON, Prompt.GATE, f"digit_{key}"]
        await cell.press(str((int(key) + 1) % 10))
        key = await key_named(call, 2)
        await cell.press(key)
        await hears(call, Prompt.ASK_CODE)
        await cell.press(code_of(node, shown.attempt))
        await hears(call, Prompt.VERIFIED)
        await call.over()
    attempt = await node.ended(shown)
    assert (attempt.outcome, attempt.tries) == (Outcome.VERIFIED, 1)
    assert await status(node, attempt) is BindingStatus.VERIFIED


async def test_who_does_not_press_the_key_hears_it_again_and_is_let_go(node: Installation, take: Take) -> None:
    cell = await take(OTHER_CELL, answers=False)
    shown = await asked(node, GATED, OTHER_CELL)
    await cell.rings()
    call = await cell.answer()
    first = await key_named(call, 1)
    assert await key_named(call, 2) == first  # nobody was wrong
    await cell.press(str((int(first) + 5) % 10))
    last = await key_named(call, 3)
    await cell.press("0" if last != "0" else "1")
    await hears(call, Prompt.NO_INPUT)
    await call.over()
    assert Prompt.ASK_CODE not in overheard(call)
    attempt = await node.ended(shown)
    assert (attempt.outcome, attempt.tries) == (Outcome.NO_INPUT, 0)


# --- reveal = "on_answer" -------------------------------------------------------------------------------------


class Secret:
    """A code that is in no answer, in whatever writing."""

    def __init__(self, code: str, attempt_id: str) -> None:
        self.code = code
        self._attempt_id = attempt_id  # random letters and digits, in which it may stand by chance

    def is_in(self, text: str) -> bool:
        text = text.replace(self._attempt_id, "")
        return any(form in text for form in (self.code, grouped(self.code), " ".join(self.code)))


async def events_of(stream: aiohttp.ClientResponse, told: list[tuple[str, dict[str, Any]]]) -> None:
    """Append every event of *stream* to *told*."""
    name = ""
    async for raw in stream.content:
        field, _, value = raw.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            told.append((name, json.loads(value)))


async def answers(browser: aiohttp.ClientSession, base: str, mine: str) -> list[str]:
    """What every address says that tells a user of the call: the API's two, and the page."""
    texts = []
    for address in (mine, f"{mine}/attempt", f"{base}/"):
        async with browser.get(address) as reply:
            assert reply.status == 200
            texts.append(await reply.text())
    return texts


async def test_no_answer_and_no_event_has_the_code_before_the_call_is_answered(node: Installation, take: Take) -> None:
    user = await node.new_user()
    base = f"http://127.0.0.1:{node.config.web.port}"
    mine = f"{base}/v1/accounts/default/users/{user}/binding"
    link = (await node.json_command("link", user))["link"]
    cell = await take("+12025550163", answers=False)
    told: list[tuple[str, dict[str, Any]]] = []
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"Origin": base}) as browser:
        async with browser.post(f"{base}/signin", data={"link": link.rpartition("=")[2]}) as reply:
            assert reply.status == 200
        async with browser.get(f"{mine}/events") as stream:
            following = asyncio.create_task(events_of(stream, told))
            accepted = []
            for _ in range(2):  # the second time it is answered again what was answered
                key = {"Idempotency-Key": "0b8f4f2e-63c5-4b5e-a5cf-7d1a2d3e4f50"}
                async with browser.put(mine, json={"number": cell.number}, headers=key) as reply:
                    assert reply.status == 202
                    accepted.append(await reply.text())
            asked_for = json.loads(accepted[0])["attempt"]
            attempt = await node.opened.store.attempts.attempt(asked_for["id"])
            secret = Secret(code_of(node, attempt), asked_for["id"])
            await cell.rings()
            await node.state(attempt.attempt_id, AttemptState.RINGING)
            await until_told(told, "ringing")
            before = [*accepted, *await answers(browser, base, mine)]
            before.append(json.dumps(await node.json_command("status", user)))
            assert not [text for text in before if secret.is_in(text)]
            assert all('"code":null' in text for text in before[:4])
            assert "The access code appears here as soon as you answer the call." in before[4]
            call = await cell.answer()
            await until_told(told, "answered")
            after = await answers(browser, base, mine)
            assert all(secret.is_in(text) for text in after)
            assert json.loads(after[1])["code"] == secret.code
            await hears(call, Prompt.ASK_CODE)
            await cell.press(secret.code)
            await until_told(told, "ended")
            following.cancel()
        ours = [event for name, event in told if name == "attempt" and event["id"] == asked_for["id"]]
        for event in ours:
            assert event["code"] == (secret.code if event["state"] == "answered" else None)
        assert {event["state"] for event in ours} >= {"ringing", "answered", "ended"}
        answered_at = next(at for at, (_, event) in enumerate(told) if event.get("state") == "answered")
        assert not [event for event in told[:answered_at] if secret.is_in(json.dumps(event))]
        assert ours[-1]["outcome"] == "verified"
        assert not [text for text in await answers(browser, base, mine) if secret.is_in(text)]
    assert secret.code not in await asyncio.to_thread(node.said)


async def until_told(told: list[tuple[str, dict[str, Any]]], state: str) -> None:
    async with asyncio.timeout(30 * SLOW):
        while state not in [event["state"] for name, event in told if name == "attempt"]:
            await asyncio.sleep(0.02)


async def test_nothing_is_left(node: Installation) -> None:
    await no_channels(node.lab)
    assert node.process is not None
    assert node.process.returncode is None
