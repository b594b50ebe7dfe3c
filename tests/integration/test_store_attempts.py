"""The ledger of validation calls: what is accepted, claimed, reported and written as a verdict."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.model.outcome import AttemptState, Fault, Outcome
from binding_ivr.model.rows import BindingStatus, SuspendReason
from binding_ivr.store import PgAttempts, Store
from tests.generous import nothing_follows
from tests.patience import SLOW

if TYPE_CHECKING:
    from tests.integration.conftest import World

A, B, C = "+15551230001", "+15551230002", "+15551230003"


async def test_an_accepted_attempt_waits_and_the_binding_is_pending(store: Store, world: World) -> None:
    await world.users("1001")
    row = await world.accept("1001", A, delay_s=0.0)
    assert (row.state, row.number, row.digits, row.outcome, row.node) == (AttemptState.QUEUED, A, 0, None, None)
    assert (row.shown_until - row.created_at).total_seconds() == 300
    assert (row.expires_at - row.created_at).total_seconds() == 600
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.number, binding.last_attempt) == (BindingStatus.PENDING, A, row)
    assert await store.attempts.attempt(row.attempt_id) == row


async def test_an_unknown_user_is_told_how_to_be_added(world: World) -> None:
    with pytest.raises(NotFoundError, match="binding-ivr user add 1001"):
        await world.accept("1001", A)


async def test_a_user_in_a_call_gets_no_second(world: World) -> None:
    await world.users("1001")
    await world.accept("1001", A)
    with pytest.raises(Refusal) as caught:
        await world.accept("1001", B)
    assert caught.value.code == "call_in_progress"


async def test_a_busy_and_a_suppressed_number_look_alike(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.accept("1001", A)
    with pytest.raises(Refusal) as busy:
        await world.accept("1002", A)
    await store.suppressions.add(B, B.encode().ljust(32, b"#"), "asked by letter", "cli:root")
    with pytest.raises(Refusal) as suppressed:
        await world.accept("1002", B)
    assert busy.value.code == suppressed.value.code == "try_later"
    assert str(busy.value) == str(suppressed.value)
    assert (await store.bindings.get("default", "1002")).status is BindingStatus.NONE


async def test_limits_name_the_time_they_lift(world: World) -> None:
    await world.users("1001")
    first = await world.dial("1001", A)
    await world.finish(first, Outcome.BUSY)
    with pytest.raises(Refusal) as caught:
        await world.accept("1001", A, limits={"number_hour": 1})
    row = await world.store.attempts.attempt(first)
    assert caught.value.limit == "number_hour"
    assert caught.value.retry_at == pytest.approx(row.created_at.timestamp() + 3600, abs=0.01)
    assert (await world.accept("1001", A, limits={"number_hour": 2})).state is AttemptState.QUEUED


@pytest.mark.parametrize(
    ("outcome", "fault", "counts"),
    [
        (Outcome.FAILED, Fault.US, False),
        (Outcome.FAILED, Fault.NETWORK, True),
        (Outcome.NO_ANSWER, Fault.CALLEE, True),
        (Outcome.WRONG_CODE, Fault.CALLEE, True),
    ],
)
async def test_what_burns_a_limit(world: World, outcome: Outcome, fault: Fault, counts: bool) -> None:
    await world.users("1001")
    await world.finish(await world.dial("1001", A), outcome, fault)
    if counts:
        with pytest.raises(Refusal):
            await world.accept("1001", A, limits={"user_hour": 1})
    else:
        await world.accept("1001", A, limits={"user_hour": 1})


async def test_a_canceled_queued_attempt_burns_nothing(store: Store, world: World) -> None:
    await world.users("1001")
    await world.accept("1001", A)
    await store.attempts.cancel("default", "1001", world.actor)
    await world.accept("1001", A, limits={"user_hour": 1, "number_hour": 1})


async def test_the_queue_is_as_long_as_lines_and_places(store: Store, world: World) -> None:
    await world.users("1", "2", "3", "4")
    await store.attempts.alive("node1", "0.1", 1)
    await store.attempts.alive("node1", "0.1", 2)
    await world.sql("INSERT INTO binding_ivr.nodes VALUES ('dead', now(), now() - interval '31 s', '0.1', 50)")
    for user in "123":
        await world.accept(user, f"+1555123000{user}", queue_length=1)
    with pytest.raises(Refusal) as caught:
        await world.accept("4", "+15551230004", queue_length=1)
    assert caught.value.code == "queue_full"


async def test_claims_come_when_their_time_has_come(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    assert await store.attempts.next_due() is None
    await store.directory.set_settings("default", {"call": {"ring_s": 20}})
    await world.accept("1001", A, delay_s=60)
    due = await store.attempts.next_due()
    assert due is not None
    assert 55 < due <= 60
    assert await store.attempts.claim("node1", 10, 30) == []
    late = await world.accept("1002", B)
    assert await store.attempts.next_due() == 0
    assert await store.attempts.claim("node1", 0, 30) == []
    [claimed] = await store.attempts.claim("node1", 10, 30)
    assert (claimed.attempt_id, claimed.number, claimed.language) == (late.attempt_id, B, "en")
    assert claimed.settings == {"call": {"ring_s": 20}}
    assert B not in repr(claimed)
    row = await store.attempts.attempt(late.attempt_id)
    assert (row.state, row.node) == (AttemptState.DIALING, "node1")


@pytest.mark.parametrize("change", [{"shown_s": 0.0}, {"attempt_s": 0.0}, {"queue": 0.0}])
async def test_what_waited_too_long_expires(store: Store, world: World, change: dict[str, float]) -> None:
    await world.users("1001")
    ledger = PgAttempts(store.db, limits_of=nothing_follows, queue_s=change.get("queue", 60.0))
    row = await world.accept("1001", A, **{key: value for key, value in change.items() if key != "queue"})
    assert await ledger.claim("node1", 0, 30) == []
    ended = await store.attempts.attempt(row.attempt_id)
    assert (ended.state, ended.outcome, ended.fault) == (AttemptState.ENDED, Outcome.EXPIRED, Fault.POLICY)
    assert await world.events("1001") == ["attempt.ended"]
    await world.accept("1001", A, limits={"user_hour": 1})


async def test_an_expired_attempt_does_not_block_the_next(world: World) -> None:
    await world.users("1001")
    await world.accept("1001", A, shown_s=0.0)
    await world.accept("1001", B)


async def test_progress_never_goes_back_and_never_past_the_end(store: Store, world: World) -> None:
    await world.users("1001")
    attempt_id = await world.dial("1001", A)
    for state, digits in ((AttemptState.ANSWERED, 0), (AttemptState.ANSWERED, 3), (AttemptState.RINGING, 0)):
        await store.attempts.progress(attempt_id, state, digits)
    row = await store.attempts.attempt(attempt_id)
    assert (row.state, row.digits) == (AttemptState.ANSWERED, 3)
    assert row.answered_at is not None
    await store.attempts.progress(attempt_id, AttemptState.ENDED, 6)
    assert await store.attempts.attempt(attempt_id) == row
    await world.finish(attempt_id, Outcome.HUNG_UP)
    ended = await store.attempts.attempt(attempt_id)
    await store.attempts.progress(attempt_id, AttemptState.ANSWERED, 5)
    assert await store.attempts.attempt(attempt_id) == ended
    assert ended.answered_at == row.answered_at


async def test_a_proof_makes_the_number_trusted(store: Store, world: World) -> None:
    await world.users("1001")
    attempt_id = await world.answer("1001", A)
    assert await store.bindings.trusted_caller(A) is None
    assert await world.finish(attempt_id, Outcome.VERIFIED) is True
    assert await world.finish(attempt_id, Outcome.VERIFIED) is False
    assert await world.finish(attempt_id, Outcome.FAILED) is False
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.number) == (BindingStatus.VERIFIED, A)
    assert binding.last_attempt is not None
    assert (binding.last_attempt.outcome, binding.last_attempt.fault) == (Outcome.VERIFIED, Fault.CALLEE)
    trusted = await store.bindings.trusted_number("default", "1001")
    assert trusted is not None
    assert trusted == await store.bindings.trusted_caller(A)
    assert (trusted.number, trusted.since) == (A, binding.since)
    assert await world.events("1001") == ["attempt.ended", "binding.verified"]


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - {Outcome.VERIFIED, Outcome.REPORTED}))
async def test_any_other_end_leaves_the_binding_pending(store: Store, world: World, outcome: Outcome) -> None:
    await world.users("1001")
    attempt_id = await world.dial("1001", A)
    assert await world.finish(attempt_id, outcome)
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.number) == (BindingStatus.PENDING, A)
    assert await world.events("1001") == ["attempt.ended"]
    assert await store.bindings.trusted_number("default", "1001") is None
    again = await world.accept("1001", A)
    assert again.attempt_id != attempt_id


async def test_a_report_suppresses_and_suspends(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1002", A)
    attempt_id = await world.answer("1001", A)
    assert await world.finish(attempt_id, Outcome.REPORTED)
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.reason) == (BindingStatus.SUSPENDED, SuspendReason.REPORTED)
    # Whoever proved it holds it on: a report is about the one who asked for this call.
    assert (await store.bindings.get("default", "1002")).status is BindingStatus.VERIFIED
    assert [entry.reason for entry in await store.suppressions.list()] == ["reported"]
    for user in ("1001", "1002"):
        with pytest.raises(Refusal) as caught:
            await world.accept(user, A)
        assert caught.value.code == "try_later"
    await world.prove("1001", B)
    assert (await store.bindings.get("default", "1001")).status is BindingStatus.VERIFIED


async def test_a_report_of_ones_own_verified_number_ends_its_trust(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await world.finish(await world.answer("1001", A), Outcome.REPORTED)
    assert await store.bindings.trusted_caller(A) is None
    trusted = await store.bindings.trusted_number("default", "1001")
    assert trusted is not None
    assert (trusted.status, trusted.number) == (BindingStatus.SUSPENDED, None)


async def test_at_once_a_new_number_ends_the_old_trust(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    attempt_id = await world.answer("1001", B)
    assert await store.bindings.trusted_caller(A) is None
    assert (await world.events("1001"))[-1] == "binding.removed"
    await world.finish(attempt_id, Outcome.NO_ANSWER)
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.number) == (BindingStatus.PENDING, B)


@pytest.mark.parametrize("replace", ["at_once", "when_verified"])
async def test_a_verified_number_stays_trusted_while_validated_again(store: Store, world: World, replace: str) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    before = await store.bindings.trusted_caller(A)
    attempt_id = await world.answer("1001", A, replace=replace)
    assert await store.bindings.trusted_caller(A) == before
    await world.finish(attempt_id, Outcome.NO_INPUT)
    assert await store.bindings.trusted_caller(A) == before
    await world.prove("1001", A, replace=replace)
    after = await store.bindings.trusted_caller(A)
    assert before is not None
    assert after is not None
    assert after.since > before.since


async def test_when_verified_the_old_number_stays_until_the_proof(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    attempt_id = await world.answer("1001", B, replace="when_verified")
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.number, binding.pending_number) == (BindingStatus.VERIFIED, A, B)
    await world.finish(attempt_id, Outcome.WRONG_CODE)
    assert await store.bindings.trusted_caller(A)
    # of several entered only the latest is used
    await world.prove("1001", C, replace="when_verified")
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.number, binding.pending_number) == (BindingStatus.VERIFIED, C, None)
    assert await store.bindings.trusted_caller(A) is None
    assert await store.bindings.trusted_caller(C)


async def test_when_verified_a_report_drops_only_the_new_number(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await world.finish(await world.answer("1001", B, replace="when_verified"), Outcome.REPORTED)
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.number, binding.pending_number) == (BindingStatus.VERIFIED, A, None)


async def test_when_verified_without_a_verified_number_is_at_once(store: Store, world: World) -> None:
    await world.users("1001")
    await world.finish(await world.dial("1001", A), Outcome.BUSY)
    await world.accept("1001", B, replace="when_verified")
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.number, binding.pending_number) == (BindingStatus.PENDING, B, None)


async def test_who_proves_a_number_last_holds_it(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", A)
    attempt_id = await world.answer("1002", A)
    # entering it changes nothing for the holder
    assert (await store.bindings.get("default", "1001")).status is BindingStatus.VERIFIED
    await world.finish(attempt_id, Outcome.VERIFIED)
    loser = await store.bindings.get("default", "1001")
    assert (loser.status, loser.reason, loser.number) == (BindingStatus.SUSPENDED, SuspendReason.TAKEN_OVER, A)
    trusted = await store.bindings.trusted_caller(A)
    assert trusted is not None
    assert trusted.extension == "1002"
    assert (await world.events("1001"))[-1] == "binding.suspended"
    await world.prove("1001", A)
    assert (await store.bindings.get("default", "1002")).reason is SuspendReason.TAKEN_OVER


async def test_a_replacement_outlives_a_take_over(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", A)
    attempt_id = await world.answer("1001", B, replace="when_verified")
    await world.prove("1002", A)
    await world.finish(attempt_id, Outcome.VERIFIED)
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.number, binding.pending_number) == (BindingStatus.VERIFIED, B, None)


async def test_a_proof_after_the_removal_changes_nothing(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1002", A)
    attempt_id = await world.answer("1001", A)
    await store.bindings.remove("default", "1001", world.actor)
    assert await world.finish(attempt_id, Outcome.VERIFIED)
    assert (await store.bindings.get("default", "1001")).status is BindingStatus.NONE
    assert (await store.bindings.get("default", "1002")).status is BindingStatus.VERIFIED
    assert (await store.attempts.attempt(attempt_id)).outcome is Outcome.VERIFIED


@pytest.mark.parametrize("replace", ["at_once", "when_verified"])
async def test_a_proof_does_not_lift_the_administrators_suspension(store: Store, world: World, replace: str) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    attempt_id = await world.answer("1001", B, replace=replace)
    await store.bindings.suspend("default", "1001", SuspendReason.ADMIN, world.actor)
    await world.finish(attempt_id, Outcome.VERIFIED)
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.reason) == (BindingStatus.SUSPENDED, SuspendReason.ADMIN)
    with pytest.raises(Refusal) as caught:
        await world.accept("1001", B)
    assert caught.value.code == "suspended"


async def test_canceling(store: Store, world: World) -> None:
    await world.users("1001")
    with pytest.raises(NotFoundError, match="no call in progress"):
        await store.attempts.cancel("default", "1001", world.actor)
    waiting = await world.accept("1001", A)
    await store.attempts.cancel("default", "1001", world.actor)
    ended = await store.attempts.attempt(waiting.attempt_id)
    assert (ended.outcome, ended.fault) == (Outcome.CANCELED, Fault.CALLEE)
    attempt_id = await world.answer("1001", A)
    await store.attempts.cancel("default", "1001", world.actor)
    await store.attempts.cancel("default", "1001", world.actor)
    assert (await store.attempts.attempt(attempt_id)).state is AttemptState.ANSWERED
    assert await store.attempts.cancel_requests("node1") == [attempt_id]
    assert await store.attempts.cancel_requests("node2") == []
    await world.finish(attempt_id, Outcome.CANCELED)
    assert await store.attempts.cancel_requests("node1") == []


async def test_leases_are_renewed_and_run_out(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    mine = await world.dial("1001", A)
    other = await world.accept("1002", B)
    [claimed] = await store.attempts.claim("node2", 1, 0.0)
    assert claimed.attempt_id == other.attempt_id
    # its own, and what ran out anywhere
    assert set(await store.attempts.abandoned("node1")) == {mine, other.attempt_id}
    assert await store.attempts.abandoned("node3") == [other.attempt_id]
    assert await store.attempts.renew("node1", [mine, other.attempt_id, uuid4()], 30) == {mine}
    assert await store.attempts.renew("node2", [other.attempt_id], 30) == {other.attempt_id}
    assert await store.attempts.abandoned("node3") == []
    await world.finish(mine, Outcome.BUSY)
    assert await store.attempts.renew("node1", [mine], 30) == set()
    assert await store.attempts.abandoned("node1") == []


async def test_a_verdict_for_an_unknown_attempt(world: World) -> None:
    with pytest.raises(NotFoundError):
        await world.finish(uuid4(), Outcome.FAILED)


async def test_listing(store: Store, world: World) -> None:
    await store.directory.add_account("acme")
    await world.users("1001", "1002")
    await world.users("1001", account="acme")
    rows = [
        await world.accept("1001", A),
        await world.accept("1002", B),
        await world.accept("1001", C, account="acme"),
    ]
    every = await store.attempts.attempts()
    assert every == rows[::-1]
    assert await store.attempts.attempts(limit=1) == [rows[2]]
    assert await store.attempts.attempts(account="default", user_id="1001") == [rows[0]]
    assert await store.attempts.attempts(since=rows[1].created_at) == [rows[2], rows[1]]


async def test_no_code_is_kept_anywhere(world: World) -> None:
    columns = await world.sql(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'binding_ivr' AND column_name LIKE '%code%'"
    )
    assert columns == []


async def test_fifty_requests_of_one_user_make_one_call(store: Store, world: World) -> None:
    await world.users("1001")

    async def ask(n: int) -> str:
        try:
            await world.accept("1001", f"+155512300{n:02}")
        except Refusal as refusal:
            return refusal.code
        return "accepted"

    answers = await asyncio.gather(*(ask(n) for n in range(50)))
    assert sorted(set(answers)) == ["accepted", "call_in_progress"]
    assert answers.count("accepted") == 1
    assert len(await store.attempts.attempts(limit=100)) == 1


async def test_four_workers_claim_each_attempt_once(store: Store, world: World) -> None:
    names = [str(1000 + n) for n in range(60)]
    await world.users(*names)
    rows = [await world.accept(name, f"+155512{name}") for name in names]

    async def work(node: str) -> list[object]:
        mine: list[object] = []
        while got := await store.attempts.claim(node, 3, 30):
            mine += [one.attempt_id for one in got]
        return mine

    shares = await asyncio.gather(*(work(f"node{n}") for n in range(4)))
    claimed = [one for share in shares for one in share]
    assert len(claimed) == len(set(claimed)) == 60
    assert set(claimed) == {row.attempt_id for row in rows}


async def test_only_one_of_many_verdicts_counts(world: World) -> None:
    await world.users("1001")
    for _ in range(10):
        attempt_id = await world.answer("1001", A)
        outcomes = [Outcome.VERIFIED, Outcome.HUNG_UP, Outcome.REPORTED, Outcome.FAILED, Outcome.VERIFIED]
        written = await asyncio.gather(*(world.finish(attempt_id, outcome) for outcome in outcomes))
        assert sum(written) == 1
        await world.sql("DELETE FROM binding_ivr.suppressions")
    ended = await world.sql("SELECT count(*) AS n FROM binding_ivr.outbox WHERE name = 'attempt.ended'")
    assert ended == [{"n": 10}]


async def test_two_who_prove_the_same_number_at_once(store: Store, world: World) -> None:
    # One live call per number makes this impossible; without that index the locks alone must hold.
    await world.sql("DROP INDEX binding_ivr.attempts_live_number")
    await world.users("1001", "1002", "1003")
    for _ in range(25):
        ids = []
        for user in ("1001", "1002", "1003"):
            row = await world.accept(user, C if user == "1003" else f"+1555000{user}")
            await world.sql("UPDATE binding_ivr.attempts SET number = $2 WHERE attempt_id = $1", row.attempt_id, A)
            await world.sql("UPDATE binding_ivr.bindings SET number = $2 WHERE user_id = $1", user, A)
            ids.append(row.attempt_id)
        await store.attempts.claim("node1", 10, 30)
        written = await asyncio.gather(*(world.finish(attempt_id, Outcome.VERIFIED) for attempt_id in ids))
        assert written == [True, True, True]
        bindings = await world.sql("SELECT status, reason FROM binding_ivr.bindings ORDER BY change_seq")
        assert [row["status"] for row in bindings] == ["suspended", "suspended", "verified"]


async def test_two_who_swap_their_numbers_do_not_block_each_other(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", A)
    await world.prove("1002", B)
    held = {"1001": A, "1002": B}
    for _ in range(25):
        held = {"1001": held["1002"], "1002": held["1001"]}
        ids = [await world.answer(user, number, replace="when_verified") for user, number in held.items()]
        assert await asyncio.gather(*(world.finish(one, Outcome.VERIFIED) for one in ids)) == [True, True]
        for user, number in held.items():
            binding = await store.bindings.get("default", user)
            assert (binding.status, binding.number) == (BindingStatus.VERIFIED, number)


async def test_everything_at_once_ends_without_a_deadlock(store: Store, world: World) -> None:
    names = ["1001", "1002", "1003", "1004"]
    await world.users(*names)

    async def live(user: str, turn: int) -> None:
        number = (A, B, C)[turn % 3]
        try:
            row = await world.accept(user, number, replace=("at_once", "when_verified")[turn % 2])
            await store.attempts.claim(f"node{turn % 3}", 10, 30)
            await world.finish(row.attempt_id, Outcome.VERIFIED)
        except Refusal:
            pass

    async def meddle(user: str) -> None:
        await store.bindings.suspend("default", user, SuspendReason.ADMIN, world.actor)
        await store.bindings.resume("default", user, world.actor)
        await store.bindings.remove("default", user, world.actor)

    for turn in range(15):
        await asyncio.gather(
            *(live(user, turn + n) for n, user in enumerate(names)),
            *(meddle(user) for user in names[:2]),
            store.attempts.claim("node9", 1, 30),
        )
    verified = await world.sql("SELECT number FROM binding_ivr.bindings WHERE status = 'verified'")
    assert len({row["number"] for row in verified}) == len(verified)


async def test_the_rows_of_a_swap_are_locked_in_one_order(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", A)
    await world.prove("1002", B)
    ids = [await world.answer(user, number, replace="when_verified") for user, number in (("1001", B), ("1002", A))]
    hold = "SELECT pg_backend_pid() AS pid FROM binding_ivr.bindings WHERE user_id = $1 FOR UPDATE"
    waiting = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    blocked = "SELECT count(*) AS n FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"

    async def until_blocked(pid: int, most: int) -> None:
        while (await world.sql(blocked, pid))[0]["n"] < most:
            await asyncio.sleep(0.005)

    # Whoever took the own row first would now wait with it for the other's: let go of one row, then of the second.
    async with asyncio.timeout(30 * SLOW):
        async with store.db.link() as second, second.transaction():
            pid_of_second = await second.fetchval(hold, "1002")
            async with store.db.link() as first, first.transaction():
                pid_of_first = await first.fetchval(hold, "1001")
                verdicts = [asyncio.create_task(world.finish(one, Outcome.VERIFIED)) for one in ids]
                await until_blocked(pid_of_first, 1)
                while (await world.sql(waiting))[0]["n"] < 2:
                    await asyncio.sleep(0.005)
            await until_blocked(pid_of_second, 1)
        assert await asyncio.gather(*verdicts) == [True, True]
    assert (await store.bindings.get("default", "1001")).number == B
    assert (await store.bindings.get("default", "1002")).number == A
