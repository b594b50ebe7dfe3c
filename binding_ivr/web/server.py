"""The HTTP server of the service: health for orchestrators and metrics for Prometheus. It changes nothing."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from binding_ivr.errors import ConfigError
from binding_ivr.metrics import Metrics

Readiness = Callable[[], Awaitable[Mapping[str, str]]]
"""Returns for each part `ok` or what is wrong with it, in one line."""

SHUTDOWN_S = 5.0


class WebServer:
    """Serves `/health/live`, `/health/ready` and `/metrics`."""

    def __init__(self, bind: str, port: int, *, readiness: Readiness, metrics: Metrics) -> None:
        """Prepare; port 0 takes any free port."""
        self._bind = bind
        self._wanted = port
        self._readiness = readiness
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before the start."""
        if self._runner is None or not self._runner.addresses:
            return 0
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Begin to listen. Raises ConfigError when the address cannot be had."""
        app = web.Application(client_max_size=64 * 1024)
        app.router.add_get("/health/live", self._live)
        app.router.add_get("/health/ready", self._ready)
        app.router.add_get("/metrics", self._show_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._bind, self._wanted).start()
        except OSError as error:
            await self.stop()
            raise ConfigError(
                f"cannot listen on {self._bind}:{self._wanted}: {error.strerror}; change [web] bind or port"
            ) from None

    async def stop(self) -> None:
        """End all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, _: web.Request) -> web.Response:
        parts = await self._readiness()
        ready = all(state == "ok" for state in parts.values())
        return web.json_response(
            {"status": "ok" if ready else "not_ready", "parts": dict(parts)}, status=200 if ready else 503
        )

    async def _show_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})
