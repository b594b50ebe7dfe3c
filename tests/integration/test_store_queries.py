"""Every query of sql/queries fits the schema that the migrations make; `make check` runs this module too."""

import asyncpg
import pytest

from binding_ivr.store.queries import queries


async def test_every_query_can_be_prepared(dsn: str) -> None:
    link = await asyncpg.connect(dsn)
    try:
        for name, statement in queries().items():
            try:
                await link.prepare(statement)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{name}: {error}")
    finally:
        await link.close()
