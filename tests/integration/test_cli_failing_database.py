"""Commands on a real PostgreSQL that refuses, falls silent or dies: exit status 1 and one line, whatever it was."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.integration.command import Commands, Done, commands_on
from tests.integration.databases import Server
from tests.integration.tcp_proxy import TcpProxy


def failed(done: Done, told: str) -> None:
    assert (done.status, done.out) == (1, ""), done
    assert done.err.startswith("binding-ivr: ")
    assert done.err.count("\n") == 1, done.err
    assert told in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("words", [("user", "add", "1001"), ("suppress", "add", "+12025550123")], ids=" ".join)
async def test_a_server_that_takes_no_changes(server: Server, dsn: str, tmp_path: Path, words: tuple[str, ...]) -> None:
    run = commands_on(dsn, tmp_path)
    await run.done("user", "add", "1002")  # the key of the numbers is noted by the first command
    async with setting(server, dsn, "default_transaction_read_only = on"):
        failed(await run(*words), "takes no changes")
        await run.done("user", "list")


async def test_a_statement_that_takes_too_long(server: Server, dsn: str, tmp_path: Path) -> None:
    run = commands_on(dsn, tmp_path)
    await run.done("user", "add", "1001")
    async with server_locks(dsn, "binding_ivr.users"), setting(server, dsn, "statement_timeout = '300ms'"):
        failed(await run("user", "list"), "canceled a statement")


async def test_a_dsn_with_a_parameter_that_postgresql_does_not_know(dsn: str, tmp_path: Path) -> None:
    run = commands_on(f"{dsn}{'&' if '?' in dsn else '?'}connect_timeout=5", tmp_path)
    failed(await run("user", "list"), "check [database] dsn and its parameters")


async def test_a_value_that_cannot_be_stored(dsn: str, tmp_path: Path) -> None:
    run = commands_on(dsn, tmp_path)
    failed(await run("export", "10\x0001"), "cannot be stored")


async def test_a_server_that_accepts_and_says_nothing(tmp_path: Path) -> None:
    async with silent() as port:
        run = commands_on(f"postgresql://me:hunter2@127.0.0.1:{port}/x", tmp_path)
        done = await run("user", "list")
    failed(done, "does not answer (TimeoutError)")
    assert "hunter2" not in done.err


async def test_a_connection_that_is_cut_again_and_again(tmp_path: Path) -> None:
    """Whatever the step in which it is lost."""
    async with silent() as port, TcpProxy("127.0.0.1", port) as proxy:
        run: Commands = commands_on(f"postgresql://me@127.0.0.1:{proxy.port}/x", tmp_path)
        running = asyncio.create_task(run("status", "1001"))
        while not proxy.accepted:
            await asyncio.sleep(0.01)
        while not running.done():
            proxy.cut()
            await asyncio.sleep(0.01)
        failed(await running, "does not answer")


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A port that takes connections and says nothing."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


@asynccontextmanager
async def setting(server: Server, dsn: str, text: str) -> AsyncIterator[None]:
    """Set something for all new connections to the database, for a while."""
    name = dsn.split("?")[0].rsplit("/", 1)[1]
    await server.admin(f"ALTER DATABASE {name} SET {text}")
    try:
        yield
    finally:
        await server.admin(f"ALTER DATABASE {name} RESET ALL")


@asynccontextmanager
async def server_locks(dsn: str, table: str) -> AsyncIterator[None]:
    """Hold a table, so that whoever reads it waits."""
    link = await asyncpg.connect(dsn)
    try:
        async with link.transaction():
            await link.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await link.close()
