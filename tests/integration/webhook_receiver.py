"""A receiver of webhooks on loopback that does to each message what its script says; it checks every signature."""

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.patience import SLOW

SECRET = "a-secret-of-the-tests"
PAGE = Path(__file__).resolve().parents[2] / "docs/webhooks.md"


def is_genuine() -> Callable[..., bool]:
    """The function that the page gives to receivers."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    names: dict[str, Any] = {}
    exec(found[1], names)
    return names["is_genuine"]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Got:
    """One message that came."""

    delivery: str
    headers: dict[str, str]
    body: dict[str, Any]
    answer: str

    @property
    def what(self) -> tuple[str, str]:
        return self.body["user_id"], self.body["event"]


@dataclass
class WebhookReceiver:
    """Answers each message by the first of `script` that is left, then by `usual`.

    A status (`"500"`), with headers (`"503 Retry-After: 2"`), `cut`, `stall` (until `release`), `200 long` (an
    endless body), or `garbage` (no HTTP). `choose` may tell one of these from the message, and goes first.
    """

    usual: str = "204"
    script: list[str] = field(default_factory=list)
    choose: Callable[[dict[str, Any]], str | None] | None = None
    tls: ssl.SSLContext | None = None
    got: list[Got] = field(default_factory=list)
    forged: int = 0
    at_once: int = 0
    most_at_once: int = 0
    strayed: int = 0

    async def __aenter__(self) -> Self:
        self._released = asyncio.Event()
        self._came = asyncio.Condition()
        self._genuine = is_genuine()
        app = web.Application()
        app.router.add_post("/hook", self._hook)
        app.router.add_route("*", "/elsewhere", self._elsewhere)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}/hook?token=never-log-me"

    @property
    def taken(self) -> list[Got]:
        return [one for one in self.got if one.answer.startswith("2")]

    def release(self) -> None:
        """End all stalls, now and later."""
        self._released.set()

    async def wait(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until *condition* is true after some message."""
        async with asyncio.timeout(seconds * SLOW), self._came:
            await self._came.wait_for(condition)

    async def _elsewhere(self, _: web.Request) -> web.Response:
        self.strayed += 1
        return web.Response(status=204)

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            raw = await request.read()
            if not self._genuine(SECRET, request.headers, raw):
                self.forged += 1
            body = json.loads(raw)
            answer = (self.choose(body) if self.choose else None) or (self.script.pop(0) if self.script else self.usual)
            self.got.append(Got(request.headers["Binding-Delivery"], dict(request.headers), body, answer))
            async with self._came:
                self._came.notify_all()
            return await self._answered(request, answer)
        finally:
            self.at_once -= 1

    async def _answered(self, request: web.Request, answer: str) -> web.StreamResponse:
        assert request.transport is not None
        if answer == "cut":
            request.transport.abort()
        elif answer == "stall":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), 30)
        elif answer == "garbage":
            request.transport.write(b"220 mail.example ESMTP\r\n\r\n")
            request.transport.close()
        elif answer == "200 long":
            response = web.StreamResponse()
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):
                while True:
                    await response.write(b"x" * 65536)
            return response
        else:
            status, _, header = answer.partition(" ")
            name, _, value = header.partition(": ")
            return web.Response(status=int(status), headers={name: value} if name else {}, text="thanks")
        return web.Response(status=204)
