"""Listens for HTTP on one address, with a bounded number of connections. It has no route of its own."""

import asyncio

from aiohttp import web

from binding_ivr.accepting import AT_ONCE, let_wait
from binding_ivr.background import Loop
from binding_ivr.errors import ConfigError
from binding_ivr.web import connections
from binding_ivr.web.quiet import server_logger
from binding_ivr.web.settings import CONNECTIONS

SHUTDOWN_S = 5.0
BACKLOG = 1024


class Listener:
    """One listening address of an application."""

    def __init__(self, app: web.Application, *, section: str, bind: str, port: int) -> None:
        """Prepare; port 0 takes any free one. *section* is named when the address cannot be had."""
        self._app = app
        self._connections = app[CONNECTIONS]
        self._section = section
        self._bind = bind
        self._wanted = port
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._sweeping = Loop(
            f"silent connections of {section}",
            self._sweep,
            poll_s=connections.SILENT_S / 4,
            fault="web.fault",
            at_once=False,
        )

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before the start."""
        if self._server is None or not self._server.sockets:
            return 0
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Begin to listen. Raises ConfigError when the address cannot be had."""
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            logger=server_logger(),
            shutdown_timeout=SHUTDOWN_S,
            keepalive_timeout=connections.IDLE_S,
        )
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: self._connections.admit(server), self._bind, self._wanted, backlog=AT_ONCE
            )
            let_wait(self._server, BACKLOG)
        except (OSError, OverflowError) as error:
            await self.stop()
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"cannot listen on {self._bind}:{self._wanted}: {reason}; change [{self._section}] bind or port"
            ) from None
        self._sweeping.start()

    async def stop(self) -> None:
        """End all connections; event streams are told first."""
        await self._sweeping.stop()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _sweep(self) -> None:
        assert self._runner is not None
        assert self._runner.server is not None
        self._connections.sweep(self._runner.server)
