"""ARI's requests over a small pool of kept connections; it knows statuses and time limits, not calls."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec


class UnreachableError(Exception):
    """Asterisk could not be asked: no connection, a broken one, or no reply in time. The message is one line."""


class RefusedError(Exception):
    """Asterisk answered and will not let us in; an operator must act. The message is one line that says how."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply; a body is kept as it came."""

    status: int
    body: bytes
    stranger: bool = False
    """True when what answers is not Asterisk (see `is_stranger`)."""

    @property
    def words(self) -> str:
        """Asterisk's own short explanation, if the body holds one. For comparisons, not for people."""
        try:
            body = msgspec.json.decode(self.body)
        except msgspec.MsgspecError:
            return ""
        if not isinstance(body, dict):
            return ""
        return str(body.get("error") or body.get("message") or "")


LOGIN_HINT = {
    401: "Asterisk refuses the ARI login: [ari] user/password must be a user of type=user in Asterisk's ari.conf",
    403: "Asterisk's ARI user may only read: remove read_only=yes for [ari] user in Asterisk's ari.conf",
}
"""What an operator must do about the two statuses that every request may meet."""


def is_stranger(status: int, headers: Mapping[str, str]) -> bool:
    """True when a refused login is not Asterisk's: ARI asks for Basic, whatever its realm is called."""
    return status == 401 and not headers.get("WWW-Authenticate", "Basic").startswith("Basic")


class AriHttp:
    """One session to one Asterisk. Its listener has a backlog of 10 connections, hence the small pool."""

    def __init__(self, url: str, user: str, password: str, *, timeout_s: float, connections: int) -> None:
        """Prepare for *url* (`http://host:port`), with *connections* for requests and one more for the event socket."""
        self._base = url.rstrip("/") + "/ari"
        # The header instead of `api_key` in the URL: URLs end up in logs.
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"}
        self._timeout_s = timeout_s
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Make the session; connections follow when they are needed."""
        if self._session is None:
            # Asterisk drops an idle connection after 15 s; let it go before that.
            connector = aiohttp.TCPConnector(limit=self._connections + 1, keepalive_timeout=10)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(
        self, method: str, path: str, *, json: Any = None, params: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request and return its reply, whatever its status. Raises UnreachableError."""
        session = self._open_session()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                session.request(method, self._base + path, json=json, params=params) as response,
            ):
                return Reply(response.status, await response.read(), is_stranger(response.status, response.headers))
        except TimeoutError as error:
            raise UnreachableError(f"no reply within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnreachableError(type(error).__name__) from error

    async def events(self, app: str, *, heartbeat_s: float) -> aiohttp.ClientWebSocketResponse:
        """Open the event socket of *app*. Raises UnreachableError or RefusedError."""
        session = self._open_session()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await session.ws_connect(
                    self._base + "/events",
                    params={"app": app, "subscribeAll": "false"},
                    heartbeat=heartbeat_s,  # Asterisk never pings
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                    max_msg_size=1 << 20,
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 404 or is_stranger(error.status, error.headers or {}):
                raise RefusedError(
                    "no ARI at [ari] url: set enabled=yes in Asterisk's ari.conf and http.conf, and check the URL"
                ) from None
            if error.status in LOGIN_HINT:
                raise RefusedError(LOGIN_HINT[error.status]) from None
            raise UnreachableError(f"event socket refused with status {error.status}") from None
        except TimeoutError as error:
            raise UnreachableError(f"no event socket within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnreachableError(type(error).__name__) from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise UnreachableError("not started")
        return self._session
