"""How long what is kept, the audit that changes in no other way, and a person's data, handed over or forgotten."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from binding_ivr.config import Config
from binding_ivr.config import Retention as Keep
from binding_ivr.errors import ConfigError, NotFoundError, Refusal, StatementRefused
from binding_ivr.jobs.lifecycle import Lifecycle
from binding_ivr.jobs.retention import Retention
from binding_ivr.jobs.schedule import Turn
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.moves import Move, MoveKind, MoveOutcome, MoveProof
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import BindingStatus, SuspendReason, User
from binding_ivr.policy.code import pseudonym
from binding_ivr.policy.masking import masked, short
from binding_ivr.resources import data_dir
from binding_ivr.store import Database, PgClock, Store, migrate, open_store
from binding_ivr.store.queries import queries
from tests.generous import nothing_follows
from tests.integration.conftest import World
from tests.integration.databases import Server
from tests.integration.test_store_schema import fill as fill_tables
from tests.patience import SLOW

A, B = "+15551230001", "+15551230002"
DAY = 86_400.0
KEY = b"a key for tests of some length"


def hash_of(number: str) -> bytes:
    return hashlib.sha256(number.encode()).digest()


async def run(store: Store, **keep: int) -> dict[str, int]:
    """One run of the job; what it did nothing of is left out."""
    position = await store.jobs.claim("retention", "node1", every_s=0, lease_s=60)
    assert position is not None
    turn = Turn(store.jobs, "retention", "node1", position, 60)
    done = await Retention(Config(retention=Keep(**keep)), store, hash_of).run(turn)
    await turn.keep()
    await store.jobs.ended("retention", "node1", done)
    return {what: count for what, count in done.items() if count}


async def days_pass(world: World, days: float) -> None:
    await world.store.clock.advance(days * DAY, world.actor)


async def whole(world: World) -> str:
    """All rows of all tables as one text, but for the present bindings."""
    tables = await world.sql(
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'binding_ivr'"
        " AND table_type = 'BASE TABLE' AND table_name NOT IN ('mirror_keys', 'migrations')"
    )
    found = []
    for table in tables:
        rows = await world.sql(f"SELECT to_jsonb(t)::text AS row FROM binding_ivr.{table['name']} t")
        found += [f"{table['name']}: {row['row']}" for row in rows]
    return "\n".join(found)


# --- how long


async def test_after_thirty_days_only_the_last_two_digits_are_left(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await world.finish(await world.dial("1001", B), Outcome.BUSY)
    await days_pass(world, 29)
    assert await run(store) == {}
    await world.finish(await world.dial("1001", B), Outcome.BUSY)
    await days_pass(world, 1.1)
    done = await run(store)
    assert (done["attempts_masked"], done["audit_masked"]) == (2, 7)
    rows = await world.sql("SELECT number, number_hash, actor_address FROM binding_ivr.attempts ORDER BY created_at")
    assert [(row["number"], row["actor_address"]) for row in rows] == [("…01", ""), ("…02", ""), (B, "127.0.0.1")]
    assert all(len(row["number_hash"]) == 32 for row in rows)
    audit = await world.sql(
        "SELECT detail::text AS detail FROM binding_ivr.audit WHERE attempt_id IS NOT NULL ORDER BY id"
    )
    details = [json.loads(row["detail"]) for row in audit]
    old = [detail for detail in details if detail["number"].startswith("…")]
    assert len(old) == 7
    assert {detail["number_hash"] for detail in old} == {hash_of(A).hex(), hash_of(B).hex()}
    assert {detail["previous_number"] for detail in old if "previous_number" in detail} == {"…01"}
    assert details[-1]["number"] == B
    assert await run(store) == {}
    assert (await store.bindings.get("default", "1001")).number == B  # what is bound now stays whole


async def test_after_thirty_days_the_addresses_of_sign_ins_are_gone(store: Store, world: World) -> None:
    await world.users("1001")
    now = (await store.clock.read()).now
    await store.web.add_session(b"1" * 32, "default", "1001", None, now, now + timedelta(days=1), world.actor)
    await store.bindings.remove("default", "1001", world.actor)
    await world.prove("1001", A)
    await days_pass(world, 29)
    assert await run(store) == {}
    await days_pass(world, 1.1)
    assert (await run(store))["audit_masked"] == 5
    rows = await world.sql("SELECT action, address FROM binding_ivr.audit WHERE user_id = '1001' ORDER BY id")
    addresses = {row["action"]: row["address"] for row in rows}
    assert (addresses["session.began"], addresses["attempt.dialing"]) == ("", "127.0.0.1")
    assert await run(store) == {}


async def test_the_rows_of_attempts_go_after_a_year_and_the_audit_only_when_that_is_wanted(
    store: Store, world: World
) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    live = await world.answer("1001", A, attempt_s=1000 * DAY, shown_s=1000 * DAY)
    await days_pass(world, 364)
    await run(store)
    assert len(await store.attempts.attempts()) == 2
    await days_pass(world, 2)
    done = await run(store)
    assert done["attempts_deleted"] == 1
    assert [row.attempt_id for row in await store.attempts.attempts()] == [live]
    rows = await world.sql("SELECT count(*) AS n FROM binding_ivr.audit WHERE user_id = '1001'")
    assert rows[0]["n"] == 7
    assert (await run(store, audit_days=400)).get("audit_deleted") is None
    await days_pass(world, 40)
    done = await run(store, audit_days=400)
    assert done["audit_deleted"] >= 5
    assert (await world.sql("SELECT count(*) AS n FROM binding_ivr.audit WHERE user_id = '1001'"))[0]["n"] == 0
    [told] = await world.sql("SELECT detail ->> 'days' AS days FROM binding_ivr.audit WHERE action = 'audit.forgotten'")
    assert told["days"] == "400"


async def test_events_are_shortened_but_for_those_that_still_wait(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    [waiting, dead] = await world.sql("SELECT event_id FROM binding_ivr.outbox ORDER BY sequence")
    for event, state in ((waiting, "pending"), (dead, "dead")):
        await world.sql(
            "INSERT INTO binding_ivr.deliveries (event_id, receiver, account, user_id, sequence, state, give_up_at,"
            " ended_at) VALUES ($1, 'a', 'default', '1001', 1, $2, now(), CASE WHEN $2 = 'dead' THEN now() END)",
            event["event_id"], state,
        )  # fmt: skip
    await days_pass(world, 31)
    assert (await run(store))["events_masked"] == 1
    rows = await world.sql("SELECT payload ->> 'number' AS number FROM binding_ivr.outbox ORDER BY sequence")
    assert [row["number"] for row in rows] == [A, "…01"]


async def test_what_is_left_of_a_removed_user_goes_after_a_year(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", A)
    await store.directory.remove_user("default", "1001", world.actor)
    await days_pass(world, 364)
    await run(store)
    assert len(await world.sql("SELECT FROM binding_ivr.bindings")) == 1
    await days_pass(world, 2)
    assert (await run(store))["bindings_deleted"] == 1


async def test_exceptions_go_a_year_after_their_end(store: Store, world: World) -> None:
    end = (await store.clock.read()).now + timedelta(days=10)
    await store.exceptions.put("", A, "a visitor", end, Actor(ActorKind.CLI, "root", Source.CLI), whole=True)
    await days_pass(world, 370)
    await run(store)
    assert len(await world.sql("SELECT FROM binding_ivr.number_exceptions")) == 1
    await days_pass(world, 6)
    assert (await run(store))["exceptions_deleted"] == 1
    rows = await world.sql(
        "SELECT action, who, reason, detail ->> 'prefix' AS prefix, detail ->> 'reason' AS why FROM binding_ivr.audit"
        " WHERE action LIKE 'exception.%' ORDER BY id"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("exception.added", "cli:root", "", "…01", "a visitor"),  # who allowed what, and why, stays known
        ("exception.removed", "system", "retention", A, "a visitor"),  # what was done just now is still whole
    ]


async def test_thousands_of_rows_go_in_batches_that_wait_for_nobody_and_hold_up_no_request(
    store: Store, world: World
) -> None:
    await world.users("1001")
    await world.sql("ALTER TABLE binding_ivr.attempts DISABLE TRIGGER USER")
    await world.sql(
        "INSERT INTO binding_ivr.attempts (attempt_id, account, user_id, number, number_hash, state, outcome, fault,"
        " key_id, actor_who, actor_source, not_before, shown_until, expires_at, created_at, ended_at)"
        " SELECT gen_random_uuid(), 'default', '1001', '+1555123' || n, sha256(n::text::bytea), 'ended', 'busy',"
        " 'callee', '1', 'x', 'cli', t, t, t, t, t"
        " FROM generate_series(1000, 2249) n, LATERAL (SELECT now() - interval '40 days' AS t) AS past"
    )
    await world.sql("ALTER TABLE binding_ivr.attempts ENABLE TRIGGER USER")
    async with store.db.transaction() as accepting, store.db.transaction() as busy:
        await accepting.run("lock_accept")  # a request is being accepted all the while
        held = await busy.rows(
            "lock_attempt", (await world.sql("SELECT attempt_id FROM binding_ivr.attempts LIMIT 1"))[0]["attempt_id"]
        )
        assert held
        async with asyncio.timeout(30 * SLOW):
            assert (await run(store))["attempts_masked"] == 1249
    assert (await run(store))["attempts_masked"] == 1
    async with store.db.link() as link, link.transaction():
        await link.fetch("SELECT FROM binding_ivr.attempts WHERE user_id = '1001' FOR UPDATE")
        async with asyncio.timeout(10 * SLOW):
            await world.accept("1001", B)


INDEXED = {
    "mask_attempts": (30,),
    "mask_erased": (),
    "forget_attempts": (365,),
    "audit_to_mask": (10_000, 30, 500),
    "export_attempts": ("default", "1500"),
    "export_audit": ("default", "1500"),
}


async def test_the_jobs_read_by_index(world: World) -> None:
    await fill_tables(world)
    await world.sql(
        "INSERT INTO binding_ivr.audit (account, user_id, action, who, source)"
        " SELECT 'default', (1000 + n % 5000)::text, 'x', 'x', 'x' FROM generate_series(1, 20000) n"
    )
    await world.sql("ANALYZE")
    async with world.store.db.link() as link:
        for name, args in INDEXED.items():
            plan = "\n".join(row[0] for row in await link.fetch("EXPLAIN " + queries()[name], *args))
            for table in ("attempts", "audit"):
                assert f"Seq Scan on {table}" not in plan, f"{name}:\n{plan}"


async def test_limits_count_on_after_the_numbers_are_shortened(world: World, store: Store) -> None:
    await world.users("1001", "1002")
    await world.finish(await world.dial("1001", A), Outcome.BUSY)
    await world.sql("UPDATE binding_ivr.attempts SET number = binding_ivr.short_number(number)")
    [row] = await world.sql("SELECT number FROM binding_ivr.attempts")
    assert row["number"] == "…01"
    [last] = await store.attempts.attempts()
    assert last.number == "…01"


# --- the audit


async def test_the_audit_can_be_changed_in_no_other_way(world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    [row] = await world.sql("SELECT id, detail::text AS d FROM binding_ivr.audit WHERE action = 'binding.verified'")
    detail = json.loads(row["d"])
    good = masked(detail, hash_of)
    assert good is not None
    mask = "SELECT binding_ivr.mask_audit(ARRAY[$1::bigint], ARRAY[$2::jsonb])"
    for bad in (
        {},
        {**good, "status": "none"},
        {**good, "number": "…99"},
        {**good, "number": ""},
        {**good, "number_hash": "x"},
        {key: value for key, value in good.items() if key != "number_hash"},
        {**good, "more": "1"},
        {**good, "since_hash": "0" * 64},
        {key: value for key, value in good.items() if key != "status"},
    ):
        with pytest.raises(ConfigError):
            await world.sql(mask, row["id"], json.dumps(bad))
    for statement in (
        "UPDATE binding_ivr.audit SET who = 'nobody'",
        f"UPDATE binding_ivr.audit SET detail = '{json.dumps(good)}' WHERE id = {row['id']}",  # right, but by the door
        "DELETE FROM binding_ivr.audit",
        "TRUNCATE binding_ivr.audit",
        "SELECT binding_ivr.erase_audit('default', '1001', '1002', ARRAY[id], ARRAY[detail])"
        f" FROM binding_ivr.audit WHERE id = {row['id']}",
    ):
        with pytest.raises(ConfigError):
            await world.sql(statement)
    with pytest.raises(StatementRefused):
        await world.sql("SELECT binding_ivr.forget_audit(364, 10)")
    assert (await world.sql("SELECT binding_ivr.forget_audit(365, 10) AS n"))[0]["n"] == 0
    await world.sql(mask, row["id"], json.dumps(good))
    [told] = await world.sql("SELECT detail ->> 'rows' AS rows FROM binding_ivr.audit WHERE action = 'audit.masked'")
    assert told["rows"] == "1"
    with pytest.raises(ConfigError):  # the door is shut again
        await world.sql("UPDATE binding_ivr.audit SET who = 'nobody'")


def test_what_is_shortened() -> None:
    assert short(A) == "…01"
    assert short("…01") == "…01"
    facts: dict[str, Any] = {"number": A, "user_id": "1001", "tries": 1, "note": f"call {A}"}
    assert masked(facts, hash_of) == {**facts, "number": "…01", "number_hash": hash_of(A).hex()}
    assert masked({"number": "…01", "other": None}, hash_of) is None


# --- one person


async def fill(store: Store, world: World, clock: PgClock | None = None) -> None:
    """Everything that can be held about user 1001, and some of another."""
    await store.directory.add_user(User("default", "1001", ("1001", "201"), "de", "anna@example.org"))
    await world.users("1002")
    world.actor = Actor(ActorKind.USER, "1001", Source.WEB, "192.0.2.7")
    await world.prove("1001", A)
    await world.finish(await world.dial("1001", B), Outcome.BUSY)
    await (clock or store.clock).advance(0.1 * DAY, Actor(ActorKind.CLI, "test", Source.CLI))
    digest = hashlib.sha256(b"x").digest()
    now = (await store.clock.read()).now
    await store.web.add_session(digest, "default", "1001", None, now, now)
    await store.web.add_link(digest, "default", "1001", 600)
    await store.web.begin_reply("user:default/1001", digest, digest, uuid4())
    move = Move("7-1", MoveKind.PULL, MoveOutcome.MOVED, MoveProof.PIN, "default", "201", now, now, "call-1", "leg-2")
    assert await store.moves.keep(move, "node1", 100) == "kept"
    world.actor = Actor(ActorKind.USER, "1002", Source.WEB, "192.0.2.8")
    await world.prove("1002", "+15551239902")


async def test_an_export_has_all_that_is_held(store: Store, world: World) -> None:
    await fill(store, world)
    told = await store.personal.export("default", "1001")
    assert told["user"] | {"created_at": ""} == {
        "account": "default", "user_id": "1001", "language": "de", "email": "anna@example.org", "created_at": "",
        "extensions": ["201", "1001"],
    }  # fmt: skip
    assert (told["binding"]["number"], told["binding"]["previous_number"]) == (B, A)
    assert [attempt["number"] for attempt in told["attempts"]] == [A, B]
    assert {row["who"] for row in told["audit"]} >= {"user:1001", "system"}
    assert [event["name"] for event in told["events"]].count("attempt.ended") == 2
    assert [len(told[part]) for part in ("sessions", "signin_links", "replies", "moves")] == [1, 1, 1, 1]
    text = json.dumps(told)
    for secret in ("1002", "digest", "number_hash", "+15551239902", hashlib.sha256(b"x").hexdigest()):
        assert secret not in text
    with pytest.raises(NotFoundError):
        await store.personal.export("default", "nobody")


async def test_every_table_about_users_is_exported_and_erased(store: Store, world: World) -> None:
    """A table that is new tomorrow must not be forgotten here."""
    tables = await world.sql(
        "SELECT DISTINCT table_name AS name FROM information_schema.columns WHERE table_schema = 'binding_ivr'"
        " AND column_name IN ('user_id', 'caller', 'extension')"
    )
    known = {
        "users", "extensions", "bindings", "attempts", "audit", "outbox", "deliveries", "web_sessions", "signin_links",
        "web_replies", "lockouts", "moves",
    }  # fmt: skip
    assert {table["name"] for table in tables} == known


async def test_nobody_can_be_found_after_being_erased_and_everything_counted_still_is(
    store: Store, world: World
) -> None:
    await fill(store, world)
    before = len(await store.attempts.attempts())
    name = pseudonym(KEY, "default", "1001")
    done = await store.personal.erase("default", "1001", name, hash_of, world.actor)
    assert (done.pseudonym, done.attempts, done.events_waiting) == (name, 2, 0)
    text = await whole(world)
    for trace in ('"1001"', "user:1001", A, B, "anna@example.org", "192.0.2.7", '"201"'):
        assert trace not in text, [line for line in text.splitlines() if trace in line]
    assert "192.0.2.8" in text
    assert len(await store.attempts.attempts()) == before
    rows = await world.sql("SELECT number, user_id, number_hash FROM binding_ivr.attempts WHERE user_id = $1", name)
    assert {row["number"] for row in rows} == {"…01", "…02"}
    assert {bytes(row["number_hash"]) for row in rows} == {n.encode().ljust(32, b"#") for n in (A, B)}
    [audit] = await world.sql("SELECT who, user_id FROM binding_ivr.audit WHERE action = 'user.erased'")
    assert audit == {"who": "user:1002", "user_id": name}
    for act in (store.personal.export("default", "1001"), store.bindings.get("default", "1001")):
        with pytest.raises(NotFoundError):
            await act
    with pytest.raises(NotFoundError):
        await store.personal.erase("default", "1001", name, hash_of, world.actor)
    assert await store.bindings.trusted_caller("+15551239902") is not None
    await world.users("1001")
    assert (await store.bindings.get("default", "1001")).last_attempt is None


async def test_the_number_of_a_call_of_the_last_hour_goes_with_the_hour(store: Store, world: World) -> None:
    await world.users("1001")
    await world.finish(await world.dial("1001", A), Outcome.BUSY)
    await store.personal.erase("default", "1001", pseudonym(KEY, "default", "1001"), hash_of, world.actor)
    assert [row.number for row in await store.attempts.attempts()] == [A]
    await days_pass(world, 1.1 / 24)
    assert await run(store) == {"attempts_masked": 1}
    assert [row.number for row in await store.attempts.attempts()] == ["…01"]


async def test_nobody_is_erased_during_a_call(store: Store, world: World) -> None:
    await world.users("1001")
    attempt_id = await world.answer("1001", A)
    with pytest.raises(Refusal) as refused:
        await store.personal.erase("default", "1001", pseudonym(KEY, "default", "1001"), hash_of, world.actor)
    assert refused.value.code == "call_in_progress"
    assert (await store.bindings.get("default", "1001")).status is BindingStatus.PENDING
    await world.finish(attempt_id, Outcome.HUNG_UP)
    await store.personal.erase("default", "1001", pseudonym(KEY, "default", "1001"), hash_of, world.actor)


async def test_what_a_receiver_must_still_hear_names_the_user_without_the_number(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await store.outbox.note_receivers(["portal"])
    done = await store.personal.erase("default", "1001", pseudonym(KEY, "default", "1001"), hash_of, world.actor)
    assert done.events_waiting == 3
    rows = await world.sql("SELECT name, user_id, payload::text AS payload FROM binding_ivr.outbox ORDER BY sequence")
    assert rows[-1]["name"] == "binding.removed"
    assert all(row["user_id"] == "1001" and A not in row["payload"] for row in rows)


def test_a_pseudonym_is_always_the_same_and_no_user_can_have_it() -> None:
    name = pseudonym(KEY, "default", "1001")
    assert name == pseudonym(KEY, "default", "1001")
    assert name != pseudonym(KEY, "defaul", "t1001")
    assert name != pseudonym(KEY[::-1], "default", "1001")
    assert name.startswith("erased/")
    assert len(name) == 39


# --- two database roles


def script_of_the_docs(number: int) -> str:
    """The SQL in docs/lifecycle.md under "Two database roles": 0 for a superuser, 1 for the owner."""
    page = (Path(__file__).parents[2] / "docs/lifecycle.md").read_text()
    section = page.partition("## Two database roles")[2]
    scripts: list[str] = re.findall(r"^```sql\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return scripts[number]


@dataclass
class TwoRoles:
    """A fresh database as the page says, and how each role reaches it."""

    owner: str
    service: str


@pytest.fixture
async def roles(server: Server) -> AsyncIterator[TwoRoles]:
    mark = f"r{next(server.numbers)}"
    for statement in script_of_the_docs(0).replace("binding_ivr", mark).split(";"):
        if statement.strip():
            await server.admin(statement)
    dsn = {role: server.named(mark).replace("//binding_ivr@", f"//{mark}_{role}@") for role in ("owner", "service")}
    db = await Database.connect(dsn["owner"], 1)
    try:
        await migrate(db)
        async with db.link() as link:
            await link.execute(script_of_the_docs(1).replace("binding_ivr_service", f"{mark}_service"))
    finally:
        await db.close()
    yield TwoRoles(dsn["owner"], dsn["service"])
    await server.admin(f"DROP DATABASE {mark} WITH (FORCE)")
    for role in ("owner", "service"):
        await server.admin(f"DROP ROLE {mark}_{role}")


async def test_a_service_that_owns_nothing_may_run_every_query(roles: TwoRoles) -> None:
    """EXPLAIN asks for every right that the statement needs, and runs nothing."""
    of_the_owner = re.findall(r"(?m)^-- name: (\w+)", (data_dir("sql") / "queries/migrations.sql").read_text())
    of_the_owner.append("move_clock")  # only tests move the clock
    refused = []
    link = await asyncpg.connect(roles.service)
    try:
        await link.execute("SET plan_cache_mode = force_generic_plan")
        for name, statement in queries().items():
            if name in of_the_owner:
                continue
            count = len((await link.prepare(statement)).get_parameters())
            nothing = f"({', '.join(['NULL'] * count)})" if count else ""
            await link.execute(f"PREPARE asked AS {statement}")
            try:
                await link.execute(f"EXPLAIN EXECUTE asked{nothing}")
            except asyncpg.InsufficientPrivilegeError as error:
                refused.append((name, str(error)))
            finally:
                await link.execute("DEALLOCATE asked")
    finally:
        await link.close()
    assert refused == []


async def test_a_service_that_owns_nothing_does_everything_but_touch_the_audit(roles: TwoRoles, tmp_path: Path) -> None:
    async with (
        open_store(roles.owner, 2, limits_of=nothing_follows) as owner,
        open_store(roles.service, 5, limits_of=nothing_follows, migrations="check") as store,
    ):
        world = World(store)
        clock = owner.clock
        await fill(store, world, clock)
        await store.suppressions.add(A, hash_of(A), "admin", "cli:root")
        await store.bindings.suspend("default", "1002", SuspendReason.ADMIN, world.actor)
        await store.bindings.resume("default", "1002", world.actor)
        await clock.advance(31 * DAY, world.actor)
        assert (await run(store))["audit_masked"] > 0
        await clock.advance(400 * DAY, world.actor)
        assert (await run(store, audit_days=365))["audit_deleted"] > 0
        turn = Turn(store.jobs, "lifecycle", "node1", 0, 60)
        await store.jobs.claim("lifecycle", "node1", every_s=0, lease_s=60)
        assert (await Lifecycle(Config(), store).run(turn))["stale"] == 1
        await store.personal.export("default", "1001")
        await store.personal.erase("default", "1001", pseudonym(KEY, "default", "1001"), hash_of, world.actor)
        for statement in (
            "UPDATE binding_ivr.audit SET who = 'nobody'",
            "DELETE FROM binding_ivr.audit",
            "TRUNCATE binding_ivr.audit",
            "DROP TABLE binding_ivr.audit",
            "DROP TRIGGER audit_is_append_only ON binding_ivr.audit",
            "ALTER TABLE binding_ivr.audit DISABLE TRIGGER ALL",
            "ALTER TABLE binding_ivr.audit OWNER TO CURRENT_USER",
            "CREATE OR REPLACE FUNCTION binding_ivr.audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN OLD; END $$",
            "SET session_replication_role = replica",
            "DROP SCHEMA binding_ivr CASCADE",
            "UPDATE binding_ivr.clock_offset SET ahead = '1 day'",
            "CREATE TABLE binding_ivr.mine (a int)",
            "SELECT binding_ivr.mask_audit(ARRAY[max(id)], ARRAY['{}'::jsonb]) FROM binding_ivr.audit",
        ):
            with pytest.raises(ConfigError):
                await world.sql(statement)
