"""What one user's token can have written in a day: every route it can call, under the limits as they are delivered.

The hours of the day pass by the database's clock; what the limits allow in each is used up. Of routes that no limit
bounds it is asked whether they write at all: the rates would let them be called 1.7 million times.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import hdrs, web

from binding_ivr.config import Config, Limits
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import FAULTS, Outcome, Verdict
from binding_ivr.web.api.idempotency import HEADER, KEYS_OF_USERS, USER_HOUR
from tests.bench.figures import Figure
from tests.integration.api_service import Web, bearer, binding, config_for, running_web, token

HOURS = 24
MOST_BYTES = 5_000_000
CALLS = 40
"""Of each route that no limit bounds: so many calls, which together may write no more than the service by itself."""
NUMBERS = [f"+1{area}5550{n}" for area, n in ((202, 123), (203, 124), (205, 125))]
NAMES = {"account": "default", "user_id": "1001", "extension": "1001", "number": NUMBERS[0], "name": "page.css"}
OPERATOR = Actor(ActorKind.CLI, "bench", Source.CLI)
STREAM = "/events"

_TABLES = """SELECT relname FROM pg_class WHERE relnamespace = 'binding_ivr'::regnamespace AND relkind = 'r'
  AND relname <> 'audit_untold'"""  # whose rows stay for a moment
_SIZE = """SELECT sum(pg_total_relation_size(oid))::bigint AS n FROM pg_class
  WHERE relnamespace = 'binding_ivr'::regnamespace AND relkind = 'r'"""
_WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS n"
_TRANSACTIONS = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS n"


@dataclass(frozen=True)
class Written:
    """What there is, or what was added: rows, bytes of tables and indexes, bytes of the log."""

    rows: int
    size: int
    wal: int

    def since(self, before: "Written") -> "Written":
        """The difference."""
        return Written(
            self.rows - before.rows,
            self.size - before.size,
            self.wal - before.wal,
        )


@asynccontextmanager
async def _web(folder: Path) -> AsyncIterator[Web]:
    """A service without Asterisk on a PostgreSQL of its own, with the settings with which we deliver it."""
    config = config_for("", folder, limits=msgspec.to_builtins(Limits()), call={"delay_s": 30})
    async with running_web(config) as it:
        await it.users("1001")
        yield it


async def measure(folder: Path) -> list[Figure]:
    """Spend a user's day; return the figures."""
    async with _web(folder) as it:
        user = User(it)
        await user.warm_up()
        idle = await user.idle()
        advance = await user.advance_costs()
        before, begun = await user.written(), time.monotonic()
        while user.hours < HOURS / 4:
            await user.hour()
        apart, paused = await user.written(), time.monotonic()
        endless = await user.endless()  # all limits are used up, and none has lifted
        apart, paused = (await user.written()).since(apart), time.monotonic() - paused
        while user.hours < HOURS:
            await user.hour()
        day = (await user.written()).since(before).since(apart)
        of_the_service = idle * (time.monotonic() - begun - paused)
        print("answers to its requests:", dict(user.answers), flush=True)
        wal = max(0.0, day.wal - of_the_service - user.advances * advance.wal)
        rows, size = day.rows - user.advances * advance.rows, day.size - user.advances * advance.size
        return [
            Figure("rows of the worst user token in a day", "rows", [rows]),
            Figure("  tables and indexes grew by", "bytes", [size]),
            Figure("  write-ahead log", "bytes", [wal]),
            Figure("  both, and what no limit bounds", "bytes", [size + wal + endless], bound=MOST_BYTES),
        ]


class User:
    """One user with a token, who does all day what the limits let them."""

    def __init__(self, it: Web) -> None:
        self._web = it
        self._store = it.installation.store
        self._headers = bearer(token(life_s=900))
        self._numbers = cycle(NUMBERS)
        self._keys = 0
        self._uncalled = 0
        self.advances = 0
        self._now = 0.0
        self.answers: Counter[str] = Counter()
        app = it.parts.web._app
        # The rate of keys is counted in memory: its clock goes with the database's here.
        app[KEYS_OF_USERS]._clock = lambda: self._now
        self._app = app

    async def written(self) -> Written:
        """All that there is."""
        async with self._store.db.link() as link:
            tables = [row["relname"] for row in await link.fetch(_TABLES)]
            rows = [await link.fetchval(f"SELECT count(*) FROM binding_ivr.{table}") for table in tables]
            size, wal = [int(await link.fetchval(sql)) for sql in (_SIZE, _WAL)]
        return Written(sum(rows), size, wal)

    @property
    def hours(self) -> float:
        """How much of the day has passed."""
        return self._now / 3600

    async def idle(self) -> float:
        """Bytes of the log that the service writes in a second by itself."""
        before = await self.written()
        await asyncio.sleep(5)
        return (await self.written()).since(before).wal / 5

    async def warm_up(self) -> None:
        """One of everything, so that the pages are there, and are in the log as a whole."""
        await self._ask(next(self._numbers))
        await self._cancel()

    async def hour(self) -> None:
        """Use up what an hour allows; then let it pass."""
        limits = Limits()
        for turn in range(min(limits.user_uncalled_hour, limits.user_uncalled_day - self._uncalled) - 1):
            attempt_id = await self._ask(next(self._numbers))
            if attempt_id is None:
                break
            self._uncalled += 1
            if turn % 2:
                await self._web.ask("DELETE", binding(), self._headers)
            else:
                await self._cancel()
        for _ in range(8):
            # First all that may come to no call: once the calls of the day are used up, nothing is accepted.
            may_call = self._uncalled >= limits.user_uncalled_day - 1
            attempt_id = await self._ask(next(self._numbers)) if may_call else None
            if attempt_id is not None:
                await self._be_called(attempt_id)
            await self._pass(400)  # longer than most waits for one number
        for _ in range(USER_HOUR + 5):
            await self._ask("1", keyed=True)  # refused, and yet its key is written down
        await self._pass(370)

    async def _pass(self, seconds: float) -> None:
        await self._store.clock.advance(seconds, OPERATOR)
        self._now += seconds
        self.advances += 1

    async def advance_costs(self) -> Written:
        """What it takes to move the clock once, which is no work of the user's."""
        before = await self.written()
        for _ in range(50):
            await self._store.clock.advance(1, OPERATOR)
        found = (await self.written()).since(before)
        return Written(found.rows // 50, found.size // 50, found.wal // 50)

    async def _ask(self, number: str, *, keyed: bool = False) -> UUID | None:
        headers = dict(self._headers)
        if keyed:
            self._keys += 1
            headers[HEADER] = f"key-{self._keys}"
        reply = await self._web.put(binding(), {"number": number}, headers)
        self.answers[reply.json.get("limit") or reply.json.get("type") or str(reply.status)] += 1
        return UUID(reply.json["attempt"]["id"]) if reply.status == 202 else None

    async def _cancel(self) -> None:
        await self._web.ask("DELETE", binding() + "/attempt", self._headers)

    async def _be_called(self, attempt_id: UUID) -> None:
        """A call that leaves and is not answered."""
        await self._pass(31)
        ledger = self._store.attempts
        await ledger.claim("bench", 10, 30)
        await ledger.finish(attempt_id, Verdict(Outcome.NO_ANSWER, FAULTS[Outcome.NO_ANSWER], rang=True))

    async def endless(self) -> float:
        """Bytes of a day by the worst route that no limit bounds; 0 when none of them writes."""
        found = await self.writing_routes(CALLS)
        for route, size in found.items():
            print(f"{route} writes {size:.0f} bytes at each call, whatever the limits", flush=True)
        return max(found.values(), default=0.0) * Config().web.requests_per_second * 86_400

    async def writing_routes(self, calls: int) -> dict[str, float]:
        """Return the routes that write although all limits are used up, with the bytes of one of *calls* calls.

        What counts are transactions that write; some of them are the service's own (it says every 10 s that it lives).
        """
        writing = {}
        for method, path in self._routes():
            (wal, transactions), begun = await self._log(), time.monotonic()
            for _ in range(calls):
                await self._web.ask(method, path, self._headers, **self._body(method, path))
            wal_then, transactions_then = await self._log()
            if transactions_then - transactions > 3 + 2 * (time.monotonic() - begun) + calls / 20:
                writing[f"{method} {path}"] = (wal_then - wal) / calls
        return writing

    async def _log(self) -> tuple[int, int]:
        """Bytes of the log, and writing transactions, until now."""
        async with self._store.db.link() as link:
            return int(await link.fetchval(_WAL)), int(await link.fetchval(_TRANSACTIONS))

    def _routes(self) -> list[tuple[str, str]]:
        """Every route, with this user's names in it."""
        found = []
        for route in self._app.router.routes():
            resource = route.resource
            if resource is None or route.method == hdrs.METH_HEAD or resource.canonical.endswith(STREAM):
                continue
            found.append((route.method, _filled(resource)))
        return sorted(set(found))

    def _body(self, method: str, path: str) -> Mapping[str, Any]:
        if method == hdrs.METH_GET or method == hdrs.METH_DELETE:
            return {}
        if path.startswith("/v1/") and path != "/v1/look-ups":
            return {"json": {"number": NUMBERS[0]} if path.endswith("/binding") else {}}
        return {"data": {"number": NUMBERS[0], "key": "bik_nobody"}}


def _filled(resource: web.AbstractResource) -> str:
    path = resource.canonical
    for name, value in NAMES.items():
        path = path.replace("{" + name + "}", value.replace("+", "%2B"))
    return path
