"""The AMI client against a manager interface that refuses, stalls, is cut and talks nonsense."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from binding_ivr.asterisk.ami.client import (
    BATCH,
    AmiClient,
    AmiState,
    AmiTimes,
    FieldError,
    UnknownActionError,
    Write,
)
from binding_ivr.errors import ConfigError, UnavailableError
from tests.integration.fake_ami import FakeAmi, Fields, until

QUICK = AmiTimes(connect_s=1.0, reply_s=0.3, tree_s=1.0, ping_s=0.1, booted_s=0.2, retry_s=(0.01, 0.05), refused_s=0.05)


@pytest.fixture
async def fake() -> AsyncIterator[FakeAmi]:
    async with FakeAmi() as it:
        yield it


def client(fake: FakeAmi, secret: str = "s3cret", times: AmiTimes = QUICK) -> AmiClient:
    return AmiClient(host="127.0.0.1", port=fake.port, user="binding_ivr", secret=secret, times=times)


@asynccontextmanager
async def connected(fake: FakeAmi, times: AmiTimes = QUICK) -> AsyncIterator[AmiClient]:
    ami = client(fake, times=times)
    await ami.start()
    try:
        yield ami
    finally:
        await ami.stop()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "ami"]


def once(name: str, act: Callable[[Fields, asyncio.StreamWriter], None]) -> Callable[..., Awaitable[bool]]:
    """Let the first action *name* be met by *act*."""
    done: list[bool] = []

    async def handle(fields: Fields, writer: asyncio.StreamWriter) -> bool:
        if fields["Action"] != name or done:
            return False
        done.append(True)
        act(fields, writer)
        return True

    return handle


async def test_put_get_delete_and_list(fake: FakeAmi) -> None:
    fake.astdb = {"cidname/1": "x"}
    async with connected(fake) as ami:
        assert (ami.state, ami.ready, ami.detail) == (AmiState.CONNECTED, True, "")
        await ami.put("binding", "ext/default/1", "+12025550100")
        assert await ami.get("binding", "ext/default/1") == "+12025550100"
        assert await ami.get("binding", "nothing") is None
        seen: dict[str, str] = {}
        await ami.tree("binding", "ext", seen.__setitem__)
        assert seen == {"binding/ext/default/1": "+12025550100"}
        await ami.delete("binding", "ext/default/1")
        await ami.delete("binding", "ext/default/1")  # a missing one is no fault
        await ami.put("binding", "num/1", "a/b")
        await ami.delete_tree("binding", "num")
        assert fake.astdb == {"cidname/1": "x"}


async def test_the_secret_does_not_travel(fake: FakeAmi) -> None:
    async with connected(fake):
        assert fake.logins == 1
        assert b"s3cret" not in fake.raw


async def test_many_writes_in_order_and_pipelined(fake: FakeAmi) -> None:
    under_way: list[int] = []
    answered = 0

    async def count(fields: Fields, _writer: asyncio.StreamWriter) -> bool:
        nonlocal answered
        under_way.append(len(fake.actions) - answered)
        answered += 1
        return False

    fake.on_action = count
    async with connected(fake, AmiTimes()) as ami:
        writes = [Write("binding", f"ext/default/{n}", f"+1202555{n:04d}") for n in range(1000)]
        await ami.apply([*writes, Write("binding", "ext/default/7", None), Write("binding", "ext/default/8", "+1")])
        assert len(fake.astdb) == 999
        assert fake.astdb["binding/ext/default/8"] == "+1"


async def test_user_events_are_heard_by_their_name(fake: FakeAmi) -> None:
    """Whatever they hold, and whatever whoever hears them does with it, the connection stays."""
    heard: list[str] = []

    def hear(name: str) -> None:
        heard.append(name)
        raise RuntimeError

    async with connected(fake) as ami:
        ami.on_user_event = hear
        for fields in ("UserEvent: One", "UserEvent: Two\nUserEvent: Three", "Other: x", "UserEvent: \u00e9"):
            fake.tell(f"Event: UserEvent\nPrivilege: user,all\n{fields}\n\n")
        await until(lambda: len(heard) >= 2)
        await ami.put("binding", "a", "b")
    assert (heard[0], len(heard)) == ("One", 2)
    assert fake.logins == 1


async def test_a_wrong_secret_is_the_operators(fake: FakeAmi) -> None:
    with pytest.raises(ConfigError, match=r"\[ami\] user/secret must be a section of Asterisk's manager.conf"):
        await client(fake, "wrong").start()


async def test_a_secret_that_became_wrong_is_tried_on(fake: FakeAmi) -> None:
    async with connected(fake) as ami:
        fake.secret = "changed"
        fake.cut()
        await until(lambda: ami.state is AmiState.REFUSED)
        with pytest.raises(UnavailableError, match=r"manager\.conf"):
            await ami.put("binding", "a", "b")
        fake.secret = "s3cret"
        await until(lambda: ami.ready)


async def test_nobody_there_and_then_somebody() -> None:
    async with FakeAmi() as gone:
        port = gone.port
    ami = AmiClient(host="127.0.0.1", port=port, user="u", secret="s3cret", times=QUICK)
    await ami.start()
    try:
        assert ami.state is AmiState.LOST
        assert f"127.0.0.1:{port}" in ami.detail
        assert "[ami] host" in ami.detail
        with pytest.raises(UnavailableError, match="does not answer"):
            await ami.get("binding", "x")
        async with FakeAmi() as fake:
            ami._port = fake.port  # the same as Asterisk coming back at its port
            await until(lambda: ami.ready)
    finally:
        await ami.stop()


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\x00" * 5000,
        b"Asterisk Call Manager" + b"/" * 2000,
    ],
)
async def test_something_else_listens_there(fake: FakeAmi, greeting: bytes) -> None:
    fake.greeting = greeting
    async with connected(fake) as ami:
        assert ami.state is AmiState.LOST
        assert "not Asterisk's manager interface" in ami.detail
        assert not fake.actions  # it was told nothing


async def test_a_silent_peer_does_not_hold_the_start(fake: FakeAmi) -> None:
    fake.greeting = b""
    times = AmiTimes(connect_s=0.1, retry_s=(0.01, 0.01))
    async with connected(fake, times) as ami:
        assert ami.state is AmiState.LOST
        assert "no answer in time" in ami.detail


async def test_told_of_each_connect_and_of_a_late_boot(fake: FakeAmi) -> None:
    fake.boots = False
    ups: list[int] = []
    ami = client(fake)
    ami.on_up = lambda: ups.append(1)
    await ami.start()
    try:
        await until(lambda: len(ups) == 1)  # a user that may not read `system` hears of no boot
        fake.tell("Event: FullyBooted\nStatus: Fully Booted\n\n")
        await until(lambda: len(ups) == 2)
        fake.cut()
        await until(lambda: len(ups) == 3)
    finally:
        await ami.stop()


async def test_a_stalled_reply_ends_the_connection_and_is_not_sent_again(fake: FakeAmi) -> None:
    fake.on_action = once("DBPut", lambda _fields, _writer: None)
    async with connected(fake) as ami:
        with pytest.raises(UnavailableError, match="no reply within"):
            await ami.put("binding", "a", "1")
        await until(lambda: fake.logins == 2)
        await until(lambda: ami.ready)
        await ami.put("binding", "b", "2")
        assert fake.astdb == {"binding/b": "2"}


async def test_cut_in_the_middle_of_a_batch(fake: FakeAmi) -> None:
    async def handle(fields: Fields, writer: asyncio.StreamWriter) -> bool:
        if fields["Action"] != "DBPut" or len(fake.astdb) != 30 or fake.logins > 1:
            return False
        writer.transport.abort()
        return True

    fake.on_action = handle
    async with connected(fake) as ami:
        writes = [Write("binding", str(n), "1") for n in range(2 * BATCH)]
        with pytest.raises(UnavailableError, match="was lost"):
            await ami.apply(writes)
        await until(lambda: ami.ready)
        assert len(fake.astdb) == 30  # nothing is sent again behind our back
        await ami.apply(writes)
        assert len(fake.astdb) == 2 * BATCH


async def test_cut_while_many_wait(fake: FakeAmi) -> None:
    async def handle(fields: Fields, _writer: asyncio.StreamWriter) -> bool:
        return fields["Action"] == "DBGet"

    fake.on_action = handle
    async with connected(fake, AmiTimes(retry_s=(0.01, 0.01))) as ami:
        asking = [asyncio.create_task(ami.get("binding", str(n))) for n in range(20)]
        await until(lambda: len([fields for fields in fake.actions if fields["Action"] == "DBGet"]) == 20)
        fake.cut()
        results: list[Any] = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(result) for result in results} == {UnavailableError}


async def test_an_asker_that_leaves_leaves_nothing_behind(fake: FakeAmi) -> None:
    release = asyncio.Event()

    async def handle(fields: Fields, writer: asyncio.StreamWriter) -> bool:
        if fields["Action"] == "DBGet":
            await release.wait()
        return False

    fake.on_action = handle
    async with connected(fake, AmiTimes()) as ami:
        asking = asyncio.create_task(ami.get("binding", "a"))
        await until(lambda: any(fields["Action"] == "DBGet" for fields in fake.actions))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        release.set()
        await ami.put("binding", "b", "2")
        assert ami._connection is not None
        assert not ami._connection.wire.responses
        assert not ami._connection.wire.trees


async def test_a_ping_that_is_not_answered(fake: FakeAmi) -> None:
    fake.on_action = once("Ping", lambda _fields, _writer: None)
    async with connected(fake):
        await until(lambda: fake.logins == 2)


async def test_asterisk_says_that_it_shuts_down(fake: FakeAmi) -> None:
    async with connected(fake):
        fake.tell("Event: Shutdown\nPrivilege: system,all\nShutdown: Cleanly\n\n")
        await until(lambda: fake.logins == 2)


@pytest.mark.parametrize("noise", [b"x" * 3_000_000, b"\xff\x00: \xfe\r\n\r\n" * 500])
async def test_garbage_ends_the_connection_not_the_client(fake: FakeAmi, noise: bytes) -> None:
    def garbage(_fields: Fields, writer: asyncio.StreamWriter) -> None:
        writer.write(noise)

    fake.on_action = once("DBPut", garbage)
    async with connected(fake) as ami:
        with pytest.raises(UnavailableError):
            await ami.put("binding", "a", "1")
        await until(lambda: fake.logins == 2 and ami.ready)
        await ami.put("binding", "a", "1")


async def test_messages_in_pieces(fake: FakeAmi) -> None:
    async def drip(fields: Fields, writer: asyncio.StreamWriter) -> bool:
        for byte in fake._answer(fields).replace("\n", "\r\n").encode():
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        return True

    fake.astdb = {f"binding/ext/default/{n}": f"+1202555{n:04d}" for n in range(20)}
    fake.on_action = drip
    async with connected(fake, AmiTimes()) as ami:
        seen: dict[str, str] = {}
        await ami.tree("binding", "ext", seen.__setitem__)
        assert seen == fake.astdb


@pytest.mark.parametrize("value", ["a\r\nAction: Originate", "a\nb", " a", "a ", "ä", "a\x00", "x" * 1000, "\u2028"])
async def test_a_value_that_could_begin_another_action_is_refused(fake: FakeAmi, value: str) -> None:
    async with connected(fake, AmiTimes()) as ami:
        before = len(fake.actions)
        for write in (Write("binding", "a", value), Write("binding", value, "1"), Write(value, "a", None)):
            with pytest.raises(FieldError) as caught:
                await ami.apply([Write("binding", "good", "1"), write])
            assert len(value) < 3 or value not in str(caught.value)
        assert len(fake.actions) == before  # not even the good one of the batch
        with pytest.raises(ConfigError, match=r"ami\.user"):
            AmiClient(host="h", port=1, user=value, secret="s")


async def test_missing_permission_and_missing_action(fake: FakeAmi) -> None:
    async with connected(fake, AmiTimes()) as ami:
        fake.denied = {"DBPut", "DBDel", "DBGet", "DBGetTree", "DBDelTree"}
        for act in (
            ami.put("binding", "a", "1"),
            ami.delete("binding", "a"),
            ami.get("binding", "a"),
            ami.tree("binding", "a", lambda _key, _value: None),
            ami.delete_tree("binding", "a"),
        ):
            with pytest.raises(ConfigError, match="needs write = system"):
                await act
        fake.denied, fake.unknown = set(), {"DBGetTree"}
        with pytest.raises(UnknownActionError):
            await ami.tree("binding", "a", lambda _key, _value: None)


async def test_the_log_names_states_and_no_content(fake: FakeAmi) -> None:
    with structlog.testing.capture_logs() as lines:
        async with connected(fake) as ami:
            await ami.put("binding", "num/12025550100", "default/1")
            fake.cut()
            await until(lambda: fake.logins == 2 and ami.ready)
    assert [line["event"] for line in lines] == ["ami.connected", "ami.lost", "ami.connected"]
    assert not any(secret in str(lines) for secret in ("s3cret", "12025550100"))
