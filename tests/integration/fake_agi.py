"""Asterisk's side of a FastAGI session by hand, a look-up that obeys, and a server to talk to; it holds no tests."""

import asyncio
import contextlib
from typing import Any
from uuid import UUID

import structlog

from binding_ivr.asterisk.agi.server import AgiServer
from binding_ivr.asterisk.agi.talk import TalkTimes
from binding_ivr.call.events import Event, Talking
from binding_ivr.model.lookups import AGI_KEY, LookupAnswer, LookupStatus
from binding_ivr.ports import ChannelFacts
from tests.integration.fake_ari import until
from tests.patience import SLOW

ATTEMPT = UUID("0b8f4f2e-63c5-4b5e-a5cf-7d1a2d3e4f50")
CHANNEL = f"binding_ivr.{ATTEMPT}.0"
SECRET = "0123456789abcdef"
LOOKUP_KEY = "k" * 32
TARGET = f"attempt/{ATTEMPT}/{SECRET}"
FOUND = LookupAnswer(
    LookupStatus.FOUND, "+15551230001", "PJSIP/+15551230001@trunk", "default", "1001", "2026-11-01T10:00:00Z"
)


class FakeLookups:
    """Answers at once unless told otherwise."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.answer: LookupAnswer | Exception = FOUND
        self.hangs = False

    async def trusted_number(self, account: str, extension: str) -> LookupAnswer:
        return await self._answer(account, extension)

    async def trusted_caller(self, number: str) -> LookupAnswer:
        return await self._answer(number)

    async def _answer(self, *asked: str) -> LookupAnswer:
        self.asked.append(asked)
        if self.hangs:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Peer:
    """Asterisk's side of one session, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def dial(cls, agi: AgiServer, target: str, channel: str = CHANNEL) -> "Peer":
        peer = cls(*await asyncio.open_connection("127.0.0.1", agi.port))
        peer.send(f"agi_network: yes\nagi_network_script: {target}\nagi_language: es\nagi_uniqueid: {channel}\n\n")
        return peer

    def send(self, text: str) -> None:
        self.writer.write(text.encode())

    async def command(self) -> str:
        """The next command; empty at the end of the session."""
        async with asyncio.timeout(5 * SLOW):
            return (await self.reader.readline()).decode().rstrip("\n")

    async def expect(self, command: str, reply: str) -> None:
        assert await self.command() == command
        self.send(reply + "\n")

    async def shows_key(self) -> None:
        """What an Asterisk that was given the key answers."""
        await self.expect(f"GET VARIABLE {AGI_KEY}", f"200 result=1 ({LOOKUP_KEY})")

    async def ended(self) -> bool:
        with contextlib.suppress(ConnectionError):
            assert await self.command() == ""
        await self.leave()
        return True

    async def leave(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class FakeChannels:
    """An Asterisk that has these channels."""

    def __init__(self) -> None:
        self.there: dict[str, ChannelFacts] = {}
        self.left: dict[tuple[str, str], str] = {}
        self.told: dict[str, str] = {}
        self.away = False

    async def tell(self, variable: str, value: str) -> bool:
        if not self.away:
            self.told[variable] = value
        return not self.away

    async def channel(self, channel_id: str) -> ChannelFacts | None:
        return None if self.away else self.there.get(channel_id)

    async def variable(self, channel_id: str, name: str) -> str | None:
        return None if self.away else self.left.get((channel_id, name))

    async def vouches(self, peer: Peer, channel: str) -> None:
        """What the Asterisk that has the channel does when it is to leave a word there."""
        verb, _, name, value = (await peer.command()).split()
        assert verb == "SET"
        if channel in self.there:
            self.left[channel, name] = value.strip('"')
        peer.send("200 result=1\n")


class Heard(list[Event]):
    """A sink."""

    def __call__(self, event: Event) -> None:
        self.append(event)


def make(lookups: FakeLookups | None, **changes: Any) -> AgiServer:
    times = TalkTimes(admission_s=0.3, prompt_s=1.0, reply_s=1.0)
    # Digit by digit however slow the machine is: what comes when it is late has tests of its own.
    more = {"key": LOOKUP_KEY, "port": 0, "header_s": 1.0, "lookup_s": 0.5, "times": times, "late_s": 3600.0}
    return AgiServer(lookups, **{**more, **changes})


async def talking(agi: AgiServer) -> tuple[Heard, Any, Peer]:
    """A conversation that has begun."""
    heard = Heard()
    talk = agi.expect(ATTEMPT, CHANNEL, SECRET, heard)
    talk.admit()
    peer = await Peer.dial(agi, TARGET)
    await until(lambda: heard == [Talking()])
    return heard, talk, peer


async def hang_up(peer: Peer) -> None:
    """What Asterisk 22 sends with AGIEXITONHANGUP: two notices, then the end."""
    peer.send("HANGUP\nHANGUP\n")
    await peer.leave()


async def refusal(agi: AgiServer, target: str = TARGET, channel: str = CHANNEL) -> str:
    """Open a session that must be closed; the reason in the log."""
    with structlog.testing.capture_logs() as logs:
        peer = await Peer.dial(agi, target, channel)
        with contextlib.suppress(ConnectionError):
            while await peer.command():  # it may be asked who it is
                peer.send("200 result=1\n")
        await peer.leave()
        await until(lambda: logs)
    assert [line["event"] for line in logs] == ["agi.refused"]
    return str(logs[0]["detail"])


async def looked_up(agi: AgiServer, target: str) -> list[str]:
    """The commands that a look-up sends."""
    peer = await Peer.dial(agi, target)
    commands = []
    while command := await peer.command():
        if command.startswith("GET VARIABLE"):
            peer.send(f"200 result=1 ({LOOKUP_KEY})\n")
            continue
        commands.append(command)
        peer.send("200 result=0\n" if command.startswith("EXEC MSet") else "200 result=1\n")
    await peer.leave()
    return commands
