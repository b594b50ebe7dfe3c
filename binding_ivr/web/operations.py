"""The routes for operations, health and metrics: what they answer is made once a second. They change nothing."""

import asyncio
import json

from aiohttp import web

from binding_ivr.metrics import Metrics
from binding_ivr.web.problems import Problem
from binding_ivr.web.rendering import Cached, Rendering
from binding_ivr.web.settings import Readiness

JSON = "application/json; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
METRICS_MOVED = (
    "metrics have a listener of their own, which a reverse proxy does not publish: see [metrics] bind and port; "
    "to have them here again, set [metrics] on_web = true"
)


class Operations:
    """The renderings behind these routes: the same ones at every listener."""

    def __init__(self, readiness: Readiness, metrics: Metrics) -> None:
        """Ask *readiness*, and render *metrics*."""
        self._readiness = readiness
        self._metrics = metrics
        self._live = Rendering(json.dumps({"status": "ok"}).encode(), JSON)
        self._ready = Cached(self._look)
        self._text = Cached(self._write)

    def add_health(self, app: web.Application) -> None:
        """Add `/health/live` and `/health/ready`."""

        async def live(_: web.Request) -> web.Response:
            return self._live.response()

        async def ready(_: web.Request) -> web.Response:
            return (await self._ready.get()).response()

        app.router.add_get("/health/live", live)
        app.router.add_get("/health/ready", ready)

    def add_metrics(self, app: web.Application) -> None:
        """Add `/metrics`."""

        async def show(_: web.Request) -> web.Response:
            return (await self._text.get()).response()

        app.router.add_get("/metrics", show)

    async def _look(self) -> Rendering:
        parts = await self._readiness()
        fine = all(state == "ok" for state in parts.values())
        told = {"status": "ok" if fine else "not_ready", "parts": dict(parts)}
        return Rendering(json.dumps(told).encode(), JSON, 200 if fine else 503)

    async def _write(self) -> Rendering:
        # It takes tens of milliseconds, in which no key of a call would be heard: so not in the event loop's thread.
        return Rendering(await asyncio.to_thread(self._metrics.text), PROMETHEUS)


def say_where_metrics_are(app: web.Application) -> None:
    """Add what stands at `/metrics` where it was before."""

    async def moved(_: web.Request) -> web.Response:
        raise Problem(410, "metrics_moved", METRICS_MOVED)

    app.router.add_get("/metrics", moved)
