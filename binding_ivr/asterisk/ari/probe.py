"""Asks a running Asterisk, over ARI, about what the service needs of it; it places no call to any phone.

The way to the conversation is tried by a Local channel, which exists only inside Asterisk, for the blink of an eye.
"""

import asyncio
from dataclasses import dataclass
from secrets import token_hex
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import msgspec

from binding_ivr.asterisk.ari.http import LOGIN_HINT, AriHttp, RefusedError, Reply, UnreachableError

RING_S = 4
"""How long the Local channel may last, in seconds."""
SLOW_S = RING_S + 3.0


@dataclass(frozen=True, slots=True)
class Way:
    """What a channel met on its way to the conversation: was the context there, and did AGI() reach a server."""

    context: bool
    agi: bool
    stuck: bool
    """AGI() was begun and did not return by itself."""


class AriProbe:
    """Questions to one Asterisk; use it as `async with`. Every method raises UnreachableError or RefusedError."""

    def __init__(self, *, url: str, user: str, password: str, app: str, request_s: float = 5.0) -> None:
        """Ask at *url*, under names that begin with *app*."""
        self._http = AriHttp(url, user, password, timeout_s=request_s, connections=3)
        self._app = app

    async def __aenter__(self) -> Self:
        self._http.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def info(self) -> dict[str, Any]:
        """Return what `GET /asterisk/info` tells."""
        reply = await self._ask("GET", "/asterisk/info")
        found = _decoded(reply)
        if reply.status != 200 or not isinstance(found, dict) or "system" not in found:
            raise RefusedError(
                f"what answers at [ari] url is not Asterisk's ARI (status {reply.status}): "
                "set enabled=yes in ari.conf and http.conf, and check the URL"
            )
        return found

    async def may_write(self) -> bool:
        """Return whether the user may do more than read: it ends a channel that does not exist."""
        try:
            await self._ask("DELETE", f"/channels/{self._app}.doctor.{token_hex(4)}")
        except RefusedError:
            return False
        return True

    async def has_app(self, app: str) -> bool:
        """Return whether a service is connected as *app*."""
        return (await self._ask("GET", f"/applications/{quote(app, safe='')}")).status == 200

    async def has_module(self, name: str) -> bool:
        """Return whether a module runs."""
        reply = await self._ask("GET", f"/asterisk/modules/{quote(name, safe='')}")
        found = _decoded(reply)
        return reply.status == 200 and isinstance(found, dict) and found.get("status") == "Running"

    async def endpoint_state(self, tech: str, name: str) -> str | None:
        """Return `online`, `offline` or `unknown`, None when there is no such endpoint."""
        reply = await self._ask("GET", f"/endpoints/{quote(tech, safe='')}/{quote(name, safe='')}")
        found = _decoded(reply)
        if reply.status != 200 or not isinstance(found, dict):
            return None
        return str(found.get("state", "unknown"))

    async def variable(self, name: str) -> str:
        """Return a global variable of the dialplan, empty when it is not set."""
        found = _decoded(await self._ask("GET", "/asterisk/variable", {"variable": name}))
        return str(found.get("value", "")) if isinstance(found, dict) else ""

    async def sound_languages(self, sound: str) -> set[str]:
        """Return the languages in which Asterisk finds a recording."""
        found = _decoded(await self._ask("GET", f"/sounds/{quote(sound, safe='')}"))
        formats = found.get("formats", []) if isinstance(found, dict) else []
        return {str(entry.get("language", "")) for entry in formats if isinstance(entry, dict)}

    async def way(self, context: str, variables: dict[str, str]) -> Way:
        """Send a Local channel through *context* and watch it; it is gone when this returns."""
        app = f"{self._app[:33]}-doctor"
        channel = f"{self._app}.doctor.{token_hex(4)}"
        socket = await self._http.events(app, heartbeat_s=10.0)
        seen: dict[str, str] = {}
        try:
            body = {
                "endpoint": f"Local/s@{context}/n",
                "app": app,
                "timeout": RING_S,
                "otherChannelId": f"{channel}.far",
                "variables": {f"__{name}": value for name, value in variables.items()},
            }
            reply = await self._ask("POST", f"/channels/{channel}", json=body)
            if reply.status == 200:
                async with asyncio.timeout(SLOW_S):
                    await _watch(socket, channel, seen)
        except TimeoutError:
            pass
        finally:
            await self._http.request("DELETE", f"/channels/{channel}")
            await socket.close()
        return Way("AGIEXITONHANGUP" in seen, seen.get("AGISTATUS") == "SUCCESS", "stuck" in seen)

    async def _ask(
        self, method: str, path: str, params: dict[str, str] | None = None, json: dict[str, Any] | None = None
    ) -> Reply:
        reply = await self._http.request(method, path, params=params, json=json)
        if reply.status in LOGIN_HINT and not reply.stranger:
            raise RefusedError(LOGIN_HINT[reply.status])
        return reply


async def _watch(socket: Any, channel: str, seen: dict[str, str]) -> None:
    """Note the variables that are set on the way, until the channel is gone."""
    began = asyncio.get_running_loop().time()
    async for message in socket:
        event = msgspec.json.decode(message.data)
        name = event.get("channel", {}).get("id", "")
        if event.get("type") == "ChannelVarset" and name == f"{channel}.far":
            seen[event.get("variable", "")] = str(event.get("value", ""))
        if event.get("type") == "ChannelDestroyed" and name == channel:
            if asyncio.get_running_loop().time() - began > RING_S - 0.5:
                seen["stuck"] = "yes"  # AGI() gives up a connect after 2 s: it was connected, and only the end ended it
            return
    raise UnreachableError("the event socket closed")


def _decoded(reply: Reply) -> Any:
    try:
        return msgspec.json.decode(reply.body)
    except msgspec.MsgspecError:
        return None
