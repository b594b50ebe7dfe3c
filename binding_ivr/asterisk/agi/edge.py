"""The hardened edge of the FastAGI listener on panoramisk's Application; it knows connections, not calls or look-ups.

panoramisk's own handler reads headers without limit or end, spins for ever on a client that connects and leaves, and
swallows cancellation; only its routing table and reply parser are kept.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Network, IPv6Network

from panoramisk.fast_agi import Application, Request

from binding_ivr.asterisk.agi.protocol import (
    USAGE_END,
    AgiProtocolError,
    Answer,
    Hello,
    masked,
    parse_answer,
    parse_hello,
)
from binding_ivr.asterisk.quiet import Quiet
from binding_ivr.log import get_logger
from binding_ivr.model.addresses import address_of
from binding_ivr.places import Places

log = get_logger()

Networks = Sequence[IPv4Network | IPv6Network]


class PeerGoneError(Exception):
    """The connection ended. `hung_up` is true when Asterisk said before that the channel hung up."""

    def __init__(self, hung_up: bool) -> None:
        """Note whether a HANGUP line came first."""
        super().__init__("hung up" if hung_up else "connection lost")
        self.hung_up = hung_up


class AgiRequest(Request):  # type: ignore[misc]  # panoramisk has no types
    """One session's connection: commands out, one after another, and their replies in."""

    def __init__(
        self,
        app: Application,
        hello: Hello,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        proven: Callable[[], None] = lambda: None,
    ) -> None:
        """Carry the session that began with *hello*; *proven* is to be called once it is known to be Asterisk's."""
        super().__init__(app, hello.headers, reader, writer)
        self.hello = hello
        self.hung_up = False
        self.proven = proven

    async def ask(self, command: str, timeout_s: float) -> Answer:
        """Send *command* and return its reply. Raises TimeoutError, PeerGoneError or AgiProtocolError.

        Never two at a time: Asterisk reads ahead of a command and then waits for more bytes (tried).
        """
        try:
            async with asyncio.timeout(timeout_s):
                self.writer.write(command.encode() + b"\n")
                await self.writer.drain()
                return await self._answer()
        except TimeoutError:  # an OSError too, since Python 3.10
            raise
        except OSError:
            raise PeerGoneError(self.hung_up) from None

    async def line(self) -> bytes:
        """Return the next line with its end taken off; a HANGUP line sets `hung_up`. May be cancelled at any time."""
        try:
            raw = await self.reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, OSError):
            raise PeerGoneError(self.hung_up) from None
        except asyncio.LimitOverrunError:
            raise AgiProtocolError("a line that never ends") from None
        line = bytes(raw).strip()
        if line == b"HANGUP":
            self.hung_up = True
        return line

    async def _answer(self) -> Answer:
        line = await self.line()
        while line == b"HANGUP" or line.startswith(b"100"):  # a notice in between; "100 Trying..."
            line = await self.line()
        if line.startswith(b"520-"):
            while line != USAGE_END:
                line = await self.line()
        return parse_answer(line)


Route = Callable[[AgiRequest], Awaitable[None]]


class AgiEdge(Application):  # type: ignore[misc]  # panoramisk has no types
    """Accepts connections: allow-list, bounded number, bounded headers, and a clean end for each.

    Of a full house whoever has proven nothing for the longest time has to go; a session that is Asterisk's stays.
    """

    def __init__(
        self,
        *,
        allow: Networks,
        header_s: float,
        header_limit: int,
        max_sessions: int,
        dropped: Callable[[], None] = lambda: None,
    ) -> None:
        """Let in peers of *allow*, at most *max_sessions*, whose headers are whole within *header_s* seconds.

        *dropped* is called for each session that had to go.
        """
        super().__init__(loop=asyncio.get_running_loop())
        self._allow = allow
        self._header_s = header_s
        self._header_limit = header_limit
        self._max_sessions = max_sessions
        self._dropped = dropped
        self._sessions: set[asyncio.Task[object]] = set()
        self._places: Places[asyncio.Task[object]] = Places(max_sessions, self._drop, time.monotonic)
        self._falling: set[asyncio.Task[object]] = set()
        self._quiet = Quiet()
        self.refused = 0
        """Connections that were closed without a session."""

    @property
    def sessions(self) -> int:
        """How many connections are open."""
        return len(self._sessions)

    async def handler(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection from its first byte to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            await self._serve(reader, writer)
        except AgiProtocolError as error:
            self.refuse("protocol", str(error))
        except (PeerGoneError, TimeoutError):
            pass  # whoever waits for this session has been told by its route
        except asyncio.CancelledError:
            if (
                not self._closing and task not in self._falling
            ):  # only stop() and _drop() cancel us; anybody else means it
                raise
        except Exception:
            log.exception("agi.fault")
        finally:
            self._places.leave(task)
            if task in self._falling:
                self._falling.discard(task)
                writer.transport.abort()  # it shall not hold a file for one more moment
            self._sessions.discard(task)
            await _closed(writer)

    async def stop(self, patience_s: float) -> None:
        """End every session; return within about *patience_s* seconds."""
        self._closing = True
        sessions = list(self._sessions)
        for task in sessions:
            task.cancel()
        if sessions:
            await asyncio.wait(sessions, timeout=patience_s)

    _closing = False

    def refuse(self, kind: str, detail: str, **known: object) -> None:
        """Count a connection that is closed without a session; one log line per *kind* and interval."""
        self.refused += 1
        if (swallowed := self._quiet.admits(kind)) is not None:
            log.warning("agi.refused", detail=detail, more=swallowed, **known)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if not peer:
            self.refuse("left", "connection reset before its headers")
            return
        address = str(peer[0])
        if not self._is_allowed(address):
            self.refuse("address", "not on the allow-list of [agi]", address=address)
            return
        task = asyncio.current_task()
        assert task is not None
        if not self._places.enter(task):
            self.refuse("full", f"more than {self._max_sessions} sessions at once ([agi] connections)")
            return
        hello = await self._hello(reader, address)
        if hello is None:
            return
        route: Route | None = self._route.get(hello.path) or self._route.get("/" + hello.path.split("/")[1])
        if route is None:
            self.refuse("path", "no such AGI path; look at the AGI() lines of the dialplan", path=masked(hello.path))
            return
        await route(AgiRequest(self, hello, reader, writer, lambda: self._places.hold(task)))

    def _drop(self, task: asyncio.Task[object]) -> None:
        self.refuse(
            "crowd", f"{self._max_sessions} sessions at once ([agi] connections): the oldest without proof went"
        )
        self._dropped()
        self._falling.add(task)
        task.cancel()

    async def _hello(self, reader: asyncio.StreamReader, address: str) -> Hello | None:
        try:
            async with asyncio.timeout(self._header_s):
                return parse_hello(await reader.readuntil(b"\n\n"))
        except TimeoutError:
            self.refuse("slow", f"no complete headers within {self._header_s:g} s", address=address)
        except asyncio.IncompleteReadError:
            self.refuse("left", "left before its headers were complete", address=address)
        except asyncio.LimitOverrunError:
            self.refuse("long", f"headers above {self._header_limit} bytes", address=address)
        except OSError:
            self.refuse("left", "connection reset in the headers", address=address)
        return None

    def _is_allowed(self, address: str) -> bool:
        ip = address_of(address)
        return ip is not None and any(ip in network for network in self._allow)


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Close in bounded time, also towards a peer that never reads what we sent."""
    writer.close()
    try:
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
    except (TimeoutError, OSError):
        with contextlib.suppress(Exception):
            writer.transport.abort()
