"""Crowds at the doors: who only holds a connection, asks without end, or reads slowly takes nothing from others."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from binding_ivr.accepting import AT_ONCE
from binding_ivr.asterisk.agi.server import BACKLOG, AgiServer
from tests.bench.writes import User
from tests.integration.api_service import NUMBER, bearer, binding, config_for, running_web, token
from tests.integration.fake_agi import FakeLookups, Peer, hang_up, looked_up, make, talking
from tests.integration.fake_ari import until
from tests.patience import SLOW

SILENT = 400
MOST = 100

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def silent(port: int, count: int, says: bytes = b"") -> AsyncIterator[Sequence[Line]]:
    """So many connections to *port* that send *says* and then nothing."""
    lines = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(count)))
    try:
        for _, writer in lines:
            writer.write(says)
        yield lines
    finally:
        for _, writer in lines:
            writer.transport.abort()


async def closed(line: Line) -> bool:
    """Wait for the end of a connection; True, or TimeoutError."""
    async with asyncio.timeout(10 * SLOW):
        with contextlib.suppress(ConnectionError):
            while await line[0].read(65536):
                pass
    return True


# --- connections


@pytest.mark.parametrize(
    "says", [b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n", b"PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"]
)
async def test_silent_clients_starve_nobody(dsn: str, tmp_path: Path, says: bytes) -> None:
    config = config_for(dsn, tmp_path, web={"connections": MOST, "streams": 10}, agi={"connections": MOST})
    async with running_web(config) as web:
        await web.users("1001")
        agi = web.parts.agi
        async with silent(agi.port, SILENT), silent(web.parts.web.port, SILENT, says) as lines:
            for _ in range(3):  # the client keeps its connection, as a browser does
                assert (await web.get(binding(), bearer(token()))).status == 200
            assert await closed(lines[0])
            assert (await looked_up_as_stranger(agi))[-1].startswith("EXEC MSet")
            assert agi.sessions <= MOST
            dropped = web.metrics()
        assert 'binding_ivr_connections_dropped_total{listener="web"}' in dropped
        assert 'binding_ivr_connections_dropped_total{listener="agi"}' in dropped


async def looked_up_as_stranger(agi: AgiServer) -> list[str]:
    """The commands of a look-up whose other end knows no key: it is answered, though with an error."""
    peer = await Peer.dial(agi, "trusted-number?extension=1001")
    commands = []
    while command := await peer.command():
        commands.append(command)
        peer.send("200 result=0\n")
    await peer.leave()
    return commands


async def test_who_is_asterisk_keeps_its_session_and_who_waits_loses_it() -> None:
    agi = make(FakeLookups(), max_sessions=10, header_s=60.0)
    await agi.start()
    try:
        heard, talk, peer = await talking(agi)
        with capture_logs() as logs:
            async with silent(agi.port, 60) as lines:
                assert await closed(lines[0])
                for _ in range(5):
                    assert (await looked_up(agi, "trusted-number?extension=1001"))[-1].startswith("EXEC MSet")
                talk.speak("en")
                await peer.expect('SET VARIABLE CHANNEL(language) "en"', "200 result=1")
        assert agi.sessions <= 10
        assert {line["event"] for line in logs} == {"agi.refused"}
        assert "[agi] connections" in logs[0]["detail"]
        await hang_up(peer)
        await until(lambda: len(heard) > 1)
    finally:
        await agi.stop()


async def test_a_look_up_that_has_shown_the_key_cannot_be_pushed_out() -> None:
    lookups = FakeLookups()
    lookups.hangs = True
    agi = make(lookups, max_sessions=10, lookup_s=60.0, header_s=60.0)
    await agi.start()
    try:
        peers = [await Peer.dial(agi, "trusted-number?extension=1001") for _ in range(10)]
        for peer in peers:
            await peer.shows_key()
        await until(lambda: len(lookups.asked) == 10)
        async with silent(agi.port, 30) as lines:
            for line in lines:
                assert await closed(line)  # all places are held by look-ups
        assert agi.sessions == 10
        for peer in peers:
            await peer.leave()
    finally:
        await agi.stop()


async def test_a_live_page_keeps_its_stream_in_a_crowd(dsn: str, tmp_path: Path) -> None:
    config = config_for(dsn, tmp_path, web={"connections": 12, "streams": 10})
    async with running_web(config) as web:
        await web.users("1001")
        async with web.http.get(web.url + binding() + "/events", headers=bearer(token())) as stream:
            await stream.content.readuntil(b"event: binding")
            async with silent(web.parts.web.port, 60):
                assert (await web.put(binding(), {"number": NUMBER}, bearer(token()))).status == 202
                async with asyncio.timeout(10 * SLOW):
                    await stream.content.readuntil(b'"pending"')


@pytest.mark.parametrize("path", ["/openapi.json", "/metrics"])
async def test_who_does_not_take_an_answer_is_dropped(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("binding_ivr.web.connections.WRITE_S", 0.3)
    monkeypatch.setattr("binding_ivr.web.api.calls.document", lambda _: b"x" * 20_000_000)
    monkeypatch.setattr("binding_ivr.metrics.Metrics.text", lambda _: b"x" * 20_000_000)
    async with running_web(config_for(dsn, tmp_path)) as web:
        port = web.parts.web.metrics_port if path == "/metrics" else web.parts.web.port
        with socket.create_connection(("127.0.0.1", port)) as lazy:
            lazy.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(lazy, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            section = "metrics" if path == "/metrics" else "web"

            def held() -> float | None:
                return web.service.metrics.registry.get_sample_value("binding_ivr_connections", {"listener": section})

            await until(lambda: held() == 1)
            server_side = web.parts.web._metrics if section == "metrics" else web.parts.web._public
            assert server_side is not None
            assert server_side._runner is not None
            server = server_side._runner.server
            assert server is not None
            await until(lambda: not server.connections)
            await server_side._sweep()
            assert held() == 0


async def test_a_crowd_that_connects_is_taken_in_slices() -> None:
    """Few are accepted in one turn of the loop, and yet as many may wait as the kernel holds."""
    agi = make(FakeLookups())
    await agi.start()
    try:
        assert agi._server is not None
        [listening] = agi._server.sockets
        info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        waiting_at_most = int.from_bytes(info[28:32], sys.byteorder)  # tcpi_sacked, of a socket that listens
        assert waiting_at_most == BACKLOG
        assert BACKLOG > AT_ONCE
    finally:
        await agi.stop()


# --- metrics, health and the description


async def test_metrics_have_a_listener_of_their_own(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path)) as web:
        gone = await web.get("/metrics")
        assert (gone.status, gone.problem) == (410, "metrics_moved")
        assert "[metrics]" in gone.text
        async with web.http.get(web.metrics_url + "/metrics") as reply:
            assert reply.status == 200
            assert "binding_ivr_http_requests_total" in await reply.text()
        async with web.http.get(web.metrics_url + "/health/live") as reply:
            assert reply.status == 200
        async with web.http.get(web.metrics_url + binding()) as reply:
            assert reply.status == 404


async def test_a_second_service_of_the_machine_starts_without_metrics(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Mock()
    monkeypatch.setattr("binding_ivr.web.server.log", log)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with running_web(config_for(dsn, tmp_path, metrics={"port": port})) as web:
            assert (await web.get("/health/live")).status == 200
            assert web.parts.web.metrics_port == 0
    log.error.assert_called_once()
    assert log.error.call_args.args == ("metrics.not_served",)
    told = log.error.call_args.kwargs["detail"]
    assert f"cannot listen on 127.0.0.1:{port}" in told
    assert "[metrics]" in told


async def test_metrics_are_where_they_were_if_that_is_wanted(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path, metrics={"on_web": True, "bind": ""})) as web:
        assert (await web.get("/metrics")).status == 200
        assert web.parts.web.metrics_port == 0


@pytest.mark.parametrize(
    "path", ["/health/live", "/health/ready", "/openapi.json", "/metrics", "/static/page.css", "/none"]
)
async def test_nobody_asks_without_end(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr("binding_ivr.web.auth.guard.HOLD_S", 0.001)
    web_section = {"requests_per_second": 1}
    async with running_web(config_for(dsn, tmp_path, web=web_section, metrics={"on_web": True})) as web:
        replies = [await web.get(path) for _ in range(52)]
        refused = [reply for reply in replies if reply.status == 429]
        assert refused
        assert refused[0].problem == "too_many_requests"
        assert len(replies) - len(refused) >= 10
        # what strangers ask for uses up nothing of those who sign in, and the other way round
        other = "/health/live" if path in ("/none", "/static/page.css") else "/signin"
        assert (await web.get(other)).status != 429


async def test_one_customer_is_one_client_with_all_addresses_of_a_network(dsn: str, tmp_path: Path) -> None:
    proxy = {"trusted_proxies": ["127.0.0.1"], "user_header": "X-User", "requests_per_second": 1}
    async with running_web(config_for(dsn, tmp_path, web=proxy)) as web:

        async def ask(client: str) -> int:
            return (await web.get("/openapi.json", {"X-Forwarded-For": client})).status

        assert [await ask(f"2001:db8::{n:x}") for n in range(1, 12)][-1] == 429
        assert await ask("2001:db8:0:1::1") == 200
        assert [await ask(f"192.0.2.{n}") for n in range(1, 12)] == [200] * 11
        assert [await ask("192.0.2.77") for _ in range(9)] == [200] * 9
        assert [await ask("::ffff:192.0.2.77") for _ in range(2)][-1] == 429


async def test_a_user_fills_no_table_with_keys(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("binding_ivr.web.api.idempotency.USER_HOUR", 3)
    async with running_web(config_for(dsn, tmp_path)) as web:
        await web.users("1001")

        async def ask(headers: dict[str, str], key: int) -> tuple[int, str | None]:
            reply = await web.put(binding(), {"number": "1"}, {**headers, "Idempotency-Key": f"key-{key}"})
            return reply.status, reply.json.get("limit")

        user, portal = bearer(token()), await web.key("account:default")
        assert [await ask(user, n) for n in range(4)] == 3 * [(422, None)] + [(429, "idempotency_keys")]
        assert (await web.put(binding(), {"number": NUMBER}, user)).status == 202
        assert [await ask(portal, n) for n in range(9)] == 9 * [(422, None)]


async def test_to_remove_nothing_writes_nothing(dsn: str, tmp_path: Path) -> None:
    """Whoever has no number may ask for its removal all day; found by `make bench`."""
    async with running_web(config_for(dsn, tmp_path)) as web:
        await web.users("1001")
        user = bearer(token())
        assert (await web.put(binding(), {"number": NUMBER}, user)).status == 202
        assert (await web.ask("DELETE", binding(), user)).status == 204
        async with web.installation.store.db.link() as link:
            row = "SELECT xmin::text || '/' || xmax::text FROM binding_ivr.bindings WHERE user_id = '1001'"
            before = await link.fetchval(row)
            assert (await web.ask("DELETE", binding(), user)).status == 404
            assert await link.fetchval(row) == before


async def test_what_no_limit_bounds_writes_nothing(dsn: str, tmp_path: Path) -> None:
    """Every route, with a user's token: at 20 requests a second 100 bytes each are 170 MB a day."""
    async with running_web(config_for(dsn, tmp_path, limits={"user_uncalled_hour": 1})) as web:
        await web.users("1001")
        assert (await web.put(binding(), {"number": NUMBER}, bearer(token()))).status == 202
        assert (await web.ask("DELETE", binding(), bearer(token()))).status == 204
        assert (await web.put(binding(), {"number": NUMBER}, bearer(token()))).json["limit"] == "user_uncalled_hour"
        assert await User(web).writing_routes(8) == {}


async def test_the_description_and_the_picture_are_not_sent_twice(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path)) as web:
        await web.users("1001")
        user = bearer(token())
        for path in ("/openapi.json", "/caller.svg"):
            first = await web.get(path, user)
            assert first.status == 200
            assert "max-age" in first.headers["Cache-Control"]
            again = await web.get(path, {**user, "If-None-Match": first.headers["ETag"]})
            assert (again.status, again.text) == (304, "")
