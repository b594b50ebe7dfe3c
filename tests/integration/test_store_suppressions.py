"""An administrator's suppression: in one transaction nobody is called there any more, and nobody is trusted there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from binding_ivr.errors import Refusal
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.model.rows import BindingStatus, SuspendReason
from binding_ivr.store import Store, open_store
from tests.generous import nothing_follows
from tests.integration.conftest import hash_of

if TYPE_CHECKING:
    from tests.integration.conftest import World

A, B = "+15551230001", "+15551230002"
ADMIN = Actor(ActorKind.KEY, "admin", Source.WEB, "192.0.2.9", "asked by letter")
ROUNDS = 12


async def suppress(store: Store, number: str = A) -> bool:
    return await store.suppressions.add(number, hash_of(number), "admin", ADMIN.who, ADMIN)


async def state(store: Store, user: str = "1001") -> tuple[BindingStatus, SuspendReason | None, str | None]:
    row = await store.bindings.get("default", user)
    return row.status, row.reason, row.number


def who(actor: Actor) -> tuple[str, ...]:
    return actor.who, actor.source, actor.address, actor.reason


SUSPENDED = (BindingStatus.SUSPENDED, SuspendReason.SUPPRESSED, A)


async def test_who_has_proven_it_loses_the_trust_in_the_same_transaction(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", A)
    await world.prove("1002", B)
    before = await world.sql("SELECT max(change_seq) AS n FROM binding_ivr.bindings")
    assert await suppress(store) is True
    assert await state(store) == SUSPENDED
    assert await store.bindings.trusted_caller(A) is None
    assert await state(store, "1002") == (BindingStatus.VERIFIED, None, B)
    [row] = await world.sql(
        "SELECT b.xmin = s.xmin AND e.xmin = s.xmin AND a.xmin = s.xmin AS one, b.change_seq > $1 AS numbered,"
        " e.payload ->> 'reason' AS told, e.payload ->> 'number' AS number, a.user_id,"
        " a.who, a.source, a.address, a.reason"
        " FROM binding_ivr.suppressions s, binding_ivr.bindings b, binding_ivr.outbox e, binding_ivr.audit a"
        " WHERE b.user_id = '1001' AND e.name = 'binding.suspended' AND a.action = 'binding.suspended'",
        before[0]["n"],
    )
    assert row["one"]
    assert row["numbered"]
    assert (row["told"], row["number"], row["user_id"]) == ("suppressed", A, "1001")
    assert (row["who"], row["source"], row["address"], row["reason"]) == who(ADMIN)


async def test_once_more_ends_what_was_proven_before_it_was_meant_so(store: Store, world: World) -> None:
    """`*` in another user's call suppresses a number, and leaves it to the one who has proven it."""
    await world.users("1001", "1002")
    await world.prove("1001", A)
    await world.finish(await world.answer("1002", A), Outcome.REPORTED)
    assert (await state(store))[0] is BindingStatus.VERIFIED
    assert await suppress(store) is False
    assert await state(store) == SUSPENDED
    assert await suppress(store) is False
    assert (await world.events("1001")).count("binding.suspended") == 1


@pytest.mark.parametrize("replace", ["at_once", "when_verified"])
async def test_who_has_only_entered_it_is_told_nothing(store: Store, world: World, replace: str) -> None:
    await world.users("1001")
    if replace == "when_verified":
        await world.prove("1001", B)
    await world.finish(await world.dial("1001", A, replace=replace), Outcome.BUSY)
    before, events = await store.bindings.get("default", "1001"), await world.events("1001")
    await suppress(store)
    after = await store.bindings.get("default", "1001")
    assert (after.status, after.number, after.pending_number) == (before.status, before.number, before.pending_number)
    assert (after.since, await world.events("1001")) == (before.since, events)
    with pytest.raises(Refusal) as refused:
        await world.accept("1001", A, replace=replace)
    assert (refused.value.code, refused.value.limit, refused.value.retry_at) == ("try_later", None, None)


async def test_a_call_to_it_ends(store: Store, world: World) -> None:
    await world.users("1001", "1002", "1003")
    waiting = (await world.accept("1001", A)).attempt_id
    await world.accept("1002", B)
    await suppress(store)
    attempt = await store.attempts.attempt(waiting)
    assert (attempt.state, attempt.outcome) == (AttemptState.ENDED, Outcome.CANCELED)
    assert [one.user_id for one in await store.attempts.claim("node1", 10, 30)] == ["1002"]
    third = await world.answer("1003", "+15551230003")
    await suppress(store, "+15551230003")
    assert await store.attempts.cancel_requests("node1") == [third]
    assert await world.finish(third, Outcome.VERIFIED)  # the right code, a moment before the call was hung up
    assert (await state(store, "1003"))[0] is BindingStatus.PENDING
    assert await store.bindings.trusted_caller("+15551230003") is None


async def test_an_administrators_own_suspension_stays_and_restores_no_trust(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await store.bindings.suspend("default", "1001", SuspendReason.ADMIN, ADMIN)
    await suppress(store)
    assert await state(store) == (BindingStatus.SUSPENDED, SuspendReason.ADMIN, A)
    assert await store.bindings.resume("default", "1001", ADMIN) is BindingStatus.PENDING


async def test_the_user_may_enter_another_number_and_the_list_gives_nothing_back(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await suppress(store)
    await world.prove("1001", B)
    assert await state(store) == (BindingStatus.VERIFIED, None, B)
    assert (await store.bindings.get("default", "1001")).previous_number is None  # nothing to go back to
    await suppress(store, B)
    await store.suppressions.remove(hash_of(B), ADMIN)
    assert await state(store) == (BindingStatus.SUSPENDED, SuspendReason.SUPPRESSED, B)
    assert await store.bindings.resume("default", "1001", ADMIN) is BindingStatus.PENDING
    await world.prove("1001", B)
    assert (await state(store))[0] is BindingStatus.VERIFIED


# --- two nodes at the same moment


@pytest.fixture
async def other(dsn: str, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(dsn, 5, limits_of=nothing_follows, migrations="skip") as it:
        yield it


async def test_a_proof_at_the_same_moment_is_not_trusted_afterwards(store: Store, other: Store, world: World) -> None:
    ends = set()
    for n in range(ROUNDS):
        user, number = f"{2000 + n}", f"+1555124{n:04}"
        await world.users(user)
        attempt_id = await world.answer(user, number)
        await asyncio.gather(world.finish(attempt_id, Outcome.VERIFIED), suppress(other, number))
        assert await store.bindings.trusted_caller(number) is None
        ends.add((await state(store, user))[0])
    assert ends <= {BindingStatus.PENDING, BindingStatus.SUSPENDED}


async def test_a_resumption_at_the_same_moment_is_not_trusted_afterwards(
    store: Store, other: Store, world: World
) -> None:
    for n in range(ROUNDS):
        user, number = f"{2000 + n}", f"+1555124{n:04}"
        await world.users(user)
        await world.prove(user, number)
        await store.bindings.suspend("default", user, SuspendReason.ADMIN, ADMIN)
        await asyncio.gather(store.bindings.resume("default", user, ADMIN), suppress(other, number))
        assert await store.bindings.trusted_caller(number) is None


async def test_no_request_at_the_same_moment_is_called(store: Store, other: Store, world: World) -> None:
    codes: set[str] = set()
    for n in range(ROUNDS):
        user, number = f"{2000 + n}", f"+1555124{n:04}"
        await world.users(user)

        async def ask(user: str = user, number: str = number) -> UUID | None:
            try:
                return (await world.accept(user, number)).attempt_id
            except Refusal as refusal:
                codes.add(refusal.code)
                return None

        asked, _ = await asyncio.gather(ask(), suppress(other, number))
        if asked is not None:
            assert (await store.attempts.attempt(asked)).outcome is Outcome.CANCELED
        assert await store.attempts.claim("node1", 10, 30) == []
    assert codes <= {"try_later"}
