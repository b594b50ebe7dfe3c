"""Live event streams: the right events to the right user, resumed, bounded, ended; a thousand at once."""

import asyncio
import contextlib
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from binding_ivr.app.signin import add_key
from binding_ivr.model.outcome import FAULTS, AttemptState, Outcome, Verdict
from binding_ivr.model.rows import Credential
from binding_ivr.web.api import events
from tests.integration.api_service import NUMBER, Web, bearer, binding, config_for, running_web, token
from tests.patience import SLOW

MANY = 1000


@dataclass
class Event:
    name: str
    id: int
    data: Any


class Listener:
    """A client of one stream."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply
        self.keepalives = 0
        self.last: dict[str, str] = {}

    @property
    def said_goodbye(self) -> bool:
        """True when the stream said why it ends."""
        return self.last == {"event": "signed_out", "data": "{}"}

    async def _block(self) -> dict[str, str]:
        lines = []
        while (line := (await self._reply.content.readline()).decode()) != "\n":
            if not line:
                raise EOFError
            lines.append(line.rstrip("\n").partition(": "))
        found = {name: value for name, _, value in lines}
        self.keepalives += "" in found
        self.last = found
        return found

    async def next(self) -> Event:
        """The next event; EOFError at the end of the stream."""
        async with asyncio.timeout(10 * SLOW):
            while True:
                found = await self._block()
                if "id" in found:
                    return Event(found["event"], int(found["id"]), json.loads(found["data"]))

    async def keepalive(self) -> None:
        """Wait for a keepalive; no event may come before it."""
        async with asyncio.timeout(10 * SLOW):
            while not self.keepalives:
                assert "event" not in await self._block()

    async def until(self, name: str, **facts: Any) -> Event:
        while True:
            event = await self.next()
            if event.name == name and all(event.data[key] == value for key, value in facts.items()):
                return event


@asynccontextmanager
async def listening(web: Web, user: str = "1001", headers: dict[str, str] | None = None) -> AsyncIterator[Listener]:
    asked = {**bearer(token(user)), **(headers or {})}
    async with web.http.get(web.url + binding(user) + "/events", headers=asked) as reply:
        assert reply.status == 200, await reply.text()
        assert reply.content_type == "text/event-stream"
        yield Listener(reply)


@pytest.fixture
async def web(dsn: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with running_web(config_for(dsn, tmp_path)) as it:
        await it.users("1001", "1002")
        yield it


async def gone(web: Web) -> None:
    """Wait until no stream is open."""
    async with asyncio.timeout(10 * SLOW):
        while web.service.metrics.streams._value.get():
            await asyncio.sleep(0.01)


async def test_a_call_is_followed_to_its_end(web: Web) -> None:
    ledger = web.installation.store.attempts
    async with listening(web) as it, listening(web, "1002") as other:
        first = await it.next()
        assert (first.name, first.data["status"]) == ("binding", "none")
        assert (await other.next()).name == "binding"
        attempt = (await web.put(binding(), {"number": NUMBER}, bearer(token()))).json["attempt"]
        queued = await it.until("attempt", state="queued")
        assert queued.data["code"] == attempt["code"]
        assert (await it.until("binding", status="pending")).data["number"] == NUMBER
        attempt_id = UUID(attempt["id"])
        await ledger.claim("test", 1, 30)
        await it.until("attempt", state="dialing")
        await ledger.progress(attempt_id, AttemptState.RINGING, 0)
        await it.until("attempt", state="ringing")
        for digits in range(3):
            await ledger.progress(attempt_id, AttemptState.ANSWERED, digits)
            await it.until("attempt", state="answered", digits=digits)
        await ledger.finish(attempt_id, Verdict(Outcome.VERIFIED, FAULTS[Outcome.VERIFIED], tries=1))
        ended = await it.until("attempt", state="ended")
        assert (ended.data["outcome"], ended.data["code"]) == ("verified", None)
        proven = await it.until("binding", status="verified")
        with pytest.raises(TimeoutError):  # nothing of it to anybody else
            async with asyncio.timeout(0.3):
                await other.next()
    async with listening(web, headers={"Last-Event-ID": str(proven.id + 10**6)}) as again:
        assert (await again.next()).id > proven.id + 10**6
        assert (await again.until("binding", status="verified")).data["number"] == NUMBER
    await gone(web)


async def test_the_first_event_of_the_answer_has_the_code_that_was_kept_until_then(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path, code={"reveal": "on_answer"})) as web:
        await web.users("1001")
        ledger = web.installation.store.attempts
        async with listening(web) as it:
            asked = (await web.put(binding(), {"number": NUMBER}, bearer(token()))).json["attempt"]
            assert asked["code"] is None
            await ledger.claim("test", 1, 30)
            await ledger.progress(UUID(asked["id"]), AttemptState.RINGING, 0)
            seen: list[Event] = []
            while not seen or seen[-1].data["state"] != "ringing":
                seen.append(await it.until("attempt"))
            assert {event.data["code"] for event in seen} == {None}
            await ledger.progress(UUID(asked["id"]), AttemptState.ANSWERED, 0)
            row = await ledger.attempt(UUID(asked["id"]))
            answered = await it.until("attempt", state="answered")
            assert answered.data["code"] == web.installation.codes.of_attempt(row.attempt_id, row.key_id)
            await ledger.progress(UUID(asked["id"]), AttemptState.ANSWERED, 2)
            assert (await it.until("attempt", digits=2)).data["code"] == answered.data["code"]
            await ledger.finish(UUID(asked["id"]), Verdict(Outcome.HUNG_UP, FAULTS[Outcome.HUNG_UP]))
            assert (await it.until("attempt", state="ended")).data["code"] is None


async def test_ids_only_grow(web: Web) -> None:
    last = 0
    for name in ("x", "-1", "9" * 30, "５", "17"):
        async with listening(web, headers={"Last-Event-ID": name}) as it:
            event = await it.next()
            assert event.id >= last
            last = event.id


async def test_keepalives_and_the_end_of_a_credential(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEPALIVE_S", 0.1)
    monkeypatch.setattr(events, "CHECK_S", 0.2)
    browser = await web.cookie("1001")
    async with web.http.get(web.url + binding() + "/events", headers=browser) as reply:
        it = Listener(reply)
        await it.next()
        csrf = (await web.get("/v1/session", browser)).json["csrf"]
        await it.keepalive()
        await web.ask("POST", "/signout", browser, data={"csrf": csrf})
        with pytest.raises(EOFError):
            await it.until("never")
        assert it.keepalives
    async with web.http.get(
        web.url + binding() + "/events", headers=bearer(token(life_s=-28))
    ) as reply:  # two seconds of the leeway are left
        short = Listener(reply)
        await short.next()
        with pytest.raises(EOFError):
            await short.until("never")


SESSIONS, KEYS, USERS = "binding_ivr.web_sessions", "binding_ivr.api_keys", "binding_ivr.users"
OF_KEY = f"key_id = (SELECT key_id FROM {KEYS} WHERE name = '{{user}}')"
ENDS: dict[str, tuple[str, str]] = {
    "signed out": ("session", f"DELETE FROM {SESSIONS} WHERE user_id = '{{user}}'"),
    "the session was too old": ("session", f"UPDATE {SESSIONS} SET expires_at = now() WHERE user_id = '{{user}}'"),
    "the user was removed": ("session", f"DELETE FROM {USERS} WHERE user_id = '{{user}}'"),
    "the token's user was removed": ("token", f"DELETE FROM {USERS} WHERE user_id = '{{user}}'"),
    "the token was used to sign in": ("token", "spend"),
    "the token was too old": ("short token", "SELECT 1"),
    "the key was removed": ("key", f"DELETE FROM {KEYS} WHERE name = '{{user}}'"),
    "the key came to its end": ("key", f"UPDATE {KEYS} SET expires_at = now() WHERE name = '{{user}}'"),
    "the key of the session was removed": ("key session", f"DELETE FROM {KEYS} WHERE name = '{{user}}'"),
    "the key of the session ended": ("key session", f"UPDATE {KEYS} SET expires_at = now() WHERE name = '{{user}}'"),
    "the key's session was signed out": ("key session", f"DELETE FROM {SESSIONS} WHERE {OF_KEY}"),
    "the user whom a key looks at was removed": ("key", f"DELETE FROM {USERS} WHERE user_id = '{{user}}'"),
    "the proxy's user was removed": ("proxy", f"DELETE FROM {USERS} WHERE user_id = '{{user}}'"),
}
"""By what a stream of the user was opened, and what another node does in the database: nodes share nothing else."""


async def opened_by(web: Web, how: str, user: str) -> dict[str, str]:
    if how == "session":
        return await web.cookie(user)
    if how == "proxy":
        return {"X-Remote-User": user}
    if how.endswith("token"):
        return bearer(token(user, life_s=-24 if how == "short token" else 300, jti=user))  # 6 s of the leeway are left
    key = (await add_key(web.installation.store, user, ["admin"])).text
    if how == "key":
        return bearer(key)
    return {"Cookie": (await web.signs_in(key=key)).headers["Set-Cookie"].split(";")[0]}


async def test_a_stream_ends_with_what_opened_it(dsn: str, tmp_path: Path) -> None:
    proxies = {"trusted_proxies": ["127.0.0.0/8"], "user_header": "X-Remote-User"}
    async with running_web(config_for(dsn, tmp_path, web=proxies)) as web:
        users = {moment: f"u{at}" for at, moment in enumerate(ENDS)}
        await web.users(*users.values(), "stays")

        async def ends(moment: str) -> None:
            (how, statement), user = ENDS[moment], users[moment]
            headers = await opened_by(web, how, user)
            async with web.http.get(web.url + binding(user) + "/events", headers=headers) as reply:
                it = Listener(reply)
                await it.next()
                if statement == "spend":
                    assert (await web.get("/signin", params={"token": token(user, jti=user)})).status == 200
                else:
                    async with web.installation.store.db.link() as db:
                        await db.execute(statement.format(user=user))
                began = time.monotonic()
                with pytest.raises(EOFError):
                    await it.until("never")
                took = time.monotonic() - began
            assert took < (8 if how == "short token" else 2), moment  # a promise: no more time on slow machines
            assert it.said_goodbye or "removed" in moment, (
                moment
            )  # a user's removal is a change, which may end it first

        async with listening(web, "stays") as other:
            await other.next()
            await asyncio.gather(*(ends(moment) for moment in ENDS))
            await web.put(binding("stays"), {"number": NUMBER}, bearer(token("stays")))
            await other.until("binding", status="pending")  # whose credential is good goes on


def test_there_is_an_end_for_every_kind_of_credential() -> None:
    kinds = {field.name for field in dataclasses.fields(Credential)}
    assert kinds == {"session", "key_id", "token"}
    assert {how.split()[-1] for how, _ in ENDS.values()} == {"session", "key", "token", "proxy"}


async def test_a_removed_user_and_too_many_pages(web: Web) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(6):
            last = await stack.enter_async_context(listening(web))
            await last.next()
        refused = await web.get(binding() + "/events", bearer(token()))
        assert (refused.problem, refused.json["limit"]) == ("too_many_streams", "streams_per_user")
        assert (await web.get(binding("nobody") + "/events", await web.key("admin"))).status == 404
        await web.put(binding(), {"number": NUMBER}, bearer(token()))
        await last.until("binding", status="pending")
        await web.ask("DELETE", "/v1/accounts/default/users/1001", await web.key("admin"))
        with pytest.raises(EOFError):
            await last.until("never")


async def test_a_client_that_does_not_read_is_dropped(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SLOW_S", 0.3)
    port = int(web.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    head = f"GET {binding()}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n\r\n"
    writer.write(head.encode())
    await reader.readuntil(b"\r\n\r\n")
    hub = web.parts.web._app[events.HUB]
    (stream,) = hub._streams[("default", "1001")]
    transport = stream.request.transport
    assert transport is not None
    transport.set_write_buffer_limits(0)
    sock = transport.get_extra_info("socket")
    accepted = await web.put(binding(), {"number": NUMBER}, bearer(token()))
    attempt_id = UUID(accepted.json["attempt"]["id"])
    transport.pause_reading()
    # fill the way to the client, which reads nothing, with what nobody asked for
    transport.write(b": " + b"x" * 20_000_000 + b"\n\n")
    await web.installation.store.attempts.claim("test", 1, 30)
    await web.installation.store.attempts.progress(attempt_id, AttemptState.RINGING, 0)
    async with asyncio.timeout(10 * SLOW):
        while hub._streams.get(("default", "1001")):
            await asyncio.sleep(0.02)
    assert sock.fileno() == -1 or transport.is_closing()
    writer.transport.abort()


async def test_a_thousand_streams(dsn: str, tmp_path: Path) -> None:
    """All are served, the one who is called hears it at once, the loop does not stall, and the end is quick."""
    async with running_web(config_for(dsn, tmp_path, web={"streams": MANY})) as web:
        names = [f"u{n}" for n in range(MANY)]
        await web.users(*names)
        admin = await web.key("admin")
        async with contextlib.AsyncExitStack() as stack:

            async def open_one(name: str) -> Listener:
                it = await stack.enter_async_context(listening(web, name))
                assert (await it.next()).name == "binding"
                return it

            listeners = []
            for at in range(0, MANY, 50):
                listeners += await asyncio.gather(*(open_one(name) for name in names[at : at + 50]))
            refused = await web.get(binding("u0") + "/events", admin)
            assert (refused.problem, refused.json["limit"]) == ("too_many_streams", "streams")
            stall = asyncio.create_task(longest_stall())
            lags = []
            for at in range(0, MANY, 100):
                began = time.monotonic()
                number = f"+1202555{2000 + at // 100:04d}"
                assert (await web.put(binding(names[at]), {"number": number}, admin)).status == 202
                await listeners[at].until("attempt", state="queued")
                lags.append(time.monotonic() - began)
            assert max(lags) < 2  # generous: the cores may be shared
            stall.cancel()
            assert stall_of(await asyncio.gather(stall, return_exceptions=True)) < 1
            began = time.monotonic()
            await web.parts.web.stop()
            assert time.monotonic() - began < 4
            for it in listeners[:20]:
                with pytest.raises((EOFError, aiohttp.ClientError)):
                    await it.until("never")


class Stalled(Exception):
    """How long the event loop did not run, at most."""


async def longest_stall() -> None:
    worst, last = 0.0, time.monotonic()
    try:
        while True:
            await asyncio.sleep(0.01)
            worst, last = max(worst, time.monotonic() - last), time.monotonic()
    except asyncio.CancelledError:
        raise Stalled(worst) from None


def stall_of(results: Sequence[object]) -> float:
    (result,) = results
    assert isinstance(result, Stalled)
    return float(result.args[0])


async def test_a_slow_body_and_a_silent_client(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("binding_ivr.web.auth.guard.BODY_S", 0.3)
    port = int(web.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"PUT {binding()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    writer.write(head.encode())
    async with asyncio.timeout(5 * SLOW):
        assert b" 408 " in await reader.readline()
    writer.transport.abort()
    assert (await web.get(binding(), bearer(token()))).json["status"] == "none"


async def test_a_connection_that_says_nothing_is_closed(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("binding_ivr.web.connections.SILENT_S", 0.4)
    async with running_web(config_for(dsn, tmp_path)) as web:
        await web.users("1001")
        port = int(web.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v1/acc")
        async with listening(web) as it:
            await it.next()
            async with asyncio.timeout(5 * SLOW):
                assert await reader.read() == b""
            await web.put(binding(), {"number": NUMBER}, bearer(token()))
            await it.until("attempt", state="queued")  # whoever has spoken stays
        writer.close()
