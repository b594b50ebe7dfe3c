"""PostgreSQL for the tests: one server of each kind per session, an empty migrated database per test."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from binding_ivr.embedded.server import open_embedded
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import FAULTS, AttemptState, Fault, Outcome, Verdict
from binding_ivr.model.rows import AttemptRow, BindingRow, User
from binding_ivr.policy.limits import Limits
from binding_ivr.ports import NewAttempt
from binding_ivr.store import Database, Store, migrate, open_store
from tests.generous import nothing_follows
from tests.integration.databases import TEMPLATE, Server
from tests.patience import SLOW

EMBEDDED = "embedded"
EVERYWHERE = {
    "test_store_schema",
    "test_store_queries",
    "test_store_embedded",
    "test_store_attempts",
    "test_store_lookups",
    "test_store_clock",
}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


def servers() -> dict[str, Path | None]:
    """Return the kinds of servers that can be started here: the embedded one and those of the distribution."""
    found: dict[str, Path | None] = {EMBEDDED: None}
    for program in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        found[f"host{program.parent.parent.name}"] = program.parent
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of the schema and of the main path on every kind of server, all others on the embedded one.

    The tests of the schema prepare every query there is.
    """
    if "server" in metafunc.fixturenames:
        kinds = list(servers()) if metafunc.module.__name__.rpartition(".")[2] in EVERYWHERE else [EMBEDDED]
        metafunc.parametrize("server", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
async def park() -> AsyncIterator["Park"]:
    """The servers of the session. A worker may come back to a kind, file by file, so none is stopped before the end."""
    async with AsyncExitStack() as stack:
        yield Park(stack)


@dataclass
class Park:
    """One server of each kind that was asked for."""

    stack: AsyncExitStack
    running: dict[str, Server] = field(default_factory=dict)

    async def server(self, kind: str) -> Server:
        """Return the server of this kind; start it when it is the first time."""
        if kind not in self.running:
            self.running[kind] = await self.stack.enter_async_context(started(kind))
        return self.running[kind]


@asynccontextmanager
async def started(kind: str) -> AsyncIterator[Server]:
    """Run a server of this kind with a migrated template database."""
    # Not in pytest's own folder: servers before 16 must be able to pass through all parent folders.
    state = Path(tempfile.mkdtemp(prefix="binding-ivr-test-"))
    (state / "postgres").mkdir()
    for folder in (state, state / "postgres"):
        folder.chmod(0o711)
    embedded = await open_embedded(state, servers()[kind], FAST)
    try:
        it = Server(embedded.dsn)
        await it.admin(f"CREATE DATABASE {TEMPLATE}")
        db = await Database.connect(it.named(TEMPLATE), 1)
        try:
            await migrate(db)
        finally:
            await db.close()
        try:
            yield it
        finally:
            await it.close()
    finally:
        await embedded.close()
        shutil.rmtree(state)


@pytest.fixture(scope="session")
async def server(request: pytest.FixtureRequest, park: Park) -> Server:
    """A PostgreSQL server for the session."""
    kind: str = request.param
    return await park.server(kind)


@pytest.fixture
async def empty_dsn(server: Server) -> AsyncIterator[str]:
    """A fresh database without any table."""
    name = f"empty_{next(server.numbers)}"
    await server.admin(f"CREATE DATABASE {name}")
    yield server.named(name)
    await server.admin(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def dsn(server: Server) -> AsyncIterator[str]:
    """A migrated database without anybody's rows."""
    database = await server.migrated()
    yield database.dsn
    await server.take_back(database)


@pytest.fixture
async def store(dsn: str, tmp_path: Path) -> AsyncIterator[Store]:
    """An open store on a fresh database."""
    opened = open_store(
        dsn, 10, limits_of=nothing_follows, migrations="skip", connect_timeout=5 * SLOW, command_timeout=10 * SLOW
    )
    async with opened as it:
        yield it


@dataclass
class World:
    """Short words for what most tests of the store do."""

    store: Store
    actor: Actor = field(default_factory=lambda: Actor(ActorKind.USER, "test", Source.WEB, "127.0.0.1"))

    async def users(self, *names: str, account: str = "default") -> None:
        """Add users whose extension is their name."""
        for name in names:
            await self.store.directory.add_user(User(account, name, (name,), "en", ""))

    def new(self, user: str, number: str, **changes: Any) -> NewAttempt:
        """Return an order for an attempt without limits."""
        values: dict[str, Any] = {
            "attempt_id": uuid4(),
            "account": "default",
            "user_id": user,
            "number": number,
            "key_id": "1",
            "replace": "at_once",
            "delay_s": 0.0,
            "shown_s": 300.0,
            "attempt_s": 600.0,
            "queue_length": 1000,
            "limits": Limits(),
            "actor": self.actor,
        }
        if isinstance(changes.get("limits"), dict):
            changes["limits"] = Limits(changes["limits"])
        return NewAttempt(**{**values, **changes})

    async def accept(self, user: str, number: str, **changes: Any) -> AttemptRow:
        """Accept an attempt; the hash of a number is a plain function of it here."""
        return begun(await self.store.attempts.accept(self.new(user, number, **changes), hash_of(number)))

    async def dial(self, user: str, number: str, **changes: Any) -> UUID:
        """Accept an attempt and claim it."""
        row = await self.accept(user, number, **changes)
        claimed = await self.store.attempts.claim("node1", 1000, 30)
        assert row.attempt_id in {one.attempt_id for one in claimed}
        return row.attempt_id

    async def answer(self, user: str, number: str, **changes: Any) -> UUID:
        """Accept an attempt, claim it and let it be answered."""
        attempt_id = await self.dial(user, number, **changes)
        await self.store.attempts.progress(attempt_id, AttemptState.ANSWERED, 0)
        return attempt_id

    async def prove(self, user: str, number: str, **changes: Any) -> UUID:
        """Let the user prove the number."""
        attempt_id = await self.answer(user, number, **changes)
        assert await self.finish(attempt_id, Outcome.VERIFIED)
        return attempt_id

    async def finish(self, attempt_id: UUID, outcome: Outcome, fault: Fault | None = None) -> bool:
        """End an attempt."""
        return await self.store.attempts.finish(attempt_id, Verdict(outcome, fault or FAULTS[outcome], tries=1))

    async def sql(self, statement: str, *args: Any) -> list[dict[str, Any]]:
        """Look into the tables."""
        async with self.store.db.link() as link:
            return [dict(row) for row in await link.fetch(statement, *args)]

    async def events(self, user: str) -> list[str]:
        """Return the names of the user's outbox events in order."""
        rows = await self.sql("SELECT name FROM binding_ivr.outbox WHERE user_id = $1 ORDER BY created_at, name", user)
        return [row["name"] for row in rows]


def begun(binding: BindingRow) -> AttemptRow:
    """Return the attempt that was accepted."""
    assert binding.last_attempt is not None
    return binding.last_attempt


def hash_of(number: str) -> bytes:
    """Return what stands for the keyed hash of *number* in tests."""
    return number.encode().ljust(32, b"#")


@pytest.fixture
def world(store: Store) -> World:
    """Short words on an open store."""
    return World(store)
