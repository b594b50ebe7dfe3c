"""The clock by which everything is decided: it moves for rehearsals, and for nobody else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import pytest

from binding_ivr.doctor.examination import examine
from binding_ivr.errors import Refusal
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.changes import Change, ChangeKind
from binding_ivr.model.outcome import Outcome
from binding_ivr.store import Store
from tests.integration.api_service import config_for
from tests.patience import SLOW

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import World

A = "+15551230001"
REHEARSAL = Actor(ActorKind.CLI, "test", Source.CLI)


async def test_it_tells_the_machines_time_until_it_is_moved(store: Store) -> None:
    reading = await store.clock.read()
    assert reading.ahead_s == 0
    assert abs((reading.now - datetime.now(UTC)).total_seconds()) < 60
    moved = await store.clock.advance(14 * 86400, REHEARSAL)
    assert (moved - reading.now).total_seconds() == pytest.approx(14 * 86400, abs=60)
    later = await store.clock.read()
    assert later.ahead_s == 14 * 86400
    assert later.now >= moved
    with pytest.raises(ValueError, match="forward"):
        await store.clock.advance(-1, REHEARSAL)


async def test_within_a_transaction_it_goes_on(world: World) -> None:
    async with world.store.db.link() as link, link.transaction():
        first = await link.fetchval("SELECT binding_ivr.clock()")
        assert await link.fetchval("SELECT binding_ivr.clock()") > first


async def test_what_is_decided_by_time_goes_by_it(store: Store, world: World) -> None:
    await world.users("1001")
    first = await world.dial("1001", A)
    await world.finish(first, Outcome.WRONG_CODE)
    with pytest.raises(Refusal) as caught:
        await world.accept("1001", A, limits={"user_hour": 1})
    assert caught.value.retry_at is not None
    await store.clock.advance(3599, REHEARSAL)
    with pytest.raises(Refusal):
        await world.accept("1001", A, limits={"user_hour": 1})
    await store.clock.advance(1, REHEARSAL)
    second = await world.accept("1001", A, limits={"user_hour": 1})
    assert (second.created_at - (await store.attempts.attempt(first)).created_at).total_seconds() >= 3600
    await store.clock.advance(301, REHEARSAL)
    await world.accept("1001", A)  # the one before expired meanwhile
    assert (await store.attempts.attempt(second.attempt_id)).outcome is Outcome.EXPIRED


async def test_a_lease_does_not_run_out_because_a_rehearsal_moves_the_clock(store: Store, world: World) -> None:
    await world.users("1001")
    attempt_id = await world.dial("1001", A)
    await store.clock.advance(7 * 86400, REHEARSAL)
    assert await store.attempts.abandoned("node2") == []
    assert await store.attempts.renew("node1", [attempt_id], 30) == {attempt_id}


async def test_moving_it_is_audited_and_told(store: Store, world: World) -> None:
    told: list[Change] = []
    heard = asyncio.Event()

    def handler(change: Change) -> None:
        told.append(change)
        if change.kind is ChangeKind.CLOCK:
            heard.set()

    store.changes.subscribe(handler)
    await store.changes.start()
    await store.changes.wait_connected()
    await store.clock.advance(60, REHEARSAL)
    async with asyncio.timeout(10 * SLOW):
        await heard.wait()
    [row] = await world.sql("SELECT who, source, detail::text AS detail FROM binding_ivr.audit")
    assert (row["who"], row["source"], row["detail"]) == ("cli:test", "cli", '{"ahead_s": 60.000000}')


async def test_only_the_owner_of_the_schema_can_move_it(world: World, dsn: str) -> None:
    role = f"asker_{dsn.rpartition('/')[2].partition('?')[0]}"
    await world.sql(f"CREATE ROLE {role}")
    try:
        await world.sql(f"GRANT USAGE ON SCHEMA binding_ivr TO {role}")
        link = await asyncpg.connect(dsn)
        try:
            await link.execute(f"SET ROLE {role}")
            assert await link.fetchval("SELECT binding_ivr.clock()") is not None
            for statement in (
                "UPDATE binding_ivr.clock_offset SET ahead = '1 day'",
                "INSERT INTO binding_ivr.clock_offset VALUES (true, '1 day')",
                "DELETE FROM binding_ivr.clock_offset",
                "CREATE OR REPLACE FUNCTION binding_ivr.clock() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await link.execute(statement)
        finally:
            await link.close()
    finally:
        await world.sql(f"DROP OWNED BY {role}")
        await world.sql(f"DROP ROLE {role}")


async def test_nobody_sets_it_back(world: World) -> None:
    for statement in (
        "UPDATE binding_ivr.clock_offset SET ahead = '-1 s'",
        "INSERT INTO binding_ivr.clock_offset VALUES (false, '0')",
    ):
        with pytest.raises(Exception, match="clock_offset"):
            await world.sql(statement)


async def test_doctor_tells_of_a_moved_clock(store: Store, dsn: str, tmp_path: Path) -> None:
    config = config_for(dsn, tmp_path)
    assert not [check for check in await examine(config) if check.check == "clock"]
    await store.clock.advance(86400, REHEARSAL)
    [check] = [check for check in await examine(config) if check.check == "clock"]
    assert (check.status, "86,400 s ahead" in check.detail) == ("fail", True)
