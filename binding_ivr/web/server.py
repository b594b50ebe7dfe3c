"""The HTTP server of the service: puts the parts of the web together and listens. It knows no use case."""

import asyncio
from secrets import token_bytes

from aiohttp import web

from binding_ivr.app.credentials import StoredCredentials
from binding_ivr.app.installation import Installation
from binding_ivr.background import Loop
from binding_ivr.config import Config
from binding_ivr.errors import ConfigError
from binding_ivr.metrics import Metrics
from binding_ivr.web import operations
from binding_ivr.web.api import calls as api
from binding_ivr.web.api import events
from binding_ivr.web.auth import signin
from binding_ivr.web.auth.credentials import Credentials
from binding_ivr.web.auth.guard import LARGEST_BODY, Guard, secure_headers
from binding_ivr.web.auth.identity import AUTHENTICATE
from binding_ivr.web.auth.witness import WITNESS, Witness
from binding_ivr.web.page import admin
from binding_ivr.web.page import binding as page
from binding_ivr.web.quiet import server_logger
from binding_ivr.web.settings import CONFIG, INSTALLATION, METRICS, READINESS, Readiness

SHUTDOWN_S = 5.0
IDLE_S = 75.0
BACKLOG = 1024
SILENT_S = 20.0
"""A connection that has not sent a whole request by then is closed."""


class WebServer:
    """Serves the API, the page, sign-in, health and metrics."""

    def __init__(
        self,
        config: Config,
        *,
        installation: Installation,
        readiness: Readiness,
        metrics: Metrics,
        secret: bytes | None = None,
    ) -> None:
        """Prepare; `[web] port` 0 takes any free port. *secret* is the same on all nodes (None: made up)."""
        self._bind = config.web.bind
        self._wanted = config.web.port
        self._app = make_app(
            config,
            installation=installation,
            readiness=readiness,
            metrics=metrics,
            secret=secret,
        )
        self._runner: web.AppRunner | None = None
        self._seen: dict[int, float] = {}
        self._silence = Loop(
            "silent connections", self._close_silent, poll_s=SILENT_S / 4, fault="web.fault", at_once=False
        )

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before the start."""
        if self._runner is None or not self._runner.addresses:
            return 0
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Begin to listen. Raises ConfigError when the address cannot be had."""
        self._runner = web.AppRunner(
            self._app, access_log=None, logger=server_logger(), shutdown_timeout=SHUTDOWN_S, keepalive_timeout=IDLE_S
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._bind, self._wanted, backlog=BACKLOG).start()
        except OSError as error:
            await self.stop()
            raise ConfigError(
                f"cannot listen on {self._bind}:{self._wanted}: {error.strerror}; change [web] bind or port"
            ) from None
        self._silence.start()

    async def stop(self) -> None:
        """End all connections; event streams are told first."""
        await self._silence.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _close_silent(self) -> None:
        """Close connections that sent no whole request in their first SILENT_S seconds (aiohttp waits forever)."""
        assert self._runner is not None
        server = self._runner.server
        assert server is not None
        spoken = self._app[operations.SPOKEN]
        spoken &= set(server.connections)
        now = asyncio.get_running_loop().time()
        silent = [link for link in server.connections if link not in spoken]
        self._seen = {id(link): self._seen.get(id(link), now) for link in silent}
        for link in silent:
            if now - self._seen[id(link)] >= SILENT_S and link.transport is not None:
                link.transport.abort()


def make_app(
    config: Config,
    *,
    installation: Installation,
    readiness: Readiness,
    metrics: Metrics,
    secret: bytes | None = None,
) -> web.Application:
    """Return the application with every route."""
    credentials = Credentials(config, StoredCredentials(installation.store), secret or token_bytes(32))
    guard = Guard(config.web, metrics)
    app = web.Application(client_max_size=LARGEST_BODY, middlewares=guard.middlewares)
    app[CONFIG] = config
    app[METRICS] = metrics
    app[INSTALLATION] = installation
    app[READINESS] = readiness
    app[AUTHENTICATE] = credentials.identity
    app[WITNESS] = Witness(installation.store.audit, metrics)
    app.cleanup_ctx.append(app[WITNESS].running)
    app.on_response_prepare.append(secure_headers(config.web))
    app.cleanup_ctx.append(credentials.running)
    operations.add_routes(app, readiness)
    signin.add_routes(app, credentials)
    events.add_hub(app)
    for part in (api, page, admin):
        part.add_routes(app)
    return app
