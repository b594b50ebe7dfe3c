"""The life of a binding after its proof: stale, suspended by age, changed back, ended by the PBX's own numbers."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from binding_ivr.config import Config, Route
from binding_ivr.errors import Refusal, UnavailableError
from binding_ivr.jobs.lifecycle import Lifecycle
from binding_ivr.jobs.schedule import Jobs, JobTimes, Turn
from binding_ivr.metrics import Metrics
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import BindingRow, BindingStatus, OwnNumber, SuspendReason, User
from binding_ivr.policy import lifecycle
from binding_ivr.store import Store
from tests.patience import SLOW

if TYPE_CHECKING:
    from tests.integration.conftest import World

A, B, C = "+15551230001", "+15551230002", "+15551230003"
DAY = 86_400.0


async def run(store: Store, config: Config | None = None) -> dict[str, int]:
    """One run of the job as the service makes it; what it did nothing of is left out."""
    turn = Turn(store.jobs, "lifecycle", "node1", 0, 60)
    await store.jobs.claim("lifecycle", "node1", every_s=0, lease_s=60)
    done = await Lifecycle(config or Config(), store).run(turn)
    await store.jobs.ended("lifecycle", "node1", done)
    return {what: count for what, count in done.items() if count}


async def days_pass(world: World, days: float) -> None:
    await world.store.clock.advance(days * DAY, world.actor)


async def binding(store: Store, user: str = "1001") -> BindingRow:
    return await store.bindings.get("default", user)


# --- age


async def test_a_proof_grows_stale_is_told_once_and_ends(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    proven = (await binding(store)).verified_at
    assert proven is not None
    assert lifecycle.verify_by(await binding(store), 180, 30) == proven + timedelta(days=210)
    await days_pass(world, 179.9)
    assert await run(store) == {}
    await days_pass(world, 0.2)
    assert await run(store) == {"stale": 1}
    assert await run(store) == {}
    stale = await binding(store)
    assert (stale.status, stale.stale_at is not None) == (BindingStatus.VERIFIED, True)
    assert await store.bindings.trusted_caller(A) is not None
    assert lifecycle.verify_by(stale, 180, 30) == stale.suspend_at
    assert (await world.events("1001"))[-1:] == ["binding.stale"]
    await days_pass(world, 29.9)
    assert await run(store) == {}
    await days_pass(world, 0.2)
    assert await run(store) == {"aged": 1}
    aged = await binding(store)
    assert (aged.status, aged.reason, aged.number) == (BindingStatus.SUSPENDED, SuspendReason.AGED, A)
    assert (aged.stale_at, lifecycle.verify_by(aged, 180, 30)) == (None, None)
    assert await store.bindings.trusted_caller(A) is None
    names = await world.events("1001")
    assert (names.count("binding.stale"), names.count("binding.suspended")) == (1, 1)
    await world.prove("1001", A)
    assert (await binding(store)).status is BindingStatus.VERIFIED


async def test_a_new_proof_renews_a_stale_one(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await days_pass(world, 181)
    assert await run(store) == {"stale": 1}
    await world.finish(await world.dial("1001", A), Outcome.BUSY)
    assert (await binding(store)).stale_at is not None
    await world.prove("1001", A)
    renewed = await binding(store)
    assert (renewed.status, renewed.stale_at, renewed.suspend_at) == (BindingStatus.VERIFIED, None, None)
    await days_pass(world, 100)
    assert await run(store) == {}


async def test_a_service_that_was_off_for_long_tells_before_it_suspends(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await days_pass(world, 1000)
    assert await run(store) == {"stale": 1}
    assert await run(store) == {}
    await days_pass(world, 31)
    assert await run(store) == {"aged": 1}


async def test_nobody_is_suspended_while_the_phone_rings(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await days_pass(world, 181)
    await run(store)
    attempt_id = await world.answer("1001", A, attempt_s=100 * DAY, shown_s=100 * DAY)
    await days_pass(world, 31)
    assert await run(store) == {}
    await world.finish(attempt_id, Outcome.NO_INPUT)
    assert await run(store) == {"aged": 1}


async def test_a_proof_that_comes_just_after_the_trust_had_aged_counts(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    attempt_id = await world.answer("1001", A)
    await store.bindings.suspend("default", "1001", SuspendReason.AGED, world.actor)
    await world.finish(attempt_id, Outcome.VERIFIED)
    assert (await binding(store)).status is BindingStatus.VERIFIED


@pytest.mark.parametrize(("stale_days", "suspend_days"), [(0, 30), (180, 0)])
async def test_zero_is_never(store: Store, world: World, stale_days: int, suspend_days: int) -> None:
    await store.directory.set_settings("default", {"binding": {"stale_days": stale_days, "suspend_days": suspend_days}})
    await world.users("1001")
    await world.prove("1001", A)
    for _ in range(2):
        await days_pass(world, 1000)
        await run(store)
    now = await binding(store)
    assert (now.status, now.suspend_at) == (BindingStatus.VERIFIED, None)
    assert (now.stale_at is not None) == bool(stale_days)
    assert (await world.events("1001")).count("binding.stale") == bool(stale_days)


async def test_what_the_user_was_told_holds_when_the_rules_change(store: Store, world: World) -> None:
    async def rules(**values: int) -> None:
        await store.directory.set_settings("default", {"binding": values})

    await world.users("1001")
    await world.prove("1001", A)
    await days_pass(world, 181)
    await run(store)
    told = (await binding(store)).suspend_at
    await rules(suspend_days=5)
    assert await run(store) == {}
    assert (await binding(store)).suspend_at == told  # never earlier
    await rules(suspend_days=60)
    assert await run(store) == {"renewed": 1}
    later = (await binding(store)).suspend_at
    assert told is not None
    assert later == told + timedelta(days=30)
    await rules(suspend_days=0)
    assert await run(store) == {"renewed": 1}
    assert (await binding(store)).suspend_at is None
    await days_pass(world, 100)
    await rules(suspend_days=10)
    assert await run(store) == {"renewed": 1}  # and the user is told anew
    assert (await world.events("1001")).count("binding.stale") == 2
    await days_pass(world, 9)
    assert await run(store) == {}
    await rules(stale_days=3000)
    assert await run(store) == {"renewed": 1}
    assert (await binding(store)).stale_at is None


async def test_many_are_aged_in_batches_and_what_is_locked_is_left(store: Store, world: World) -> None:
    await world.sql("INSERT INTO binding_ivr.users SELECT 'default', n::text FROM generate_series(1000, 1449) n")
    await world.sql(
        "INSERT INTO binding_ivr.bindings (account, user_id, status, number, since, verified_at)"
        " SELECT 'default', n::text, 'verified', '+1555100' || n, now() - interval '200 days',"
        " now() - interval '200 days' FROM generate_series(1000, 1449) n"
    )
    async with store.db.transaction() as tx:
        await tx.row("lock_binding", "default", "1200")
        async with asyncio.timeout(20 * SLOW):
            assert await run(store) == {"stale": 449}
    assert await run(store) == {"stale": 1}


async def test_the_administrators_resume_is_followed_by_a_new_notice(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await days_pass(world, 181)
    await run(store)
    await store.bindings.suspend("default", "1001", SuspendReason.ADMIN, world.actor)
    await days_pass(world, 100)
    assert await run(store) == {}
    assert await store.bindings.resume("default", "1001", world.actor) is BindingStatus.VERIFIED
    assert await run(store) == {"stale": 1}
    assert await run(store) == {}


@pytest.mark.parametrize("reason", [SuspendReason.AGED, SuspendReason.REPORTED, SuspendReason.TAKEN_OVER])
async def test_what_was_not_trusted_is_not_trusted_after_a_suspension_is_lifted(
    store: Store, world: World, reason: SuspendReason
) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await store.bindings.suspend("default", "1001", reason, world.actor)
    await store.bindings.suspend("default", "1001", SuspendReason.ADMIN, world.actor)
    assert await store.bindings.resume("default", "1001", world.actor) is BindingStatus.PENDING


# --- who does it, and how often


async def test_of_many_nodes_one_does_it_at_most_once_an_hour(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await days_pass(world, 181)
    nodes = [
        Jobs([], store.jobs, store.lifecycle, store.limits, store.changes, node=f"node{n}", metrics=Metrics())
        for n in range(5)
    ]
    job = Lifecycle(Config(), store)
    assert sum(await asyncio.gather(*(node.turn(job) for node in nodes))) == 1
    assert (await world.events("1001")).count("binding.stale") == 1
    assert not await nodes[0].turn(job)
    await days_pass(world, 0.9 / 24)
    assert not await nodes[1].turn(job)
    await days_pass(world, 0.2 / 24)
    assert await nodes[2].turn(job)
    [row] = await store.jobs.list()
    assert (row.job, row.node, row.running) == ("lifecycle", "node2", False)
    assert row.age_s is not None
    assert row.age_s < 60


async def test_a_node_that_dies_in_a_run_holds_up_nobody_for_long(store: Store, world: World) -> None:
    assert await store.jobs.claim("lifecycle", "dead", every_s=3600, lease_s=60) == 0
    assert await store.jobs.claim("lifecycle", "node2", every_s=3600, lease_s=60) is None
    await world.sql("UPDATE binding_ivr.jobs SET lease_until = clock_timestamp()")
    assert await store.jobs.claim("lifecycle", "node2", every_s=3600, lease_s=60) == 0
    with pytest.raises(UnavailableError, match="another node"):
        await Turn(store.jobs, "lifecycle", "dead", 7, 60).keep()
    await Turn(store.jobs, "lifecycle", "node2", 7, 60).keep()
    await store.jobs.left("lifecycle", "node2")
    assert await store.jobs.claim("lifecycle", "node3", every_s=3600, lease_s=60) == 7


async def test_a_failed_run_is_due_again_and_the_gauges_tell(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", A)
    await world.accept("1002", B)
    await days_pass(world, 181)
    metrics = Metrics()
    runs: list[str] = []

    class Breaks(Lifecycle):
        async def run(self, turn: Turn) -> Counter[str]:
            runs.append("tried")
            if len(runs) == 1:
                raise UnavailableError("PostgreSQL is away")
            return await super().run(turn)

    jobs = Jobs(
        [Breaks(Config(), store)], store.jobs, store.lifecycle, store.limits, store.changes,
        node="node1", metrics=metrics, times=JobTimes(look_s=0.02),
    )  # fmt: skip
    jobs.start()

    async def told() -> None:
        while 'binding_ivr_bindings{status="stale"} 1.0' not in metrics.text().decode():
            await asyncio.sleep(0.01)

    try:
        await asyncio.wait_for(told(), 20)
    finally:
        await jobs.stop()
    text = metrics.text().decode()
    for line in (
        'binding_ivr_bindings{status="verified"} 1.0',
        'binding_ivr_bindings{status="pending"} 1.0',
        'binding_ivr_job_rows_total{what="stale"} 1.0',
    ):
        assert line in text
    assert 'binding_ivr_job_age_seconds{job="lifecycle"}' in text
    assert len(runs) >= 2


# --- a change, and the way back


async def test_a_change_keeps_the_proven_number_for_a_day(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    world.actor = Actor(ActorKind.USER, "1001", Source.WEB)
    await world.finish(await world.dial("1001", B), Outcome.BUSY)
    changed = await binding(store)
    offer = lifecycle.undo(changed, 24)
    assert offer is not None
    assert (offer.number, offer.changed_by) == (A, "user")
    assert offer.until == offer.changed_at + timedelta(hours=24)
    assert A not in repr(changed) + repr(offer)
    # what was never proven is nothing to go back to
    await world.finish(await world.dial("1001", C), Outcome.BUSY)
    assert (await binding(store)).previous_number == A
    await days_pass(world, 0.9)
    assert await run(store) == {}
    await days_pass(world, 0.2)
    late = await binding(store)
    assert (late.previous_number, lifecycle.undo(late, 24)) == (A, None)
    assert await run(store) == {"undo_ended": 1}
    assert (await binding(store)).previous_number is None


async def test_going_back_takes_a_proof_and_ends_the_offer(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await world.finish(await world.dial("1001", B), Outcome.BUSY)
    attempt_id = await world.answer("1001", A)
    assert lifecycle.undo(await binding(store), 24) is None  # it is what is being proven
    await world.finish(attempt_id, Outcome.NO_ANSWER)
    assert (await binding(store)).status is BindingStatus.PENDING
    assert await store.bindings.trusted_caller(A) is None
    await world.prove("1001", A)
    back = await binding(store)
    assert (back.status, back.number, back.previous_number) == (BindingStatus.VERIFIED, A, None)


async def test_when_verified_the_swap_is_the_change_of_who_asked_for_the_call(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    attempt_id = await world.answer("1001", B, replace="when_verified")
    assert (await binding(store)).previous_number is None
    await world.finish(attempt_id, Outcome.VERIFIED)
    swapped = await binding(store)
    assert (swapped.number, swapped.previous_number, str(swapped.changed_by)) == (B, A, "user:test")
    await world.prove("1001", A, replace="when_verified")  # back, and the other way is open now
    assert ((await binding(store)).number, (await binding(store)).previous_number) == (A, B)


async def test_a_removed_number_can_be_gone_back_to_and_a_removed_users_not(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await store.bindings.remove("default", "1001", world.actor)
    assert (await binding(store)).previous_number == A
    await store.directory.remove_user("default", "1001", world.actor)
    await world.users("1001")
    assert (await binding(store)).previous_number is None


@pytest.mark.parametrize("reason", [SuspendReason.ADMIN, SuspendReason.REPORTED, SuspendReason.TAKEN_OVER])
async def test_a_suspended_number_is_nothing_to_go_back_to(store: Store, world: World, reason: SuspendReason) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await store.bindings.suspend("default", "1001", reason, world.actor)
    await store.bindings.remove("default", "1001", world.actor)
    assert (await binding(store)).previous_number is None


# --- users, extensions and own numbers that come and go


async def test_a_user_deleted_in_psql_leaves_nothing_behind(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await world.accept("1001", B)
    await world.sql("DELETE FROM binding_ivr.users WHERE user_id = '1001'")
    await world.users("1001")
    again = await binding(store)
    assert (again.status, again.previous_number) == (BindingStatus.NONE, None)
    assert (await world.events("1001"))[-1] == "binding.removed"


@pytest.mark.parametrize("outcome", [Outcome.VERIFIED, Outcome.REPORTED])
async def test_a_user_who_goes_during_the_call_gets_nothing(store: Store, world: World, outcome: Outcome) -> None:
    await world.users("1001", "1002")
    await world.prove("1002", A)
    attempt_id = await world.answer("1001", A)
    await store.directory.remove_user("default", "1001", world.actor)
    assert await store.attempts.cancel_requests("node1") == [attempt_id]
    await world.users("1001")
    assert await world.finish(attempt_id, outcome)
    assert (await binding(store)).status is BindingStatus.NONE
    assert (await binding(store, "1002")).status is BindingStatus.VERIFIED


async def test_the_last_extension_takes_the_binding_along(store: Store, world: World) -> None:
    await store.directory.add_user(User("default", "anna", ("1001", "1002"), "", ""))
    await world.prove("anna", A)
    await store.directory.import_users([User("default", "anna", ("1002",), "", "")])
    assert (await binding(store, "anna")).status is BindingStatus.VERIFIED
    attempt_id = await world.answer("anna", A)
    await store.directory.import_users([User("default", "anna", (), "", "")], world.actor)
    assert (await binding(store, "anna")).status is BindingStatus.NONE
    assert await store.attempts.cancel_requests("node1") == [attempt_id]
    assert await store.bindings.trusted_caller(A) is None
    [mark] = await world.sql(
        "SELECT count(*) AS n FROM binding_ivr.mirror_keys WHERE kind = 'num' AND name = $1", A[1:]
    )
    assert mark["n"] == 1
    # a user who never had one keeps the number
    await store.directory.add_user(User("default", "otto", (), "", ""))
    await world.prove("otto", B)
    await store.directory.import_users([User("default", "otto", (), "en", "")])
    assert (await binding(store, "otto")).status is BindingStatus.VERIFIED


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("did", A),
        ("pattern", "_1555123XXXX"),
        ("pattern", "_155512300[01]!"),
        ("extension", A[1:]),
    ],
)
async def test_a_number_that_becomes_the_pbxs_own_is_suspended_at_once(
    store: Store, world: World, kind: str, value: str
) -> None:
    await store.directory.add_account("acme")
    await world.users("1001", "1002", "1003", "1004")
    await world.prove("1001", A)
    await world.prove("1004", "+15559990001")
    on_phone = await world.answer("1001", A)
    await store.directory.add_own_number(OwnNumber("acme", kind, value), world.actor)
    ended = await binding(store)
    assert (ended.status, ended.reason, ended.number) == (BindingStatus.SUSPENDED, SuspendReason.OWN_NUMBER, A)
    assert await store.attempts.cancel_requests("node1") == [on_phone]
    assert await world.finish(on_phone, Outcome.VERIFIED)
    assert (await binding(store)).status is BindingStatus.SUSPENDED
    assert await store.bindings.trusted_caller(A) is None
    with pytest.raises(Refusal) as refused:
        await store.bindings.resume("default", "1001", world.actor)
    assert refused.value.code == "own_number"
    assert (await world.events("1001")).count("binding.suspended") == 1
    assert (await binding(store, "1004")).status is BindingStatus.VERIFIED
    [audit] = await world.sql(
        "SELECT who, detail ->> 'reason' AS reason FROM binding_ivr.audit WHERE action = 'binding.suspended' LIMIT 1"
    )
    assert audit == {"who": "user:test", "reason": "own_number"}


async def test_a_new_extension_as_long_as_a_number_is_an_own_number(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", "+12025550123")
    await store.directory.import_users([User("default", "long", ("2025550123", "77"), "", "")])
    assert (await binding(store)).reason is SuspendReason.OWN_NUMBER


async def test_a_queued_call_and_a_waiting_replacement_to_an_own_number_end(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", A)
    queued = await world.accept("1001", B, replace="when_verified")
    await store.directory.add_own_number(OwnNumber("default", "did", B))
    kept = await binding(store)
    assert (kept.status, kept.number, kept.pending_number) == (BindingStatus.VERIFIED, A, None)
    assert (await store.attempts.attempt(queued.attempt_id)).outcome is Outcome.CANCELED


async def test_what_was_added_unseen_is_found_by_the_next_run(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", A)
    await world.prove("1002", "+12025550100")
    await world.sql("INSERT INTO binding_ivr.own_numbers VALUES ('default', 'pattern', '_1555123XXXX')")
    assert await run(store) == {"own_number": 1}
    assert (await binding(store)).reason is SuspendReason.OWN_NUMBER
    config = Config(routes=(_route(),))
    assert await run(store, config) == {"own_number": 1}  # our own caller ID
    assert (await binding(store, "1002")).reason is SuspendReason.OWN_NUMBER


async def test_a_proof_and_a_new_own_number_at_the_same_moment(store: Store, world: World) -> None:
    """Whichever comes first, an own number is never trusted afterwards."""
    for n in range(12):
        user, number = f"20{n:02}", f"+1555777{n:04}"
        await world.users(user)
        attempt_id = await world.answer(user, number)
        await asyncio.gather(
            world.finish(attempt_id, Outcome.VERIFIED),
            store.directory.add_own_number(OwnNumber("default", "did", number)),
        )
        assert await store.bindings.trusted_caller(number) is None
        assert (await binding(store, user)).reason is SuspendReason.OWN_NUMBER


def _route() -> Route:
    return Route(name="main", endpoint="PJSIP/{e164}@trunk", caller_id="+12025550100")
