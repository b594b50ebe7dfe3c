"""Two nodes and one binding: whatever comes first, the end is one of the rules, and the look-ups agree with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest

from binding_ivr.config import Config
from binding_ivr.errors import BindingError, Refusal
from binding_ivr.jobs.lifecycle import Lifecycle
from binding_ivr.jobs.schedule import Turn
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import BindingRow, BindingStatus, SuspendReason, User
from binding_ivr.store import Store, open_store
from tests.generous import nothing_follows
from tests.integration.conftest import World

ROUNDS = 8
REPLACE = ["at_once", "when_verified"]
DAY = 86_400.0


@pytest.fixture
async def other(dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    """Another node on the same database."""
    async with open_store(dsn, 5, limits_of=nothing_follows, migrations="skip") as store:
        yield World(store)


def numbers(n: int) -> tuple[str, str]:
    return f"+1555123{n:02}01", f"+1555123{n:02}02"


async def together(*acts: Awaitable[Any]) -> list[Any]:
    """Start all at once; return what each gave, or its error, which must be one of ours."""
    done = await asyncio.gather(*acts, return_exceptions=True)
    for one in done:
        assert not isinstance(one, BaseException) or isinstance(one, BindingError), repr(one)
    return list(done)


async def settled(store: Store, user: str) -> BindingRow:
    """The binding, which must agree with every look-up, the mirror's marks and the last audit row."""
    row = await store.bindings.get("default", user)
    trusted = await store.bindings.trusted_number("default", user)
    if row.status is BindingStatus.VERIFIED:
        assert row.number is not None
        assert trusted is not None
        assert trusted.number == row.number
        assert await store.bindings.trusted_caller(row.number) == trusted
    else:
        assert trusted is None or trusted.number is None
        assert row.number is None or await store.bindings.trusted_caller(row.number) is None
    [last] = await store.personal.audit(user_id=user, limit=1)
    while not last.action.startswith("binding."):
        rows = await store.personal.audit(user_id=user, limit=20)
        last = next(row for row in rows if row.action.startswith("binding."))
    assert last.action == f"binding.{row.status.value}"
    return row


@pytest.mark.parametrize("replace", REPLACE)
async def test_a_proof_and_another_number(store: Store, world: World, other: World, replace: str) -> None:
    ends = set()
    for n in range(ROUNDS):
        user, (old, new) = f"{1000 + n}", numbers(n)
        await world.users(user)
        attempt_id = await world.answer(user, old)
        _, accepted = await together(
            world.finish(attempt_id, Outcome.VERIFIED), other.accept(user, new, replace=replace)
        )
        row = await settled(store, user)
        if isinstance(accepted, Refusal):  # it came during the call
            assert accepted.code == "call_in_progress"
            assert (row.status, row.number) == (BindingStatus.VERIFIED, old)
            ends.add("refused")
        elif replace == "at_once":
            assert (row.status, row.number, row.previous_number) == (BindingStatus.PENDING, new, old)
            ends.add("replaced")
        else:
            assert (row.status, row.number, row.pending_number) == (BindingStatus.VERIFIED, old, new)
            ends.add("waits")
    assert ends


@pytest.mark.parametrize("replace", REPLACE)
async def test_the_proof_of_a_replacement_and_the_removal(
    store: Store, world: World, other: World, replace: str
) -> None:
    for n in range(ROUNDS):
        user, (old, new) = f"{1000 + n}", numbers(n)
        await world.users(user)
        await world.prove(user, old)
        attempt_id = await world.answer(user, new, replace=replace)
        await together(
            world.finish(attempt_id, Outcome.VERIFIED), other.store.bindings.remove("default", user, other.actor)
        )
        assert (await settled(store, user)).status is BindingStatus.NONE


@pytest.mark.parametrize("replace", REPLACE)
@pytest.mark.parametrize("outcome", [Outcome.VERIFIED, Outcome.REPORTED])
async def test_a_verdict_and_the_administrators_suspension(
    store: Store, world: World, other: World, replace: str, outcome: Outcome
) -> None:
    for n in range(ROUNDS // 2):
        user, (old, new) = f"{1000 + n}", numbers(n)
        await world.users(user)
        await world.prove(user, old)
        attempt_id = await world.answer(user, new, replace=replace)
        await together(
            world.finish(attempt_id, outcome),
            other.store.bindings.suspend("default", user, SuspendReason.ADMIN, other.actor),
        )
        row = await settled(store, user)
        assert (row.status, row.reason) == (BindingStatus.SUSPENDED, SuspendReason.ADMIN)


async def test_a_swap_and_a_take_over_of_the_old_number(store: Store, world: World, other: World) -> None:
    for n in range(ROUNDS):
        one, two, (old, new) = f"{1000 + n}", f"{2000 + n}", numbers(n)
        await world.users(one, two)
        await world.prove(one, old)
        swap = await world.answer(one, new, replace="when_verified")
        take = await other.answer(two, old)
        await together(world.finish(swap, Outcome.VERIFIED), other.finish(take, Outcome.VERIFIED))
        assert ((await settled(store, one)).number, (await settled(store, two)).number) == (new, old)


async def test_two_nodes_and_two_requests_make_one_call(store: Store, world: World, other: World) -> None:
    for n in range(ROUNDS):
        user, (old, new) = f"{1000 + n}", numbers(n)
        await world.users(user)
        await world.prove(user, old)
        await store.bindings.remove("default", user, world.actor)
        done = await together(world.accept(user, new), other.accept(user, old), other.accept(user, new))
        refused = [one for one in done if isinstance(one, Refusal)]
        assert {one.code for one in refused} == {"call_in_progress"}
        assert len(refused) == 2
        [winner] = [one for one in done if not isinstance(one, Refusal)]
        assert (await settled(store, user)).number == winner.number
        claims = await asyncio.gather(store.attempts.claim("node1", 9, 30), other.store.attempts.claim("node2", 9, 30))
        assert [one.attempt_id for claim in claims for one in claim] == [winner.attempt_id]
        await world.finish(winner.attempt_id, Outcome.BUSY)


async def test_the_end_of_the_trust_and_a_new_proof(store: Store, world: World, other: World) -> None:
    attempts = {}
    for n in range(ROUNDS):
        user, (number, _) = f"{1000 + n}", numbers(n)
        await world.users(user)
        await world.prove(user, number)
    await store.clock.advance(181 * DAY, world.actor)
    await _run(store, "node1")
    await store.clock.advance(31 * DAY, world.actor)
    for n in range(ROUNDS):
        attempts[f"{1000 + n}"] = await world.answer(f"{1000 + n}", numbers(n)[0])
    await together(
        _run(other.store, "node2"), *(world.finish(attempt_id, Outcome.VERIFIED) for attempt_id in attempts.values())
    )
    for user in attempts:
        row = await settled(store, user)
        assert (row.status, row.stale_at) == (BindingStatus.VERIFIED, None)


async def test_a_proof_and_a_user_who_goes(store: Store, world: World, other: World) -> None:
    for n in range(ROUNDS):
        user, (number, _) = f"{1000 + n}", numbers(n)
        await world.users(user)
        attempt_id = await world.answer(user, number)
        gone: Awaitable[Any] = (
            other.store.directory.remove_user("default", user, other.actor)
            if n % 2
            else other.store.directory.import_users([User("default", user, (), "", "")])
        )
        await together(world.finish(attempt_id, Outcome.VERIFIED), gone)
        assert await store.bindings.trusted_caller(number) is None
        [row] = await world.sql("SELECT status FROM binding_ivr.bindings WHERE user_id = $1", user)
        assert row["status"] == "none"


async def _run(store: Store, node: str) -> None:
    await store.jobs.claim("lifecycle", node, every_s=0, lease_s=60)
    await Lifecycle(Config(), store).run(Turn(store.jobs, "lifecycle", node, 0, 60))
    await store.jobs.ended("lifecycle", node, {})
