"""The ARI driver: places, watches and ends our calls; it carries no conversation and decides nothing about a call."""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Iterable

from binding_ivr.asterisk.ari.events import (
    AriEvent,
    Channel,
    Line,
    Stage,
    UndecodableError,
    decode_channel,
    decode_channels,
    decode_value,
)
from binding_ivr.asterisk.ari.http import LOGIN_HINT, AriHttp, RefusedError, Reply, UnreachableError
from binding_ivr.asterisk.ari.link import AriLink, LinkState, LinkTimes
from binding_ivr.call.events import Event
from binding_ivr.errors import ConfigError
from binding_ivr.log import get_logger
from binding_ivr.model.channels import is_of
from binding_ivr.ports import CallOrder, ChannelFacts, EventSink, PlaceError

log = get_logger()

_APP = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")
_URL = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?\Z")
_CHANNEL_ID = re.compile(r"[A-Za-z0-9._-]{1,140}\Z")
_YOUNG_S = 5.0  # a channel placed less than this ago is asked for by id before it is called gone


class AriDriver:
    """Implements `ports.Telephony` and `ports.Channels` on Asterisk's REST interface: one event socket, a few links."""

    def __init__(
        self,
        *,
        url: str,
        user: str,
        password: str,
        app: str = "binding_ivr",
        context: str = "binding-ivr-call",
        connections: int = 6,
        request_s: float = 5.0,
        times: LinkTimes | None = None,
        on_connect: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Prepare; nothing is sent before `start`. Raises ConfigError for an unusable app name or URL.

        Channel ids are those of `model.channels`. *request_s* bounds every request, *context* is where `handoff` sends
        answered channels, *on_connect* runs as a task of its own after each connect and reconnect.
        """
        if not _APP.match(app):
            raise ConfigError("[ari] app may hold only letters, digits, _ and -, at most 40")
        if not _URL.match(url):
            raise ConfigError("[ari] url must be like http://127.0.0.1:8088, without user and password")
        self._app = app
        self._context = context
        self._http = AriHttp(url, user, password, timeout_s=request_s, connections=connections)
        self._link = AriLink(self._http, app, on_event=self._heard, on_up=self._up, times=times or LinkTimes())
        # Orders leave two connections free: a hand-over that waits behind them costs the callee's first digits.
        self._ordering = asyncio.Semaphore(max(1, connections - 2))
        self._asking = asyncio.Semaphore(1)  # whoever connects to FastAGI can make us ask
        self._lines: dict[str, Line] = {}
        self._abandoned: set[str] = set()
        self._tasks: set[asyncio.Future[object]] = set()
        self.on_connect = on_connect

    # --- life ------------------------------------------------------------------------------------------------

    async def start(self, patience_s: float = 5.0) -> None:
        """Connect, waiting up to *patience_s* seconds for the first result; an absent Asterisk is tried on for.

        Raises ConfigError when Asterisk answers but refuses us.
        """
        self._http.open()
        try:
            await self._link.start(patience_s)
        except RefusedError as error:
            await self.stop()
            raise ConfigError(str(error)) from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close everything. Channels are left as they are; end them before."""
        await self._link.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._http.close()

    @property
    def ready(self) -> bool:
        """True while the event socket is open and calls may be placed."""
        return self._link.ready

    @property
    def state(self) -> LinkState:
        """The link's state, for health pages."""
        return self._link.state

    @property
    def version(self) -> str:
        """Asterisk's version as it tells it; empty before the first connect."""
        return self._link.version

    # --- calls -----------------------------------------------------------------------------------------------

    def watch(self, channel_id: str, sink: EventSink) -> None:
        """Send the events of *channel_id* to *sink* from now on. Called before the channel exists."""
        self._lines[_checked(channel_id)] = Line(sink)

    def unwatch(self, channel_id: str) -> None:
        """Stop sending events of *channel_id*; unknown ids are ignored."""
        self._lines.pop(channel_id, None)

    async def place(self, order: CallOrder) -> None:
        """Ask Asterisk for the call; Ringing, Answered and Ended arrive at the sink. Raises PlaceError."""
        if not self.ready:
            # Without our event socket Asterisk would take the order, and nobody would hear of the call.
            raise PlaceError("Asterisk's event socket is not connected; see the log line of [ari]", network=False)
        channel_id = _checked(order.channel_id)
        line = self._lines.get(channel_id) or Line(lambda _event: None)
        line.stage, epoch = Stage.PLACING, self._link.epoch
        reply = await self._post_order(order, line)
        if reply is not None and reply.status != 200:
            line.stage = Stage.NEW
            raise await self._refused(order, reply)
        line.stage, line.placed_at = Stage.PLACED, time.monotonic()
        if self._link.epoch != epoch:  # the reconnect's own comparison could not count on this channel yet
            with contextlib.suppress(UnreachableError):
                await self._recover()

    async def handoff(self, channel_id: str) -> None:
        """Send the answered channel into the dialplan context of the conversation. Raises PlaceError."""
        path = f"/channels/{_checked(channel_id)}/continue"
        params = {"context": self._context, "extension": "s", "priority": "1"}
        lost = False
        for pause in (0.05, 0.1, 0.2, 0.4, 0.0):
            try:
                reply = await self._http.request("POST", path, params=params)
            except UnreachableError as error:
                if lost:
                    raise PlaceError(f"Asterisk did not answer the hand-over ({error})") from None
                lost = True
                continue
            if reply.status == 204 or (reply.status == 409 and lost):  # 409: the lost request did its work
                return
            if reply.status != 409:
                raise PlaceError(_handoff_detail(reply.status))
            await asyncio.sleep(pause)  # seen answered in a list a moment before it enters the application
        raise PlaceError("the answered channel is not in the ARI application; is another service using its name?")

    async def hangup(self, channel_id: str) -> bool:
        """End the channel. True when it is known to be gone or ending, False when Asterisk could not be asked."""
        path = f"/channels/{_checked(channel_id)}"
        for _ in range(2):
            try:
                reply = await self._http.request("DELETE", path)
            except UnreachableError:
                continue
            if reply.status in (204, 404):
                return True
            log.warning("ari.hangup_refused", channel=channel_id, status=reply.status)
            return False
        return False

    async def strays(self) -> list[str] | None:
        """Ids of all channels of this application's id prefix that exist now; None when Asterisk cannot be asked."""
        channels = await self._channels()
        return None if channels is None else [channel.id for channel in channels]

    # --- other channels --------------------------------------------------------------------------------------

    async def channel(self, channel_id: str) -> ChannelFacts | None:
        """Return any channel; None when there is none, or Asterisk cannot be asked."""
        if not _CHANNEL_ID.match(channel_id):
            return None
        try:
            async with self._asking:
                reply = await self._http.request("GET", f"/channels/{channel_id}")
            found = decode_channel(reply.body) if reply.status == 200 else None
        except (UnreachableError, UndecodableError):
            return None
        return None if found is None else ChannelFacts(found.name, found.state == "Up", found.dialplan.context)

    async def variable(self, channel_id: str, name: str) -> str | None:
        """Return a variable of any channel; None when there is none, or Asterisk cannot be asked."""
        if not _CHANNEL_ID.match(channel_id):
            return None
        try:
            async with self._asking:
                return await self._variable(channel_id, name)
        except UnreachableError:
            return None

    async def tell(self, variable: str, value: str) -> bool:
        """Set a global variable, which all channels can read; False when Asterisk cannot be asked."""
        try:
            params = {"variable": variable, "value": value}
            return (await self._http.request("POST", "/asterisk/variable", params=params)).status == 204
        except UnreachableError:
            return False

    # --- placing ---------------------------------------------------------------------------------------------

    async def _post_order(self, order: CallOrder, line: Line) -> Reply | None:
        """Send the order, once more after a lost reply. None when it is known that the lost one was taken."""
        body = {
            "endpoint": order.endpoint,
            "app": self._app,
            "timeout": order.ring_s,
            "variables": {
                **order.variables,
                "TIMEOUT(absolute)": str(order.max_s),  # the second net when this daemon is dead; ringing included
                **({"CHANNEL(language)": order.language} if order.language else {}),
            },
        }
        if order.caller_id:
            body["callerId"] = order.caller_id
        path = f"/channels/{order.channel_id}"
        why = ""
        try:
            for _ in range(2):
                if line.seen:
                    return None  # perhaps ended already: then the same order would call a second time
                try:
                    async with self._ordering:
                        reply = await self._http.request("POST", path, json=body)
                    if reply.status == 409 and why and await self._has(order):
                        return None
                    return reply
                except UnreachableError as error:
                    why = str(error)
        except asyncio.CancelledError:
            self._abandon(order.channel_id)
            raise
        if line.seen:
            return None
        self._abandon(order.channel_id)
        raise PlaceError(f"Asterisk did not answer the call order ({why})") from None

    async def _has(self, order: CallOrder) -> bool:
        """Return whether the channel of that name is the one that was ordered: it has what only we can have given it.

        Raises UnreachableError.
        """
        return await self._variable(order.channel_id, "BINDING_ATTEMPT") == order.variables["BINDING_ATTEMPT"]

    async def _variable(self, channel_id: str, name: str) -> str | None:
        """Return a variable of a channel, None without it. Raises UnreachableError."""
        reply = await self._http.request("GET", f"/channels/{channel_id}/variable", params={"variable": name})
        return decode_value(reply.body) if reply.status == 200 else None

    def _abandon(self, channel_id: str) -> None:
        """End a channel that Asterisk may yet create from an order whose reply was lost."""
        self._abandoned.add(channel_id)
        if len(self._abandoned) > 1000:
            self._abandoned.pop()
        self._spawn(self.hangup(channel_id))

    async def _refused(self, order: CallOrder, reply: Reply) -> PlaceError:
        if reply.status in LOGIN_HINT:
            return PlaceError(LOGIN_HINT[reply.status])
        if reply.status == 500 and reply.words == "Allocation failed":
            return await self._unavailable(order.endpoint)
        if reply.status == 409:
            return PlaceError("Asterisk has a channel of this name that is not ours; who else may originate calls?")
        if reply.status == 400:
            return PlaceError("Asterisk refuses the order as malformed: check the route's endpoint and caller_id")
        return PlaceError(f"Asterisk refuses the call order with status {reply.status}; see Asterisk's log")

    async def _unavailable(self, endpoint: str) -> PlaceError:
        """Find out what "Allocation failed" hides: an endpoint that does not exist, or one that is out of order."""
        tech, _, rest = endpoint.partition("/")
        name = rest.rpartition("@")[2].partition("/")[0]
        known = re.match(r"[A-Za-z0-9_.-]+\Z", name) and not re.match(r"[\d.-]+\Z", name)  # never show a number
        shown = f"{tech}/{name}" if known else f"a {tech[:20]} endpoint"
        missing = PlaceError(f"Asterisk has no endpoint {shown}, or it is unavailable; check the route's endpoint")
        if not known or tech != "PJSIP":
            return missing
        try:
            reply = await self._http.request("GET", f"/endpoints/{tech}/{name}")
        except UnreachableError:
            return missing
        if reply.status == 404:
            return PlaceError(f"Asterisk has no endpoint {shown}; check the route's endpoint and pjsip.conf")
        if reply.status == 200:
            return PlaceError(f"Asterisk cannot use endpoint {shown} now: no reachable contact", network=True)
        return missing

    # --- events ----------------------------------------------------------------------------------------------

    def _heard(self, event: AriEvent) -> None:
        channel_id = event.channel_id
        line = self._lines.get(channel_id)
        if line is None:
            if self._is_ours(channel_id):
                self._heard_of_nobody(channel_id, event.type)
            return
        self._tell(channel_id, line, line.translate(event))

    def _heard_of_nobody(self, channel_id: str, kind: str) -> None:
        """End one of our channels that no call waits for: a late child of a lost order, or a dead daemon's."""
        if kind == "ChannelDestroyed":
            self._abandoned.discard(channel_id)
        elif kind == "StasisStart" or (kind == "Dial" and channel_id in self._abandoned):
            self._abandoned.discard(channel_id)
            log.warning("ari.stray_ended", channel=channel_id)
            self._spawn(self.hangup(channel_id))

    def _tell(self, channel_id: str, line: Line, events: Iterable[Event]) -> None:
        if line.ended and self._lines.get(channel_id) is line:
            del self._lines[channel_id]
        for event in events:
            try:
                line.sink(event)
            except Exception:  # one call's fault must not deafen the others
                log.exception("ari.sink_failed", channel=channel_id)

    async def _up(self) -> None:
        await self._recover()
        if self.on_connect is not None:
            self._spawn(self._run_hook(self.on_connect))

    async def _recover(self) -> None:
        """After a (re)connect: tell the calls what happened while no events came. Raises UnreachableError."""
        # Taken before the list is asked for: a channel that is being placed meanwhile may well be missing in it.
        watched = {key: line for key, line in self._lines.items() if line.stage is Stage.PLACED}
        if not watched:
            return
        channels = await self._channels()
        if channels is None:
            raise UnreachableError("the channel list could not be read")
        states = {channel.id: channel.state for channel in channels}
        for channel_id, line in watched.items():
            if states.get(channel_id) == "Up":
                self._tell(channel_id, line, line.answer())
            elif channel_id not in states and await self._is_gone(channel_id, line):
                self._tell(channel_id, line, line.end(None, None))

    async def _is_gone(self, channel_id: str, line: Line) -> bool:
        if time.monotonic() - line.placed_at > _YOUNG_S:
            return True
        reply = await self._http.request("GET", f"/channels/{channel_id}")
        return reply.status == 404

    async def _run_hook(self, hook: Callable[[], Awaitable[None]]) -> None:
        try:
            await hook()
        except Exception:
            log.exception("ari.on_connect_failed")

    async def _channels(self) -> list[Channel] | None:
        try:
            reply = await self._http.request("GET", "/channels")
            channels = decode_channels(reply.body) if reply.status == 200 else None
        except (UnreachableError, UndecodableError):
            return None
        if channels is None:
            return None
        return [channel for channel in channels if self._is_ours(channel.id)]

    def _is_ours(self, channel_id: str) -> bool:
        return is_of(self._app, channel_id)

    def _spawn(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _checked(channel_id: str) -> str:
    """Return *channel_id* when it may stand in a URL path as it is."""
    if not _CHANNEL_ID.match(channel_id):
        raise ValueError("a channel id may hold only letters, digits, dot, _ and -")
    return channel_id


def _handoff_detail(status: int) -> str:
    if status == 404:
        return "the channel was gone before its conversation began"
    return LOGIN_HINT.get(status, f"Asterisk refuses the hand-over with status {status}; see Asterisk's log")
