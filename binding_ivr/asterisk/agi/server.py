"""The FastAGI server: conversations of our own calls and the dialplan's look-ups; it places and ends no calls."""

import asyncio
import contextlib
import hmac
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from uuid import UUID

from binding_ivr.accepting import AT_ONCE, let_wait
from binding_ivr.asterisk.agi.desk import DeskRoute
from binding_ivr.asterisk.agi.edge import AgiEdge, AgiRequest
from binding_ivr.asterisk.agi.lag import LoopLag
from binding_ivr.asterisk.agi.lookups import LookupRoutes
from binding_ivr.asterisk.agi.proof import Proof
from binding_ivr.asterisk.agi.talk import Talk, TalkTimes
from binding_ivr.errors import ConfigError
from binding_ivr.log import get_logger
from binding_ivr.ports import Conversation, Desk, EventSink, Lookups

log = get_logger()

BACKLOG = 512
LOOPBACK = ("127.0.0.0/8", "::1/128")


class AgiServer:
    """Implements `ports.Conversations` and serves `/attempt/<uuid>`, `/trusted-number`, `/trusted-caller`, `/enrol`."""

    def __init__(
        self,
        lookups: Lookups | None,
        desk: Desk | None = None,
        *,
        key: str = "",
        bind: str = "127.0.0.1",
        port: int = 4573,
        allow: Sequence[str] = LOOPBACK,
        prefix: str = "binding_ivr",
        max_sessions: int = 1000,
        desks: int = 20,
        desk_endpoint: str = "{extension}",
        desk_contexts: Sequence[str] = ("binding-ivr-enrol-desk",),
        header_s: float = 5.0,
        header_limit: int = 16384,
        lookup_s: float = 1.8,
        times: TalkTimes | None = None,
        late_s: float = 0.02,
        crowd: int = 10,
        dropped: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; nothing listens before `start`. Raises ConfigError for an *allow* entry that is no network.

        Look-ups are answered to who knows *key* (see Proof). *prefix* is the prompts' folder below Asterisk's sounds
        folder, port 0 takes a free one. When the event loop was late by *late_s* seconds or more, or more than *crowd*
        calls are under way (so that it may become late), entries are collected by Asterisk in one go (see agi_talk). At
        most *desks* desk phones are served at once; for *desk_endpoint* and *desk_contexts* see DeskRoute. For
        *max_sessions* and *dropped* see AgiEdge.
        """
        self._desk = desk
        self._desks = desks
        self._desk_endpoint = desk_endpoint
        self._desk_contexts = desk_contexts
        self._crowd = crowd
        self._late_s = late_s
        self.lag = LoopLag()
        self._lookups = lookups
        self._bind = bind
        self._wanted_port = port
        self._allow = [_network(text) for text in allow]
        self._prefix = prefix
        self._max_sessions = max_sessions
        self._dropped = dropped
        self._header_s = header_s
        self._header_limit = header_limit
        self._lookup_s = lookup_s
        self._times = times or TalkTimes()
        self.proof = Proof(key, reply_s=self._times.reply_s)
        self._expected: dict[UUID, Talk] = {}
        self._edge: AgiEdge | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises ConfigError when the address cannot be had."""
        edge = AgiEdge(
            allow=self._allow,
            header_s=self._header_s,
            header_limit=self._header_limit,
            max_sessions=self._max_sessions,
            dropped=self._dropped,
        )
        edge.add_route("/attempt", self._attempt)
        if self._lookups is not None:
            lookups = LookupRoutes(self._lookups, self.proof, limit_s=self._lookup_s, reply_s=self._times.reply_s)
            edge.add_route("/trusted-number", lookups.trusted_number)
            edge.add_route("/trusted-caller", lookups.trusted_caller)
        if self._desk is not None and self._desks > 0:
            route = DeskRoute(
                self._desk,
                prefix=self._prefix,
                times=self._times,
                is_late=self._is_late,
                most=self._desks,
                endpoint=self._desk_endpoint,
                contexts=self._desk_contexts,
                behind=self.proof.channel,
                refuse=edge.refuse,
            )
            edge.add_route("/enrol", route.enrol)
        try:
            self._server = await asyncio.start_server(
                edge.handler, self._bind, self._wanted_port, limit=self._header_limit, backlog=AT_ONCE
            )
            let_wait(self._server, BACKLOG)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"[agi] cannot listen on {self._bind}:{self._wanted_port} ({reason}); change [agi] bind or port"
            ) from None
        self._edge = edge
        self.lag.start()
        log.info("agi.listening", bind=self._bind, port=self.port)

    async def stop(self, patience_s: float = 3.0) -> None:
        """Close the listener and every session within about *patience_s* seconds."""
        server, self._server = self._server, None
        edge, self._edge = self._edge, None
        if server is None or edge is None:
            return
        await self.lag.stop()
        server.close()
        await edge.stop(patience_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await server.wait_closed()

    @property
    def port(self) -> int:
        """The port that is listened on, or the wanted one before `start`."""
        if self._server is None or not self._server.sockets:
            return self._wanted_port
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def sessions(self) -> int:
        """How many connections are open."""
        return self._edge.sessions if self._edge is not None else 0

    @property
    def refused(self) -> int:
        """How many connections were closed without a session since `start`."""
        return self._edge.refused if self._edge is not None else 0

    def expect(self, attempt_id: UUID, channel_id: str, secret: str, sink: EventSink) -> Conversation:
        """Announce the one session that *channel_id* may open for *attempt_id*; an earlier one of it is closed.

        The session's path is `/attempt/<attempt_id>/<secret>`: everything else about it can be seen on the host.
        """
        earlier = self._expected.get(attempt_id)
        if earlier is not None:
            earlier.close()

        def forget(talk: Talk) -> None:
            if self._expected.get(attempt_id) is talk:
                del self._expected[attempt_id]

        talk = Talk(
            channel_id,
            sink,
            prefix=self._prefix,
            times=self._times,
            forget=forget,
            is_late=self._is_late,
            secret=secret,
        )
        self._expected[attempt_id] = talk
        return talk

    def _is_late(self) -> bool:
        return len(self._expected) > self._crowd or self.lag.worst_s >= self._late_s

    async def _attempt(self, request: AgiRequest) -> None:
        """Match a session with the call that waits for it; whatever else comes is closed."""
        assert self._edge is not None
        refuse = self._edge.refuse
        channel_id = request.hello.channel_id
        talk, secret = self._talk_for(request.hello.path)
        if talk is None:
            refuse("attempt", "no call waits for this attempt")
        elif not hmac.compare_digest(talk.secret.encode(), secret.encode()):
            refuse("secret", "it does not know the call's secret: not Asterisk, or not for this call")
        elif talk.channel_id != channel_id:
            refuse("channel", "not the channel that was called")
        elif talk.taken:
            refuse("second", "the call has its session already", channel=talk.channel_id)
        else:
            talk.taken = True
            request.proven()
            if await talk.admission():
                await talk.run(request)
            else:
                talk.taken = False
                refuse("admission", "the channel was not answered for us", channel=talk.channel_id)

    def _talk_for(self, path: str) -> tuple[Talk | None, str]:
        """Return who waits for the session, and the secret that it named."""
        attempt, _, secret = path.removeprefix("/attempt/").partition("/")
        try:
            return self._expected.get(UUID(attempt)), secret
        except ValueError:
            return None, secret


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ConfigError(f"[agi] allow: {text[:40]!r} is not a network such as 192.0.2.0/24") from None
