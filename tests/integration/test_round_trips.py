"""How often a request for a call asks PostgreSQL: each statement, and the transaction's own, is a wait for the user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import aiohttp

from binding_ivr.app.installation import Installation, open_installation
from binding_ivr.app.signin import add_key
from binding_ivr.metrics import Metrics
from binding_ivr.model.rows import User
from binding_ivr.store.queries import queries
from binding_ivr.web.server import WebServer
from tests.integration.api_service import NUMBER, ROUTES, bearer, binding, config_for

if TYPE_CHECKING:
    from pathlib import Path

    from asyncpg.connection import LoggedQuery

CREDENTIAL = ["api_key"]
ACCEPTED = ["binding_facts", "BEGIN;", "begin_accept", "accept_facts", "accept_attempt", "COMMIT;"]
"""All that is read before a number is judged; then the transaction of the limits. What is shown comes with the last."""


@dataclass
class Asked:
    """The web alone: every statement is that of a request, in its order."""

    installation: Installation
    url: str
    http: aiohttp.ClientSession
    ran: list[str] = field(default_factory=list)

    async def during(self, method: str, path: str, status: int, body: object = None, **headers: str) -> list[str]:
        """The statements of one request, by name."""
        self.ran.clear()
        async with self.http.request(method, self.url + path, json=body, headers=headers) as reply:
            assert reply.status == status, await reply.text()
        await asyncio.sleep(0)  # asyncpg tells of a statement in the next turn of the loop
        return [name for name in self.ran if name != "write_audits"]  # by a task of its own, beside the request

    async def cancel(self, headers: Mapping[str, str]) -> None:
        await self.during("DELETE", binding() + "/attempt", 204, **headers)


@asynccontextmanager
async def asked(dsn: str, folder: Path, **sections: Mapping[str, object]) -> AsyncIterator[Asked]:
    config = config_for(dsn, folder, database={"pool_max": 2}, **sections)
    names = {text: name for name, text in queries().items()}
    async with open_installation(config) as installation:

        async def healthy() -> Mapping[str, str]:
            return {}

        server = WebServer(config, installation=installation, readiness=healthy, metrics=Metrics())
        await installation.store.directory.import_users([User("default", "1001", ("1001",), "en", "")])
        await server.start()
        try:
            async with aiohttp.ClientSession() as http:
                it = Asked(installation, f"http://127.0.0.1:{server.port}", http)

                def heard(statement: LoggedQuery) -> None:
                    it.ran.append(names.get(statement.query, statement.query))

                async with installation.store.db.link() as one, installation.store.db.link() as other:
                    one.add_query_logger(heard)  # of all that there are
                    other.add_query_logger(heard)
                yield it
        finally:
            await server.stop()


async def test_a_number_is_accepted_in_eight_round_trips(dsn: str, tmp_path: Path) -> None:
    async with asked(dsn, tmp_path) as web:
        another = bearer((await add_key(web.installation.store, "another", ["account:default"])).text)
        await web.during("PUT", binding(), 202, {"number": NUMBER}, **another)  # asyncpg learns the types, once
        await web.cancel(another)
        key = bearer((await add_key(web.installation.store, "site", ["account:default"])).text)
        first = await web.during("PUT", binding(), 202, {"number": "(202) 555-0123"}, **key)
        assert first == [*CREDENTIAL, "note_api_key_use", *ACCEPTED]  # the use of a key is noted once a minute
        assert len(first) <= 8
        await web.cancel(key)
        assert await web.during("PUT", binding(), 202, {"number": NUMBER}, **key) == [*CREDENTIAL, *ACCEPTED]
        await web.cancel(key)
        again = {**key, "Idempotency-Key": str(uuid4())}
        kept = await web.during("PUT", binding(), 202, {"number": NUMBER}, **again)
        assert kept == [*CREDENTIAL, "begin_reply", *ACCEPTED, "finish_reply"]
        await web.cancel(key)
        called = await web.during("POST", binding() + "/revalidate", 202, **key)
        assert called == [*CREDENTIAL, ACCEPTED[0], "own_numbers_for_check", *ACCEPTED[1:]]


async def test_a_view_is_one_question_and_that_of_the_limits(dsn: str, tmp_path: Path) -> None:
    async with asked(dsn, tmp_path) as web:
        key = bearer((await add_key(web.installation.store, "site", ["account:default"])).text)
        await web.during("GET", binding(), 200, **key)
        assert await web.during("GET", binding(), 200, **key) == [*CREDENTIAL, "binding_facts", "accept_facts"]
        await web.during("PUT", binding(), 202, {"number": NUMBER}, **key)
        assert await web.during("GET", binding(), 200, **key) == [*CREDENTIAL, "binding_facts"]  # while it is called


async def test_national_writing_of_an_account_abroad_is_read_as_there(dsn: str, tmp_path: Path) -> None:
    """What the installation's region makes of it is not what it means: own numbers are looked for once more."""
    abroad = {"number": {"default_region": "GB", "regions": ["GB", "US"]}}
    routes = [{**ROUTES[0], "regions": ["*"]}]
    async with asked(dsn, tmp_path) as web:
        key = bearer((await add_key(web.installation.store, "site", ["admin"])).text)
        await web.during("PUT", "/v1/accounts/default", 200, {"settings": {**abroad, "routes": routes}}, **key)
        own = web.installation.accounts.own_number("default", "+44 7400 123456")
        assert await web.installation.store.directory.add_own_number(own)
        refused = await web.during("PUT", binding(), 422, {"number": "07400 123456"}, **key)
        assert refused.count("binding_facts") == 2
        same = await web.during("PUT", binding(), 202, {"number": "+447400 123457"}, **key)
        assert same.count("binding_facts") == 1
        shown = await web.installation.bindings.view("default", "1001")
        assert shown.binding.number == "+447400123457"
