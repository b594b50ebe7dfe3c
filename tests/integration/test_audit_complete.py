"""Every table and column of the schema: a change by hand is in the audit, or it is written here why not.

A new table or column fails until somebody decides.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest

from binding_ivr.doctor.examination import examine
from binding_ivr.model.audit import AuditKind
from tests.integration.api_service import config_for
from tests.integration.conftest import hash_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import World

AUDITED = "audited"
TOLD = "who was told, or is still to be told, of what is in the audit already"
UPKEEP = "how the nodes do their work; nothing in it gives trust or power"

DECISIONS: dict[str, dict[str, str]] = {
    "accounts": {"account": AUDITED, "settings": AUDITED, "created_at": "nothing is decided by it"},
    "users": {
        "account": AUDITED, "user_id": AUDITED, "language": AUDITED, "email": AUDITED,
        "created_at": "nothing is decided by it",
    },
    "extensions": dict.fromkeys(("account", "extension", "user_id"), AUDITED),
    "own_numbers": dict.fromkeys(("account", "kind", "value"), AUDITED),
    "number_exceptions": dict.fromkeys(
        ("account", "prefix", "whole", "reason", "who", "created_at", "expires_at"), AUDITED
    ),
    "suppressions": dict.fromkeys(("number_hash", "reason", "who", "created_at", "note"), AUDITED),
    "api_keys": {
        "key_id": AUDITED, "name": AUDITED, "scopes": AUDITED, "digest": AUDITED, "expires_at": AUDITED,
        "created_at": "nothing is decided by it", "used_at": "changes with each minute of use",
    },
    "signin_links": dict.fromkeys(("digest", "account", "user_id", "expires_at"), AUDITED),
    "web_sessions": dict.fromkeys(
        ("digest", "account", "user_id", "key_id", "signed_in_at", "expires_at"), AUDITED
    ),
    "spent_tokens": dict.fromkeys(("digest", "expires_at"), AUDITED),
    "bindings": {
        **dict.fromkeys(
            (
                "account", "user_id", "status", "reason", "number", "pending_number", "since", "verified_at",
                "change_seq", "stale_at", "suspend_at", "previous_number", "changed_at", "changed_by",
            ),
            AUDITED,
        ),
        "updated_at": "written with every change by a trigger, whatever else is said",
    },
    "attempts": {
        **dict.fromkeys(
            (
                "attempt_id", "account", "user_id", "number", "number_hash", "state", "digits", "outcome", "fault",
                "tries", "cause", "tech_cause", "detail", "key_id", "counted", "cancel_requested", "actor_who",
                "actor_source", "actor_address", "node", "lease_until", "not_before", "shown_until", "expires_at",
                "created_at", "dialing_at", "ringing_at", "answered_at", "ended_at", "counted_number", "counted_line",
                "counted_again", "client", "reserved_s", "billed_s", "uncalled",
            ),
            AUDITED,
        ),
    },
    "moves": dict.fromkeys(
        (
            "move_id", "account", "user_id", "extension", "kind", "outcome", "proof", "call_id", "leg_id", "node",
            "started_at", "ended_at", "stored_at",
        ),
        AUDITED,
    ),
    "move_lists": dict.fromkeys(
        ("node", "read_at", "waiting", "listed", "lost_full", "lost_bad", "lost_flood"), UPKEEP
    ),
    "lockouts": dict.fromkeys(
        ("account", "user_id", "failed", "locks", "locked_until", "failures", "stopped_at"), AUDITED
    ),
    "number_locks": dict.fromkeys(("number_hash", "locked_at"), AUDITED),
    "breakers": dict.fromkeys(
        ("account", "counts_from", "paused_until", "pauses", "failed_probes", "probe", "answered", "proven"), AUDITED
    ),
    "call_seconds": dict.fromkeys(("bucket", "seconds"), AUDITED),
    "key_checks": dict.fromkeys(("name", "digest"), AUDITED),
    "caller_plan": dict.fromkeys(("only_row", "country", "national", "international"), AUDITED),
    "notice_channel": dict.fromkeys(("one_row", "name"), AUDITED),
    "clock_offset": {"only_row": "there is one row; to insert or delete it is audited", "ahead": AUDITED},
    "deliveries": {
        **dict.fromkeys(
            (
                "delivery_id", "event_id", "receiver", "account", "user_id", "sequence", "holds", "tries",
                "created_at", "next_try", "give_up_at", "node", "lease_until", "detail", "ended_at",
            ),
            TOLD,
        ),
        "state": AUDITED,
    },
    "outbox": dict.fromkeys(
        (
            "event_id", "name", "account", "user_id", "payload", "created_at", "next_try", "tries", "delivered_at",
            "sequence", "routed_at",
        ),
        TOLD,
    ),
    "receivers": dict.fromkeys(("receiver", "since", "seen_at"), TOLD),
    "limit_alerts": dict.fromkeys(("account", "name", "told_at"), TOLD),
    "audit_untold": {"id": TOLD},
    "audit": dict.fromkeys(
        (
            "id", "at", "account", "user_id", "action", "who", "source", "address", "attempt_id", "detail", "reason",
        ),
        "the audit itself: a change is refused (test_store_schema.py)",
    ),
    "web_replies": dict.fromkeys(
        ("caller", "digest", "request", "attempt_id", "status", "body", "begun_at", "created_at"),
        "what was answered, said again; no code, and only to whoever asked",
    ),
    "nodes": dict.fromkeys(("node", "started_at", "seen_at", "version", "capacity"), UPKEEP),
    "jobs": dict.fromkeys(("job", "node", "lease_until", "began_at", "ended_at", "position", "detail"), UPKEEP),
    "mirrors": dict.fromkeys(
        ("node", "seen_at", "detail", "behind", "compare_from", "keys", "put", "deleted"), UPKEEP
    ),
    "mirror_keys": dict.fromkeys(("kind", "account", "name", "change_seq", "changed_at"), UPKEEP),
    "migrations": dict.fromkeys(
        ("name", "sha256", "applied_at"), "what the release brings; only the schema's owner writes it"
    ),
}  # fmt: skip

SEEDS = {
    "accounts": "INSERT INTO accounts VALUES ('acme', '{\"call\": {\"ring_s\": 20}}')",
    "users": "INSERT INTO users VALUES ('default', '1001', 'en', 'anna@example.org')",
    "extensions": "INSERT INTO extensions VALUES ('default', '1001', '1001')",
    "own_numbers": "INSERT INTO own_numbers VALUES ('default', 'did', '+12025550100')",
    "number_exceptions": "INSERT INTO number_exceptions (prefix, whole, reason, who, expires_at)"
    " VALUES ('+4479', false, 'asked', 'cli:root', now() + interval '1 day')",
    "suppressions": "INSERT INTO suppressions (number_hash, reason, who) VALUES (sha256('1'), 'admin', 'cli:root')",
    "api_keys": "INSERT INTO api_keys (key_id, name, scopes, digest)"
    " VALUES ('0123456789ab', 'k', '{admin}', sha256('1'))",
    "signin_links": "INSERT INTO signin_links VALUES (sha256('1'), 'default', '1001', now() + interval '1 day')",
    "web_sessions": "INSERT INTO web_sessions VALUES"
    " (sha256('1'), 'default', '1001', NULL, now(), now() + interval '1 day')",
    "spent_tokens": "INSERT INTO spent_tokens VALUES (sha256('1'), now())",
    "bindings": "INSERT INTO bindings (account, user_id, status, number, since, verified_at)"
    " VALUES ('default', '1001', 'verified', '+12025550123', now(), now())",
    "attempts": "INSERT INTO attempts (attempt_id, account, user_id, number, number_hash, key_id, actor_who,"
    " actor_source, not_before, shown_until, expires_at, created_at) VALUES (gen_random_uuid(), 'default', '1001',"
    " '+12025550123', sha256('1'), '1', 'user:1001', 'web', now(), now(), now(), now())",
    "moves": "INSERT INTO moves VALUES ('1-1', 'default', '1001', '1001', 'pull', 'moved', 'pin', '', '', 'n1', now(),"
    " now())",
    "lockouts": "INSERT INTO lockouts VALUES ('default', '1001', 1, 0, NULL)",
    "number_locks": "INSERT INTO number_locks VALUES (sha256('1'))",
    "breakers": "INSERT INTO breakers (account) VALUES ('default')",
    "call_seconds": "INSERT INTO call_seconds VALUES (now(), 1)",
    "key_checks": "INSERT INTO key_checks VALUES ('number', sha256('1'))",
    "caller_plan": "INSERT INTO caller_plan VALUES (true)",
    "notice_channel": "INSERT INTO notice_channel VALUES (true, 'binding_ivr_0')",
    "clock_offset": "",
    "deliveries": "INSERT INTO deliveries (event_id, receiver, account, user_id, sequence, give_up_at)"
    " VALUES (gen_random_uuid(), 'crm', 'default', '1001', 1, now())",
}
"""One row of each table that has an audited column."""

SILENT_ROWS = {"deliveries"}
"""Tables of which rows may come and go: only a change of theirs matters."""

OTHER = {
    "accounts.settings": """'{"call": {"ring_s": 30}}'""",
    "bindings.status": "'suspended'",
    "attempts.state": "'ended'",
    "deliveries.state": "'dropped'",
    "suppressions.number_hash": "sha256('2')",
}
"""Values that a column of such a type could not get from BY_TYPE, or that must mean something."""

BY_TYPE = {
    "text": "coalesce({0}, '') || 'x'",
    "boolean": "NOT {0}",
    "integer": "coalesce({0}, 0) + 1",
    "bigint": "coalesce({0}, 0) + 1",
    "timestamp with time zone": "coalesce(nullif({0}, '-infinity'), now()) + interval '1 hour'",
    "interval": "{0} + interval '1 hour'",
    "bytea": "sha256('other')",
    "uuid": "gen_random_uuid()",
    "ARRAY": "ARRAY['other']",
    "jsonb": """'{{"other": true}}'""",
}

_COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'binding_ivr' AND t.table_type = 'BASE TABLE' ORDER BY 1, c.ordinal_position
"""
_FORMS = """
SELECT format('ALTER TABLE binding_ivr.%I DROP CONSTRAINT %I CASCADE', r.relname, c.conname)
FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
WHERE c.connamespace = 'binding_ivr'::regnamespace AND c.contype IN ('c', 'f')
"""
NEW = "SELECT action, account, user_id, who, source, detail::text AS detail FROM audit WHERE id > $1 ORDER BY id"


@asynccontextmanager
async def somebody_at_the_database(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A person in psql."""
    link = await asyncpg.connect(dsn, server_settings={"search_path": "binding_ivr, pg_catalog"})
    try:
        yield link
    finally:
        await link.close()


async def test_every_column_is_decided(world: World) -> None:
    found: dict[str, set[str]] = {}
    for row in await world.sql(_COLUMNS):
        found.setdefault(row["table_name"], set()).add(row["column_name"])
    assert {table: set(columns) for table, columns in DECISIONS.items()} == found
    assert all(len(why) > 20 for columns in DECISIONS.values() for why in columns.values() if why != AUDITED)
    assert set(SEEDS) == {table for table, columns in DECISIONS.items() if AUDITED in columns.values()}


async def test_whatever_somebody_changes_at_the_database_is_in_the_audit(dsn: str) -> None:
    """Without the schema's checks and references, so that each column can be changed alone."""
    wrong: list[str] = []
    async with somebody_at_the_database(dsn) as link:
        types = {f"{row[0]}.{row[1]}": row[2] for row in await link.fetch(_COLUMNS)}
        for (statement,) in await link.fetch(_FORMS):
            await link.execute(statement)
        for table, seed in SEEDS.items():
            empty = f"DELETE FROM {table}"
            if table != "clock_offset":  # without its row there is no time, and nothing can be written at all
                for before, act in (
                    (empty, seed),
                    (f"{empty}; {seed}", empty),
                    (f"{empty}; {seed}; SET CONSTRAINTS ALL IMMEDIATE", f"TRUNCATE {table}"),
                ):
                    rows = await done_and_undone(link, before, act)
                    if bool(rows) == (table in SILENT_ROWS):
                        wrong.append(f"{act}: {rows}")
            for column, decision in DECISIONS[table].items():
                name = f"{table}.{column}"
                value = OTHER.get(name) or BY_TYPE[types[name]].format(column)
                before = f"{empty}; {seed}" if seed else "SELECT 1"
                rows = await done_and_undone(link, before, f"UPDATE {table} SET {column} = {value}")
                if bool(rows) != (decision == AUDITED):
                    wrong.append(f"{name}: {rows}")
    assert wrong == []


async def done_and_undone(link: asyncpg.Connection, before: str, act: str) -> list[asyncpg.Record]:
    """Return the rows that *act* adds to the audit, which are checked, and undo it."""
    transaction = link.transaction()
    await transaction.start()
    try:
        await link.execute(before)
        last = await link.fetchval("SELECT coalesce(max(id), 0) FROM audit")
        await link.execute(act)
        rows = await link.fetch(NEW, last)
    finally:
        await transaction.rollback()
    for row in rows:
        AuditKind(row["action"])
        assert (row["who"], row["source"]) == ("sql:binding_ivr", "sql"), row
        for secret in ("\\\\x", "binding_ivr_0"):  # digests, and the name of the channel of notices
            assert secret not in row["detail"].replace("number_hash", ""), row
    return rows


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("""UPDATE accounts SET settings = '{"limits": {"user_hour": 9}}' WHERE account = 'default'""",
         {"limits.user_hour": [None, 9]}),
        ("UPDATE users SET email = 'eve@evil.example'", {"email": ["a…@example.org", "e…@evil.example"]}),
        ("UPDATE users SET language = 'de'", {"language": ["en", "de"]}),
        ("INSERT INTO extensions VALUES ('default', '30', '1001')", {"extension": "30"}),
        ("INSERT INTO own_numbers VALUES ('default', 'did', '+12025550100')", {"kind": "did", "value": "…00"}),
        ("UPDATE api_keys SET scopes = '{admin}'", {"scopes": [["lookup"], ["admin"]]}),
        ("UPDATE api_keys SET digest = sha256('mine')", {"digest": ["…", "…"]}),
        ("DELETE FROM api_keys", {"key_id": "0123456789ab", "name": "k", "scopes": ["lookup"], "digest": "…"}),
        ("UPDATE bindings SET verified_at = NULL, suspend_at = NULL WHERE verified_at IS NOT NULL", None),
        ("UPDATE lockouts SET failures = 0", {"table": "lockouts", "how": "update", "failures": [7, 0]}),
    ],
)  # fmt: skip
async def test_what_the_row_says(world: World, dsn: str, statement: str, told: dict[str, object] | None) -> None:
    async with somebody_at_the_database(dsn) as link:
        await link.execute(SEEDS["users"] + ";" + SEEDS["bindings"])
        await link.execute(
            "INSERT INTO api_keys (key_id, name, scopes, digest) VALUES ('0123456789ab', 'k', '{lookup}', sha256('1'));"
            "INSERT INTO lockouts (account, user_id, failed, locks, failures) VALUES ('default', '1001', 1, 0, 7)"
        )
        await link.execute(statement)
        [row] = await link.fetch("SELECT who, detail::text AS detail FROM audit ORDER BY id DESC LIMIT 1")
    assert row["who"] == "sql:binding_ivr"
    detail = json.loads(row["detail"])
    if told is None:
        assert list(detail) == ["verified_at"]
        assert detail["verified_at"][1] is None
    else:
        assert detail == told


async def test_long_settings_are_told_by_their_keys_and_numbers_in_them_shortened(world: World, dsn: str) -> None:
    routes = [{"name": f"r{n}", "endpoint": "PJSIP/{e164}@t", "caller_id": "+12025550123"} for n in range(2)]
    for value in ({"routes": routes}, {"routes": routes * 50}):
        await world.store.directory.set_settings("default", value, world.actor)
    short, long = await world.sql("SELECT detail::text AS detail FROM binding_ivr.audit ORDER BY id")
    assert json.loads(short["detail"])["routes"][1][0]["caller_id"] == "…23"
    assert json.loads(long["detail"]) == {"keys": ["routes"]}


async def test_who_may_write_a_table_needs_no_right_on_the_audit(world: World, dsn: str) -> None:
    async with somebody_at_the_database(dsn) as link:
        await link.execute(
            "CREATE ROLE provisioning_tool LOGIN; GRANT USAGE ON SCHEMA binding_ivr TO provisioning_tool;"
            "GRANT INSERT ON binding_ivr.users, binding_ivr.number_exceptions TO provisioning_tool"
        )
        try:
            await link.execute(
                "SET ROLE provisioning_tool;" + SEEDS["users"] + ";" + SEEDS["number_exceptions"] + "; RESET ROLE"
            )
        finally:
            await link.execute("RESET ROLE; DROP OWNED BY provisioning_tool; DROP ROLE provisioning_tool")
    rows = await world.sql("SELECT action, user_id FROM binding_ivr.audit ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [("user.added", "1001"), ("exception.added", "")]


async def test_what_was_changed_by_hand_is_forgotten_with_the_user(world: World, dsn: str) -> None:
    async with somebody_at_the_database(dsn) as link:
        await link.execute(";".join(SEEDS[table] for table in ("users", "extensions", "bindings", "attempts")))
        await link.execute(
            "UPDATE attempts SET actor_address = '192.0.2.77', client = '192.0.2.77', state = 'ended',"
            " outcome = 'busy', fault = 'callee', ended_at = now();"
            "UPDATE bindings SET previous_number = '+12025550188', changed_at = now(), changed_by = 'user:1001'"
        )
    await world.store.personal.erase("default", "1001", "erased/" + "0" * 32, hash_of, world.actor)
    rows = await world.sql("SELECT to_jsonb(a)::text AS row FROM binding_ivr.audit a")
    assert len(rows) > 8
    text = "\n".join(row["row"] for row in rows)
    for trace in ("1001", "anna", "example.org", "192.0.2.77", "5550123", "5550188"):
        assert trace not in text, trace


async def test_doctor_tells_of_triggers_that_are_switched_off(dsn: str, tmp_path: Path) -> None:
    config = config_for(dsn, tmp_path)
    assert not [check for check in await examine(config) if check.check == "audit"]
    async with somebody_at_the_database(dsn) as link:
        await link.execute("ALTER TABLE api_keys DISABLE TRIGGER tell_key; ALTER TABLE users DISABLE TRIGGER USER")
    [check] = [check for check in await examine(config) if check.check == "audit"]
    assert (check.status, "api_keys, users" in check.detail) == ("fail", True)
