"""Writes into the audit who signs in without a session, and who is refused, within bounds. It refuses nobody."""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import web

from binding_ivr.background import Loop, Trouble
from binding_ivr.errors import BindingError
from binding_ivr.metrics import Metrics
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.addresses import client_of
from binding_ivr.model.audit import AuditEntry, AuditKind
from binding_ivr.store.audit import PgAudit
from binding_ivr.web.auth.identity import Identity

HOUR = 3600.0
DAY = 24 * HOUR
ROWS_PER_HOUR = 60
"""Rows about refused sign-ins that one node writes at most in any hour, however many there are."""
MOST_CLIENTS = 20
"""Clients that are told one by one; of more only the count is told."""
OTHERS = ""
"""Stands for all clients beyond that."""
PLACES_PER_DAY = 5
"""Addresses of one caller that are told in a day."""
MOST_CALLERS = 20_000
MOST_WAITING = 1000
LOOK_S = 60.0
STOP_S = 2.0


@dataclass(slots=True)
class _Refused:
    """Refused sign-ins of one client since its last row."""

    since: float
    code: str
    count: int = 0


class Refusals:
    """The first refusal of a client is told at once, further ones as a count an hour later. Time is an argument.

    At most ROWS_PER_HOUR rows in any hour. What finds no room waits, and is counted on.
    """

    def __init__(self) -> None:
        """Nobody was refused yet."""
        self._clients: dict[str, _Refused] = {}
        self._told: list[float] = []

    def note(self, client: str, code: str, now: float) -> list[AuditEntry]:
        """Count one refusal with the problem's *code*; return what is to be written now."""
        if client not in self._clients and len(self._clients) >= MOST_CLIENTS:
            client = OTHERS
        entry = self._clients.get(client)
        if entry is None:
            entry = self._clients[client] = _Refused(now, code)
            if client != OTHERS and self._has_room(now, ROWS_PER_HOUR // 2):
                return [_refused(client, code, 1)]
        entry.code = code
        entry.count += 1
        return []

    def due(self, now: float, *, all_of_them: bool = False) -> list[AuditEntry]:
        """Return the counts of those whose hour is over, or of all; they begin anew."""
        rows: list[AuditEntry] = []
        for client, entry in sorted(self._clients.items(), key=lambda item: item[1].since):
            if not all_of_them and now - entry.since < HOUR:
                continue
            if entry.count:
                if not self._has_room(now, ROWS_PER_HOUR):
                    break
                rows.append(_refused(client, entry.code, entry.count))
            del self._clients[client]
        return rows

    def _has_room(self, now: float, most: int) -> bool:
        self._told = [at for at in self._told if now - at < HOUR]
        if len(self._told) >= most:
            return False
        self._told.append(now)
        return True


def _refused(client: str, code: str, count: int) -> AuditEntry:
    nobody = Actor(ActorKind.SYSTEM, "", Source.WEB, client)
    return AuditEntry(AuditKind.SIGNIN_REFUSED, nobody, detail={"why": code, "count": count})


class Sightings:
    """Credentials that come with each request and open no session: told once a day for each caller and address."""

    def __init__(self) -> None:
        """Nobody was seen yet."""
        self._callers: OrderedDict[str, dict[str, float]] = OrderedDict()

    def note(self, identity: Identity, address: str, now: float) -> list[AuditEntry]:
        """Return the row that is to be written, if any."""
        way = way_of(identity)
        if not way:
            return []
        name = f"{way} {identity.caller}"
        seen = {place: at for place, at in self._callers.pop(name, {}).items() if now - at < DAY}
        self._callers[name] = seen
        if len(self._callers) > MOST_CALLERS:
            self._callers.popitem(last=False)
        place = client_of(address) or ""
        if place in seen or len(seen) >= PLACES_PER_DAY:
            return []
        seen[place] = now
        actor = identity.actor(address, identity.account, identity.user_id)
        return [AuditEntry(AuditKind.SIGNIN_SEEN, actor, identity.account, identity.user_id, {"by": way})]


def way_of(identity: Identity) -> str:
    """Return by what somebody signs in with each request: `header`, `token` or `key`; empty for a session."""
    if identity.kind == "proxy":
        return "header"
    if identity.ambient:
        return ""
    return "token" if identity.is_user else "key"


class Witness:
    """Keeps what is to be written until PostgreSQL has it, and writes it in a task of its own."""

    def __init__(self, audit: PgAudit, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        """Write into *audit*; *clock* returns seconds that never go back."""
        self._audit = audit
        self._metrics = metrics
        self._clock = clock
        self._refusals = Refusals()
        self._sightings = Sightings()
        self._waiting: list[AuditEntry] = []
        trouble = Trouble(begins="audit.waits", ends="audit.goes_on")
        self._loop = Loop(
            "witness", self._turn, poll_s=LOOK_S, fault="audit.failed", ill=trouble.ill, well=trouble.well
        )

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """Write while the application runs, and what is left at its end."""
        self._loop.start()
        yield
        await self._loop.stop()
        self._waiting += self._refusals.due(self._clock(), all_of_them=True)
        with contextlib.suppress(BindingError, TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self._write()

    def refused(self, address: str, code: str) -> None:
        """Note a refused sign-in with the problem's *code*."""
        self._metrics.signins_refused.labels(code).inc()
        self._keep(self._refusals.note(client_of(address) or "unknown", code, self._clock()))

    def seen(self, identity: Identity, address: str) -> None:
        """Note a credential that was good."""
        self._keep(self._sightings.note(identity, address, self._clock()))

    def _keep(self, entries: list[AuditEntry]) -> None:
        if entries and len(self._waiting) < MOST_WAITING:
            self._waiting += entries
            self._loop.wake()

    async def _turn(self) -> None:
        self._waiting += self._refusals.due(self._clock())
        await self._write()

    async def _write(self) -> None:
        entries = self._waiting[:]
        if entries:
            await self._audit.write(entries)
            del self._waiting[: len(entries)]


WITNESS: web.AppKey[Witness] = web.AppKey("binding_ivr.witness")
