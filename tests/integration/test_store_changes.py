"""Changes, and the store's behaviour when PostgreSQL is silent, refuses, or goes and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from structlog.testing import capture_logs

from binding_ivr.embedded.server import open_embedded
from binding_ivr.errors import ConfigError, UnavailableError
from binding_ivr.model.changes import Change, ChangeKind
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.store import Database, PgChanges, Store, open_store
from tests.generous import nothing_follows
from tests.patience import SLOW

if TYPE_CHECKING:
    from tests.integration.conftest import World
    from tests.integration.databases import Server

A = "+15551230001"


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds * SLOW):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def heard(store: Store) -> AsyncIterator[list[Change]]:
    """What is told, from the first resync on."""
    got: list[Change] = []
    unsubscribe = store.changes.subscribe(got.append)
    await store.changes.start()
    await store.changes.start()
    await until(lambda: bool(got))
    assert got.pop() == Change(ChangeKind.RESYNC)
    yield got
    unsubscribe()
    unsubscribe()


async def test_every_change_is_told(heard: list[Change], store: Store, world: World) -> None:
    await world.users("1001")
    attempt_id = await world.answer("1001", A)
    await store.attempts.renew("node1", [attempt_id], 30)
    await store.attempts.progress(attempt_id, AttemptState.ANSWERED, 4)
    await store.attempts.progress(attempt_id, AttemptState.ANSWERED, 4)
    await store.attempts.cancel("default", "1001", world.actor)
    await world.finish(attempt_id, Outcome.VERIFIED)
    await until(lambda: heard[-1].status == "verified")

    def told(kind: ChangeKind, state: str, **more: object) -> Change:
        return Change(kind, "default", "1001", attempt_id, state, **more)  # type: ignore[arg-type]

    assert heard == [
        Change(ChangeKind.BINDING, "default", "1001", status="pending"),
        told(ChangeKind.QUEUED, "queued"),
        told(ChangeKind.ATTEMPT, "dialing"),
        told(ChangeKind.ATTEMPT, "answered"),
        told(ChangeKind.ATTEMPT, "answered", digits=4),
        told(ChangeKind.CANCEL, "answered", digits=4),
        told(ChangeKind.ATTEMPT, "ended", digits=4, outcome="verified", fault="callee"),
        Change(ChangeKind.BINDING, "default", "1001", status="verified"),
    ]


async def test_nothing_is_told_of_what_was_not_committed(heard: list[Change], store: Store, world: World) -> None:
    await world.users("1001")
    row = await world.accept("1001", A)

    async def change_your_mind() -> None:
        async with store.db.transaction() as tx:
            await tx.run("suspend_binding", "default", "1001", "admin")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await change_your_mind()
    assert row == (await store.bindings.get("default", "1001")).last_attempt
    await store.attempts.cancel("default", "1001", world.actor)
    await until(lambda: heard[-1].outcome == "canceled")
    assert [change.kind for change in heard] == ["binding", "queued", "attempt"]


async def test_foreign_notices_and_failing_handlers_do_no_harm(heard: list[Change], store: Store, world: World) -> None:
    def fails(change: Change) -> None:
        raise RuntimeError(change.kind)

    store.changes.subscribe(fails)
    foreign = ("", "hello", "[]", '{"kind": 5}', '{"state": "x"}', '{"kind": "of_tomorrow"}')
    with capture_logs() as lines:
        for payload in foreign:
            await world.sql("SELECT binding_ivr.notice($1)", payload)
        await world.sql("SELECT binding_ivr.notice($1)", '{"kind": "queued", "of_tomorrow": 1}')
        await until(lambda: bool(heard))
    assert [line["size"] for line in lines if line["event"] == "changes.ignored"] == [len(text) for text in foreign]
    assert heard == [Change(ChangeKind.QUEUED)]


async def test_a_lost_connection_comes_back_with_a_resync(heard: list[Change], world: World) -> None:
    for turn in range(3):
        killed = await world.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'binding_ivr changes'"
        )
        assert len(killed) == 1
        await until(lambda n=turn: len(heard) > n)  # type: ignore[misc]
    assert heard == [Change(ChangeKind.RESYNC)] * 3
    await world.users("1001")
    await world.accept("1001", A)
    await until(lambda: heard[-1].kind is ChangeKind.QUEUED)


async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, open_: asyncio.Event) -> None:
    """Carry bytes while *open_* is set; swallow them silently when it is not."""
    while data := await reader.read(65536):
        if open_.is_set():
            writer.write(data)
    writer.close()


async def test_a_silent_connection_is_noticed(dsn: str, server: Server, tmp_path: Path) -> None:
    socket_dir = server.dsn.split("host=")[1].split("&")[0].replace("%2F", "/")
    flows = asyncio.Event()
    flows.set()
    tasks: list[asyncio.Task[None]] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(f"{socket_dir}/.s.PGSQL.5432")
        tasks.append(asyncio.create_task(stall(reader, far_writer, flows)))
        tasks.append(asyncio.create_task(stall(far_reader, writer, flows)))

    proxy = await asyncio.start_server(carry, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    name = dsn.split("/postgres?")[0].rsplit("?")[0].rsplit("/", 1)[1]
    through = f"postgresql://binding_ivr@127.0.0.1:{port}/{name}?sslmode=disable"
    got: list[Change] = []
    changes = PgChanges(through, connect_timeout=0.5 * SLOW, keepalive_s=0.1, answer_timeout=0.5 * SLOW)
    changes.subscribe(got.append)
    db = await Database.connect(through, 2, connect_timeout=0.5 * SLOW, command_timeout=0.5 * SLOW)
    try:
        await changes.start()
        await until(lambda: changes.connected)
        flows.clear()
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            await db.row("ping")
        await until(lambda: not changes.connected)
        assert time.monotonic() - began < 10
        flows.set()
        await until(lambda: changes.connected)
        assert got == [Change(ChangeKind.RESYNC)] * 2
        row = await db.row("ping")
        assert row is not None
    finally:
        await changes.stop()
        await db.close()
        proxy.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await proxy.wait_closed()


async def test_a_stopped_server_is_said_quickly_and_used_again_when_back(tmp_path: Path) -> None:
    first = await open_embedded(tmp_path)
    try:
        async with open_store(first.dsn, limits_of=nothing_follows, connect_timeout=2.0 * SLOW) as store:
            await store.changes.start()
            await until(lambda: store.changes.connected)
            await store.directory.accounts()
            await first.close()
            for _ in range(3):
                began = time.monotonic()
                with pytest.raises(UnavailableError, match="does not answer"):
                    await store.directory.accounts()
                assert time.monotonic() - began < 2
            await until(lambda: not store.changes.connected)
            again = await open_embedded(tmp_path)
            try:
                assert again.dsn == first.dsn
                assert len(await store.directory.accounts()) == 1
                await until(lambda: store.changes.connected)
            finally:
                await again.close()
    finally:
        await first.close()


async def test_a_crash_of_the_server_in_a_transaction_loses_nothing_half(tmp_path: Path) -> None:
    embedded = await open_embedded(tmp_path)
    try:
        async with open_store(embedded.dsn, limits_of=nothing_follows, connect_timeout=2.0 * SLOW) as store:
            pid = embedded.pid
            assert pid is not None

            async def interrupted() -> None:
                async with store.db.transaction() as tx:
                    await tx.row("add_account", "half", "{}")
                    os.kill(pid, signal.SIGQUIT)
                    await until(lambda: embedded.pid is None)
                    await tx.row("add_account", "made", "{}")

            with pytest.raises(UnavailableError):
                await interrupted()
            again = await open_embedded(tmp_path)
            try:
                assert [one.account for one in await store.directory.accounts()] == ["default"]
            finally:
                await again.close()
    finally:
        await embedded.close()


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "host=localhost password=hunter2",
        "mysql://me:hunter2@localhost/x",
        "postgresql://me:hunter2@localhost:port/x",
        "postgresql://me:hunter2@localhost/x?sslmode=perhaps",
    ],
)
async def test_a_malformed_dsn_is_the_operators_to_correct(dsn: str) -> None:
    with pytest.raises(ConfigError, match=r"\[database\] dsn") as caught:
        await Database.connect(dsn)
    assert "hunter2" not in str(caught.value)


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1/x does not answer") as caught:
        await Database.connect("postgresql://me:hunter2@127.0.0.1:1/x", connect_timeout=2)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UnavailableError):
        await Database.connect(f"postgresql://me@/x?host={tmp_path}")


async def test_wrong_password_database_and_privilege(server: Server, dsn: str) -> None:
    role = f"clerk_{next(server.numbers)}"
    await server.admin(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        with pytest.raises(ConfigError, match="no such database"):
            await Database.connect(server.named("nowhere"))
        with pytest.raises(ConfigError, match="refuses the user"):
            await Database.connect(dsn.replace("binding_ivr@", "nobody_known:hunter2@"))
        db = await Database.connect(dsn.replace("binding_ivr@", f"{role}@"), 1)
        try:
            with pytest.raises(ConfigError, match="does not give this user a privilege"):
                await db.rows("accounts")
        finally:
            await db.close()
    finally:
        await server.admin(f"DROP ROLE {role}")


async def test_who_waits_too_long_for_a_connection_is_told_so(dsn: str) -> None:
    db = await Database.connect(dsn, 1, connect_timeout=0.2 * SLOW)
    try:
        async with db.link():
            with pytest.raises(UnavailableError, match=r"busy: all 1 connections .* \[database\] pool_max"):
                await db.row("ping")
        assert await db.row("ping") is not None
    finally:
        await db.close()


async def test_closing_does_not_wait_for_ever(dsn: str) -> None:
    db = await Database.connect(dsn, 1, connect_timeout=0.2 * SLOW)
    async with db.link() as link:
        began = time.monotonic()
        await db.close()
        assert time.monotonic() - began < 2
        assert isinstance(link, asyncpg.pool.PoolConnectionProxy)


async def test_the_role_of_the_look_ups_hears_nothing_and_tells_nothing(
    heard: list[Change], world: World, dsn: str
) -> None:
    """It is a login of the same database, and PostgreSQL lets each one listen and notify wherever it likes."""
    said: list[str] = []
    door = await asyncpg.connect(dsn)
    try:
        await door.execute("SET ROLE binding_ivr_lookup")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await door.fetch("SELECT name FROM binding_ivr.notice_channel")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await door.fetch("SELECT binding_ivr.notice('{}')")
        await door.add_listener("binding_ivr", lambda *notice: said.append(str(notice)))
        await door.execute("SELECT pg_notify('binding_ivr', '{\"kind\": \"cancel\"}')")
        await world.users("1001")
        await world.accept("1001", A)
        await until(lambda: any(change.kind is ChangeKind.QUEUED for change in heard))
        assert ChangeKind.CANCEL not in {change.kind for change in heard}
        await door.fetch("SELECT 1")  # whatever was told before has arrived
        assert [text for text in said if "queued" in text] == []
    finally:
        await door.close()


async def test_every_part_of_the_schema_tells_the_secret_channel(world: World) -> None:
    rows = await world.sql(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'binding_ivr'::regnamespace"
        " AND prosrc LIKE '%pg_notify(%' AND proname <> 'notice'"
    )
    assert rows == []
