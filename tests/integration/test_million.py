"""With a million calls in the table every query on it reads by index, and few pages, whatever plan PostgreSQL keeps.

Pages are counted, not time: they are the same on every machine. asyncpg prepares a statement once per connection, and
from its sixth run on PostgreSQL may use a plan that knows none of the values; hence both kinds of plan are tried.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from binding_ivr.config import Config
from binding_ivr.errors import Refusal
from binding_ivr.model.outcome import FAULTS, AttemptState, Outcome, Verdict
from binding_ivr.policy.limits import WINDOWS, Limits
from binding_ivr.store import PgAttempts, Store, open_store
from binding_ivr.store.queries import queries
from binding_ivr.store.retention import BATCH
from tests.generous import follows, nothing_follows
from tests.integration import crowd
from tests.integration.conftest import World, begun, hash_of
from tests.integration.databases import TEMPLATE, Server
from tests.patience import SLOW

if TYPE_CHECKING:
    from pathlib import Path

PLANS = ("force_custom_plan", "force_generic_plan")
ON_CALLS = "binding_ivr.attempts"
NOW = datetime.now(UTC)
USER, NUMBER, OFFICE_NUMBER = "u100", "+12010000000", "+15552001005"
SOME, NONE_REACHED = 5, 100_000


def digest(number: str) -> bytes:
    """The hash by which the crowd knows a number."""
    return hashlib.sha256(number.encode()).digest()


@dataclass(frozen=True)
class Ids:
    """Some calls of the crowd."""

    live: list[UUID]
    dialing: UUID
    ended: UUID
    new: UUID = field(default_factory=uuid4)


@dataclass(frozen=True)
class Asked:
    """A query, its values, and how many pages it may touch."""

    query: str
    why: str
    values: Callable[[Ids], tuple[Any, ...]]
    pages: int

    def __str__(self) -> str:
        return f"{self.query}-{self.why}" if self.why else self.query


def of(query: str, *values: Any, pages: int = 300, why: str = "") -> Asked:
    """The same values whatever the calls are."""
    return Asked(query, why, lambda _: values, pages)


def facts(user: str, number: str | None, most: int, client: str | None = crowd.OFFICE) -> tuple[Any, ...]:
    """The values of `accept_facts`. With a *most* that nothing reaches, every window is read to its end."""
    scopes = [window.scope for window in WINDOWS.values()]
    seconds = [window.seconds for window in WINDOWS.values()]
    number_hash = digest(number) if number else None
    return ("default", user, number, number_hash, client, scopes, seconds, [most] * len(scopes), 3)


# A written row costs about forty pages: the table has twenty indexes. What these tests take back leaves dead rows
# among the newest, so the numbers have room; to read it all takes 30,000 and more.
ASKED = [
    # accepting: a day is 3,456 calls here, far above every limit, and each limit is read to the end of its window
    of("expire_queued", 3600.0, pages=2000, why="ten of them"),
    of("accept_facts", *facts(USER, NUMBER, SOME), pages=500),
    of("accept_facts", *facts(USER, NUMBER, NONE_REACHED), pages=1000, why="no limit reached"),
    of("accept_facts", *facts(USER, OFFICE_NUMBER, NONE_REACHED), pages=1000, why="an office"),
    of("accept_facts", *facts(crowd.HEAVY_USER, crowd.HEAVY_NUMBER, NONE_REACHED), pages=1000, why="a heavy user"),
    of("accept_facts", *facts(crowd.FLOODER, crowd.HEAVY_NUMBER, NONE_REACHED), pages=1000, why="a flood"),
    of("accept_facts", *facts(USER, None, SOME, None), why="of no number"),
    of("begin_accept", '{"who": "x", "source": "web"}', 3600.0, pages=2000, why="ten of them"),
    of("binding_facts", "default", USER, [NUMBER], pages=300),
    of("binding_facts", "default", crowd.HEAVY_USER, None, pages=300, why="a heavy user"),
    of("binding_facts", "default", "nobody", [NUMBER], pages=300, why="never called"),
    Asked("accept_attempt", "", lambda ids: (
        "default", USER, NUMBER, "at_once", NOW, ids.new, digest(NUMBER), "1", 0.0, 300.0, 600.0, "x", "web", "",
        crowd.OFFICE, 9,
    ), 600),
    # claiming and calling
    of("next_due", pages=100),
    of("claim_attempts", "node1", 2, 30.0, pages=500),
    of("abandoned_attempts", "node1", pages=100),
    of("cancel_requests", "node1", pages=100),
    Asked("renew_leases", "", lambda ids: ("node1", ids.live, 30.0), 4000),
    Asked("report_progress", "", lambda ids: (ids.dialing, "ringing", 0), 300),
    Asked("request_cancel", "", lambda ids: (ids.dialing,), 300),
    of("live_attempt_of", "default", "u2", pages=100),
    # the verdict and the bill
    Asked("lock_attempt", "", lambda ids: (ids.dialing,), 100),
    Asked("note_progress", "", lambda ids: (ids.dialing, True, True), 300),
    Asked("end_attempt", "", lambda ids: (ids.dialing, "verified", "callee", 1, 16, 200, ""), 300),
    of("lock_unproven_number", digest(NUMBER), 30, 3, pages=100),
    of("lock_unproven_number", digest(crowd.HEAVY_NUMBER), 30, 3, pages=400, why="a heavy number, and a flood"),
    of("last_answered", "default", float("-inf"), 20, float("-inf"), 60),
    of("last_answered", "none", float("-inf"), 20, float("-inf"), 60, why="an account without calls"),
    of("expire_paused", "", pages=2000),
    Asked("bill_calls", "", lambda ids: ([ids.ended], [17]), 300),
    # what an administrator sees and lifts
    of("usage", pages=4000),
    of("reset_user_limits", "default", crowd.HEAVY_USER, pages=2000),
    of("reset_number_limits", digest(crowd.HEAVY_NUMBER), pages=60_000),
    # looking
    Asked("attempt", "", lambda ids: (ids.ended,), 100),
    of("recent_attempts", None, 100, pages=1000),
    of("recent_attempts", NOW - timedelta(days=1), 100, pages=1000, why="of a day"),
    of("recent_attempts_of_account", "default", None, 100, pages=1000),
    of("recent_attempts_of_account", "none", None, 100, pages=100, why="without calls"),
    of("recent_attempts_of_user", ["default", "acme"], crowd.HEAVY_USER, None, 100, pages=1000),
    of("recent_attempts_of_user", ["default", "acme"], "nobody", None, 100, pages=100, why="never called"),
    # upkeep: batches of 500 rows
    of("suspend_aged", "default", 200),
    of("numbers_in_use", None, "", 500),
    of("numbers_in_use", [NUMBER], "", 500, pages=500, why="of one"),
    of("live_attempts_of", ["default"], ["u2"], [NUMBER]),
    of("mask_attempts", 30, pages=60 * BATCH),
    of("mask_erased"),
    of("forget_attempts", 280, pages=12 * BATCH),
    of("forget_attempts", 365, pages=100, why="nothing due"),
    of("note_key", b"x" * 32, pages=100),
    # one person's data: a year of the most calls that one number may get, each of them written
    of("user_is_known", "default", crowd.HEAVY_USER, pages=100),
    of("user_is_known", "default", "nobody", pages=100, why="unknown"),
    of("export_attempts", "default", crowd.HEAVY_USER, pages=5000),
    of("erase_attempts", "default", crowd.HEAVY_USER, "erased/x", pages=60_000),
]  # fmt: skip


@pytest.fixture(scope="module")
async def crowded(server: Server) -> AsyncIterator[str]:
    """The DSN of a database with a million calls."""
    name = "crowd"
    await server.admin(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    await crowd.fill(server.named(name))
    yield server.named(name)
    await server.admin(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
async def link(crowded: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """One connection, which keeps no statement of its own."""
    made = await asyncpg.connect(crowded, statement_cache_size=0, command_timeout=60)
    yield made
    await made.close()


@pytest.fixture(scope="module")
async def ids(link: asyncpg.Connection[asyncpg.Record]) -> Ids:
    rows = await link.fetch(f"SELECT attempt_id, state FROM {ON_CALLS} WHERE state <> 'ended'")
    ended = await link.fetchval(f"SELECT attempt_id FROM {ON_CALLS} WHERE billed_s IS NULL AND state = 'ended' LIMIT 1")
    dialing = next(row["attempt_id"] for row in rows if row["state"] == "dialing")
    return Ids([row["attempt_id"] for row in rows], dialing, ended)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All steps of a plan."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def pages(node: dict[str, Any]) -> int:
    """How many a step touched, and what is below it."""
    return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])


def costly(plan: dict[str, Any]) -> list[str]:
    """The steps that touched a fifth of all pages or more, for whoever reads that a test failed."""
    return [
        f"{node['Node Type']} {node.get('Index Name', '')}: {pages(node)} pages, {node['Actual Rows']} rows"
        f" x {node['Actual Loops']}, {node.get('Filter', '')}"
        for node in nodes(plan)
        if pages(node) * 5 >= pages(plan)
    ]


async def explain(
    link: asyncpg.Connection[asyncpg.Record], query: str, values: tuple[Any, ...], mode: str
) -> dict[str, Any]:
    """Run *query* as a prepared statement with a plan of the kind *mode*; return the plan. Nothing is kept."""
    types = [of.name for of in (await link.prepare(query)).get_parameters()]
    given = [
        f"{await link.fetchval(f'SELECT quote_nullable($1::{kind}::text)', value)}::{kind}"
        for kind, value in zip(types, values, strict=True)
    ]
    kinds, literals = (f"({', '.join(words)})" if words else "" for words in (types, given))
    change = link.transaction()
    await change.start()
    try:
        await link.execute(f"SET LOCAL plan_cache_mode = {mode}")
        await link.execute(f"PREPARE asked {kinds} AS {query}")
        told = await link.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE asked {literals}")
    finally:
        await change.rollback()
        await link.execute("DEALLOCATE asked")
    plan: dict[str, Any] = json.loads(told)[0]["Plan"]
    return plan


@pytest.mark.parametrize("mode", PLANS)
@pytest.mark.parametrize("asked", ASKED, ids=str)
async def test_it_reads_by_index_and_few_pages(
    link: asyncpg.Connection[asyncpg.Record], ids: Ids, asked: Asked, mode: str
) -> None:
    plan = await explain(link, queries()[asked.query], asked.values(ids), mode)
    whole = [node for node in nodes(plan) if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "attempts"]
    assert whole == []
    assert pages(plan) <= asked.pages, costly(plan)


def test_no_query_on_calls_is_left_out() -> None:
    on_calls = {name for name, text in queries().items() if re.search(rf"\b{re.escape(ON_CALLS)}\b", text)}
    assert on_calls - {asked.query for asked in ASKED} == set()


def test_the_size_of_a_batch_is_written_out_in_its_queries() -> None:
    for name in ("mask_attempts", "mask_erased", "forget_attempts"):
        assert f"LIMIT {BATCH}\n" in queries()[name]


async def test_a_plan_that_reads_it_all_would_be_seen(link: asyncpg.Connection[asyncpg.Record]) -> None:
    plan = await explain(link, f"SELECT count(*) FROM {ON_CALLS} WHERE detail = $1", ("x",), PLANS[0])
    assert "Seq Scan" in {node["Node Type"] for node in nodes(plan)}
    assert pages(plan) > 20_000


# --- the service's own statements, triggers included


@pytest.mark.parametrize("mode", PLANS)
async def test_calls_from_request_to_bill_never_read_it_all(
    server: Server, crowded: str, tmp_path: Path, mode: str
) -> None:
    """Ten calls on the statements that asyncpg keeps, each run more often than PostgreSQL needs to choose its plan."""
    database = crowded.rpartition("/")[2].partition("?")[0]
    await server.admin(f"ALTER DATABASE {database} SET plan_cache_mode = {mode}")
    before = await scans(crowded)
    async with open_store(crowded, 1, limits_of=nothing_follows, migrations="skip") as store:
        for n in range(10):
            await one_call(store, f"u{1000 + n}", f"+1555777{1000 * PLANS.index(mode) + 1000 + n}")
    await server.admin(f"ALTER DATABASE {database} RESET plan_cache_mode")
    async with asyncio.timeout(30 * SLOW):  # counts arrive when their connection has ended
        while (after := await scans(crowded))["n_tup_ins"] < before["n_tup_ins"] + 10:
            await asyncio.sleep(0.05)
    assert after["seq_scan"] == before["seq_scan"]
    assert (after["pages"] - before["pages"]) / 10 < 6000, (before, after)


async def one_call(store: Store, user: str, number: str) -> None:
    """A request that is accepted, called, answered, ended without a proof and billed; then what its page looks at."""
    world = World(store)
    ledger = PgAttempts(store.db, limits_of=follows(Config().limits))
    every = Limits({**dict.fromkeys(WINDOWS, NONE_REACHED), "user_new_numbers_day": 3}, (60.0,), 180)
    new = world.new(user, number, limits=every, client="203.0.113.7", queue_length=1000)
    attempt = begun(await ledger.accept(new, hash_of(number))).attempt_id
    with pytest.raises(Refusal, match="in progress"):
        await ledger.accept(world.new(user, number, limits=every), hash_of(number))
    while attempt not in {one.attempt_id for one in await ledger.claim("node9", 5, 30)}:
        pass
    await ledger.progress(attempt, AttemptState.RINGING, 0)
    await ledger.progress(attempt, AttemptState.ANSWERED, 3)
    assert await ledger.renew("node9", [attempt], 30) == {attempt}
    assert await ledger.finish(attempt, Verdict(Outcome.WRONG_CODE, FAULTS[Outcome.WRONG_CODE], tries=3))
    await ledger.bill({attempt: 42})
    assert (await store.bindings.get("default", user)).last_attempt is not None
    assert (await ledger.attempts(account="default", user_id=user, limit=1))[0].attempt_id == attempt
    assert (await ledger.attempts(user_id=user, limit=1))[0].attempt_id == attempt
    assert len(await ledger.attempts(account="default", limit=50)) == 50
    await ledger.foresee(world.new(user, number, limits=every), hash_of(number))


async def scans(dsn: str) -> dict[str, int]:
    """How often the whole table was read, and how many pages of it and its indexes, by PostgreSQL's own count."""
    link = await asyncpg.connect(dsn)
    try:
        row = await link.fetchrow(
            "SELECT s.seq_scan, s.n_tup_ins, io.heap_blks_read + io.heap_blks_hit + io.idx_blks_read + io.idx_blks_hit"
            " AS pages FROM pg_stat_user_tables s JOIN pg_statio_user_tables io USING (relid)"
            " WHERE s.relid = 'binding_ivr.attempts'::regclass"
        )
        assert row is not None
        return dict(row)
    finally:
        await link.close()
