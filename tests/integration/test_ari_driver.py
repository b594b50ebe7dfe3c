"""The ARI driver against a real socket: placing, watching and ending calls while the other side misbehaves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from aiohttp import web

from binding_ivr.asterisk.ari.driver import AriDriver
from binding_ivr.asterisk.ari.link import LinkState, LinkTimes
from binding_ivr.call.events import Answered, Ended, Event, HangupNoticed, Ringing
from binding_ivr.errors import ConfigError
from binding_ivr.ports import CallOrder, PlaceError
from tests.integration.fake_ari import FakeAri, until

CALL = "test.abcdefghijklmnopqrstuvwxy"
TIMES = LinkTimes(heartbeat_s=5, retry_s=(0.01, 0.05), refused_s=0.05, standby_s=(0.02, 0.05))


@pytest.fixture
async def ari() -> AsyncIterator[FakeAri]:
    fake = FakeAri()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def driver(ari: FakeAri) -> AsyncIterator[AriDriver]:
    made = make(ari)
    await made.start()
    yield made
    await made.stop()


def make(ari: FakeAri, **changes: Any) -> AriDriver:
    settings: dict[str, Any] = {"user": "u", "password": "right", "app": "test", "times": TIMES, "request_s": 1.0}
    return AriDriver(url=ari.url, **{**settings, **changes})


def order(endpoint: str = "PJSIP/+15551230001@trunk") -> CallOrder:
    return CallOrder(CALL, "5ec3e7", endpoint, "+15550100", 30, 150, "es", {"BINDING_ATTEMPT": "0b8f/5ec3e7"})


class Heard(list[Event]):
    """A sink."""

    def __call__(self, event: Event) -> None:
        self.append(event)


def watched(driver: AriDriver) -> Heard:
    heard = Heard()
    driver.watch(CALL, heard)
    return heard


# --- connecting --------------------------------------------------------------------------------------------------


async def test_connects_sets_the_filter_and_reads_the_version(ari: FakeAri, driver: AriDriver) -> None:
    assert driver.ready
    assert driver.version == "22.10.1"
    assert ari.asked["PUT applications"] == 1


@pytest.mark.parametrize(
    ("user", "password", "hint"), [("u", "wrong", "user/password"), ("reader", "right", "read_only")]
)
async def test_a_refused_login_is_the_operators_to_correct(ari: FakeAri, user: str, password: str, hint: str) -> None:
    driver = make(ari, user=user, password=password)
    with pytest.raises(ConfigError, match=hint):
        await driver.start()


@pytest.mark.parametrize("app", ["", "a.b", "a b", "a/b", "x" * 41, "a\n"])
def test_an_app_name_that_would_break_ids_is_refused(app: str) -> None:
    with pytest.raises(ConfigError, match=r"\[ari\] app"):
        AriDriver(url="http://127.0.0.1:1", user="u", password="p", app=app)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8088", "ftp://x", "http://", "http://user:pw@x", "http://x?api_key=y"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\[ari\] url"):
        AriDriver(url=url, user="u", password="p", app="test")


async def test_an_absent_asterisk_is_tried_on_for_with_one_log_line(ari: FakeAri) -> None:
    await ari.stop()
    driver = make(ari)
    with structlog.testing.capture_logs() as logs:
        await driver.start()
        assert not driver.ready
        with pytest.raises(PlaceError, match="not connected"):
            await driver.place(order())
        assert not await driver.hangup(CALL)
        assert await driver.strays() is None
        await ari.start()
        await until(lambda: driver.ready)
        await driver.stop()
    assert [line["event"] for line in logs] == ["ari.lost", "ari.connected"]


async def test_a_listener_that_never_answers_does_not_hold_the_start() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    driver = AriDriver(url=f"http://127.0.0.1:{port}", user="u", password="p", app="test", times=TIMES, request_s=0.05)
    await driver.start(patience_s=1.0)
    assert driver.state is LinkState.LOST
    await driver.stop()
    server.close()
    await server.wait_closed()


async def test_old_versions_work_and_are_named_in_the_log(ari: FakeAri) -> None:
    for version, warned in (("16.28.0~dfsg", True), ("22.9.0", True), ("22.10.1+dfsg", False), ("20.20.1", False)):
        ari.version = version
        driver = make(ari)
        with structlog.testing.capture_logs() as logs:
            await driver.start()
        await driver.stop()
        assert [line["event"] for line in logs if line["event"] == "ari.old_asterisk"] == ["ari.old_asterisk"] * warned


# --- placing -----------------------------------------------------------------------------------------------------


async def test_the_order_as_asterisk_gets_it(ari: FakeAri, driver: AriDriver) -> None:
    watched(driver)
    await driver.place(order())
    assert ari.orders == [
        {
            "endpoint": "PJSIP/+15551230001@trunk",
            "app": "test",
            "timeout": 30,
            "callerId": "+15550100",
            "variables": {"BINDING_ATTEMPT": "0b8f/5ec3e7", "TIMEOUT(absolute)": "150", "CHANNEL(language)": "es"},
        }
    ]


async def test_a_call_from_ringing_to_its_end(ari: FakeAri, driver: AriDriver) -> None:
    heard = watched(driver)
    await driver.place(order())
    await ari.dial(CALL, "")
    await ari.dial(CALL, "RINGING")
    await ari.about(CALL, "ChannelStateChange", "Ringing")
    await ari.about(CALL, "StasisStart")
    await until(lambda: Answered() in heard)
    await driver.handoff(CALL)
    await ari.about(CALL, "StasisEnd")
    await ari.about(CALL, "ChannelHangupRequest")
    await ari.end(CALL, 16)
    await until(lambda: Ended(16) in heard)
    assert heard == [Ringing(), Answered(), HangupNoticed(), Ended(16)]
    with pytest.raises(PlaceError, match="gone before"):
        await driver.handoff(CALL)


async def test_a_hang_up_that_overtakes_the_application_is_told_behind_the_answer(
    ari: FakeAri, driver: AriDriver
) -> None:
    heard = watched(driver)
    await driver.place(order())
    await ari.about(CALL, "ChannelHangupRequest")
    await ari.about(CALL, "StasisStart")
    await ari.end(CALL, 16)
    await until(lambda: Ended(16) in heard)
    assert heard == [Answered(), HangupNoticed(), Ended(16)]


async def test_the_end_before_the_orders_reply(ari: FakeAri, driver: AriDriver) -> None:
    heard = watched(driver)

    async def end_first(_request: web.Request, _body: dict[str, Any]) -> None:
        await ari.dial(CALL, "")
        await ari.end(CALL, 17, tech_cause=486)
        await until(lambda: heard)

    ari.on_order = end_first
    await driver.place(order())
    assert heard == [Ended(17, 486)]


async def test_a_lost_reply_is_asked_again_with_the_same_id(ari: FakeAri, driver: AriDriver) -> None:
    watched(driver)

    async def lose(request: web.Request, body: dict[str, Any]) -> web.StreamResponse | None:
        if len(ari.orders) > 1:
            return None
        ari.channels[CALL] = "Down"
        ari.variables[CALL] = body["variables"]
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    ari.on_order = lose
    await driver.place(order())  # the second try meets 409: it was created
    assert len(ari.orders) == 2
    assert list(ari.channels) == [CALL]


async def test_a_channel_that_was_there_before_us_is_not_our_call(ari: FakeAri, driver: AriDriver) -> None:
    """Whoever may originate calls made a channel of that name, and would be taken for the phone that we called."""
    watched(driver)
    ari.channels[CALL] = "Up"
    ari.variables[CALL] = {"BINDING_ATTEMPT": "0b8f"}
    with pytest.raises(PlaceError, match="not ours"):
        await driver.place(order())


@pytest.mark.parametrize("variables", [{}, {"BINDING_ATTEMPT": "0b8f"}, {"BINDING_ATTEMPT": "0b8f/5ec3e8"}])
async def test_a_channel_of_somebody_else_is_not_our_call_after_a_lost_reply_either(
    ari: FakeAri, driver: AriDriver, variables: dict[str, str]
) -> None:
    watched(driver)

    async def lose(request: web.Request, _body: dict[str, Any]) -> web.StreamResponse | None:
        if len(ari.orders) > 1:
            return None
        ari.channels[CALL] = "Up"
        ari.variables[CALL] = variables
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    ari.on_order = lose
    with pytest.raises(PlaceError, match="not ours"):
        await driver.place(order())


async def test_no_second_call_after_a_lost_reply_of_a_call_that_has_ended(ari: FakeAri, driver: AriDriver) -> None:
    heard = watched(driver)

    async def end_and_lose(request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
        await ari.end(CALL, 17)
        await until(lambda: heard)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    ari.on_order = end_and_lose
    await driver.place(order())
    assert len(ari.orders) == 1


@pytest.mark.parametrize(
    ("endpoint", "status", "words", "message", "network"),
    [
        ("PJSIP/+15551230001@nosuch", 500, "Allocation failed", "no endpoint PJSIP/nosuch;", False),
        ("PJSIP/+15551230001@trunk", 500, "Allocation failed", "PJSIP/trunk now", True),
        ("PJSIP/15551230001", 500, "Allocation failed", "a PJSIP endpoint", False),
        ("Local/15551230001@from-internal/n", 500, "Allocation failed", "Local/from-internal, or", False),
        ("x", 400, "Invalid endpoint specified", "malformed", False),
        ("x", 401, "", "user/password", False),
        ("x", 403, "", "read_only", False),
        ("x", 404, "", "status 404", False),
        ("x", 500, "else", "status 500", False),
    ],
)
async def test_a_refused_order_says_what_to_do_and_no_number(
    ari: FakeAri, driver: AriDriver, endpoint: str, status: int, words: str, message: str, network: bool
) -> None:
    async def refuse(_request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": words}, status=status)

    ari.on_order = refuse
    with pytest.raises(PlaceError, match=message) as caught:
        await driver.place(order(endpoint))
    assert caught.value.network is network
    assert "1555" not in str(caught.value)


async def test_an_order_without_reply_leaves_no_channel(ari: FakeAri) -> None:
    driver = make(ari, request_s=0.1)
    await driver.start()
    heard = watched(driver)
    ari.on_order = ari.never
    with pytest.raises(PlaceError, match="did not answer"):
        await driver.place(order())
    driver.unwatch(CALL)
    assert len(ari.orders) == 2
    await until(lambda: ari.asked["DELETE channels"] == 1)
    ari.channels[CALL] = "Up"  # Asterisk wakes up and creates it after all
    await ari.about(CALL, "StasisStart")
    await until(lambda: CALL not in ari.channels)
    assert heard == []
    await driver.stop()


async def test_a_cancelled_order_leaves_no_channel(ari: FakeAri, driver: AriDriver) -> None:
    watched(driver)
    ari.on_order = ari.never
    task = asyncio.create_task(driver.place(order()))
    await until(lambda: ari.orders)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: ari.asked["DELETE channels"] == 1)


# --- handing over and ending -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "asked"),
    [([], 1), ([409], 2), ([0], 2), ([0, 409], 2)],
)
async def test_handoff_is_tried_again(ari: FakeAri, driver: AriDriver, statuses: list[int], asked: int) -> None:
    ari.channels[CALL] = "Up"
    ari.statuses["POST channels/continue"] = statuses
    await driver.handoff(CALL)
    assert ari.asked["POST channels/continue"] == asked


@pytest.mark.parametrize(
    ("statuses", "message"),
    [
        ([404], "gone"),
        ([403], "read_only"),
        ([500], "status 500"),
        ([409] * 5, "not in the ARI application"),
        ([0, 0], "did not"),
    ],
)
async def test_handoff_that_fails(ari: FakeAri, driver: AriDriver, statuses: list[int], message: str) -> None:
    ari.statuses["POST channels/continue"] = statuses
    with pytest.raises(PlaceError, match=message):
        await driver.handoff(CALL)


async def test_hangup(ari: FakeAri, driver: AriDriver) -> None:
    ari.channels[CALL] = "Up"
    assert await driver.hangup(CALL)
    assert await driver.hangup(CALL)  # 404: gone already
    ari.statuses["DELETE channels"] = [500]
    assert not await driver.hangup(CALL)


async def test_strays_are_channels_with_our_prefix(ari: FakeAri, driver: AriDriver) -> None:
    ari.channels = {CALL: "Up", "test2.x.0": "Up", "1700000000.1": "Up", "testing": "Up", CALL + ";2": "Up"}
    assert await driver.strays() == [CALL]
    ari.statuses["GET channels"] = [500]
    assert await driver.strays() is None


async def test_ids_that_would_change_the_url_are_refused(driver: AriDriver) -> None:
    for bad in ("", "a/b", "a?b", "..%2f", "a b", "a\n"):
        with pytest.raises(ValueError, match="channel id"):
            driver.watch(bad, Heard())


async def test_an_answer_that_no_call_waits_for_is_ended(ari: FakeAri, driver: AriDriver) -> None:
    ari.channels = {CALL: "Up", "other.1": "Up"}
    await ari.about("other.1", "StasisStart")
    await ari.about(CALL + ";2", "StasisStart")
    await ari.about(CALL, "StasisStart")
    await until(lambda: CALL not in ari.channels)
    assert "other.1" in ari.channels


# --- adversity on the event socket ---------------------------------------------------------------------------------


async def test_garbage_frames_and_a_failing_sink_do_not_deafen(ari: FakeAri, driver: AriDriver) -> None:
    def broken(_event: Event) -> None:
        raise RuntimeError("a call's fault")

    driver.watch("test.broken.0", broken)
    heard = watched(driver)
    with structlog.testing.capture_logs() as logs:
        await ari.sockets[-1].send_str('{"type":"Dial","peer":7}')
        await ari.sockets[-1].send_str("{")
        await ari.sockets[-1].send_bytes(b"\xff\x00")
        await ari.send(type="SomethingNew", channel=5)
        await ari.send(type="ApplicationReplaced", application="another")
        await ari.about("test.broken.0", "StasisStart")
        await ari.about(CALL, "StasisStart")
        await until(lambda: heard)
    assert [line["event"] for line in logs] == ["ari.undecodable_frame", "ari.sink_failed"]
    assert driver.ready


async def test_a_huge_frame_costs_the_socket_not_the_driver(ari: FakeAri, driver: AriDriver) -> None:
    await ari.sockets[-1].send_str('{"type":"' + "x" * (2 << 20) + '"}')
    await until(lambda: ari.asked["connect"] == 2 and driver.ready)


async def test_after_a_drop_the_filter_is_set_again_and_the_hook_runs(ari: FakeAri, driver: AriDriver) -> None:
    ran = []

    async def hook() -> None:
        ran.append(driver.ready)
        raise RuntimeError("the hook's fault")

    driver.on_connect = hook
    await ari.drop()
    await until(lambda: ran)
    assert ran == [True]
    assert ari.asked["PUT applications"] == 2


async def test_what_happened_during_a_drop_is_told_after_it(ari: FakeAri, driver: AriDriver) -> None:
    gone, answered, ringing, unplaced = (f"test.{name}.0" for name in ("gone", "answered", "ringing", "unplaced"))
    heard = {name: Heard() for name in (gone, answered, ringing, unplaced)}
    for name, sink in heard.items():
        driver.watch(name, sink)
        if name != unplaced:
            await driver.place(CallOrder(name, "5ec3e7", "PJSIP/1@trunk", "", 30, 150, "en", {}))
    await ari.drop()
    del ari.channels[gone]
    ari.channels[answered] = "Up"
    await until(lambda: ari.asked["connect"] == 2 and driver.ready)
    await ari.about(answered, "StasisStart")
    await ari.end(ringing)
    await until(lambda: heard[ringing])
    assert heard == {gone: [Ended()], answered: [Answered()], ringing: [Ended(16)], unplaced: []}


async def test_a_call_being_placed_during_a_drop_is_not_declared_dead(ari: FakeAri, driver: AriDriver) -> None:
    heard = watched(driver)
    go_on = asyncio.Event()

    async def slowly(_request: web.Request, _body: dict[str, Any]) -> None:
        await go_on.wait()

    ari.on_order = slowly
    task = asyncio.create_task(driver.place(order()))
    await until(lambda: ari.orders)
    await ari.drop()
    await until(lambda: ari.asked["connect"] == 2 and driver.ready)
    assert heard == []
    go_on.set()
    await task
    assert heard == []
    assert CALL in ari.channels


async def test_a_call_that_came_and_went_during_a_drop_ends(ari: FakeAri, driver: AriDriver) -> None:
    heard = watched(driver)
    go_on = asyncio.Event()

    async def slowly(_request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
        await go_on.wait()
        return web.json_response({"id": CALL})

    ari.on_order = slowly
    task = asyncio.create_task(driver.place(order()))
    await until(lambda: ari.orders)
    await ari.drop()
    await until(lambda: ari.asked["connect"] == 2 and driver.ready)
    go_on.set()
    await task
    assert heard == [Ended()]


async def test_a_restart_of_asterisk_ends_every_call(ari: FakeAri, driver: AriDriver) -> None:
    heard = watched(driver)
    await driver.place(order())
    await ari.stop()
    ari.channels.clear()
    await until(lambda: not driver.ready)
    await ari.start()
    await until(lambda: heard)
    assert heard == [Ended()]


async def test_a_replaced_application_stands_by_until_the_other_is_gone(ari: FakeAri, driver: AriDriver) -> None:
    ari.app_taken = True
    with structlog.testing.capture_logs() as logs:
        await ari.send(type="ApplicationReplaced", application="test")
        await until(lambda: driver.state is LinkState.REPLACED)
        assert not driver.ready
        await until(lambda: ari.asked["GET applications"] >= 3)
        assert ari.asked["connect"] == 1
        ari.app_taken = False
        await until(lambda: driver.ready)
    assert [line["event"] for line in logs] == ["ari.replaced", "ari.connected"]


async def test_a_hung_ari_is_left_by_the_watchdog(ari: FakeAri) -> None:
    driver = make(ari, request_s=0.05, times=LinkTimes(heartbeat_s=0.05, retry_s=(0.01, 0.05)))
    await driver.start()
    ari.ping_hangs = True
    await until(lambda: ari.asked["connect"] == 2)
    ari.ping_hangs = False
    await until(lambda: driver.ready)
    await driver.stop()


async def test_any_channel_is_looked_at_and_all_are_told_something(ari: FakeAri, driver: AriDriver) -> None:
    ari.channels["1700000000.1"] = "Up"
    ari.variables["1700000000.1"] = {"WORD": "x"}
    assert await driver.variable("1700000000.1", "WORD") == "x"
    for channel, name in (("1700000000.1", "NONE"), ("1700000000.2", "WORD"), ("../asterisk", "WORD"), ("", "WORD")):
        assert await driver.variable(channel, name) is None
    assert await driver.tell("KEY", "a&b=c d")
    assert ari.globals == {"KEY": "a&b=c d"}
    await ari.stop()
    assert await driver.variable("1700000000.1", "WORD") is None
    assert not await driver.tell("KEY", "y")
