"""The circuit breakers in PostgreSQL: exact over nodes, told, back by a probe; and what an administrator lifts."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from binding_ivr import config as settings
from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.jobs.schedule import show_limits
from binding_ivr.metrics import Metrics
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import FAULTS, AttemptState, Fault, Outcome, Verdict
from binding_ivr.model.rows import User
from binding_ivr.policy.breaker import Rules
from binding_ivr.policy.limits import Limits
from binding_ivr.store import PgAttempts, Store, open_store
from tests.generous import follows, nothing_follows
from tests.integration.conftest import hash_of
from tests.patience import SLOW

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from tests.integration.conftest import World

REHEARSAL = Actor(ActorKind.CLI, "test", Source.CLI)
ADMIN = Actor(ActorKind.CLI, "root", Source.CLI, reason="checked by telephone")
RULES = Rules(calls=5, percent=20, pause_s=3600, longest_s=86_400, probes=2)
OFF = Rules()


def limits(account: Rules = RULES, system: Rules = OFF, **most: int) -> Limits:
    return Limits(most, breakers={"account_breaker": account, "system_breaker": system})


class Calls:
    """Calls of many users to many numbers, over ledgers whose verdicts turn breakers."""

    def __init__(self, world: World, *, system_calls: int = 0) -> None:
        """*system_calls*: as the configuration has it; the account's rules are RULES."""
        rules = settings.Limits(
            breaker_calls=RULES.calls, breaker_probes=RULES.probes, system_breaker_calls=system_calls,
            number_unproven=0, user_failed_tries=0,
        )  # fmt: skip
        self.world = world
        self.limits = limits(system=Rules(system_calls, probes=RULES.probes))
        self.ledger = PgAttempts(world.store.db, limits_of=follows(rules))
        self._next = itertools.count(1)

    async def who(self, account: str = "default") -> tuple[str, str]:
        """A new user and a number that nobody had."""
        n = next(self._next)
        await self.world.store.directory.add_user(User(account, f"u{n}", (f"9{n}",), "en", ""))
        return f"u{n}", f"+1555{n:07}"

    async def begin(self, account: str = "default") -> UUID:
        """A call on its way, in the state `dialing`."""
        user, number = await self.who(account)
        new = self.world.new(user, number, account=account, limits=self.limits)
        await self.ledger.accept(new, hash_of(number))
        await self.ledger.claim("node1", 100, 30)
        return new.attempt_id

    async def end(self, attempt_id: UUID, outcome: Outcome, fault: Fault | None = None, **how: Any) -> None:
        assert await self.ledger.finish(attempt_id, Verdict(outcome, fault or FAULTS[outcome], **how))

    async def ended(self, *outcomes: Outcome, account: str = "default") -> None:
        """One call after the other, each ended so."""
        for outcome in outcomes:
            await self.end(await self.begin(account), outcome)

    async def refused(self, account: str = "default") -> Refusal:
        """What the next request is told."""
        with pytest.raises(Refusal) as refusal:
            await self.begin(account)
        return refusal.value

    async def pass_time(self, seconds: float) -> None:
        await self.world.store.clock.advance(seconds, REHEARSAL)

    async def state(self) -> list[tuple[str, bool, int, int]]:
        return [(row.account, row.trial, row.pauses, row.failed_probes) for row in (await self.desk()).paused]

    async def desk(self) -> Any:
        return await self.world.store.limits.state()


@pytest.fixture
def calls(world: World) -> Calls:
    return Calls(world)


async def events(world: World, *names: str) -> list[dict[str, Any]]:
    return await world.sql(
        "SELECT name, account, user_id, payload::text AS facts FROM binding_ivr.outbox WHERE name = ANY($1::text[])"
        " ORDER BY sequence",
        list(names),
    )


WRONG, PROVEN, BUSY = Outcome.WRONG_CODE, Outcome.VERIFIED, Outcome.BUSY


# --- opening


async def test_it_pauses_the_account_at_the_call_that_makes_too_few_proven_and_tells(
    world: World, calls: Calls
) -> None:
    await calls.ended(WRONG, Outcome.NO_INPUT, Outcome.HUNG_UP, BUSY, BUSY, BUSY, Outcome.REPORTED)
    waiting = await calls.begin()
    queued = world.new("u1", "+15559990001", limits=calls.limits)
    await calls.ledger.accept(queued, hash_of(queued.number))
    assert await calls.state() == []
    await calls.end(waiting, WRONG)
    now = (await world.store.clock.read()).now.timestamp()
    refusal = await calls.refused()
    assert (refusal.code, refusal.limit) == ("limit_reached", "account_breaker")
    assert refusal.retry_at == pytest.approx(now + 3600, abs=5)
    assert "paused" in str(refusal)
    [event] = await events(world, "account.paused", "system.paused")
    assert (event["name"], event["account"], event["user_id"]) == ("account.paused", "default", "")
    assert '"answered": 5' in event["facts"]
    assert '"proven": 0' in event["facts"]
    [audit] = await world.sql("SELECT who, account FROM binding_ivr.audit WHERE action = 'account.paused'")
    assert (audit["who"], audit["account"]) == ("system", "default")
    # what waited for its call does not leave any more, and costs its user nothing
    row = await calls.ledger.attempt(queued.attempt_id)
    assert (row.state, row.outcome, row.fault) == (AttemptState.ENDED, Outcome.EXPIRED, Fault.POLICY)
    [counted] = await world.sql(
        "SELECT counted, counted_number, counted_line FROM binding_ivr.attempts WHERE attempt_id = $1",
        queued.attempt_id,
    )
    assert set(counted.values()) == {False}


async def test_one_proof_of_five_is_enough_and_what_is_our_fault_or_not_answered_says_nothing(calls: Calls) -> None:
    await calls.ended(PROVEN, *[WRONG, BUSY, Outcome.NO_ANSWER, Outcome.DECLINED, Outcome.CONGESTION] * 4)
    for _ in range(9):
        await calls.end(await calls.begin(), Outcome.FAILED, Fault.US, rang=True, answered=True)
    assert await calls.state() == []
    await calls.ended(WRONG)
    assert await calls.state() == [("default", False, 1, 0)]


async def test_verdicts_at_the_same_time_on_two_nodes_count_one_after_the_other(
    world: World, calls: Calls, dsn: str, tmp_path: Path
) -> None:
    under_way = [await calls.begin() for _ in range(RULES.calls)]
    async with open_store(
        dsn, 10, limits_of=nothing_follows, migrations="skip", connect_timeout=5 * SLOW, command_timeout=10 * SLOW
    ) as other:
        ledgers = [calls.ledger, PgAttempts(other.db, limits_of=calls.ledger._limits_of)]
        await asyncio.gather(
            *(
                ledgers[at % 2].finish(attempt_id, Verdict(WRONG, FAULTS[WRONG]))
                for at, attempt_id in enumerate(under_way)
            )
        )
    assert await calls.state() == [("default", False, 1, 0)]
    assert len(await events(world, "account.paused")) == 1


async def test_an_account_that_is_paused_hinders_no_other_until_the_systems_own_breaker_opens(
    store: Store, world: World
) -> None:
    calls = Calls(world, system_calls=12)
    for account in ("sales", "support"):
        await store.directory.add_account(account, {})
    await calls.ended(*[WRONG] * 5, account="sales")
    assert (await calls.refused("sales")).limit == "account_breaker"
    await calls.ended(PROVEN, *[WRONG] * 4, account="support")
    assert await calls.state() == [("sales", False, 1, 0)]
    await calls.ended(BUSY, WRONG, WRONG)
    assert [row[0] for row in await calls.state()] == ["", "sales"]
    assert (await calls.refused()).limit == "system_breaker"
    assert [event["name"] for event in await events(world, "account.paused", "system.paused")] == [
        "account.paused",
        "system.paused",
    ]
    with pytest.raises(NotFoundError):
        await store.limits.resume("default", ADMIN)
    await store.limits.resume("", ADMIN)
    await calls.ended(BUSY)
    assert (await calls.refused("sales")).limit == "account_breaker"


# --- coming back


async def paused(calls: Calls) -> None:
    await calls.ended(*[WRONG] * RULES.calls)
    assert (await calls.refused()).limit == "account_breaker"


async def test_it_lifts_when_it_said_not_before(calls: Calls) -> None:
    await paused(calls)
    refusal = await calls.refused()
    assert refusal.retry_in is not None
    await calls.pass_time(refusal.retry_in - 2)
    assert (await calls.refused()).limit == "account_breaker"
    await calls.pass_time(3)
    assert await calls.state() == [("default", True, 1, 0)]
    await calls.begin()


async def test_two_nodes_and_200_requests_after_a_pause_make_one_call(
    world: World, calls: Calls, dsn: str, tmp_path: Path
) -> None:
    await paused(calls)
    await calls.pass_time(3601)
    people = [await calls.who() for _ in range(200)]
    async with open_store(
        dsn, 10, limits_of=nothing_follows, migrations="skip", connect_timeout=5 * SLOW, command_timeout=10 * SLOW
    ) as other:
        ledgers = (calls.ledger, other.attempts)

        async def ask(at: int, user: str, number: str) -> str | None:
            try:
                await ledgers[at % 2].accept(world.new(user, number, limits=calls.limits), hash_of(number))
            except Refusal as refusal:
                return refusal.limit
            return None

        answers = await asyncio.gather(*(ask(at, *one) for at, one in enumerate(people)))
    assert answers.count(None) == 1
    assert answers.count("account_breaker") == 199


async def test_a_proven_probe_ends_it_and_the_old_calls_are_forgotten(world: World, calls: Calls) -> None:
    await paused(calls)
    await calls.pass_time(3601)
    probe = await calls.begin()
    assert (await calls.refused()).limit == "account_breaker"
    await calls.end(probe, PROVEN)
    assert await calls.state() == []
    assert [event["name"] for event in await events(world, "account.resumed")] == ["account.resumed"]
    await calls.ended(*[WRONG] * (RULES.calls - 1))
    await calls.begin()
    assert await calls.state() == []


async def test_probes_that_prove_nothing_pause_twice_as_long(calls: Calls) -> None:
    await paused(calls)
    await calls.pass_time(3601)
    await calls.ended(WRONG)
    assert await calls.state() == [("default", True, 1, 1)]
    await calls.ended(Outcome.NO_INPUT)
    assert await calls.state() == [("default", False, 2, 0)]
    refusal = await calls.refused()
    assert refusal.retry_in == pytest.approx(7200, abs=5)


@pytest.mark.parametrize("outcome", [BUSY, Outcome.NO_ANSWER, Outcome.CONGESTION, Outcome.CANCELED, Outcome.FAILED])
async def test_a_probe_that_nobody_answered_makes_room_for_the_next(calls: Calls, outcome: Outcome) -> None:
    await paused(calls)
    await calls.pass_time(3601)
    for _ in range(4):
        await calls.ended(outcome)
    assert await calls.state() == [("default", True, 1, 0)]
    await calls.ended(PROVEN)
    assert await calls.state() == []


async def test_a_probe_whose_node_died_or_that_waited_too_long_holds_nobody_back_for_ever(calls: Calls) -> None:
    await paused(calls)
    await calls.pass_time(3601)
    user, number = await calls.who()
    await calls.ledger.accept(calls.world.new(user, number, limits=calls.limits), hash_of(number))
    assert (await calls.refused()).limit == "account_breaker"
    await calls.pass_time(301)  # nobody called it: it expires in the queue
    dead = await calls.begin()
    assert dead in await calls.ledger.abandoned("node1")
    await calls.end(dead, Outcome.FAILED)  # as the recovery ends what a node left behind
    await calls.ended(PROVEN)
    assert await calls.state() == []


async def test_calls_from_before_the_pause_neither_close_nor_prolong_it(calls: Calls) -> None:
    late = [await calls.begin() for _ in range(3)]
    await calls.ended(*[WRONG] * RULES.calls)
    await calls.end(late[0], PROVEN)
    await calls.pass_time(3601)
    await calls.end(late[1], PROVEN)
    await calls.end(late[2], WRONG)
    assert await calls.state() == [("default", True, 1, 0)]


async def test_an_account_may_switch_its_breaker_off(world: World, calls: Calls) -> None:
    await paused(calls)
    user, number = await calls.who()
    await world.store.attempts.accept(world.new(user, number, limits=limits(OFF)), hash_of(number))


async def test_what_is_foreseen_is_what_comes(world: World, calls: Calls) -> None:
    await paused(calls)
    user, number = await calls.who()
    for foreseen in await calls.ledger.foresee(world.new(user, number, limits=calls.limits), hash_of(number)):
        assert foreseen is not None
        assert foreseen.limit == "account_breaker"


# --- the administrator


async def test_an_administrator_resumes_and_the_audit_knows_why(world: World, calls: Calls) -> None:
    await paused(calls)
    await world.store.limits.resume("default", ADMIN)
    await calls.ended(*[WRONG] * (RULES.calls - 1))
    assert await calls.state() == []
    [row] = await world.sql("SELECT who, reason FROM binding_ivr.audit WHERE action = 'account.resumed'")
    assert (row["who"], row["reason"]) == ("cli:root", "checked by telephone")
    with pytest.raises(NotFoundError, match="not paused"):
        await world.store.limits.resume("default", ADMIN)


async def test_the_gauges_show_what_is_paused_locked_and_used(world: World, calls: Calls) -> None:
    await paused(calls)
    await calls.ledger.bill({})
    metrics = Metrics()
    show_limits(await calls.desk(), metrics)
    value = metrics.registry.get_sample_value
    assert value("binding_ivr_paused", {"scope": "account"}) == 1
    assert value("binding_ivr_paused", {"scope": "system"}) == 0
    assert value("binding_ivr_limit_used", {"limit": "system_hour"}) == RULES.calls
    assert value("binding_ivr_locked", {"what": "users"}) == 0


async def test_a_user_who_is_locked_out_and_out_of_calls_is_freed(world: World) -> None:
    await world.users("1001", "1002")
    ledger = PgAttempts(world.store.db, limits_of=follows(settings.Limits(user_failed_tries=3, breaker_calls=0)))
    most = Limits({"user_hour": 1, "user_new_numbers_day": 1})
    attempt = await world.dial("1001", "+15551230001")
    assert await ledger.finish(attempt, Verdict(WRONG, FAULTS[WRONG], tries=3))
    with pytest.raises(Refusal) as refusal:
        await world.accept("1001", "+15551230001", limits=most)
    assert refusal.value.limit == "user_failed_tries"
    [locked] = (await world.store.limits.state()).locked_out
    assert (locked.user_id, locked.locked, locked.locks) == ("1001", True, 1)
    assert (await world.store.limits.state("other")).locked_out == []
    done = await world.store.limits.reset_user("default", "1001", ADMIN)
    assert (done.calls, done.locks) == (1, 1)
    await world.accept("1001", "+15551230002", limits=most)
    [row] = await world.sql("SELECT who, user_id, reason FROM binding_ivr.audit WHERE action = 'user.unlocked'")
    assert (row["who"], row["user_id"], row["reason"]) == ("cli:root", "1001", "checked by telephone")
    with pytest.raises(NotFoundError):
        await world.store.limits.reset_user("default", "nobody", ADMIN)


async def test_a_number_that_three_unproven_calls_locked_is_freed(world: World) -> None:
    await world.users("1001", "1002")
    ledger = PgAttempts(world.store.db, limits_of=follows(settings.Limits(breaker_calls=0)))
    number = "+15551230001"
    for _ in range(3):
        assert await ledger.finish(await world.answer("1001", number), Verdict(Outcome.HUNG_UP, Fault.CALLEE))
    with pytest.raises(Refusal) as refusal:
        await world.accept("1002", number)
    assert refusal.value.code == "try_later"
    assert (await world.store.limits.state()).locked_numbers == 1
    done = await world.store.limits.reset_number(hash_of(number), ADMIN)
    assert (done.calls, done.locks) == (3, 1)
    await world.accept("1002", number, limits=Limits({"number_hour": 1}, wait_s=(60.0,)))
    [row] = await world.sql(
        "SELECT reason, detail::text AS detail FROM binding_ivr.audit WHERE action LIKE 'number.un%'"
    )
    assert row["reason"] == "checked by telephone"
    assert number not in row["detail"]


# --- alerts


async def test_a_limit_that_nobody_reaches_by_accident_alerts_once_an_hour(world: World) -> None:
    await world.users(*"abcdef")
    most = Limits({"prefix_hour": 2, "user_hour": 100})
    for at, user in enumerate("ab"):
        await world.accept(user, f"+1555123000{at}", limits=most)
    for at, user in enumerate("cdef"):
        with pytest.raises(Refusal) as refusal:
            await world.accept(user, f"+1555123001{at}", limits=most)
        assert (refusal.value.code, refusal.value.limit) == ("try_later", None)
    [event] = await events(world, "limit.alert")
    assert (event["account"], event["user_id"]) == ("default", "c")
    assert '"limit": "prefix_hour"' in event["facts"]
    await world.store.clock.advance(3600, REHEARSAL)
    for at, user in enumerate("ef"):
        await world.accept(user, f"+1555124000{at}", limits=most)
    with pytest.raises(Refusal):
        await world.accept("c", "+15551240019", limits=most)
    assert len(await events(world, "limit.alert")) == 2


async def test_a_users_own_limit_alerts_nobody(world: World) -> None:
    await world.users("1001")
    most = Limits({"user_hour": 0})
    with pytest.raises(Refusal):
        await world.accept("1001", "+15551230001", limits=most)
    assert await events(world, "limit.alert") == []


async def test_the_systems_alert_is_one_for_all_accounts_and_says_who_it_was(world: World) -> None:
    await world.users("1001", "1002")
    with pytest.raises(Refusal):
        await world.accept("1001", "+15551230001", limits=Limits({"system_minutes_day": 0}, reserve_s=60))
    await world.store.directory.add_account("sales", {})
    await world.users("1001", account="sales")
    with pytest.raises(Refusal):
        await world.accept(
            "1001", "+15551230001", account="sales", limits=Limits({"system_minutes_day": 0}, reserve_s=60)
        )
    [event] = await events(world, "limit.alert")
    assert (event["account"], event["user_id"]) == ("default", "1001")
