"""The routes for operations: health for orchestrators, metrics for Prometheus. They change nothing."""

from typing import Any

from aiohttp import web

from binding_ivr.web.settings import METRICS, Readiness

SPOKEN: web.AppKey[set[Any]] = web.AppKey("binding_ivr.spoken")
"""Connections that have sent at least one whole request, until the server forgets those that are closed."""


def add_routes(app: web.Application, readiness: Readiness) -> None:
    """Add `/health/live`, `/health/ready` and `/metrics`."""
    app[SPOKEN] = set()

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_: web.Request) -> web.Response:
        parts = await readiness()
        fine = all(state == "ok" for state in parts.values())
        return web.json_response(
            {"status": "ok" if fine else "not_ready", "parts": dict(parts)}, status=200 if fine else 503
        )

    async def show_metrics(request: web.Request) -> web.Response:
        text = request.app[METRICS].text()
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", show_metrics)
