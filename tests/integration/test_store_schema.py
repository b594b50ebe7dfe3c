"""Migrations, named queries and the rules that the schema itself keeps."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest

from binding_ivr.errors import ConfigError, StatementRefused
from binding_ivr.policy.limits import WINDOWS
from binding_ivr.resources import data_dir
from binding_ivr.store import Database, Store, migrate, open_store, pending
from binding_ivr.store.queries import queries
from tests.generous import nothing_follows

if TYPE_CHECKING:
    from tests.integration.conftest import World

FILES = sorted(file.stem for file in (data_dir("sql") / "migrations").glob("*.sql"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations that a test may change."""
    return Path(shutil.copytree(data_dir("sql") / "migrations", tmp_path / "migrations"))


async def open_pool(dsn: str) -> Database:
    return await Database.connect(dsn, 2)


async def test_migrate_from_nothing_and_again(empty_dsn: str) -> None:
    db = await open_pool(empty_dsn)
    try:
        assert await pending(db) == FILES
        assert await migrate(db) == FILES
        assert await pending(db) == []
        assert await migrate(db) == []
    finally:
        await db.close()


async def test_four_processes_migrate_at_the_same_time(empty_dsn: str) -> None:
    pools = await asyncio.gather(*(open_pool(empty_dsn) for _ in range(4)))
    try:
        done = await asyncio.gather(*(migrate(db) for db in pools))
        assert sorted(done) == [[], [], [], FILES]
    finally:
        await asyncio.gather(*(db.close() for db in pools))


async def test_a_changed_file_is_refused(dsn: str, folder: Path) -> None:
    file = folder / f"{FILES[0]}.sql"
    file.write_text(file.read_text() + "-- a late idea\n")
    db = await open_pool(dsn)
    try:
        for act in (migrate, pending):
            with pytest.raises(ConfigError, match=f"{FILES[0]} was changed after it was applied"):
                await act(db, folder)
    finally:
        await db.close()


async def test_a_newer_database_is_refused(dsn: str, folder: Path) -> None:
    (folder / "9999_future.sql").write_text("CREATE TABLE binding_ivr.future (a int);")
    db = await open_pool(dsn)
    try:
        assert await migrate(db, folder) == ["9999_future"]
        with pytest.raises(ConfigError, match="newer than this binding_ivr"):
            await migrate(db)
    finally:
        await db.close()


async def test_a_failing_file_leaves_nothing(dsn: str, folder: Path) -> None:
    (folder / "0998_good.sql").write_text("CREATE TABLE binding_ivr.good (a int);")
    (folder / "0999_bad.sql").write_text("CREATE TABLE binding_ivr.bad (a int); SELECT 1/0;")
    db = await open_pool(dsn)
    try:
        with pytest.raises(StatementRefused):
            await migrate(db, folder)
        assert await pending(db, folder) == ["0999_bad"]
        (folder / "0999_bad.sql").write_text("CREATE TABLE binding_ivr.bad (a int);")
        assert await migrate(db, folder) == ["0999_bad"]
    finally:
        await db.close()


async def test_checking_names_the_missing_migration(empty_dsn: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run: binding-ivr migrate"):
        async with open_store(empty_dsn, limits_of=nothing_follows, migrations="check"):
            pass


async def test_missing_tables_are_the_operators_to_make(empty_dsn: str, tmp_path: Path) -> None:
    async with open_store(empty_dsn, limits_of=nothing_follows, migrations="skip") as store:
        with pytest.raises(ConfigError, match="run: binding-ivr migrate"):
            await store.bindings.get("default", "1001")


async def test_the_audit_only_grows(world: World) -> None:
    await world.users("1001")
    await world.prove("1001", "+15551230001")
    for statement in (
        "UPDATE binding_ivr.audit SET who = 'nobody'",
        "DELETE FROM binding_ivr.audit",
        "TRUNCATE binding_ivr.audit",
    ):
        with pytest.raises(ConfigError):
            await world.sql(statement)
    rows = await world.sql("SELECT action, who, source, address, attempt_id FROM binding_ivr.audit ORDER BY id")
    assert [row["action"] for row in rows] == [
        "user.added",
        "extension.added",
        "binding.pending",
        "attempt.dialing",
        "attempt.ended",
        "binding.verified",
    ]
    assert {(row["who"], row["source"], row["address"]) for row in rows[2:4]} == {("user:test", "web", "127.0.0.1")}
    assert (rows[5]["who"], rows[5]["source"]) == ("system", "call")
    assert all(row["attempt_id"] for row in rows[2:])


async def test_a_request_that_comes_to_nothing_is_one_row(world: World) -> None:
    await world.users("1001")
    await world.accept("1001", "+15551230001")
    await world.store.attempts.cancel("default", "1001", world.actor)
    before = await world.sql("SELECT max(id) AS id FROM binding_ivr.audit")
    await world.accept("1001", "+15551230001")
    await world.store.attempts.cancel("default", "1001", world.actor)
    rows = await world.sql("SELECT action, who FROM binding_ivr.audit WHERE id > $1", before[0]["id"])
    assert rows == [{"action": "attempt.ended", "who": "user:test"}]


async def test_a_change_by_hand_is_audited_too(world: World, dsn: str) -> None:
    await world.users("1001")
    await world.prove("1001", "+15551230001")
    link = await asyncpg.connect(dsn)
    try:
        await link.execute("UPDATE binding_ivr.bindings SET status = 'suspended', reason = 'admin'")
    finally:
        await link.close()
    last = (await world.sql("SELECT who, source, action FROM binding_ivr.audit ORDER BY id DESC LIMIT 1"))[0]
    assert last == {"who": "sql:binding_ivr", "source": "sql", "action": "binding.suspended"}
    assert "binding.suspended" in await world.events("1001")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO binding_ivr.accounts VALUES ('a/b')",
        "INSERT INTO binding_ivr.own_numbers VALUES ('default', 'fax', '1')",
        "INSERT INTO binding_ivr.bindings (account, user_id, status) VALUES ('default', 'x', 'trusted')",
        "INSERT INTO binding_ivr.bindings (account, user_id, status) VALUES ('default', 'x', 'verified')",
        "INSERT INTO binding_ivr.bindings (account, user_id, status) VALUES ('default', 'x', 'suspended')",
        "INSERT INTO binding_ivr.outbox (name, account, user_id, payload) VALUES ('x', 'default', 'x', '{}')",
        "INSERT INTO binding_ivr.suppressions (number_hash, reason, who) VALUES ('x', 'x', 'x')",
    ],
)
async def test_words_outside_the_closed_sets_are_refused(world: World, statement: str) -> None:
    with pytest.raises(StatementRefused) as caught:
        await world.sql(statement)
    assert caught.value.is_bad_value


async def test_two_verified_bindings_of_one_number_cannot_be(world: World) -> None:
    insert = (
        "INSERT INTO binding_ivr.bindings (account, user_id, status, number, since)"
        " VALUES ('default', $1, 'verified', '+15551230001', now())"
    )
    await world.sql(insert, "a")
    with pytest.raises(StatementRefused) as caught:
        await world.sql(insert, "b")
    assert caught.value.constraint == "bindings_verified_number"
    assert "5551230001" not in str(caught.value)


HOT: dict[str, tuple[Any, ...]] = {
    "claim_attempts": ("node1", 2, 30.0),
    "next_due": (),
    "abandoned_attempts": ("node1",),
    "trusted_number": ("default", "1500"),
    "trusted_caller": ("+15551001500", "1", "1", "011"),
    "accept_facts": (
        "default",
        "1500",
        "+15551001500",
        b"x" * 32,
        "192.0.2.1",
        [window.scope for window in WINDOWS.values()],
        [window.seconds for window in WINDOWS.values()],
        [5] * len(WINDOWS),
        3,
    ),
    "lock_unproven_number": (b"x" * 32, 30, 3),
    "bill_calls": ([], []),
    "binding_facts": ("default", "1500", ["+15551001500"]),
    "lock_bindings": ("default", "1500", "+15551001501"),
}


async def fill(world: World) -> None:
    """Write enough rows that reading a whole table would show."""
    await world.sql("ALTER TABLE binding_ivr.bindings DISABLE TRIGGER USER")
    await world.sql("ALTER TABLE binding_ivr.attempts DISABLE TRIGGER USER")
    for statement in (
        "INSERT INTO binding_ivr.users SELECT 'default', n::text FROM generate_series(1000, 5999) n",
        "INSERT INTO binding_ivr.extensions SELECT 'default', n::text, n::text FROM generate_series(1000, 5999) n",
        "INSERT INTO binding_ivr.bindings (account, user_id, status, number, since)"
        " SELECT 'default', n::text, 'verified', '+1555100' || n, now() FROM generate_series(1000, 5999) n",
        "INSERT INTO binding_ivr.attempts (attempt_id, account, user_id, number, number_hash, key_id, created_at,"
        " not_before, shown_until, expires_at, actor_who, actor_source, state, outcome, fault, ended_at, billed_s)"
        " SELECT gen_random_uuid(), 'default', (1000 + n % 5000)::text, '+1555100' || (1000 + n % 5000), 'x', '1', t,"
        " t, t, t, 'x', 'x', 'ended', 'busy', 'callee', t, 0"
        " FROM generate_series(1, 20000) n, LATERAL (SELECT now() - n * interval '1 minute' AS t) at",
        "INSERT INTO binding_ivr.suppressions SELECT ('+' || n)::bytea || repeat('x', 30)::bytea, 'x', 'x'"
        " FROM generate_series(1, 5000) n",
        "ANALYZE",
    ):
        await world.sql(statement)


async def test_hot_queries_read_by_index(world: World) -> None:
    await fill(world)
    async with world.store.db.link() as link:
        for name, args in HOT.items():
            plan = "\n".join(row[0] for row in await link.fetch("EXPLAIN " + queries()[name], *args))
            for table in ("attempts", "bindings", "extensions", "users", "suppressions"):
                assert f"Seq Scan on {table}" not in plan, f"{name}:\n{plan}"


async def test_ids_are_never_used_twice(world: World) -> None:
    await world.users("1001")
    attempt_id = uuid4()
    await world.accept("1001", "+15551230001", attempt_id=attempt_id)
    await world.store.attempts.cancel("default", "1001", world.actor)
    with pytest.raises(StatementRefused):
        await world.accept("1001", "+15551230001", attempt_id=attempt_id)


async def test_the_change_numbers_follow_the_commits(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", "+15551230001")
    await world.prove("1002", "+15551230002")
    await world.prove("1002", "+15551230001")
    rows = await world.sql("SELECT user_id, status, change_seq FROM binding_ivr.bindings ORDER BY change_seq")
    assert [(row["user_id"], row["status"]) for row in rows] == [("1001", "suspended"), ("1002", "verified")]
    seen = rows[-1]["change_seq"]
    await world.accept("1001", "+15551230005")
    await store.bindings.remove("default", "1002", world.actor)
    rows = await world.sql("SELECT user_id FROM binding_ivr.bindings WHERE change_seq > $1 ORDER BY change_seq", seen)
    assert [row["user_id"] for row in rows] == ["1001", "1002"]
