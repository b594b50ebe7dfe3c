"""The history of moves over HTTP: a user sees the own, a portal those of its account, an administrator all."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from binding_ivr.model.moves import Move, MoveKind, MoveOutcome, MoveProof
from tests.integration.api_service import Web, bearer, config_for, running_web, token

OWN = "/v1/accounts/default/users/1001/moves"


@pytest.fixture
async def web(dsn: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with running_web(config_for(dsn, tmp_path)) as it:
        store = it.installation.store
        await store.directory.add_account("acme")
        await it.users("1001", "1002")
        await it.users("1001", account="acme")
        now = datetime.now(UTC)
        for place, (account, extension) in enumerate(
            [("default", "1001"), ("default", "1002"), ("acme", "1001"), ("default", "1001"), ("default", "9")]
        ):
            at = now - timedelta(seconds=50 - place)
            move = Move(
                f"{place}-1", MoveKind.PULL, MoveOutcome.MOVED, MoveProof.PIN, account, extension, at, at, "c.1", "l.2"
            )
            assert await store.moves.keep(move, "n1", 100) == "kept"
        yield it


def ids(body: Any) -> list[str]:
    return [move["move_id"] for move in body["moves"]]


async def test_a_users_own(web: Web) -> None:
    reply = await web.get(OWN, bearer(token("1001")))
    assert (reply.status, ids(reply.json)) == (200, ["3-1", "0-1"])
    first = reply.json["moves"][0]
    assert {name: first[name] for name in ("kind", "outcome", "proof", "extension", "call_id", "leg_id", "node")} == {
        "kind": "pull", "outcome": "moved", "proof": "pin", "extension": "1001", "call_id": "c.1", "leg_id": "l.2",
        "node": "n1",
    }  # fmt: skip
    assert ids((await web.get(OWN, bearer(token("1001")), params={"limit": "1"})).json) == ["3-1"]
    since = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert ids((await web.get(OWN, bearer(token("1001")), params={"since": since})).json) == []
    assert (await web.get(OWN, bearer(token("1001")), params={"limit": "0"})).status == 400


async def test_of_nobody_else(web: Web) -> None:
    assert (await web.get(OWN, bearer(token("1002")))).status == 404
    assert (await web.get(OWN, bearer(token("1001", account="acme")))).status == 404
    assert (await web.get(OWN)).status == 401
    assert (await web.get("/v1/moves", bearer(token("1001")))).status in (403, 404)


async def test_all_of_those_that_the_key_may_see(web: Web) -> None:
    admin, acme = await web.key("admin"), await web.key("account:acme")
    assert ids((await web.get("/v1/moves", admin)).json) == ["4-1", "3-1", "2-1", "1-1", "0-1"]
    assert ids((await web.get("/v1/moves", admin, params={"account": "default", "user_id": "1002"})).json) == ["1-1"]
    assert ids((await web.get("/v1/moves", admin, params={"extension": "9"})).json) == ["4-1"]
    assert ids((await web.get("/v1/moves", acme)).json) == ["2-1"]
    assert (await web.get("/v1/moves", acme, params={"account": "default"})).status == 404
    assert ids((await web.get(OWN, admin)).json) == ["3-1", "0-1"]
