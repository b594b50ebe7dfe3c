"""The limits in PostgreSQL: exact with many nodes and requests, counted as the plain model does, given back in part."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from binding_ivr import config as settings
from binding_ivr.errors import Refusal
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import FAULTS, AttemptState, Fault, Outcome, Verdict
from binding_ivr.policy.limits import BREAKERS, BUCKET_S, SENTENCES, WINDOWS, Facts, Limits, check, try_later
from binding_ivr.ports import NewAttempt
from binding_ivr.store import PgAttempts, Store
from binding_ivr.web.problems import problem_of
from tests.generous import follows
from tests.integration.conftest import hash_of
from tests.unit.limit_model import Call, facts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import World

A, B, C, D = "+15551230001", "+15551230002", "+15551240003", "+441632960004"
REHEARSAL = Actor(ActorKind.CLI, "test", Source.CLI)


def strict(store: Store, **limits: Any) -> PgAttempts:
    """A ledger whose verdicts lock as *limits* say."""
    rules = settings.Limits(**limits)
    return PgAttempts(store.db, limits_of=follows(rules))


async def ended(world: World, user: str, number: str, outcome: Outcome, fault: Fault | None = None, **how: Any) -> UUID:
    """A call that was made and ended so."""
    attempt_id = await world.dial(user, number)
    await finish(world.store.attempts, attempt_id, outcome, fault, **how)
    return attempt_id


async def finish(
    ledger: PgAttempts, attempt_id: UUID, outcome: Outcome, fault: Fault | None = None, **how: Any
) -> None:
    assert await ledger.finish(attempt_id, Verdict(outcome, fault or FAULTS[outcome], **how))


async def told(world: World, user: str, number: str, limits: Limits, **how: Any) -> Refusal | None:
    """What an attempt is told now; it is canceled when it would be accepted."""
    try:
        await world.accept(user, number, limits=limits, **how)
    except Refusal as refusal:
        return refusal
    await world.store.attempts.cancel("default", user, world.actor)
    return None


# --- what counts, and what is given back

GIVEN_BACK: dict[str, tuple[str, ...]] = {
    "asker": ("user_hour", "user_day", "address_hour"),
    "callee": ("number_hour", "number_day", "prefix_hour", "system_prefix_hour"),
    "line": ("account_hour", "account_day", "system_hour", "system_day"),
    "again": ("number_wait_s", "user_new_numbers_day"),
}
EVERYTHING = frozenset(GIVEN_BACK)


@pytest.mark.parametrize(
    ("outcome", "fault", "rang", "counts"),
    [
        (Outcome.VERIFIED, None, True, {"asker", "callee", "line"}),  # a proof ends the wait
        (Outcome.WRONG_CODE, None, True, EVERYTHING),
        (Outcome.HUNG_UP, None, True, EVERYTHING),
        (Outcome.BUSY, None, False, EVERYTHING),
        (Outcome.NO_ANSWER, None, True, EVERYTHING),
        (Outcome.DECLINED, None, False, EVERYTHING),
        (Outcome.UNREACHABLE, None, False, EVERYTHING),
        (Outcome.CONGESTION, None, False, {"line", "again"}),
        (Outcome.CONGESTION, None, True, {"callee", "line", "again"}),
        (Outcome.CANCELED, None, False, EVERYTHING),
        (Outcome.FAILED, Fault.NETWORK, False, EVERYTHING),
        (Outcome.FAILED, Fault.US, False, set()),
        (Outcome.FAILED, Fault.US, True, {"callee", "line", "again"}),
    ],
)
async def test_what_an_ended_call_counts_for(
    world: World, outcome: Outcome, fault: Fault | None, rang: bool, counts: set[str]
) -> None:
    await world.users("1001")
    attempt_id = await world.dial("1001", A, client="192.0.2.1")
    await finish(world.store.attempts, attempt_id, outcome, fault, rang=rang)
    held = set()
    for whose, names in GIVEN_BACK.items():
        by_name = []
        for name in names:
            if name == "number_wait_s":
                limits = Limits(wait_s=(60.0,))
            elif name == "user_new_numbers_day":
                limits = Limits({name: 1})
            else:
                limits = Limits({name: 1})
            number = B if name == "user_new_numbers_day" else A
            refusal = await told(world, "1001", number, limits, client="192.0.2.1")
            assert refusal is None or refusal.limit == name
            by_name.append(refusal is not None)
        if whose == "again" and outcome is Outcome.VERIFIED:
            assert by_name == [False, True]
            continue
        assert len(set(by_name)) == 1, (whose, by_name)
        if by_name[0]:
            held.add(whose)
    assert held == counts


async def test_what_never_left_counts_for_nothing(store: Store, world: World) -> None:
    await world.users("1001")
    calls = [name for name in WINDOWS if name not in UNCALLED]
    every = Limits({**dict.fromkeys(calls, 1), "user_new_numbers_day": 1, "system_minutes_day": 3}, (60.0,), 180)
    await world.accept("1001", A, limits=every, client="192.0.2.1")
    await store.attempts.cancel("default", "1001", world.actor)
    await world.accept("1001", B, limits=every, client="192.0.2.1")
    await store.clock.advance(301, REHEARSAL)  # longer than it may wait: it expires
    await world.accept("1001", C, limits=every, client="192.0.2.1")


UNCALLED = ("user_uncalled_hour", "user_uncalled_day")


@pytest.mark.parametrize("name", UNCALLED)
async def test_what_came_to_no_call_has_a_limit_of_its_own(store: Store, world: World, name: str) -> None:
    await world.users("1001", "1002")
    limits = Limits({name: 4})
    assert await told(world, "1001", A, limits) is None  # canceled before it left
    await world.accept("1001", B, limits=limits)
    await store.clock.advance(301, REHEARSAL)  # longer than it may wait: it expires
    attempt_id = await world.dial("1001", C, limits=limits)
    await finish(store.attempts, attempt_id, Outcome.FAILED, Fault.US)
    attempt_id = await world.dial("1001", C, limits=limits)
    await finish(store.attempts, attempt_id, Outcome.FAILED, Fault.US, rang=True)  # somebody was disturbed: a call
    attempt_id = await world.dial("1001", C, limits=limits)
    await finish(store.attempts, attempt_id, Outcome.CANCELED)  # it had left: a call
    assert await told(world, "1001", A, limits) is None
    refusal = await told(world, "1001", A, limits)
    assert refusal is not None
    assert (refusal.code, refusal.limit) == ("limit_reached", name)
    assert await told(world, "1002", A, limits) is None
    assert refusal.retry_in is not None
    await store.clock.advance(refusal.retry_in - 1, REHEARSAL)
    assert await told(world, "1001", A, limits) is not None
    await store.clock.advance(1, REHEARSAL)
    assert await told(world, "1001", A, limits) is None


async def test_an_administrator_gives_such_requests_back(store: Store, world: World) -> None:
    await world.users("1001")
    limits = Limits({"user_uncalled_hour": 1})
    assert await told(world, "1001", A, limits) is None
    assert await told(world, "1001", A, limits) is not None
    await store.limits.reset_user("default", "1001", world.actor)
    assert await told(world, "1001", A, limits) is None


async def test_a_request_that_its_user_takes_back_is_one_row_of_the_audit(store: Store, world: World) -> None:
    await world.users("1001")

    async def told_of(attempt_id: UUID) -> list[str]:
        rows = await world.sql("SELECT action FROM binding_ivr.audit WHERE attempt_id = $1 ORDER BY at", attempt_id)
        return [row["action"] for row in rows if row["action"].startswith("attempt.")]

    mine = (await world.accept("1001", A)).attempt_id
    await store.attempts.cancel("default", "1001", world.actor)
    expired = (await world.accept("1001", A)).attempt_id
    await store.clock.advance(301, REHEARSAL)
    theirs = (await world.accept("1001", A)).attempt_id
    await store.attempts.cancel("default", "1001", REHEARSAL)
    called = await world.dial("1001", A)
    await store.attempts.cancel("default", "1001", world.actor)
    await finish(store.attempts, called, Outcome.CANCELED)
    assert await told_of(mine) == await told_of(expired) == await told_of(theirs) == ["attempt.ended"]
    assert await told_of(called) == ["attempt.dialing", "attempt.cancel", "attempt.ended"]
    # those who wait for it are told as before
    assert await world.events("1001") == 4 * ["attempt.ended"]


async def test_an_answer_whose_report_was_lost_counts_as_one(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    silent = await ended(world, "1001", A, Outcome.HUNG_UP)
    canceled = await ended(world, "1002", B, Outcome.CANCELED, answered=True)
    for attempt_id in (silent, canceled):
        assert (await store.attempts.attempt(attempt_id)).answered_at is not None


# --- the callee's limits and what they must not tell


async def test_who_did_not_call_learns_nothing_and_who_did_learns_when(store: Store, world: World) -> None:
    await world.users("1001", "1002", "1003")
    limits = Limits({"number_hour": 2}, (60.0, 120.0))
    await ended(world, "1001", A, Outcome.NO_ANSWER, rang=True)
    own = await told(world, "1001", A, limits)
    assert own is not None
    assert own.limit == "number_wait_s"
    assert own.retry_at == pytest.approx(await end_of_last(world) + 60)
    await store.suppressions.add(D, hash_of(D), "asked by letter", "cli:root", REHEARSAL)
    await ended(world, "1003", B, Outcome.NO_ANSWER, rang=True)
    await ended(world, "1003", B, Outcome.NO_ANSWER, rang=True)
    await world.accept("1003", C)
    same = [await told(world, "1002", number, limits) for number in (A, B, C, D)]
    assert [refusal and problem_of(refusal).document() for refusal in same] == [problem_of(try_later()).document()] * 4
    # ... but the operator's alerts know which limit of the callee it was
    assert [refusal and refusal.untold for refusal in same] == ["number_wait_s", "number_hour", "", ""]


async def end_of_last(world: World) -> float:
    [row] = await world.sql("SELECT max(extract(epoch FROM ended_at))::float8 AS at FROM binding_ivr.attempts")
    return float(row["at"])


async def test_a_proof_ends_the_wait(store: Store, world: World) -> None:
    await world.users("1001")
    limits = Limits(wait_s=(60.0, 120.0))
    await ended(world, "1001", A, Outcome.WRONG_CODE)
    assert await told(world, "1001", A, limits) is not None
    await store.clock.advance(60, REHEARSAL)
    await ended(world, "1001", A, Outcome.WRONG_CODE)
    await store.clock.advance(119, REHEARSAL)
    assert await told(world, "1001", A, limits) is not None
    await store.clock.advance(1, REHEARSAL)
    await ended(world, "1001", A, Outcome.VERIFIED)
    assert await told(world, "1001", A, limits) is None
    await ended(world, "1001", A, Outcome.BUSY)
    await store.clock.advance(60, REHEARSAL)
    assert await told(world, "1001", A, limits) is None


async def test_three_unproven_answers_lock_a_number_for_everybody(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    ledger = strict(store, number_unproven=3, number_unproven_days=30)

    async def call(user: str, outcome: Outcome, fault: Fault | None = None, **how: Any) -> None:
        attempt_id = await world.dial(user, A)
        await finish(ledger, attempt_id, outcome, fault, **how)

    await call("1001", Outcome.HUNG_UP)
    await call("1001", Outcome.VERIFIED)
    for _ in range(2):
        await store.clock.advance(86400, REHEARSAL)
        await call("1002", Outcome.NO_INPUT)
    await call("1002", Outcome.NO_ANSWER)  # nobody answered
    await call("1002", Outcome.FAILED, Fault.US, answered=True)  # not theirs to answer for
    assert await told(world, "1002", A, Limits()) is None
    await call("1001", Outcome.WRONG_CODE, tries=3)
    for user in ("1001", "1002"):
        refusal = await told(world, user, A, Limits())
        assert refusal is not None
        assert (refusal.code, refusal.limit, refusal.retry_at) == ("try_later", None, None)
    await store.clock.advance(365 * 86400, REHEARSAL)
    assert await told(world, "1002", A, Limits()) is not None  # it does not lift by itself
    [row] = await world.sql("SELECT user_id, detail FROM binding_ivr.audit WHERE action = 'number.locked'")
    assert A[1:] not in str(row)


async def test_unproven_answers_grow_old(store: Store, world: World) -> None:
    await world.users("1001")
    ledger = strict(store, number_unproven=3, number_unproven_days=30)
    for _ in range(6):
        attempt_id = await world.dial("1001", A)
        await finish(ledger, attempt_id, Outcome.HUNG_UP)
        await store.clock.advance(16 * 86400, REHEARSAL)  # never three within thirty days
    assert await told(world, "1001", A, Limits()) is None


# --- failed tries


async def test_failed_tries_lock_the_user_out_and_out_again_for_longer(store: Store, world: World) -> None:
    await world.users("1001")
    ledger = strict(store, user_failed_tries=10, number_unproven=0)

    async def fail(tries: int) -> int:
        row = await world.accept("1001", A)
        [claimed] = await ledger.claim("node1", 5, 30)
        assert claimed.attempt_id == row.attempt_id
        await finish(ledger, row.attempt_id, Outcome.WRONG_CODE, tries=tries)
        return claimed.failed_tries

    assert [await fail(3), await fail(3), await fail(3)] == [0, 3, 6]
    assert await told(world, "1001", A, Limits()) is None
    assert await fail(1) == 9
    for seconds in (3600, 86_400, 86_400):
        now = (await store.clock.read()).now.timestamp()
        locked = await told(world, "1001", B, Limits())  # another number and a new code do not help
        assert locked is not None
        assert locked.limit == "user_failed_tries"
        assert locked.retry_at == pytest.approx(now + seconds, abs=5)
        assert locked.retry_in is not None
        await store.clock.advance(locked.retry_in, REHEARSAL)
        assert await told(world, "1001", A, Limits()) is None
        assert [await fail(3), await fail(3), await fail(3), await fail(1)] == [0, 3, 6, 9]
    audited = await world.sql("SELECT FROM binding_ivr.audit WHERE action = 'user.locked'")
    assert len(audited) == 4


async def test_failures_in_a_row_stop_a_user_until_an_administrator_resets(store: Store, world: World) -> None:
    await world.users("1001")
    ledger, on = strict(store, user_failed_stop=5, number_unproven=0), Limits({"user_failed_stop": 5})

    async def fail(outcome: Outcome, tries: int = 0) -> None:
        row = await world.accept("1001", A)
        await ledger.claim("node1", 5, 30)
        await store.attempts.progress(row.attempt_id, AttemptState.ANSWERED, 0)
        await finish(ledger, row.attempt_id, outcome, tries=tries)

    async def stopped() -> bool:
        refusal = await told(world, "1001", B, on)
        assert refusal is None or (refusal.limit, refusal.retry_at) == ("user_failed_stop", None)
        return refusal is not None

    await fail(Outcome.WRONG_CODE, tries=2)
    await fail(Outcome.VERIFIED)  # a proof begins anew
    for outcome, tries in ((Outcome.WRONG_CODE, 3), (Outcome.HUNG_UP, 0)):
        await fail(outcome, tries)
        assert not await stopped()
    await fail(Outcome.NO_INPUT)
    assert await stopped()
    await store.clock.advance(400 * 86_400, REHEARSAL)
    assert await stopped()
    assert await told(world, "1001", B, Limits({"user_failed_stop": 0})) is None  # switched off, it holds nobody
    [row] = (await store.limits.state()).locked_out
    assert (row.user_id, row.failures, row.stopped) == ("1001", 5, True)
    [audit] = await world.sql("SELECT user_id, detail FROM binding_ivr.audit WHERE action = 'user.stopped'")
    assert (audit["user_id"], audit["detail"]) == ("1001", '{"failures": 5}')
    await store.limits.reset_user("default", "1001", world.actor)
    assert not await stopped()


async def test_a_proof_forgives_failed_tries(store: Store, world: World) -> None:
    await world.users("1001")
    ledger = strict(store, user_failed_tries=10, number_unproven=0)
    for tries, outcome in (
        (3, Outcome.WRONG_CODE),
        (3, Outcome.WRONG_CODE),
        (2, Outcome.VERIFIED),
        (3, Outcome.WRONG_CODE),
    ):
        await finish(ledger, await world.dial("1001", A), outcome, tries=tries)
    [row] = await world.sql("SELECT failed, locks FROM binding_ivr.lockouts")
    assert row == {"failed": 3, "locks": 0}


@pytest.mark.parametrize("outcome", [Outcome.BUSY, Outcome.NO_ANSWER, Outcome.CONGESTION, Outcome.DECLINED])
async def test_what_was_not_answered_burns_no_try(store: Store, world: World, outcome: Outcome) -> None:
    await world.users("1001")
    ledger = strict(store, user_failed_tries=1, number_unproven=1)
    await finish(ledger, await world.dial("1001", A), outcome, rang=True)
    assert await told(world, "1001", A, Limits()) is None


# --- the minute budget


async def test_the_minute_budget_is_held_billed_and_comes_back(store: Store, world: World) -> None:
    await world.users("1001", "1002", "1003")
    limits = Limits({"system_minutes_day": 6}, reserve_s=180)
    first = (await world.accept("1001", A, limits=limits)).attempt_id
    second = (await world.accept("1002", B, limits=limits)).attempt_id
    held = await told(world, "1003", C, limits)
    assert held is not None
    assert held.limit == "system_minutes_day"
    assert held.retry_in == pytest.approx(180)
    await store.attempts.claim("node1", 5, 30)
    await finish(store.attempts, first, Outcome.VERIFIED)
    await finish(store.attempts, second, Outcome.NO_ANSWER, rang=True)
    # the second cost nothing; of the first it is not known yet what it cost
    assert await told(world, "1003", C, limits) is None
    third = await world.dial("1003", C, limits=limits)
    assert await told(world, "1002", D, limits) is not None
    await store.attempts.bill({first: 61})
    await finish(store.attempts, third, Outcome.HUNG_UP)
    await store.attempts.bill({third: 120})
    await store.attempts.bill({third: 120, uuid4(): 5})  # twice is once; what is unknown is nobody's
    over = await told(world, "1001", A, limits)
    assert over is not None
    assert over.limit == "system_minutes_day"
    [row] = await world.sql("SELECT sum(seconds)::int AS seconds FROM binding_ivr.call_seconds")
    assert row["seconds"] == 181
    assert over.retry_in is not None
    assert 86_400 - 5 < over.retry_in <= 86_400 + BUCKET_S
    await store.clock.advance(over.retry_in - 1, REHEARSAL)
    assert await told(world, "1001", A, limits) is not None
    await store.clock.advance(1, REHEARSAL)
    assert await told(world, "1001", A, limits) is None


async def test_what_a_dead_node_left_is_billed_in_full(store: Store, world: World) -> None:
    await world.users("1001")
    attempt_id = await world.answer("1001", A, limits=Limits(reserve_s=180))
    await finish(store.attempts, attempt_id, Outcome.FAILED)
    await store.attempts.bill({})
    assert await world.sql("SELECT FROM binding_ivr.call_seconds") == []
    await store.clock.advance(601, REHEARSAL)
    await asyncio.gather(*(store.attempts.bill({}) for _ in range(5)))
    [row] = await world.sql("SELECT sum(seconds)::int AS seconds FROM binding_ivr.call_seconds")
    assert row["seconds"] == 180


# --- the model


def random_limits(dice: random.Random) -> Limits:
    most = {name: dice.randint(1, 6) for name in WINDOWS if dice.random() < 0.6}
    most |= {"user_new_numbers_day": dice.randint(1, 3)} if dice.random() < 0.6 else {}
    return Limits(most, dice.choice([(), (60.0, 600.0), (3600.0,)]), 180)


@pytest.mark.parametrize("seed", range(8))
async def test_postgresql_counts_as_the_plain_model_does(store: Store, world: World, seed: int) -> None:
    dice = random.Random(seed)
    await store.directory.add_account("acme")
    for account in ("default", "acme"):
        await world.users("1", "2", account=account)
    now = (await store.clock.read()).now.timestamp()
    calls: list[Call] = []
    for _ in range(60):
        at = now - dice.choice([dice.uniform(0, 200), dice.uniform(0, 7200), dice.uniform(0, 100_000)])
        call = Call(
            at, dice.choice(["default", "acme"]), dice.choice("12"), dice.choice([A, B, C, D]),
            dice.choice([None, "192.0.2.1", "192.0.2.2"]), ended_at=at + dice.uniform(1, 50), billed_s=0,
            verified=dice.random() < 0.2, counted=dice.random() < 0.8, counted_number=dice.random() < 0.8,
            counted_line=dice.random() < 0.8, counted_again=dice.random() < 0.8, uncalled=dice.random() < 0.2,
        )  # fmt: skip
        calls.append(call)
    await write(world, calls)
    outcomes = set()
    for _ in range(80):
        limits = random_limits(dice)
        ask = Call(now, dice.choice(["default", "acme"]), dice.choice("12"), dice.choice([A, B, C, D]),
                   dice.choice([None, "192.0.2.1", "192.0.2.2"]))  # fmt: skip
        new = world.new(ask.user, ask.number, account=ask.account, limits=limits, client=ask.client)
        found = await store.attempts.foresee(new, hash_of(ask.number))
        read = (await store.clock.read()).now.timestamp()
        facts = facts_of(calls, ask, limits, read)
        assert [parts_of(one) for one in found] == [
            parts_of(expected(limits, facts, of_number=False), about),
            parts_of(expected(limits, facts, of_number=True), about),
        ]
        outcomes |= {one.limit or one.code if one else "accepted" for one in found}
    assert len(outcomes) > 4, outcomes


def expected(limits: Limits, facts: Facts, *, of_number: bool) -> Refusal | None:
    try:
        check(limits, facts, of_number=of_number)
    except Refusal as refusal:
        return refusal
    return None


def parts_of(refusal: Refusal | None, moment: Callable[[float], Any] = float) -> tuple[Any, ...] | None:
    if refusal is None:
        return None
    return (refusal.code, refusal.limit, refusal.retry_at and moment(refusal.retry_at))


def about(moment: float) -> Any:
    """What equals a time that PostgreSQL worked out in microseconds: one more or less is the same."""
    return pytest.approx(moment, rel=0, abs=0.001)


async def write(world: World, calls: list[Call]) -> None:
    """Put *calls* into the table as they ended."""
    async with world.store.db.link() as link:
        await link.executemany(
            "INSERT INTO binding_ivr.attempts (attempt_id, account, user_id, number, number_hash, key_id, created_at,"
            " not_before, shown_until, expires_at, actor_who, actor_source, client, state, outcome, fault, ended_at,"
            " billed_s, counted, counted_number, counted_line, counted_again, uncalled)"
            " SELECT gen_random_uuid(), $1, $2, $3, $4, '1', t, t, t, t, 'x', 'web', $6, 'ended', $7, 'callee',"
            " to_timestamp($8::float8), 0, $9, $10, $11, $12, $13 FROM to_timestamp($5::float8) AS t",
            [
                (c.account, c.user, c.number, hash_of(c.number), c.at, c.client,
                 "verified" if c.verified else "wrong_code", c.ended_at, c.counted, c.counted_number, c.counted_line,
                 c.counted_again, c.uncalled)
                for c in calls
            ],
        )  # fmt: skip


def test_every_limit_that_refuses_is_tried_here() -> None:
    tried = {name for names in GIVEN_BACK.values() for name in names}
    tried |= {"user_failed_tries", "user_failed_stop", "system_minutes_day", *UNCALLED}
    assert tried == set(SENTENCES) - set(BREAKERS)  # those are in test_breakers.py


async def test_a_foreseen_refusal_is_the_one_that_comes(store: Store, world: World) -> None:
    await world.users("1001")
    limits = Limits({"user_hour": 1, "number_hour": 1})
    await ended(world, "1001", A, Outcome.BUSY)
    new: NewAttempt = world.new("1001", A, limits=limits)
    _, foreseen = await store.attempts.foresee(new, hash_of(A))
    came = await told(world, "1001", A, limits)
    assert foreseen is not None
    assert came is not None
    assert (foreseen.code, foreseen.limit, foreseen.retry_at) == (came.code, came.limit, came.retry_at)
    row = await world.accept("1001", A)
    for one in await store.attempts.foresee(new, hash_of(A)):
        assert one is not None
        assert one.code == "call_in_progress"
    assert (await store.attempts.attempt(row.attempt_id)).state is AttemptState.QUEUED
