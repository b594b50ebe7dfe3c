"""Migrated databases for tests, each used again when its test has left the schema as it was: emptying one is quick."""

import asyncio
import itertools
from dataclasses import dataclass, field

import asyncpg

from tests.patience import SLOW

TEMPLATE = "binding_template"
SCHEMA = "binding_ivr"
LARGEST = 2_000_000
"""Bytes that a schema's tables and indexes may have grown to; emptied rows still cost whoever reads over them."""

_TABLES = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = $1 ORDER BY 1"
_SEQUENCES = "SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences WHERE schemaname = $1"
_ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1"
_OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1"
# Each change of a catalog's row writes another xmin: no change of the schema, its rights or its statistics is missed.
_CATALOGS = {
    "pg_class": "relnamespace = $1::regnamespace",
    "pg_attribute": "true",
    "pg_attrdef": "true",
    "pg_constraint": "true",
    "pg_index": "true",
    "pg_trigger": "true",
    "pg_rewrite": "true",
    "pg_policy": "true",
    "pg_proc": "true",
    "pg_type": "true",
    "pg_statistic": "true",
    "pg_default_acl": "true",
    "pg_extension": "true",
    "pg_event_trigger": "true",
    "pg_namespace": "nspname NOT LIKE 'pg_%'",
    "pg_db_role_setting": "true",
    "pg_database": "datname = current_database()",
}
_SEEN = " UNION ALL ".join(
    f"SELECT '{name}', count(*), sum(xmin::text::bigint) FROM {name} WHERE {those}" for name, those in _CATALOGS.items()
)
_SIZE = "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = $1::regnamespace"


@dataclass
class Migrated:
    """A migrated database, and the connection that empties it."""

    name: str
    dsn: str
    link: asyncpg.Connection
    script: str = ""
    seen: list[asyncpg.Record] = field(default_factory=list)

    async def prepare(self) -> None:
        """Remember what it is like, and write the script that makes it so again."""
        self.script = await _emptying(self.link)
        self.seen = await self.link.fetch(_SEEN, SCHEMA)

    async def emptied(self) -> bool:
        """End what is connected and empty it; False when its schema is no longer what it was."""
        mine = self.link.get_server_pid()
        await self.link.fetch(_ENDED, mine)
        async with asyncio.timeout(10 * SLOW):
            while await self.link.fetchval(_OTHERS, mine):
                await asyncio.sleep(0.002)
        if await self.link.fetch(_SEEN, SCHEMA) != self.seen or await self.link.fetchval(_SIZE, SCHEMA) > LARGEST:
            return False
        await self.link.execute(self.script)
        return True


async def _emptying(link: asyncpg.Connection) -> str:
    """Return the statements that bring the rows of all tables and the sequences back to what they are now."""
    lines = ["SET session_replication_role = replica"]  # the audit refuses to be emptied, and no row is to be audited
    tables = [row[0] for row in await link.fetch(_TABLES, SCHEMA)]
    for number, table in enumerate(tables):
        lines.append(f"DELETE FROM {table}")
        if await link.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):
            await link.execute(f"CREATE TEMP TABLE kept_{number} AS TABLE {table}")
            lines.append(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE kept_{number}")
    for row in await link.fetch(_SEQUENCES, SCHEMA):
        [now] = await link.fetch(f"SELECT last_value, is_called FROM {row[0]}")
        lines.append(f"SELECT setval('{row[0]}', {now['last_value']}, {now['is_called']})")
    lines.append("RESET session_replication_role")
    return ";\n".join(lines)


@dataclass
class Server:
    """A running PostgreSQL with a migrated template database."""

    dsn: str
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    ready: list[Migrated] = field(default_factory=list)

    def named(self, database: str) -> str:
        """Return the DSN of another database on this server."""
        return self.dsn.replace("/postgres?", f"/{database}?")

    async def admin(self, statement: str) -> None:
        """Run a statement that cannot be in a transaction."""
        link = await asyncpg.connect(self.dsn)
        try:
            await link.execute(statement)
        finally:
            await link.close()

    async def migrated(self) -> Migrated:
        """Lend a database as the migrations leave it."""
        if self.ready:
            return self.ready.pop()
        name = f"test_{next(self.numbers)}"
        await self.admin(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        database = Migrated(name, self.named(name), await asyncpg.connect(self.named(name)))
        await database.prepare()
        return database

    async def take_back(self, database: Migrated) -> None:
        """Empty it for the next test, or drop it when that is not all that it takes."""
        try:
            if await database.emptied():
                self.ready.append(database)
                return
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            pass  # such as a schema that is gone, or this connection
        database.link.terminate()
        await self.admin(f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")

    async def close(self) -> None:
        """Close the connections of databases that wait for a test."""
        for database in self.ready:
            database.link.terminate()
        self.ready.clear()
