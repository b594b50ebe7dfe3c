"""The live event streams of users (server-sent events), for whoever may see them. It changes nothing."""

import asyncio
import random
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import msgspec
from aiohttp import hdrs, web

from binding_ivr.app.credentials import StoredCredentials
from binding_ivr.app.view import Shown, View
from binding_ivr.background import Loop
from binding_ivr.config import Web
from binding_ivr.errors import BindingError, NotFoundError
from binding_ivr.log import get_logger
from binding_ivr.model.changes import Change, ChangeKind
from binding_ivr.model.outcome import AttemptState
from binding_ivr.model.rows import AttemptRow
from binding_ivr.web.api import render
from binding_ivr.web.api.request import Call
from binding_ivr.web.auth.access import Access, authorize
from binding_ivr.web.auth.identity import AUTHENTICATE, Identity
from binding_ivr.web.problems import Problem
from binding_ivr.web.settings import CONFIG, INSTALLATION, METRICS

log = get_logger()

KEEPALIVE_S = 15.0
WATCH_S = 0.5
"""So often one question asks for all streams whether what opened them is still stored: within 2 s after a sign-out, or
the end of a key or a user, on whichever node that was, nobody sees more."""
CHECK_S = 60.0
"""So often a stream asks by itself whether it would be opened again: by the keys of the issuer, too."""
SLOW_S = 10.0
MOST_BUFFERED = 64 * 1024
"""A client that takes no byte for SLOW_S seconds, or leaves MOST_BUFFERED bytes lying, is dropped."""
SWEEP_S = 1.0
"""So often it is looked who has gone: writing alone would tell only at the next keepalive."""
RECONNECT_MS = 3000
SPREAD_S = 3.0
"""After a loss of PostgreSQL's changes all streams look again, each at its own moment within this time."""
READS_AT_ONCE = 4
"""Streams that ask PostgreSQL at the same time: the others of the pool's connections are for requests."""


MOST_STEPS = 64
"""So many steps of a call wait for a client at most; older ones are left out."""


@dataclass(eq=False, slots=True)
class Stream:
    """One open stream: a flag and the last steps of the call, so that a slow client costs next to nothing."""

    request: web.Request
    identity: Identity
    ended: bool = False
    """True once what opened the stream is no longer good."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    steps: deque[Change] = field(default_factory=lambda: deque(maxlen=MOST_STEPS))

    @property
    def open(self) -> bool:
        """False once the client has gone."""
        transport = self.request.transport
        return transport is not None and not transport.is_closing()

    @property
    def expired(self) -> bool:
        """True once the credential is too old."""
        return self.identity.expires_at is not None and self.identity.expires_at.timestamp() <= time.time()

    def end(self) -> None:
        """Tell nothing more but that."""
        self.ended = True
        self.changed.set()


class Hub:
    """All streams of this node, by user."""

    def __init__(self, config: Web) -> None:
        """Bounded by `[web] streams` and `streams_per_user`."""
        self._most = config.streams
        self._most_of_user = config.streams_per_user
        self._streams: dict[tuple[str, str], set[Stream]] = defaultdict(set)
        self._count = 0
        self._closing = False
        self.reading = asyncio.Semaphore(READS_AT_ONCE)

    def is_closing(self) -> bool:
        """True once the service stops."""
        return self._closing

    def enter(self, user: tuple[str, str], request: web.Request, identity: Identity) -> Stream:
        """Add a stream. Raises Problem 429."""
        if self._closing:
            raise Problem(503, "stopping", "this node is stopping; connect again", retry_after=1)
        if self._count >= self._most:
            raise Problem(429, "too_many_streams", "too many live streams", limit="streams", retry_after=30)
        if sum(stream.open for stream in self._streams.get(user, ())) >= self._most_of_user:
            raise Problem(
                429, "too_many_streams", "this page is open too many times", limit="streams_per_user", retry_after=30
            )
        stream = Stream(request, identity)
        self._streams[user].add(stream)
        self._count += 1
        return stream

    def leave(self, user: tuple[str, str], stream: Stream) -> None:
        """Remove a stream."""
        self._streams[user].discard(stream)
        self._count -= 1
        if not self._streams[user]:
            del self._streams[user]

    def on_change(self, change: Change) -> None:
        """Wake those whom a change is about; all of them, one by one, when changes were lost."""
        if change.kind is ChangeKind.RESYNC:
            loop = asyncio.get_running_loop()
            for stream in [stream for streams in self._streams.values() for stream in streams]:
                loop.call_later(random.random() * SPREAD_S, stream.changed.set)  # noqa: S311 (no secret)
            return
        for stream in self._streams.get((change.account, change.user_id), ()):
            stream.steps.append(change)
            stream.changed.set()

    async def sweep(self) -> None:
        """Wake the streams whose client has gone."""
        for streams in self._streams.values():
            for stream in streams:
                if not stream.open:
                    stream.changed.set()

    async def watch(self, credentials: StoredCredentials) -> None:
        """End the streams whose credential or user is gone."""
        streams = [(user, stream) for user, of_user in self._streams.items() for stream in of_user]
        for _, stream in streams:
            if stream.expired:
                stream.end()
        if streams:
            used = {stream.identity.credential for _, stream in streams}
            ended = await credentials.ended(used, {user for user, _ in streams})
            for user, stream in streams:
                if user in ended or stream.identity.credential in ended:
                    stream.end()

    async def close(self, _: web.Application | None = None) -> None:
        """End all streams now; no new ones."""
        self._closing = True
        for streams in self._streams.values():
            for stream in streams:
                stream.changed.set()


HUB: web.AppKey[Hub] = web.AppKey("binding_ivr.hub", Hub)


def add_hub(app: web.Application) -> None:
    """Make the hub: it listens while the application runs and ends the streams when it shuts down."""
    hub = app[HUB] = Hub(app[CONFIG].web)

    async def listening(app: web.Application) -> AsyncIterator[None]:
        store = app[INSTALLATION].store
        unwatch = store.changes.subscribe(hub.on_change)
        stored = StoredCredentials(store)
        loops = [
            Loop("event streams", hub.sweep, poll_s=SWEEP_S, fault="web.fault", at_once=False),
            Loop("credentials of streams", lambda: hub.watch(stored), poll_s=WATCH_S, fault="web.fault", at_once=False),
        ]
        for loop in loops:
            loop.start()
        yield
        for loop in loops:
            await loop.stop()
        unwatch()

    app.cleanup_ctx.append(listening)
    app.on_shutdown.append(hub.close)


async def stream(call: Call) -> web.StreamResponse:
    """GET …/binding/events"""
    hub = call.request.app[HUB]
    view = await call.bindings.view(*call.user, call.actor)  # an unknown user is told before the stream begins
    entry = hub.enter(call.user, call.request, call.identity)
    streams = call.request.app[METRICS].streams
    streams.inc()
    try:
        return await _Teller(call, hub, entry).run(view)
    finally:
        streams.dec()
        hub.leave(call.user, entry)


class _Teller:
    """Writes one stream."""

    def __init__(self, call: Call, hub: Hub, entry: Stream) -> None:
        self._call = call
        self._hub = hub
        self._entry = entry
        self._bindings = call.bindings
        self._with_code = render.sees_code(call.identity)
        self._response = web.StreamResponse(
            headers={hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        self._told: dict[str, bytes] = {}
        self._id = _last_id(call.request)
        self._checked_at = time.monotonic()

    async def run(self, view: View) -> web.StreamResponse:
        """Tell what is, then each change, until the client goes, its credential ends, or the service stops."""
        try:
            async with asyncio.timeout(SLOW_S):
                await self._response.prepare(self._call.request)
            await self._write(f"retry: {RECONNECT_MS}\n\n".encode())
            await self._tell(view)
            while await self._still_good():
                woken = await self._wait()
                if self._hub.is_closing() or self._entry.ended or not self._entry.open:
                    break
                lost = woken and not self._entry.steps
                view, stale = await self._tell_steps(view)
                if lost or stale or (not woken and _is_live(view)):
                    view = await self._look(view)
                told = await self._tell(view)
                if not told and not woken:
                    await self._write(b": keepalive\n\n")
            if self._entry.open and not self._hub.is_closing():
                await self._write(b"event: signed_out\ndata: {}\n\n")
        except (ConnectionError, TimeoutError):  # gone, or too slow
            if self._entry.open and self._call.request.transport is not None:
                self._call.request.transport.abort()
        except NotFoundError:
            pass  # the user was removed
        return self._response

    async def _wait(self) -> bool:
        """Wait for a change or the time of a keepalive; True for a change."""
        try:
            async with asyncio.timeout(KEEPALIVE_S):
                await self._entry.changed.wait()
        except TimeoutError:
            return False
        self._entry.changed.clear()
        return True

    async def _tell_steps(self, view: View) -> tuple[View, bool]:
        """Tell each digit that was heard, without asking PostgreSQL; True when something else happened besides."""
        steps = list(self._entry.steps)
        self._entry.steps.clear()
        stale = False
        for step in steps:
            last = view.last
            if last is None or not _follows(step, last.attempt) or _reveals(step, last):
                stale = True
                continue
            stale = stale or step.state != last.attempt.state
            at = replace(last.attempt, state=AttemptState(step.state), digits=step.digits)
            view = replace(view, last=Shown(at, last.code))
            await self._tell(view)
        return view, stale

    async def _look(self, view: View) -> View:
        """Read again; while PostgreSQL is away what was known stays, and the next change or keepalive looks again."""
        try:
            async with self._hub.reading:
                return await self._bindings.view(*self._call.user, self._call.actor)
        except NotFoundError:
            raise
        except BindingError:
            return view

    async def _tell(self, view: View) -> bool:
        """Write what is new of *view*; True when there was something."""
        binding = render.binding(view, with_code=self._with_code)
        attempt = msgspec.json.encode(binding.last_attempt)
        told = False
        if binding.last_attempt is not None:
            told = await self._event("attempt", attempt, attempt)
        # The steps of a call are no change of the binding.
        facts = msgspec.json.encode(msgspec.structs.replace(binding, last_attempt=None))
        return await self._event("binding", facts, msgspec.json.encode(binding)) or told

    async def _event(self, name: str, facts: bytes, data: bytes) -> bool:
        """Write an event unless *facts* are what was told last; True when it was written."""
        if self._told.get(name) == facts:
            return False
        self._told[name] = facts
        self._id = max(self._id + 1, int(time.time() * 1000))
        await self._write(b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), self._id, data))
        return True

    async def _write(self, data: bytes) -> None:
        transport = self._call.request.transport
        if transport is not None and transport.get_write_buffer_size() > MOST_BUFFERED:
            raise TimeoutError
        async with asyncio.timeout(SLOW_S):
            await self._response.write(data)

    async def _still_good(self) -> bool:
        """Return whether the credential still opens this stream: not expired, not signed out, key not removed."""
        if self._hub.is_closing() or self._entry.ended or self._entry.expired:
            return False
        if time.monotonic() - self._checked_at < CHECK_S:
            return True
        self._checked_at = time.monotonic()
        try:
            again = await self._call.request.app[AUTHENTICATE](self._call.request)
            return again is not None and _may(again, self._call)
        except Problem as problem:
            return problem.status == 503
        except BindingError:
            return True  # PostgreSQL is away; asked again later


def _may(identity: Identity, call: Call) -> bool:
    try:
        authorize(identity, Access.OWN, *call.user)
    except Problem:
        return False
    return True


_ORDER = [state.value for state in (AttemptState.DIALING, AttemptState.RINGING, AttemptState.ANSWERED)]


def _follows(step: Change, known: AttemptRow) -> bool:
    """Return whether a change is a later step of the call that is known. Its end is read, as more follows from it."""
    if step.kind is not ChangeKind.ATTEMPT or step.attempt_id != known.attempt_id or step.state not in _ORDER:
        return False
    if known.state not in _ORDER:
        return known.state is AttemptState.QUEUED
    if step.state == known.state:
        return step.digits == 0 or step.digits >= known.digits  # lower: it was read before its change came
    return _ORDER.index(step.state) > _ORDER.index(known.state)


def _reveals(step: Change, known: Shown) -> bool:
    """Return whether the code may be shown from this step on; then all is read, so that both are told together."""
    was_answered = known.attempt.state is AttemptState.ANSWERED
    return known.code is None and step.state == AttemptState.ANSWERED and not was_answered


def _is_live(view: View) -> bool:
    """While a call runs the code may end by the clock alone, which no change tells."""
    return view.last is not None and view.last.attempt.state is not AttemptState.ENDED


def _last_id(request: web.Request) -> int:
    """The id after which events are numbered; what is no number is no id of ours."""
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else 0
