"""A database that a test used is as the migrations left it when the next one gets it, or the next one gets another."""

import asyncpg
import pytest

from tests.integration.databases import Migrated, Server

SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'binding_ivr' ORDER BY 1"


async def content(link: asyncpg.Connection) -> list[object]:
    """Everything that is in the tables, and where the sequences are."""
    tables = [row[0] for row in await link.fetch(TABLES)]
    rows = [await link.fetch(f"SELECT t::text FROM binding_ivr.{table} t ORDER BY 1") for table in tables]
    return [*zip(tables, rows, strict=True), await link.fetch(SEQUENCES)]


async def used(server: Server, *statements: str) -> tuple[Migrated, list[object]]:
    """Let a test use a database so; return it, and what was in it before."""
    database = await server.migrated()
    link = await asyncpg.connect(database.dsn)
    before = await content(link)
    for statement in statements:
        await link.execute(statement)
    if statements:
        assert await content(link) != before
    await server.take_back(database)  # with a connection of the test still open
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
        await link.fetchval("SELECT 1")
    return database, before


async def test_rows_and_sequences_are_as_before(server: Server) -> None:
    database, before = await used(
        server,
        "INSERT INTO binding_ivr.accounts (account) VALUES ('other')",
        "UPDATE binding_ivr.clock_offset SET ahead = '1 hour'",
        "INSERT INTO binding_ivr.bindings (account, user_id, status) VALUES ('other', 'x', 'none')",
        "SELECT nextval('binding_ivr.change_seq')",
    )
    assert database in server.ready
    again, now = await used(server)
    assert again is database
    assert now == before


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE binding_ivr.mine (a int)",
        "DROP INDEX binding_ivr.attempts_live_number",
        "ALTER TABLE binding_ivr.attempts DISABLE TRIGGER USER",
        "ALTER TABLE binding_ivr.outbox DROP CONSTRAINT outbox_name_check",
        "CREATE OR REPLACE FUNCTION binding_ivr.clock() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
        "GRANT SELECT ON binding_ivr.audit TO PUBLIC",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = off', current_database()); END $$",
        "ANALYZE binding_ivr.accounts",
        "DROP SCHEMA binding_ivr CASCADE",
    ],
)
async def test_another_schema_is_not_given_again(server: Server, statement: str) -> None:
    database = await server.migrated()
    link = await asyncpg.connect(database.dsn)
    await link.execute(statement)
    await server.take_back(database)
    assert database not in server.ready
    assert not await exists(server, database.name)


async def exists(server: Server, name: str) -> bool:
    link = await asyncpg.connect(server.dsn)
    try:
        return bool(await link.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name))
    finally:
        await link.close()
