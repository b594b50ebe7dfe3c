"""Keeps the one event socket of our application open and says when it is not; it knows no calls and places none."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import NoReturn

import aiohttp
import msgspec

from binding_ivr.asterisk.ari.events import SILENCED, AriEvent, UndecodableError, decode_event
from binding_ivr.asterisk.ari.http import LOGIN_HINT, AriHttp, RefusedError, UnreachableError
from binding_ivr.asterisk.quiet import Quiet
from binding_ivr.background import Backoff, Loop
from binding_ivr.errors import UnavailableError
from binding_ivr.log import get_logger
from binding_ivr.model import versions

log = get_logger()


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """How long the link waits, all in seconds.

    `heartbeat_s` is the period of the socket's ping and of the watchdog's request, `retry_s` first and longest pause
    after a loss, `refused_s` the pause after a refused login, `standby_s` first and longest pause while another daemon
    holds our application.
    """

    heartbeat_s: float = 10.0
    retry_s: tuple[float, float] = (0.2, 10.0)
    refused_s: float = 30.0
    standby_s: tuple[float, float] = (5.0, 60.0)


class LinkState(StrEnum):
    """Where the link stands; each change is one log line."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    REPLACED = "replaced"
    REFUSED = "refused"


class ReplacedError(Exception):
    """Another connection took our application."""


class AriLink:
    """The event socket with its filter, heartbeat, watchdog and reconnects."""

    def __init__(
        self,
        http: AriHttp,
        app: str,
        *,
        on_event: Callable[[AriEvent], None],
        on_up: Callable[[], Awaitable[None]],
        times: LinkTimes,
    ) -> None:
        """*on_event* must not wait. *on_up* runs after each connect, before events are read; it may wait a little."""
        self._http = http
        self._app = app
        self._on_event = on_event
        self._on_up = on_up
        self._times = times
        self._quiet = Quiet()
        retry = Backoff(*times.retry_s)
        self._loop = Loop("ari-link", self._turn, poll_s=retry.first_s, retry=retry, fault="ari.fault")
        self._first: asyncio.Future[RefusedError | None] | None = None
        self._logged: LinkState | None = None
        self.state = LinkState.CONNECTING
        self.version = ""
        self.epoch = 0
        """Counts the connects: two equal readings mean that no event between them was lost."""

    @property
    def ready(self) -> bool:
        """True while events arrive."""
        return self.state is LinkState.CONNECTED

    async def start(self, patience_s: float) -> None:
        """Begin, and wait up to *patience_s* for the first result. Raises RefusedError when an operator must act."""
        self._first = asyncio.get_running_loop().create_future()
        self._loop.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                refused = await asyncio.shield(self._first)
                if refused is not None:
                    raise refused

    async def stop(self) -> None:
        """Close the socket; it does not come back."""
        await self._loop.stop()
        if self._first is not None:
            self._first.cancel()
        self.state = LinkState.CONNECTING

    async def _turn(self) -> float:
        """Connect, and stay connected until something ends it. Raises UnavailableError for a loss."""
        try:
            await self._connected_once()
        except ReplacedError:
            self._change(LinkState.REPLACED, f"another daemon uses the ARI app {self._app}; standing by")
            await self._stand_by()
            return 0.0
        except RefusedError as error:
            self._settle(error)
            self._change(LinkState.REFUSED, str(error))
            return self._times.refused_s
        except UnreachableError as error:
            self._settle(None)
            detail = f"Asterisk's ARI does not answer at [ari] url ({error}); still trying"
            self._change(LinkState.LOST, detail)
            raise UnavailableError(detail) from None
        except Exception:
            self.state = LinkState.LOST
            raise

    async def _connected_once(self) -> NoReturn:
        """Connect, read until the socket ends, and raise what ended it."""
        socket = await self._http.events(self._app, heartbeat_s=self._times.heartbeat_s)
        try:
            await self._set_filter()
            await self._read_version()
            self.epoch += 1
            self._loop.works()
            await self._on_up()
            self._change(LinkState.CONNECTED, "")
            self._settle(None)
            watchdog = asyncio.create_task(self._watch(socket), name="ari-watchdog")
            try:
                await self._read(socket)
            finally:
                watchdog.cancel()
                await asyncio.wait([watchdog])
        finally:
            if self.ready:
                self.state = LinkState.LOST  # at once, not only when close() is through
            with contextlib.suppress(Exception):
                await socket.close()

    async def _set_filter(self) -> None:
        # After each connect: Asterisk forgets the filter of an application that had neither socket nor channels.
        path = f"/applications/{self._app}/eventFilter"
        reply = await self._http.request("PUT", path, json={"disallowed": [{"type": name} for name in SILENCED]})
        if reply.status in LOGIN_HINT:
            raise RefusedError(LOGIN_HINT[reply.status])
        if reply.status != 200:  # older series have no filters: correct without, only dearer
            log.warning("ari.no_event_filter", status=reply.status)

    async def _read_version(self) -> None:
        reply = await self._http.request("GET", "/asterisk/info")
        version = _version_of(reply.body) if reply.status == 200 else ""
        if version and version != self.version:
            _warn_of_old(version)
        self.version = version

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> NoReturn:
        async for message in socket:
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                continue
            try:
                event = decode_event(message.data)
            except UndecodableError as error:
                if (swallowed := self._quiet.admits("undecodable")) is not None:
                    log.warning("ari.undecodable_frame", size=len(message.data), error=str(error), more=swallowed)
                continue
            if event is None:
                continue
            if event.type == "ApplicationReplaced":
                if event.application == self._app:
                    raise ReplacedError
                continue
            self._on_event(event)
        raise UnreachableError("the event socket closed")

    async def _watch(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        # The socket's own ping is answered even when ARI's workers hang (a deadlock that was seen upstream).
        failed = 0
        while failed < 2:
            await asyncio.sleep(self._times.heartbeat_s)
            try:
                reply = await self._http.request("GET", "/asterisk/ping")
                failed = 0 if reply.status in (200, 404) else failed + 1  # 404: a series that has no ping
            except UnreachableError:
                failed += 1
        log.warning("ari.watchdog", detail="Asterisk's ARI no longer answers; reconnecting")
        await socket.close()

    async def _stand_by(self) -> None:
        """Wait until nobody holds our application any more: two daemons must not take it from each other in turns."""
        backoff = Backoff(*self._times.standby_s)
        for tries in count(1):
            await asyncio.sleep(backoff.pause(tries, random.random()))  # noqa: S311 - jitter, not a secret
            with contextlib.suppress(UnreachableError):
                reply = await self._http.request("GET", f"/applications/{self._app}")
                if reply.status == 404:
                    return

    def _settle(self, refused: RefusedError | None) -> None:
        if self._first is not None and not self._first.done():
            self._first.set_result(refused)

    def _change(self, state: LinkState, detail: str) -> None:
        if state is LinkState.CONNECTED:
            log.info("ari.connected", app=self._app, version=self.version)
        elif self._logged is not state:
            log.warning(f"ari.{state.value}", detail=detail)
        self._logged = self.state = state


def _version_of(body: bytes) -> str:
    try:
        info = msgspec.json.decode(body)
        return str(info["system"]["version"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return ""


def _warn_of_old(version: str) -> None:
    found = versions.judge(version)
    if found.standing is not versions.Standing.GOOD:
        log.warning("ari.old_asterisk", version=version[:60], detail=found.detail)
