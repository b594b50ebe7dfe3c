"""The SQL door: both functions, what their role may do, and how caller IDs are read."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from binding_ivr.model.rows import SuspendReason, User
from binding_ivr.policy.callers import E164_ONLY, CallerPlan, caller_plan, meanings
from binding_ivr.store.migrate import load_migrations
from tests.writings import callers

if TYPE_CHECKING:
    from tests.integration.conftest import World
    from tests.integration.databases import Server

A, B, C = "+12025550101", "+12025550102", "+4930123456"
US, DE = caller_plan("US"), caller_plan("DE")
NOTHING = {"status": "NONE", "number": None, "account": None, "extension": None, "since": None}


async def number(world: World, account: str | None, extension: str | None) -> dict[str, Any]:
    (row,) = await world.sql("SELECT * FROM binding_ivr.trusted_number($1, $2)", account, extension)
    return row


async def caller(world: World, asked: str | None) -> dict[str, Any]:
    (row,) = await world.sql("SELECT * FROM binding_ivr.trusted_caller($1)", asked)
    return row


async def test_both_functions_through_the_life_of_a_number(world: World) -> None:
    store = world.store
    await store.bindings.set_caller_plan(US)
    await store.directory.add_user(User("default", "ann", ("1001", "*7#", "99"), "en", ""))
    assert await number(world, "default", "1001") == NOTHING
    await world.accept("ann", A)
    assert await number(world, "default", "1001") == NOTHING  # pending
    await store.attempts.cancel("default", "ann", world.actor)
    await world.prove("ann", A)
    (since,) = [row["since"] for row in await world.sql("SELECT since FROM binding_ivr.bindings")]
    for extension in ("1001", "*7#", "99"):
        found = {"status": "FOUND", "number": A, "account": "default", "extension": extension, "since": since}
        assert await number(world, "default", extension) == found
    lowest = {"status": "FOUND", "number": A, "account": "default", "extension": "99", "since": since}
    for writing in (A, A[1:], "2025550101"):
        assert await caller(world, writing) == lowest
    await store.bindings.suspend("default", "ann", SuspendReason.ADMIN, world.actor)
    suspended = await number(world, "default", "1001")
    assert suspended == {**NOTHING, "status": "SUSPENDED", "since": suspended["since"]}
    assert suspended["since"] > since
    assert await caller(world, A) == NOTHING
    await store.bindings.remove("default", "ann", world.actor)
    assert await number(world, "default", "1001") == NOTHING


@pytest.mark.parametrize("asked", [None, "", "'", "1' OR '1'='1", "1001\n", "*", "%", "_001", "x" * 100_000, "١٠٠١"])
async def test_nonsense_is_nobodys(world: World, asked: str | None) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    for answer in (
        await number(world, "default", asked),
        await number(world, asked, "1001"),
        await caller(world, asked),
    ):
        assert answer == NOTHING


async def test_names_that_no_door_takes_are_not_taken_here(world: World) -> None:
    await world.sql("INSERT INTO binding_ivr.users VALUES ('default', 'dot')")
    await world.sql("INSERT INTO binding_ivr.extensions VALUES ('default', '..', 'dot')")
    await world.sql(
        "INSERT INTO binding_ivr.bindings (account, user_id, status, number, since)"
        " VALUES ('default', 'dot', 'verified', $1, now())",
        A,
    )
    assert await number(world, "default", "..") == NOTHING


@pytest.mark.parametrize(
    ("plan", "asked", "meant"),
    [
        (US, "+12025550101", ["+12025550101"]),
        (US, "12025550101", ["+12025550101"]),
        (US, "2025550101", ["+2025550101", "+12025550101"]),
        (US, "0114930123456", ["+0114930123456", "+4930123456"]),
        (US, "+0114930123456", ["+0114930123456"]),
        (DE, "030123456", ["+030123456", "+4930123456"]),
        (DE, "30123456", ["+30123456", "+4930123456"]),
        (DE, "4930123456", ["+4930123456", "+494930123456"]),
        (DE, "004930123456", ["+004930123456", "+4930123456"]),
        (DE, "0012025550101", ["+0012025550101", "+12025550101"]),
        (caller_plan("IT"), "0612345678", ["+0612345678", "+390612345678"]),  # the zero belongs to the number
        (caller_plan("RU"), "89161234567", ["+89161234567", "+79161234567"]),
        (caller_plan("RU"), "8104930123456", ["+8104930123456", "+4930123456"]),
        (caller_plan("BR"), "00154930123456", ["+00154930123456", "+550154930123456", "+154930123456"]),
        (E164_ONLY, "2025550101", ["+2025550101"]),
        (US, "12", []),
        (US, "1" * 21, []),
        (US, "++12025550101", []),
        (US, "+1202555010a", []),
    ],
)
async def test_what_a_caller_id_may_mean(world: World, plan: CallerPlan, asked: str, meant: list[str]) -> None:
    (row,) = await world.sql(
        "SELECT binding_ivr.caller_writings($1, $2, $3, $4) AS meant",
        asked,
        plan.country,
        plan.national,
        plan.international,
    )
    assert set(row["meant"]) == set(meant) == meanings(asked, plan)


async def test_every_caller_of_the_systematic_run_means_the_same_here(world: World) -> None:
    tried = list(callers(1, random.Random(9)))
    plans = [caller_plan(one.region) for one in tried]
    rows = await world.sql(
        "SELECT binding_ivr.caller_writings(a, b, c, d) AS meant"
        " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS asked (a, b, c, d, n)"
        " ORDER BY n",
        [one.text for one in tried],
        [plan.country for plan in plans],
        [plan.national for plan in plans],
        [plan.international for plan in plans],
    )
    assert len(rows) == len(tried) > 2000
    for one, plan, row in zip(tried, plans, rows, strict=True):
        assert one.e164 in row["meant"], one
        assert set(row["meant"]) == meanings(one.text, plan), one


async def test_what_could_be_two_users_is_nobodys(world: World) -> None:
    singapore, alabama = "+6591234567", "+16591234567"
    await world.store.bindings.set_caller_plan(US)
    await world.users("1", "2")
    await world.prove("1", alabama)
    assert (await caller(world, "6591234567"))["extension"] == "1"
    await world.prove("2", singapore)
    assert await caller(world, "6591234567") == NOTHING
    assert await world.store.bindings.trusted_caller("6591234567", US) is None
    assert (await caller(world, singapore))["extension"] == "2"
    assert (await caller(world, alabama[1:]))["extension"] == "1"
    await world.store.directory.add_user(User("default", "bodyless", (), "en", ""))
    await world.store.bindings.remove("default", "2", world.actor)
    await world.prove("bodyless", singapore)  # a user without an extension is nobody to call
    assert (await caller(world, "6591234567"))["extension"] == "1"
    assert await caller(world, singapore) == NOTHING


async def test_a_number_is_found_in_its_old_writings_and_two_of_them_are_nobodys(world: World) -> None:
    cell, landline = "+5491123456789", "+541123456789"
    await world.store.bindings.set_caller_plan(US)
    await world.users("1", "2")
    await world.prove("1", cell)
    for writing in (cell, landline, landline[1:], "+54-11-2345-6789", "011541123456789", "54 11 15 2345 6789"):
        assert (await caller(world, writing))["number"] == cell, writing
    await world.prove("2", landline)
    assert await caller(world, landline) == NOTHING
    assert (await caller(world, cell))["extension"] == "1"


async def as_lookup(server: Server, dsn: str, name: str) -> asyncpg.Connection:
    """Connect as a login role that has nothing but the role of the door."""
    await server.admin(f"DROP ROLE IF EXISTS {name}")
    await server.admin(f"CREATE ROLE {name} LOGIN IN ROLE binding_ivr_lookup")
    link = await asyncpg.connect(dsn)
    await link.execute(f"SET SESSION AUTHORIZATION {name}")
    return link


async def test_the_role_may_ask_and_read_nothing_else(world: World, server: Server, dsn: str) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    link = await as_lookup(server, dsn, "dialplan_test")
    try:
        answer = await link.fetchrow("SELECT * FROM binding_ivr.trusted_number('default', '1001')")
        assert answer is not None
        assert (answer["status"], answer["number"]) == ("FOUND", A)
        assert await link.fetchval("SELECT extension FROM binding_ivr.trusted_caller($1)", A) == "1001"
        tables = await world.sql("SELECT relname FROM pg_class WHERE relnamespace = 'binding_ivr'::regnamespace"
                                 " AND relkind IN ('r', 'v', 'm', 'S', 'p')")  # fmt: skip
        names = {row["relname"] for row in tables} - {"clock_offset"}  # which tells how far a rehearsal is ahead
        assert {"bindings", "users", "attempts", "caller_plan", "mirror_keys"} <= names
        for table in sorted(names):
            for statement in (f"SELECT * FROM binding_ivr.{table}", f"DELETE FROM binding_ivr.{table}"):
                with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.WrongObjectTypeError)):
                    await link.execute(statement)
        for call in (
            "find_caller('+12025550101', '', '', '')",
            "write_audit('a', 'b', 'c', NULL, '{}')",
            "mark_mirror_keys('default', '1001', '{}', '{}', 1)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await link.execute(f"SELECT binding_ivr.{call}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await link.execute("CREATE TABLE binding_ivr.mine (a int)")
        # a search path of the asker's own does not lead the functions astray
        await link.execute("CREATE TEMP TABLE bindings AS SELECT 'default' AS account, 'verified' AS status")
        await link.execute("SET search_path = pg_temp, public, binding_ivr")
        assert await link.fetchval("SELECT status FROM binding_ivr.trusted_number('default', '1002')") == "NONE"
    finally:
        await link.close()
        await server.admin("DROP ROLE dialplan_test")


async def test_nobody_else_may_ask(world: World, server: Server, dsn: str) -> None:
    await server.admin("DROP ROLE IF EXISTS stranger_test")
    await server.admin("CREATE ROLE stranger_test LOGIN")
    link = await asyncpg.connect(dsn)
    try:
        await link.execute("SET SESSION AUTHORIZATION stranger_test")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await link.execute("SELECT binding_ivr.trusted_number('default', '1001')")
    finally:
        await link.close()
        await server.admin("DROP ROLE stranger_test")


async def test_a_user_who_may_not_create_roles_migrates_all_the_same(server: Server, empty_dsn: str) -> None:
    """The role is there already or not: in both cases the schema is made, and one command opens the door later."""
    await server.admin("DROP ROLE IF EXISTS modest_test")
    await server.admin("CREATE ROLE modest_test LOGIN")
    name = empty_dsn.rsplit("/", 1)[1].split("?")[0]
    await server.admin(f"ALTER DATABASE {name} OWNER TO modest_test")
    link = await asyncpg.connect(empty_dsn)
    try:
        await link.execute("SET SESSION AUTHORIZATION modest_test")
        await link.execute("CREATE SCHEMA binding_ivr")
        for file in load_migrations():
            # the role of the whole server must stay for the other tests: hide it from this one
            await link.execute(file.text.replace("binding_ivr_lookup", "binding_ivr_lookup_test"))
        row = await link.fetchrow("SELECT count(*) AS roles FROM pg_roles WHERE rolname = 'binding_ivr_lookup_test'")
        assert row is not None
        assert row["roles"] == 0
        assert await link.fetchval("SELECT status FROM binding_ivr.trusted_number('default', '1')") == "NONE"
        await server.admin("CREATE ROLE binding_ivr_lookup_test NOLOGIN")
        await link.execute("SELECT binding_ivr.open_sql_door()")
        granted = (
            "SELECT has_function_privilege('binding_ivr_lookup_test', 'binding_ivr.trusted_caller(text)', 'EXECUTE')"
        )
        assert await link.fetchval(granted) is True
    finally:
        await link.close()
        await server.admin(f"DROP DATABASE {name} WITH (FORCE)")
        await server.admin(f"CREATE DATABASE {name}")
        await server.admin("DROP ROLE IF EXISTS binding_ivr_lookup_test")
        await server.admin("DROP ROLE modest_test")


async def test_how_the_door_stands(world: World) -> None:
    await world.store.bindings.set_caller_plan(DE)
    door = await world.store.bindings.sql_door()
    assert (door.role, door.granted, door.members, door.plan, door.answers) == (True, True, 0, DE, True)
    await world.sql("REVOKE EXECUTE ON FUNCTION binding_ivr.trusted_caller(text) FROM binding_ivr_lookup")
    assert not (await world.store.bindings.sql_door()).granted
