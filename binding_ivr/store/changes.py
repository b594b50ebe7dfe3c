"""The stream of changes over LISTEN/NOTIFY, re-established after a loss. It writes nothing."""

import asyncio
from collections.abc import Callable

import asyncpg
import msgspec

from binding_ivr.background import Backoff, Loop, Trouble, happens
from binding_ivr.errors import UnavailableError
from binding_ivr.log import get_logger
from binding_ivr.model.changes import Change, ChangeHandler, ChangeKind
from binding_ivr.store.database import APPLICATION
from binding_ivr.store.faults import connecting, describe, translated
from binding_ivr.store.queries import queries

log = get_logger()

RESYNC = Change(ChangeKind.RESYNC)
_RETRY = Backoff(0.1, 5.0)


def decode(payload: str) -> Change | None:
    """Return the change of one payload, None when it is not one that we know."""
    try:
        return msgspec.json.decode(payload, type=Change)
    except (msgspec.DecodeError, UnicodeError):
        return None


class PgChanges:
    """Implements `Changes` on one connection of its own, which comes back."""

    def __init__(
        self, dsn: str, *, connect_timeout: float = 5.0, keepalive_s: float = 5.0, answer_timeout: float = 5.0
    ) -> None:
        """Listen at *dsn*. A silent connection is asked every *keepalive_s* and given up after *answer_timeout* s."""
        self._dsn = dsn
        self._server = describe(dsn)
        self._connect_timeout = connect_timeout
        self._keepalive_s = keepalive_s
        self._answer_timeout = answer_timeout
        self._handlers: list[ChangeHandler] = []
        self._trouble = Trouble(begins="changes.lost")
        self._connected = asyncio.Event()
        self._loop = Loop(
            "changes",
            self._turn,
            poll_s=_RETRY.first_s,
            retry=_RETRY,
            fault="changes.failed",
            ill=self._trouble.ill,
            well=self._trouble.well,
        )

    def subscribe(self, handler: ChangeHandler) -> Callable[[], None]:
        """Call *handler* for each change until the returned function is called. It must not block."""
        self._handlers.append(handler)

        def unsubscribe() -> None:
            if handler in self._handlers:
                self._handlers.remove(handler)

        return unsubscribe

    @property
    def connected(self) -> bool:
        """True while changes arrive."""
        return self._connected.is_set()

    async def wait_connected(self) -> None:
        """Wait until changes arrive; forever when PostgreSQL never answers."""
        await self._connected.wait()

    async def start(self) -> None:
        """Begin to listen, and keep trying. Handlers get `resync` after each connect."""
        if not self._loop.running:
            self._loop.start()

    async def stop(self) -> None:
        """End, and close the connection."""
        await self._loop.stop()

    async def _turn(self) -> None:
        with translated(self._server):
            await self._listen()

    async def _listen(self) -> None:
        """Listen until the connection is lost, and raise what ended it."""
        with connecting(self._server):
            link: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
                self._dsn,
                timeout=self._connect_timeout,
                command_timeout=self._answer_timeout,
                server_settings={"application_name": f"{APPLICATION} changes"},
            )
        lost = asyncio.Event()
        link.add_termination_listener(lambda _link: lost.set())
        try:
            await link.add_listener(await link.fetchval(queries()["notice_channel"]), self._received)
            self._connected.set()
            self._loop.works()
            log.info("changes.connected")
            self._tell(RESYNC)
            while not await happens(lost, self._keepalive_s):
                await link.execute(queries()["ping"])
            raise UnavailableError("PostgreSQL closed the connection")
        finally:
            self._connected.clear()
            # Terminate instead of close: a connection that may be dead is not worth waiting for.
            link.terminate()

    def _received(self, _link: object, _pid: int, _channel: str, payload: object) -> None:
        change = decode(str(payload))
        if change is None:
            log.warning("changes.ignored", size=len(str(payload)))
            return
        self._tell(change)

    def _tell(self, change: Change) -> None:
        for handler in tuple(self._handlers):
            try:
                handler(change)
            except Exception:
                log.exception("changes.handler_failed", kind=change.kind)
