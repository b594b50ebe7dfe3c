"""The connections of one HTTP listener: a bounded number, none silent or slow for long. It knows no route."""

import asyncio
import time
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from binding_ivr.log import get_logger
from binding_ivr.metrics import Metrics
from binding_ivr.places import Places

log = get_logger()

SILENT_S = 20.0
"""A connection that has not sent a whole request by then is closed (aiohttp waits for ever)."""
IDLE_S = 75.0
"""So long a connection may wait for its next request."""
WRITE_S = 10.0
"""A client that has not taken its answer by then is dropped."""
PURGE_S = 0.1
TOLD_S = 10.0


class Connections:
    """Gives each connection its place, and takes it away again.

    A connection keeps its place while a request of it is at work. It does not while it sends one, or takes an answer.
    """

    def __init__(self, most: int, section: str, metrics: Metrics) -> None:
        """Let in *most* at once; the listener is that of `[section]`."""
        self._section = section
        metrics.connections.labels(section).set_function(lambda: float(len(self._places)))
        self._dropped = metrics.connections_dropped.labels(section)
        self._most = most
        self._places: Places[Any] = Places(most, self._drop, time.monotonic)
        self._lines: dict[Any, asyncio.Transport] = {}
        self._seen: set[Any] = set()
        self._purged_at = self._told_at = float("-inf")

    def admit(self, server: web.Server) -> asyncio.Protocol:
        """The protocol of a connection that was accepted: *server*'s, or one that closes it at once."""
        now = time.monotonic()
        if self._places.full and now - self._purged_at > PURGE_S:
            self._purged_at = now
            self._forget_gone(server)
        dropped = self._places.dropped
        handler = server()
        admitted = self._places.enter(handler)
        if (not admitted or dropped != self._places.dropped) and now - self._told_at > TOLD_S:
            self._told_at = now
            log.warning("web.full", section=self._section, connections=self._most, busy=self._places.busy)
        if not admitted:
            self._dropped.inc()
        return handler if admitted else _Refused()

    def at_work(self, request: web.Request) -> None:
        """A whole request is here: until it is answered, its connection keeps its place."""
        self._places.hold(request.protocol)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Around all others: the answer is written here, so that nobody takes it for ever."""
        link, line = request.protocol, request.transport
        self._seen.add(link)
        if line is not None:
            self._lines[link] = line  # aiohttp forgets it when it closes, though bytes may still wait for the client
        try:
            response = await handler(request)
            self._places.release(link)
            try:
                async with asyncio.timeout(WRITE_S):
                    await response.prepare(request)
                    await response.write_eof()
            except TimeoutError:
                if line is not None:
                    line.abort()
            except ConnectionError:
                pass  # the client has gone; aiohttp finds out by itself
            return response
        finally:
            self._places.release(link)

    def sweep(self, server: web.Server) -> None:
        """Close what has been silent for too long."""
        self._forget_gone(server)
        self._places.end_silent(SILENT_S, IDLE_S)

    def _forget_gone(self, server: web.Server) -> None:
        living = set(server.connections)
        # Those that were never seen may just have been accepted; if not, they are silent and go soon.
        for link in self._seen - living:
            self._places.leave(link)
            self._lines.pop(link, None)
        self._seen = living

    def _drop(self, handler: Any) -> None:
        self._dropped.inc()
        # Not now: one that was accepted in the same turn of the loop gets its transport in the next.
        asyncio.get_running_loop().call_soon(_abort, handler, self._lines.pop(handler, None))


def _abort(handler: Any, line: asyncio.Transport | None) -> None:
    transport = line or handler.transport
    if transport is not None:
        transport.abort()


class _Refused(asyncio.Protocol):
    """Closes a connection for which there is no place."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it at once."""
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
