"""Two nodes and 200 requests at the same moment: of every limit exactly as many pass as it allows."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest

from binding_ivr.app.allowances import COUNTS, allowed
from binding_ivr.call import events as ev
from binding_ivr.config import Config
from binding_ivr.dialing.dispatcher import Dispatcher
from binding_ivr.errors import Refusal
from binding_ivr.metrics import Metrics
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import FAULTS, Outcome, Verdict
from binding_ivr.policy.limits import BREAKERS, SENTENCES, WINDOWS, Limits
from binding_ivr.ports import CallOrder
from binding_ivr.store import PgAttempts, Store, open_store
from tests.generous import follows, nothing_follows
from tests.integration.conftest import begun, hash_of
from tests.unit.fakes import FakeChanges, FakeConversations, FakeTelephony, attempt_of, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import World

REQUESTS = 200
AGAIN = 40
"""How many of those who were refused ask again at the same moment."""
ONE = "+12025550123"
REHEARSAL = Actor(ActorKind.CLI, "test", Source.CLI)


@pytest.fixture
async def nodes(dsn: str, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Two nodes on one PostgreSQL, each with a few connections of its own, for which all wait as long as they must."""
    patient: dict[str, Any] = {"migrations": "skip", "connect_timeout": 120.0, "command_timeout": 120.0}
    async with (
        open_store(dsn, 4, limits_of=nothing_follows, **patient) as one,
        open_store(dsn, 4, limits_of=nothing_follows, **patient) as other,
    ):
        yield one, other


@dataclass
class Crowd:
    """All who ask at the same moment. `answers` counts what they were told, `passed` are the accepted requests."""

    world: World
    nodes: tuple[Store, Store]
    limits: Limits
    queue_length: int = 1000
    one_by_one: bool = False
    canceled: bool = False
    """Each accepted call ends at once, for the next one of the same user or to the same number to be possible."""

    def __post_init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.passed: list[tuple[str, str]] = []

    async def ask(self, at: int, user: str, number: str, account: str = "default", client: str = "192.0.2.1") -> None:
        """One request, on one of the two nodes."""
        ledger = self.nodes[at % 2].attempts
        limits, queue = self.limits, self.queue_length
        new = self.world.new(user, number, account=account, limits=limits, client=client, queue_length=queue)
        try:
            attempt_id = begun(await ledger.accept(new, hash_of(number))).attempt_id
        except Refusal as refusal:
            self.answers[refusal.limit or refusal.code] += 1
            return
        self.answers["accepted"] += 1
        self.passed.append((user, number))
        if self.canceled:
            await ledger.cancel(account, user, self.world.actor)
        elif self.one_by_one:
            await end(ledger, attempt_id)

    async def all(self, requests: list[tuple[Any, ...]]) -> int:
        """All of them at the same moment; return how many were accepted."""
        before = len(self.passed)
        await asyncio.gather(*(self.ask(at, *request) for at, request in enumerate(requests)))
        return len(self.passed) - before


async def end(ledger: PgAttempts, attempt_id: UUID, outcome: Outcome = Outcome.BUSY) -> None:
    await ledger.claim("node1", 1000, 30)
    assert await ledger.finish(attempt_id, Verdict(outcome, FAULTS[outcome]))


@dataclass(frozen=True)
class Case:
    """A limit, how much it allows, how many calls that is, and what the requests have in common."""

    limit: str
    most: int
    shares: str = ""
    calls: int = 0
    canceled: bool = False

    def request(self, n: int) -> tuple[str, str, str]:
        """The *n*-th request: user, number, account."""
        user = "one" if self.shares == "user" else f"u{n}"
        number = ONE if self.shares == "number" else f"+1202555{n:04}"
        system_wide = self.limit.startswith("system")
        return user, number, "acme" if system_wide and n % 3 == 0 else "default"


CASES = [
    Case("number_hour", 3, "number"),
    Case("number_day", 5, "number"),
    Case("prefix_hour", 5),
    Case("system_prefix_hour", 5),
    Case("user_hour", 5, "user"),
    Case("user_day", 10, "user"),
    Case("user_new_numbers_day", 3, "user"),
    Case("user_uncalled_hour", 5, "user", canceled=True),
    Case("user_uncalled_day", 10, "user", canceled=True),
    Case("address_hour", 10),
    Case("account_hour", 20),
    Case("account_day", 100),
    Case("system_hour", 30),
    Case("system_day", 150),
    Case("system_minutes_day", 20, calls=6),  # six calls that can take three minutes each
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.limit)
async def test_of_200_requests_exactly_as_many_pass_as_the_limit_allows(
    world: World, nodes: tuple[Store, Store], case: Case
) -> None:
    await people(world)
    limits = Limits({case.limit: case.most}, reserve_s=180)
    crowd = Crowd(world, nodes, limits, one_by_one=bool(case.shares), canceled=case.canceled)
    requests = [case.request(n) for n in range(REQUESTS)]
    await crowd.all(requests)
    # Who met a call in progress asks again, until only the limit refuses.
    while case.shares:
        again = [one for one in requests if one[:2] not in crowd.passed or case.shares == "number"]
        if not await crowd.all(again[:AGAIN]):
            break
    assert len(crowd.passed) == (case.calls or case.most)
    assert crowd.answers["accepted"] == len(crowd.passed)
    assert set(crowd.answers) <= {"accepted", case.limit, "try_later", "call_in_progress"}
    if case.shares != "number":  # other users' calls to the number are not told of
        assert crowd.answers[case.limit] or crowd.answers["try_later"]
    assert len(await world.store.attempts.attempts(limit=1000)) == len(crowd.passed)


async def people(world: World) -> None:
    """As many users as requests, in two accounts."""
    await world.store.directory.add_account("acme")
    await world.sql(
        "INSERT INTO binding_ivr.users (account, user_id)"
        " SELECT a, u FROM unnest(ARRAY['default', 'acme']) AS a,"
        " (SELECT 'one' UNION ALL SELECT 'u' || n FROM generate_series(0, 199) AS n) AS of (u)"
    )


@pytest.mark.parametrize("limit", ["prefix_hour", "account_hour", "account_day"])
async def test_a_limit_of_one_account_leaves_another_its_own(
    world: World, nodes: tuple[Store, Store], limit: str
) -> None:
    await people(world)
    crowd = Crowd(world, nodes, Limits({limit: 7}))
    requests = [(f"u{n}", f"+1202555{n:04}", "acme" if n % 2 else "default") for n in range(REQUESTS)]
    assert await crowd.all(requests) == 14
    rows = await world.sql("SELECT account, count(*) AS calls FROM binding_ivr.attempts GROUP BY account")
    assert {row["account"]: row["calls"] for row in rows} == {"default": 7, "acme": 7}


async def test_one_call_of_a_user_at_a_time(world: World, nodes: tuple[Store, Store]) -> None:
    await people(world)
    crowd = Crowd(world, nodes, Limits())
    assert await crowd.all([("one", f"+1202555{n:04}") for n in range(REQUESTS)]) == 1
    assert crowd.answers == {"accepted": 1, "call_in_progress": REQUESTS - 1}


async def test_one_call_to_a_number_at_a_time(world: World, nodes: tuple[Store, Store]) -> None:
    await people(world)
    crowd = Crowd(world, nodes, Limits())
    assert await crowd.all([(f"u{n}", ONE, "acme" if n % 2 else "default") for n in range(REQUESTS)]) == 1
    assert crowd.answers == {"accepted": 1, "try_later": REQUESTS - 1}


async def test_the_wait_for_a_number_lets_one_pass_when_it_is_over(world: World, nodes: tuple[Store, Store]) -> None:
    await people(world)
    crowd = Crowd(world, nodes, Limits(wait_s=(60.0, 120.0)))
    asked: list[tuple[Any, ...]] = [(f"u{n}", ONE) for n in range(REQUESTS)]
    for wait_s in (60.0, 120.0, 120.0):
        assert await crowd.all(asked) == 1
        [live] = await world.sql("SELECT attempt_id FROM binding_ivr.attempts WHERE state <> 'ended'")
        await end(world.store.attempts, live["attempt_id"])
        assert await crowd.all(asked) == 0
        await world.store.clock.advance(wait_s, REHEARSAL)
    assert set(crowd.answers) == {"accepted", "try_later", "number_wait_s"}


async def test_a_number_locked_by_unproven_calls_is_called_for_nobody(world: World, nodes: tuple[Store, Store]) -> None:
    await people(world)
    strict = PgAttempts(world.store.db, limits_of=follows(Config().limits))
    for _ in range(3):
        await end(strict, await world.answer("one", ONE), Outcome.HUNG_UP)
    crowd = Crowd(world, nodes, Limits())
    assert await crowd.all([(f"u{n}", ONE) for n in range(REQUESTS)]) == 0
    assert crowd.answers == {"try_later": REQUESTS}


async def test_a_user_who_is_locked_out_gets_one_call_when_the_lock_is_over(
    world: World, nodes: tuple[Store, Store]
) -> None:
    await people(world)
    strict = PgAttempts(world.store.db, limits_of=follows(Config().limits))
    for n in range(5):
        attempt_id = await world.answer("one", f"+1202556{n:04}")
        assert await strict.finish(attempt_id, Verdict(Outcome.WRONG_CODE, FAULTS[Outcome.WRONG_CODE], tries=2))
    crowd = Crowd(world, nodes, Limits())
    asked: list[tuple[Any, ...]] = [("one", f"+1202555{n:04}") for n in range(REQUESTS)]
    assert await crowd.all(asked) == 0
    assert crowd.answers == {"user_failed_tries": REQUESTS}
    await world.store.clock.advance(3600, REHEARSAL)
    assert await crowd.all(asked) == 1


async def test_the_queue_takes_what_all_nodes_can_call_and_20_more(world: World, nodes: tuple[Store, Store]) -> None:
    await people(world)
    for node, capacity in (("node1", 2), ("node2", 3)):
        await world.store.attempts.alive(node, "1", capacity)
    crowd = Crowd(world, nodes, Limits(), queue_length=20)
    requests: list[tuple[Any, ...]] = [(f"u{n}", f"+1202555{n:04}") for n in range(REQUESTS)]
    assert await crowd.all(requests) == 25
    assert crowd.answers == {"accepted": 25, "queue_full": REQUESTS - 25}
    claimed = await asyncio.gather(*(nodes[n % 2].attempts.claim(f"node{1 + n % 2}", 1, 30) for n in range(40)))
    mine = [one.attempt_id for some in claimed for one in some]
    assert (len(mine), len(set(mine))) == (25, 25)  # each of them once
    crowd.answers.clear()
    assert await crowd.all(requests) == 0  # a call in progress takes its place as well
    await world.store.attempts.finish(mine[0], Verdict(Outcome.BUSY, FAULTS[Outcome.BUSY]))
    assert await crowd.all(requests) == 1


class Counted(FakeTelephony):
    """An Asterisk on which a call is busy after a while; it knows how many there were at once."""

    def __init__(self) -> None:
        super().__init__()
        self.at_once = 0

    async def place(self, order: CallOrder) -> None:
        await super().place(order)
        self.at_once = max(self.at_once, len(self.channels))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.002, self.busy, order.channel_id)

    def busy(self, channel_id: str) -> None:
        self.channels.remove(channel_id)
        self.sinks[channel_id](ev.Ended(17, None))


async def test_no_node_has_more_calls_at_once_than_it_may(world: World, nodes: tuple[Store, Store]) -> None:
    """Two nodes' dialling sides, and 200 calls that wait for them: each leaves once, and two at once from each node."""
    await people(world)
    asteriskses = [Counted(), Counted()]
    async with AsyncExitStack() as stack:
        dispatchers = []
        for n, (node, asterisk) in enumerate(zip(nodes, asteriskses, strict=True)):
            dispatchers.append(dispatcher(node, f"node{n}", asterisk))
            await dispatchers[-1].start()
            stack.push_async_callback(dispatchers[-1].stop)
        crowd = Crowd(world, nodes, Limits())
        requests: list[tuple[Any, ...]] = [(f"u{n}", f"+1202555{n:04}") for n in range(REQUESTS)]
        assert await crowd.all(requests) == REQUESTS
        await until(lambda: sum(len(one.placed) for one in asteriskses) >= REQUESTS, 60)
        await until(lambda: not any(one.active for one in dispatchers), 20)
    left = [attempt_of(order) for one in asteriskses for order in one.placed]
    assert (len(left), len(set(left))) == (REQUESTS, REQUESTS)
    assert [one.at_once for one in asteriskses] == [2, 2]
    rows = await world.sql("SELECT outcome, count(*) AS calls FROM binding_ivr.attempts GROUP BY outcome")
    assert [tuple(row.values()) for row in rows] == [("busy", REQUESTS)]


def dispatcher(store: Store, node: str, asterisk: Counted) -> Dispatcher:
    tree = {
        "service": {"node": node},
        "limits": {"concurrent_node": 2, "starts_per_second": 1000},
        "routes": [{"name": "main", "endpoint": "PJSIP/{e164}@trunk", "max_channels": 100}],
    }
    return Dispatcher(
        msgspec.convert(tree, Config),
        ledger=store.attempts,
        changes=FakeChanges(),
        telephony=asterisk,
        conversations=FakeConversations(),
        code_of=lambda _: "112334",
        agi_address=lambda: "127.0.0.1:4573",
        metrics=Metrics(),
        version="0",
    )


@pytest.mark.parametrize("seed", range(3))
async def test_all_limits_together_are_never_exceeded(world: World, nodes: tuple[Store, Store], seed: int) -> None:
    """The limits as they are delivered, a crowd that asks for anything, and a clock that goes on between its rushes."""
    dice = random.Random(seed)
    await people(world)
    rules = allowed(Config(), Config())
    crowd = Crowd(world, nodes, rules, queue_length=20)
    for _ in range(8):
        await crowd.all(
            [
                (
                    f"u{dice.randrange(40)}",
                    f"+120255{dice.randrange(8)}{dice.randrange(30):04}",
                    dice.choice(["default", "acme"]),
                    f"192.0.2.{dice.randrange(6)}",
                )
                for _ in range(REQUESTS)
            ]
        )
        for row in await world.sql("SELECT attempt_id FROM binding_ivr.attempts WHERE state <> 'ended'"):
            await end(world.store.attempts, row["attempt_id"], dice.choice([Outcome.BUSY, Outcome.NO_ANSWER]))
        await world.store.clock.advance(dice.choice([60, 600, 1800, 7200]), REHEARSAL)
    calls = await world.sql(
        'SELECT account, user_id, number, "left"(number, -4) AS prefix, client, uncalled,'
        " extract(epoch FROM created_at) AS at"
        " FROM binding_ivr.attempts ORDER BY created_at"
    )
    assert len(calls) > 30
    for name in WINDOWS:
        assert most_in_window(calls, name) <= rules.most[name], name
    news = {(row["account"], row["user_id"]): set[str]() for row in calls}
    for row in calls:  # the whole rehearsal is shorter than a day
        news[row["account"], row["user_id"]].add(row["number"])
    assert max(len(numbers) for numbers in news.values()) <= rules.most["user_new_numbers_day"]


SCOPE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "number": lambda row: row["number"],
    "prefix": lambda row: (row["account"], row["prefix"]),
    "system_prefix": lambda row: row["prefix"],
    "user": lambda row: (row["account"], row["user_id"]),
    "uncalled": lambda row: (row["account"], row["user_id"]),
    "address": lambda row: row["client"],
    "account": lambda row: row["account"],
    "system": lambda row: None,
}


def most_in_window(calls: list[dict[str, Any]], name: str) -> int:
    """The most calls of one scope that lie within one window of the limit *name*, wherever it begins."""
    window, most = WINDOWS[name], 0
    lately: dict[Any, list[float]] = {}
    for row in calls:
        if window.scope == "uncalled" and not row["uncalled"]:
            continue
        times = lately.setdefault(SCOPE[window.scope](row), [])
        times.append(float(row["at"]))
        while times[0] <= times[-1] - window.seconds:
            times.pop(0)
        most = max(most, len(times))
    return most


def test_every_limit_is_raced_for() -> None:
    raced = {case.limit for case in CASES}
    assert raced == set(COUNTS)
    others = {"number_wait_s", "user_failed_tries", "user_failed_stop", *BREAKERS}  # these have tests of their own
    assert set(SENTENCES) - raced == others
