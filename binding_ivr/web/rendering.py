"""Answers that are made once for all who ask within a moment. It knows no route."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Rendering:
    """A body as it is sent."""

    body: bytes
    kind: str
    status: int = 200

    @property
    def tag(self) -> str:
        """Its entity tag: the same for the same body."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:20]}"'

    def response(self) -> web.Response:
        """Send it whole."""
        return web.Response(body=self.body, status=self.status, headers={hdrs.CONTENT_TYPE: self.kind})

    def tagged(self, request: web.Request, caching: str) -> web.Response:
        """Send it to who does not have it yet; *caching* is the Cache-Control."""
        headers = {hdrs.ETAG: self.tag, hdrs.CACHE_CONTROL: caching}
        if request.headers.get(hdrs.IF_NONE_MATCH) == self.tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, status=self.status, headers={hdrs.CONTENT_TYPE: self.kind, **headers})


class Cached:
    """Makes a rendering at most once in FRESH_S seconds, however many ask: they wait for the one that is being made."""

    def __init__(self, make: Callable[[], Awaitable[Rendering]], clock: Callable[[], float] = time.monotonic) -> None:
        """*make* is called when somebody asks and the last rendering is older than FRESH_S."""
        self._make = make
        self._clock = clock
        self._last: Rendering | None = None
        self._made_at = float("-inf")
        self._making: asyncio.Task[Rendering] | None = None

    async def get(self) -> Rendering:
        """Return a rendering that was begun at most FRESH_S seconds ago, or just now. Raises what *make* raises."""
        if self._making is None:
            if self._last is not None and self._clock() - self._made_at < FRESH_S:
                return self._last
            self._making = asyncio.create_task(self._render(), name="rendering")
        # Who leaves does not take the others' answer along.
        return await asyncio.shield(self._making)

    async def _render(self) -> Rendering:
        begun = self._clock()
        try:
            self._last = await self._make()
            self._made_at = begun
            return self._last
        finally:
            self._making = None
