"""A hand-written Asterisk ARI on a real loopback socket whose misbehaviour tests choose; it places no calls."""

import asyncio
import base64
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from tests.patience import SLOW

Handler = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse | None]]


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    """Wait for *condition*, yielding to the loop between looks at it."""
    async with asyncio.timeout(within_s * SLOW):
        while not condition():
            await asyncio.sleep(0.002)


class FakeAri:
    """Keeps channels and event sockets as Asterisk does; `on_order` may answer a call order in its own way."""

    def __init__(self) -> None:
        self.channels: dict[str, str] = {}
        self.variables: dict[str, dict[str, str]] = {}
        self.orders: list[dict[str, Any]] = []
        self.asked: Counter[str] = Counter()
        self.sockets: list[web.WebSocketResponse] = []
        self.statuses: dict[str, list[int]] = {}
        self.on_order: Handler | None = None
        self.ping_hangs = False
        self.globals: dict[str, str] = {}
        self.version = "22.10.1"
        self.app_taken = False
        self.port = 0
        self._release = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/ari/events", self._events)
        app.router.add_route("*", "/ari/{rest:.*}", self._rest)
        self._release = asyncio.Event()
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def stop(self) -> None:
        self._release.set()
        if self._runner is not None:
            for socket in self.sockets:
                await socket.close()
            self.sockets.clear()
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def send(self, **event: Any) -> None:
        await self.sockets[-1].send_json({"application": "test", **event})

    async def about(self, channel_id: str, kind: str, state: str = "Up", **more: Any) -> None:
        await self.send(type=kind, channel={"id": channel_id, "name": "PJSIP/trunk-1", "state": state}, **more)

    async def dial(self, channel_id: str, status: str) -> None:
        await self.send(type="Dial", dialstatus=status, peer={"id": channel_id, "state": "Down"})

    async def end(self, channel_id: str, cause: int = 16, **more: Any) -> None:
        self.channels.pop(channel_id, None)
        await self.about(channel_id, "ChannelDestroyed", cause=cause, **more)

    async def drop(self) -> None:
        """Cut the event socket as a broken network does."""
        for socket in self.sockets:
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()
        self.sockets.clear()

    async def never(self, *_: object) -> None:
        """Wait until the end of the test."""
        await self._release.wait()

    def _login(self, request: web.Request) -> int:
        assert "api_key" not in request.query
        token = request.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(token).decode().partition(":")
        if password != "right":
            return 401
        return 403 if user == "reader" and request.method != "GET" else 0

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if refused := self._login(request):
            return web.json_response({"message": "Authentication required"}, status=refused)
        assert request.query["subscribeAll"] == "false"
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.sockets:
            await self.send(type="ApplicationReplaced", application=request.query["app"])
        self.sockets.append(socket)
        self.asked["connect"] += 1
        async for message in socket:
            if message.type is aiohttp.WSMsgType.ERROR:
                break
        if socket in self.sockets:
            self.sockets.remove(socket)
        return socket

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["rest"]
        kind = f"{request.method} {path.partition('/')[0]}" + ("/continue" if path.endswith("/continue") else "")
        self.asked[kind] += 1
        if refused := self._login(request):
            return web.json_response({"message": "no"}, status=refused)
        if self.statuses.get(kind):
            status = self.statuses[kind].pop(0)
            if status == 0:  # the request is done, its reply lost
                assert request.transport is not None
                request.transport.abort()
            return web.json_response({"message": "as told"}, status=status or 500)
        body = await request.json() if request.can_read_body else {}
        return await self._answer(request, kind, path, body)

    async def _answer(self, request: web.Request, kind: str, path: str, body: dict[str, Any]) -> web.StreamResponse:
        channel_id = path.split("/")[1] if "/" in path else ""
        match kind:
            case "POST channels":
                self.orders.append(body)
                answer = await self.on_order(request, body) if self.on_order is not None else None
                if answer is not None:
                    return answer
                if channel_id in self.channels:
                    return web.json_response({"message": "exists"}, status=409)
                self.channels[channel_id] = "Down"
                self.variables[channel_id] = body.get("variables", {})
                return web.json_response({"id": channel_id})
            case "DELETE channels":
                return web.Response(status=204 if self.channels.pop(channel_id, None) else 404)
            case "POST channels/continue":
                assert request.query["extension"] == "s"
                return web.Response(status=204 if channel_id in self.channels else 404)
            case "GET channels" if path.endswith("/variable"):
                value = self.variables.get(channel_id, {}).get(request.query["variable"])
                return web.json_response({"value": value or ""}, status=404 if value is None else 200)
            case "GET channels" if channel_id:
                return web.json_response({"id": channel_id}, status=200 if channel_id in self.channels else 404)
            case "GET channels":
                return web.json_response([{"id": key, "state": state} for key, state in self.channels.items()])
            case "GET asterisk" if path == "asterisk/ping":
                if self.ping_hangs:
                    await self.never()
                return web.json_response({"ping": "pong"})
            case "POST asterisk":
                self.globals[request.query["variable"]] = request.query["value"]
                return web.Response(status=204)
            case "GET asterisk":
                return web.json_response({"system": {"version": self.version}})
            case "PUT applications":
                return web.json_response({})
            case "GET applications":
                return web.json_response({}, status=200 if self.app_taken else 404)
            case "GET endpoints":
                return web.json_response({}, status=200 if path.endswith("/trunk") else 404)
        return web.Response(status=404)
