"""The pool of PostgreSQL connections: runs named queries with a time limit. It knows no table."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec

from binding_ivr.errors import ConfigError, Refusal, StatementRefused, UnavailableError
from binding_ivr.model.actors import Actor
from binding_ivr.store.faults import BAD_DSN, connecting, describe, translated
from binding_ivr.store.queries import queries

MIN_VERSION = 130000
CHECK_VIOLATION = "23514"
APPLICATION = "binding_ivr"

Row: TypeAlias = asyncpg.Record
Link: TypeAlias = "asyncpg.pool.PoolConnectionProxy[Row]"  # generic in the stubs only


class Transaction:
    """One transaction: all of it is written, or nothing."""

    def __init__(self, link: Link) -> None:
        """Run queries on *link*, inside the transaction that Database.transaction began."""
        self._link = link

    async def rows(self, name: str, *args: Any) -> list[Row]:
        """Return all rows of the query *name*."""
        return list(await self._link.fetch(queries()[name], *args))

    async def row(self, name: str, *args: Any) -> Row | None:
        """Return the first row of the query *name*, None when there is none."""
        return await self._link.fetchrow(queries()[name], *args)

    async def run(self, name: str, *args: Any) -> None:
        """Run the query *name* for its effect."""
        await self._link.execute(queries()[name], *args)


class Database:
    """A pool of connections; a lost one is replaced at its next use.

    Every method raises UnavailableError when PostgreSQL does not answer within the time limit, ConfigError when the
    operator must act (password, privilege, missing migration), Refusal `invalid` for a value that it does not take (a
    NUL character, for example) and StatementRefused for anything else in a statement.
    """

    def __init__(self, pool: "asyncpg.Pool[Row]", dsn: str, timeout_s: float) -> None:
        """Use `Database.connect` instead."""
        self._pool = pool
        self._timeout_s = timeout_s
        self.dsn = dsn
        self.server = describe(dsn)

    @classmethod
    async def connect(
        cls, dsn: str, pool_max: int = 10, *, connect_timeout: float = 5.0, command_timeout: float = 10.0
    ) -> "Database":
        """Open a pool of at most *pool_max* connections and look at the server's version.

        *connect_timeout* limits opening a connection and waiting for a free one, *command_timeout* each statement,
        both in seconds. Raises ConfigError (DSN, password, database, version below 13) or UnavailableError.
        """
        check_dsn(dsn)
        with connecting(describe(dsn)):
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=max(1, pool_max),
                timeout=connect_timeout,
                command_timeout=command_timeout,
                server_settings={"application_name": APPLICATION},
                reset=_as_it_is,
            )
        database = cls(pool, dsn, connect_timeout)
        try:
            found = await database.row("server_version")
            if found is None or found["version_num"] < MIN_VERSION:
                version = found["version"] if found else "unknown"
                raise ConfigError(f"{database.server} is version {version}; binding_ivr needs PostgreSQL 13 or newer")
        except BaseException:
            pool.terminate()
            raise
        return database

    async def close(self) -> None:
        """Close all connections; those still in use after the time limit are cut."""
        try:
            with translated(self.server):
                async with asyncio.timeout(self._timeout_s):
                    await self._pool.close()
        except Exception:  # whatever the server says, nothing of ours may stay open
            self._pool.terminate()

    @asynccontextmanager
    async def link(self) -> AsyncIterator[Link]:
        """Lend one connection, for what named queries cannot do (scripts, session locks)."""
        with translated(self.server):
            link = await self._free_connection()
            try:
                yield link
            finally:
                await self._pool.release(link)

    async def _free_connection(self) -> Link:
        try:
            return await self._pool.acquire(timeout=self._timeout_s)
        except TimeoutError:
            size = self._pool.get_size()
            if size < self._pool.get_max_size() or self._pool.get_idle_size():
                raise
            raise UnavailableError(
                f"{self.server} is busy: all {size} connections of this node were in use for {self._timeout_s:g} s;"
                " try again, and if it stays so, raise [database] pool_max"
            ) from None

    @asynccontextmanager
    async def transaction(
        self, actor: Actor | None = None, attempt_id: UUID | None = None
    ) -> AsyncIterator[Transaction]:
        """Begin a transaction (READ COMMITTED); *actor* and *attempt_id* are what its audit rows say."""
        with _bad_values_told():
            async with self.link() as link, link.transaction():
                transaction = Transaction(link)
                if actor is not None:
                    await transaction.run("set_actor", actor_text(actor, attempt_id))
                yield transaction

    async def rows(self, name: str, *args: Any) -> list[Row]:
        """Return all rows of the query *name*."""
        with _bad_values_told():
            async with self.link() as link:
                return list(await link.fetch(queries()[name], *args))

    async def row(self, name: str, *args: Any) -> Row | None:
        """Return the first row of the query *name*, None when there is none."""
        with _bad_values_told():
            async with self.link() as link:
                return await link.fetchrow(queries()[name], *args)

    async def run(self, name: str, *args: Any) -> None:
        """Run the query *name* for its effect."""
        with _bad_values_told():
            async with self.link() as link:
                await link.execute(queries()[name], *args)


class OnDatabase:
    """A part of the store: named queries on one database."""

    def __init__(self, db: Database) -> None:
        """Work in *db*."""
        self._db = db


@contextmanager
def _bad_values_told() -> Iterator[None]:
    """Turn a value that PostgreSQL does not take into a Refusal, for whoever named the value to read."""
    try:
        yield
    except StatementRefused as refused:
        if not refused.is_bad_value:
            raise
        what = (
            "a form that is not allowed" if refused.sqlstate == CHECK_VIOLATION else "characters that cannot be stored"
        )
        raise Refusal("invalid", f"a value has {what}") from None


def actor_text(actor: Actor, attempt_id: UUID | None = None) -> str:
    """Return *actor* as the JSON text that the audit trigger reads."""
    facts = {
        "who": actor.who,
        "source": actor.source,
        "address": actor.address,
        "attempt_id": attempt_id,
        "reason": actor.reason,
    }
    if actor.by:
        facts["by"] = actor.by
    return msgspec.json.encode(facts).decode()


def check_dsn(dsn: str) -> None:
    """Raise ConfigError when *dsn* is not of the form postgresql://…; the text does not quote it."""
    try:
        parts = urlsplit(dsn)
        several = "," in parts.netloc  # several hosts, as libpq takes them
        fine = parts.scheme in ("postgresql", "postgres") and (several or parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine:
        raise ConfigError(BAD_DSN)


async def _as_it_is(_: "asyncpg.Connection[Row]") -> None:
    """Give a connection back without a round trip: nothing of ours outlives its transaction."""
