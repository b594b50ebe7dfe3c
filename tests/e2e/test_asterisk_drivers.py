"""The ARI driver and the FastAGI server together on a real Asterisk with a scripted phone network."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from yarl import URL

from binding_ivr.asterisk.agi.server import AgiServer
from binding_ivr.asterisk.agi.talk import TalkTimes
from binding_ivr.asterisk.ari.driver import AriDriver
from binding_ivr.asterisk.ari.link import LinkState, LinkTimes
from binding_ivr.call.events import (
    Answered,
    Digit,
    Ended,
    Event,
    HangupNoticed,
    Ringing,
    SayDone,
    Silence,
    Talking,
    TalkLost,
)
from binding_ivr.lab import Lab
from binding_ivr.model.channels import new_name
from binding_ivr.model.lookups import LookupAnswer, LookupStatus
from binding_ivr.model.secrets import new_secret
from binding_ivr.ports import CallOrder, Conversation, PlaceError
from tests.patience import SLOW

KEYS = "0123456789*#ABCD"
TRUSTED = "+12025550150"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for *condition*."""
    async with asyncio.timeout(15 * SLOW):
        while not condition():
            await asyncio.sleep(0.005)


class Table:
    """The look-ups' answers."""

    async def trusted_number(self, account: str, extension: str) -> LookupAnswer:
        if (account, extension) != ("default", "1001"):
            return LookupAnswer(LookupStatus.NONE)
        return LookupAnswer(
            LookupStatus.FOUND, TRUSTED, f"PJSIP/{TRUSTED}@trunk", account, extension, "2026-11-01T10:00:00Z"
        )

    async def trusted_caller(self, number: str) -> LookupAnswer:
        if number != TRUSTED:
            return LookupAnswer(LookupStatus.SUSPENDED)
        return LookupAnswer(LookupStatus.FOUND, TRUSTED, "Local/1@a&b", "default", "1001", "2026-11-01T10:00:00Z")


@dataclass
class Scene:
    """The lab and what is under test."""

    lab: Lab
    ari: AriDriver
    agi: AgiServer
    app: str = "binding_ivr"


@dataclass
class Call:
    """One call by hand: what the shell of a call does, without a machine."""

    scene: Scene
    attempt: UUID = field(default_factory=uuid4)
    events: list[Event] = field(default_factory=list)
    channel: str = ""
    talk: Conversation | None = None

    async def place(self, number: str, *, endpoint: str = "", ring_s: int = 10, max_s: int = 30) -> "Call":
        self.channel, secret = new_name(self.scene.app), new_secret()
        self.talk = self.scene.agi.expect(self.attempt, self.channel, secret, self._heard)
        self.scene.ari.watch(self.channel, self._heard)
        variables = {"BINDING_ATTEMPT": f"{self.attempt}/{secret}", "BINDING_AGI": f"127.0.0.1:{self.scene.agi.port}"}
        where = endpoint or f"PJSIP/{number}@trunk"
        order = CallOrder(self.channel, secret, where, "+12025550199", ring_s, max_s, "en", variables)
        await self.scene.ari.place(order)
        return self

    async def talking(self) -> Conversation:
        """Answer, hand over, and wait for the session."""
        await self.until(Answered())
        assert self.talk is not None
        await self.scene.ari.handoff(self.channel)
        self.talk.admit()
        await self.until(Talking())
        return self.talk

    async def until(self, event: Event) -> None:
        await until(lambda: event in self.events)

    async def ended(self) -> Ended:
        await until(lambda: any(isinstance(event, Ended) for event in self.events))
        return next(event for event in self.events if isinstance(event, Ended))

    async def listen(self, talk: Conversation, seconds: float = 3.0) -> Event:
        """One Listen and its result."""
        before = len(self.events)
        talk.ask((), 1, seconds * SLOW, seconds * SLOW)
        await until(lambda: len(self.events) > before)
        return self.events[before]

    def _heard(self, event: Event) -> None:
        self.events.append(event)


@pytest.fixture(scope="module", name="scene")
async def _scene() -> AsyncIterator[Scene]:
    async with Lab() as lab:
        settings = lab.settings()["ari"]
        ari = AriDriver(**settings, times=LinkTimes(retry_s=(0.05, 0.2), standby_s=(0.2, 0.5)))
        agi = AgiServer(Table(), port=lab.agi_port, prefix="binding_ivr", times=TalkTimes(reply_s=5 * SLOW))
        agi.proof.channels = ari
        await agi.start()
        await ari.start()
        yield Scene(lab, ari, agi)
        await agi.stop()
        await ari.stop()


@pytest.fixture(autouse=True)
async def _nothing_left(scene: Scene) -> AsyncIterator[None]:
    yield
    async with asyncio.timeout(10 * SLOW):
        while await scene.ari.strays() or scene.agi.sessions:
            await asyncio.sleep(0.02)


async def test_digits_keyed_into_the_prompt_arrive_one_by_one(scene: Scene) -> None:
    number = scene.lab.number("barge", 1)
    await scene.lab.set_code(number, "112334")
    call = await Call(scene).place(number)
    talk = await call.talking()
    talk.say(["ask_code"], KEYS)
    await call.until(Digit("1"))
    digits = "1"
    while isinstance(event := await call.listen(talk, 1.5), Digit):
        digits += event.digit
    assert digits == "112334"
    assert event == Silence()
    talk.close()
    assert await call.ended() == Ended(16)
    assert call.events[:2] in ([Ringing(), Answered()], [Answered(), Talking()])
    assert not any(isinstance(event, TalkLost) for event in call.events)


async def test_letters_are_digits_too(scene: Scene) -> None:
    number = scene.lab.number("letters", 1)
    await scene.lab.set_code(number, "123456")
    call = await Call(scene).place(number)
    talk = await call.talking()
    digits = ""
    while isinstance(event := await call.listen(talk), Digit):
        digits += event.digit
    assert set("ABCD") <= set(digits)
    assert [key for key in digits if key in "0123456789"] == list("123456")
    talk.close()
    await call.ended()


async def test_a_missing_prompt_is_told_from_a_hangup(scene: Scene) -> None:
    call = await Call(scene).place(scene.lab.number("silent", 1))
    talk = await call.talking()
    talk.say(["no_such_prompt"], "")
    detail = "prompt binding_ivr/no_such_prompt (en) is missing in Asterisk's sounds folder"
    await call.until(TalkLost(detail))
    await call.ended()
    call = await Call(scene).place(scene.lab.number("hangup_at", 1))
    talk = await call.talking()
    talk.say(["reason", "ask_code", "reason", "ask_code"], "")  # longer than the callee stays
    await call.until(HangupNoticed())
    assert not any(isinstance(event, SayDone | TalkLost) for event in call.events)
    assert await call.ended() == Ended(16)


@pytest.mark.parametrize(
    ("behaviour", "ended"),
    [
        ("busy", Ended(17, 486)),
        ("unallocated", Ended(1, 404)),
        ("congestion", Ended(34, 503)),
        ("no_answer", Ended(19, 480)),
    ],
)
async def test_calls_that_are_not_answered(scene: Scene, behaviour: str, ended: Ended) -> None:
    call = await Call(scene).place(scene.lab.number(behaviour, 1), ring_s=1)
    assert await call.ended() == ended
    assert [event for event in call.events if not isinstance(event, Ringing)] == [ended]


async def test_an_unknown_endpoint_is_named(scene: Scene) -> None:
    with pytest.raises(PlaceError, match="no endpoint PJSIP/nosuch;"):
        await Call(scene).place("", endpoint=f"PJSIP/{TRUSTED}@nosuch")


async def test_the_channels_absolute_limit_counts_from_the_order(scene: Scene) -> None:
    call = await Call(scene).place(scene.lab.number("silent", 2), max_s=2)
    await call.talking()
    # Nobody asked for it: the session was silent, the daemon did nothing. Either may be told first, on its own socket.
    await call.until(HangupNoticed())
    await call.ended()


async def test_look_ups_through_the_operators_dialplan(scene: Scene) -> None:
    found = await scene.lab.trusted_number("default", "1001")
    assert (found["BINDING_STATUS"], found["BINDING_NUMBER"]) == ("FOUND", TRUSTED)
    assert found["BINDING_DIAL"] == f"PJSIP/{TRUSTED}@trunk"
    assert (await scene.lab.trusted_number("default", "1002"))["BINDING_STATUS"] == "NONE"
    caller = await scene.lab.trusted_caller(TRUSTED)  # with two dial strings in one, which none of our routes can have
    assert (caller["BINDING_STATUS"], caller["BINDING_DIAL"]) == ("FOUND", "")
    assert (await scene.lab.trusted_caller("+12025550151"))["BINDING_STATUS"] == "SUSPENDED"


async def test_a_second_daemon_makes_the_first_stand_by_without_a_fight(scene: Scene) -> None:
    settings = scene.lab.settings()["ari"]
    second = AriDriver(**settings)
    await second.start()
    await until(lambda: scene.ari.state is LinkState.REPLACED)
    await asyncio.sleep(1.0)  # time in which the first would have come back
    assert second.ready
    assert not scene.ari.ready
    await second.stop()
    await until(lambda: scene.ari.ready)


class Cutter:
    """A TCP way to Asterisk that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.open = True

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        self.open = False
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self) -> None:
        self.cut()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pipe(reader, far_writer), self._pipe(far_reader, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_a_call_goes_on_while_the_event_socket_is_cut(scene: Scene) -> None:
    settings = scene.lab.settings()["ari"]
    url = URL(settings["url"])
    way = Cutter(str(url.host), int(url.port or 0))
    through = {**settings, "url": await way.start(), "app": "cut"}
    ari = AriDriver(**through, times=LinkTimes(retry_s=(0.05, 0.2)))
    await ari.start()
    there = Scene(scene.lab, ari, scene.agi, "cut")
    stays, goes = [await Call(there).place(scene.lab.number("silent", index)) for index in (3, 4)]
    talk = await stays.talking()
    await goes.talking()
    way.cut()
    await until(lambda: not ari.ready)
    assert goes.talk is not None
    goes.talk.close()  # the dialplan goes on to Hangup(), unheard
    assert await scene.ari.hangup(goes.channel)
    way.open = True
    assert await goes.ended() == Ended(None, None)
    await until(lambda: ari.ready)
    assert not any(isinstance(event, Ended) for event in stays.events)
    assert await stays.listen(talk, 0.2) == Silence()
    talk.close()
    assert await stays.ended() == Ended(16)
    await ari.stop()
    await way.stop()
