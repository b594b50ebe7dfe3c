"""FastAGI peers that misbehave: none may stall the event loop, leak a task or fill the log."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import structlog

from binding_ivr.asterisk.agi.server import AgiServer
from binding_ivr.call.events import TalkLost
from binding_ivr.model.lookups import LookupAnswer, LookupStatus
from tests.integration.fake_agi import (
    LOOKUP_KEY,
    FakeLookups,
    Peer,
    looked_up,
    make,
    refusal,
    talking,
)
from tests.integration.fake_ari import until
from tests.patience import SLOW


@pytest.fixture
def lookups() -> FakeLookups:
    return FakeLookups()


@pytest.fixture
async def agi(lookups: FakeLookups) -> AsyncIterator[AgiServer]:
    made = make(lookups)
    await made.start()
    yield made
    await made.stop()
    assert made.sessions == 0


@contextlib.asynccontextmanager
async def steady_loop(most_s: float = 1.0) -> AsyncIterator[None]:
    """Fail when the event loop stood still for longer than *most_s* (two busy cores are shared with others)."""
    worst = 0.0

    async def tick() -> None:
        nonlocal worst
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            worst = max(worst, time.monotonic() - before - 0.005)

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert worst < most_s


async def raw(agi: AgiServer, data: bytes = b"", *, reset: bool = False, linger: bool = False) -> None:
    """Connect, send *data*, and leave, or wait until the server has had enough."""
    reader, writer = await asyncio.open_connection("127.0.0.1", agi.port)
    writer.write(data)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
        if linger:
            await reader.read()
    if reset:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


ADVERSARIES: dict[str, Callable[[AgiServer], Any]] = {
    "comes and goes": lambda agi: raw(agi),
    "comes and resets": lambda agi: raw(agi, b"agi_network: yes\n", reset=True),
    "says nothing": lambda agi: raw(agi, linger=True),
    "half a header": lambda agi: raw(agi, b"agi_network_script: attempt", linger=True),
    "headers without end": lambda agi: raw(agi, b"agi_x: y\n" * 100_000, linger=True),
    "one endless line": lambda agi: raw(agi, b"x" * 1_000_000, linger=True),
    "binary garbage": lambda agi: raw(agi, bytes(range(256)) * 50 + b"\n\n", linger=True),
    "empty headers": lambda agi: raw(agi, b"\n\n", linger=True),
    "http": lambda agi: raw(agi, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", linger=True),
}


@pytest.mark.parametrize("adversary", ADVERSARIES)
async def test_an_adversary_is_closed_without_a_stall_or_a_leak(agi: AgiServer, adversary: str) -> None:
    tasks = asyncio.all_tasks()
    with structlog.testing.capture_logs() as logs:
        async with steady_loop(), asyncio.timeout(15 * SLOW):
            await asyncio.gather(*(ADVERSARIES[adversary](agi) for _ in range(20)))
            await until(lambda: agi.refused == 20 and agi.sessions == 0)
    assert [line["event"] for line in logs] == ["agi.refused"]  # one line for all twenty
    await until(lambda: asyncio.all_tasks() <= tasks)
    assert (await looked_up(agi, "trusted-caller?number=1"))[0].startswith("EXEC MSet")


async def test_a_peer_that_never_reads_is_closed(agi: AgiServer, lookups: FakeLookups) -> None:
    # Buffers of the kernel swallow a single command, so make the value large.
    lookups.answer = LookupAnswer(LookupStatus.FOUND, dial="x" * 12_000_000)
    async with asyncio.timeout(10 * SLOW):
        peer = await Peer.dial(agi, "trusted-caller?number=1")
        await peer.shows_key()
        await until(lambda: agi.sessions == 0)
        await peer.leave()


async def test_more_sessions_of_asterisk_than_allowed_are_refused(lookups: FakeLookups) -> None:
    agi = make(lookups, max_sessions=2, lookup_s=3.0)
    await agi.start()
    lookups.hangs = True
    first = [await Peer.dial(agi, "trusted-caller?number=1") for _ in range(2)]
    for peer in first:
        await peer.shows_key()
    await until(lambda: len(lookups.asked) == 2)
    lookups.hangs = False
    assert "more than 2 sessions" in await refusal(agi)
    for peer in first:
        await peer.leave()
    await until(lambda: agi.sessions == 0)
    assert await looked_up(agi, "trusted-caller?number=1")
    await agi.stop()


async def test_stop_closes_every_session_and_says_so(lookups: FakeLookups) -> None:
    agi = make(lookups, header_s=5)
    await agi.start()
    heard, talk, peer = await talking(agi)
    talk.ask((), 1, 60, 60)
    await peer.command()
    idle = await asyncio.open_connection("127.0.0.1", agi.port)
    await until(lambda: agi.sessions == 2)
    async with asyncio.timeout(2):
        await agi.stop()
        await agi.stop()
    assert heard[1:] == [TalkLost("the FastAGI server was stopped")]
    assert await peer.ended()
    assert await idle[0].read() == b""
    idle[1].close()
    await idle[1].wait_closed()
    talk.close()
    await agi.start()  # a stopped agi may be started again
    await agi.stop()


async def test_many_look_ups_at_once(lookups: FakeLookups) -> None:
    agi = AgiServer(lookups, key=LOOKUP_KEY, port=0)
    await agi.start()
    async with asyncio.timeout(20 * SLOW):
        answers = await asyncio.gather(*(looked_up(agi, "trusted-caller?number=1") for _ in range(200)))
    assert all(len(commands) == 1 for commands in answers)
    await agi.stop()
