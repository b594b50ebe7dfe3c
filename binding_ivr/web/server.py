"""The HTTP server of the service: puts the parts of the web together and listens. It knows no use case."""

from secrets import token_bytes

from aiohttp import web

from binding_ivr.app.credentials import StoredCredentials
from binding_ivr.app.installation import Installation
from binding_ivr.config import Config
from binding_ivr.errors import ConfigError
from binding_ivr.log import get_logger
from binding_ivr.metrics import Metrics
from binding_ivr.web.api import calls as api
from binding_ivr.web.api import events
from binding_ivr.web.auth import signin
from binding_ivr.web.auth.credentials import Credentials
from binding_ivr.web.auth.guard import LARGEST_BODY, Guard, secure_headers
from binding_ivr.web.auth.identity import AUTHENTICATE
from binding_ivr.web.auth.witness import WITNESS, Witness
from binding_ivr.web.connections import Connections
from binding_ivr.web.listener import Listener
from binding_ivr.web.operations import Operations, say_where_metrics_are
from binding_ivr.web.page import admin
from binding_ivr.web.page import binding as page
from binding_ivr.web.settings import CONFIG, CONNECTIONS, INSTALLATION, METRICS, READINESS, Readiness

log = get_logger()

METRICS_CONNECTIONS = 50
"""So many at once at the listener of `[metrics]`."""


class WebServer:
    """Serves the API, the page, sign-in and health; and metrics at a listener of their own."""

    def __init__(
        self,
        config: Config,
        *,
        installation: Installation,
        readiness: Readiness,
        metrics: Metrics,
        secret: bytes | None = None,
    ) -> None:
        """Prepare; `port` 0 takes any free port. *secret* is the same on all nodes (None: made up)."""
        operations = Operations(readiness, metrics)
        self._app = make_app(
            config,
            installation=installation,
            readiness=readiness,
            metrics=metrics,
            operations=operations,
            secret=secret,
        )
        self._public = Listener(self._app, section="web", bind=config.web.bind, port=config.web.port)
        self._metrics: Listener | None = None
        if config.metrics.bind:
            own = make_metrics_app(config, metrics, operations)
            self._metrics = Listener(own, section="metrics", bind=config.metrics.bind, port=config.metrics.port)

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before the start."""
        return self._public.port

    @property
    def metrics_port(self) -> int:
        """The port of metrics; 0 before the start, and without a listener."""
        return self._metrics.port if self._metrics is not None else 0

    async def start(self) -> None:
        """Begin to listen. Raises ConfigError when the address of `[web]` cannot be had.

        Nobody's call waits for metrics: without their address they are not served, and the log says so.
        """
        await self._public.start()
        if self._metrics is not None:
            try:
                await self._metrics.start()
            except ConfigError as error:
                log.error("metrics.not_served", detail=str(error))

    async def stop(self) -> None:
        """End all connections; event streams are told first."""
        if self._metrics is not None:
            await self._metrics.stop()
        await self._public.stop()


def make_app(
    config: Config,
    *,
    installation: Installation,
    readiness: Readiness,
    metrics: Metrics,
    operations: Operations,
    secret: bytes | None = None,
) -> web.Application:
    """Return the application with every route that users and portals have."""
    credentials = Credentials(config, StoredCredentials(installation.store), secret or token_bytes(32))
    app = _app(config, metrics, Connections(config.web.connections, "web", metrics), sign_in=True)
    app[INSTALLATION] = installation
    app[READINESS] = readiness
    app[AUTHENTICATE] = credentials.identity
    app[WITNESS] = Witness(installation.store.audit, metrics)
    app.cleanup_ctx.append(app[WITNESS].running)
    app.cleanup_ctx.append(credentials.running)
    operations.add_health(app)
    if config.metrics.on_web:
        operations.add_metrics(app)
    else:
        say_where_metrics_are(app)
    signin.add_routes(app, credentials)
    events.add_hub(app)
    for part in (api, page, admin):
        part.add_routes(app)
    return app


def make_metrics_app(config: Config, metrics: Metrics, operations: Operations) -> web.Application:
    """Return the application of `[metrics]`: metrics, and health for probes that no visitor can disturb."""
    app = _app(config, metrics, Connections(METRICS_CONNECTIONS, "metrics", metrics), sign_in=False)
    operations.add_metrics(app)
    operations.add_health(app)
    return app


def _app(config: Config, metrics: Metrics, connections: Connections, *, sign_in: bool) -> web.Application:
    guard = Guard(config.web, metrics)
    passed = guard.middlewares if sign_in else guard.open_middlewares
    app = web.Application(client_max_size=LARGEST_BODY, middlewares=[connections.middleware, *passed])
    app[CONFIG] = config
    app[CONNECTIONS] = connections
    app[METRICS] = metrics
    app.on_response_prepare.append(secure_headers(config.web))
    return app
