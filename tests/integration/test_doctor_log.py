"""PostgreSQL's own log: what doctor says of it, and that it is right: the numbers really are in it, or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from binding_ivr.doctor.server_log import server_log
from binding_ivr.embedded.server import open_embedded
from binding_ivr.store import open_store
from tests.generous import nothing_follows
from tests.integration.conftest import FAST, World

if TYPE_CHECKING:
    from binding_ivr.store import Store

A = "+12025550101"
ALL_OF_IT = {
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_min_error_statement": "error",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
}


@asynccontextmanager
async def server(folder: Path, settings: dict[str, str]) -> AsyncIterator[tuple[Store, Path]]:
    embedded = await open_embedded(folder, settings={**FAST, **settings})
    try:
        async with open_store(embedded.dsn, 2, limits_of=nothing_follows) as store:
            yield store, next(folder.rglob("server.log"))
    finally:
        await embedded.close()


@pytest.mark.parametrize(
    ("settings", "quotes"),
    [
        ({}, False),
        ({**ALL_OF_IT}, False),
        ({"log_error_verbosity": "default"}, True),
        ({**ALL_OF_IT, "log_error_verbosity": "verbose"}, True),
    ],
)
async def test_what_the_servers_log_quotes(tmp_path: Path, settings: dict[str, str], quotes: bool) -> None:
    async with server(tmp_path, settings) as (store, log):
        [check] = await server_log(store)
        assert check.status == ("warn" if quotes else "ok")
        world = World(store)
        await world.users("1", "2")
        await world.prove("1", A)
        async with store.db.link() as link:
            with pytest.raises(asyncpg.UniqueViolationError):
                await link.execute(
                    "INSERT INTO binding_ivr.bindings (account, user_id, status, number, since)"
                    " VALUES ('default', '2', 'verified', $1, now())",
                    A,
                )
        assert (A in log.read_text()) == quotes
