"""What the API tells of a binding's life: until when it is trusted, the way back after a change, the reasons kept."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from binding_ivr.call.outcome import FAULTS, AttemptState, Outcome, Verdict
from binding_ivr.ports import Actor
from tests.integration.api_service import (
    NUMBER,
    OTHER_NUMBER,
    Reply,
    Web,
    bearer,
    binding,
    config_for,
    running_web,
    token,
)

DAY = 86_400.0
OURS = Actor("test", "cli")


@pytest.fixture
async def web(dsn: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with running_web(config_for(dsn, tmp_path, auth={"step_up_minutes": 0})) as it:
        await it.users("1001", "1002")
        yield it


@pytest.fixture
def user() -> dict[str, str]:
    return bearer(token("1001", life_s=3600))


async def prove(web: Web, accepted: Reply, outcome: Outcome = Outcome.VERIFIED) -> None:
    assert accepted.status == 202, accepted
    attempt, ledger = UUID(accepted.json["attempt"]["id"]), web.house.store.attempts
    await ledger.claim("test", 100, 30)
    await ledger.report(attempt, AttemptState.ANSWERED, 0)
    assert await ledger.finish(attempt, Verdict(outcome, FAULTS[outcome], tries=1))


async def audit(web: Web, action: str) -> list[tuple[str, str]]:
    async with web.house.store.db.link() as link:
        rows = await link.fetch("SELECT who, reason FROM binding_ivr.audit WHERE action = $1 ORDER BY id", action)
    return [(row["who"], row["reason"]) for row in rows]


async def test_until_when_it_is_trusted(web: Web, user: dict[str, str]) -> None:
    await prove(web, await web.put(binding(), {"number": NUMBER}, user))
    fresh = (await web.get(binding(), user)).json
    assert (fresh["stale_since"], fresh["undo"], fresh["next"]["undo"]) == (None, None, False)
    proven, ends = (datetime.fromisoformat(fresh[name]) for name in ("verified_at", "verify_by"))
    assert ends == proven + timedelta(days=210)


async def test_one_click_back_after_a_change(web: Web, user: dict[str, str]) -> None:
    assert (await web.ask("POST", binding() + "/undo", user)).problem == "no_undo"
    await prove(web, await web.put(binding(), {"number": NUMBER}, user))
    await prove(web, await web.put(binding(), {"number": OTHER_NUMBER}, user), Outcome.BUSY)
    changed = (await web.get(binding(), user)).json
    assert (changed["status"], changed["number"], changed["next"]["undo"]) == ("pending", OTHER_NUMBER, True)
    offer = changed["undo"]
    assert (offer["number"], offer["number_written"], offer["changed_by"]) == (NUMBER, "+1 202-555-0123", "user")
    assert datetime.fromisoformat(offer["until"]) - datetime.fromisoformat(offer["changed_at"]) == timedelta(hours=24)
    key = {"Idempotency-Key": "back"}
    back = await web.ask("POST", binding() + "/undo", {**user, **key})
    assert (back.json["binding"]["status"], back.json["binding"]["number"]) == ("pending", NUMBER)
    assert len(back.json["attempt"]["code"]) == 6
    again = await web.ask("POST", binding() + "/undo", {**user, **key})
    assert again.json["attempt"]["id"] == back.json["attempt"]["id"]
    assert (await web.ask("POST", binding() + "/undo", user)).problem in ("no_undo", "call_in_progress")
    await prove(web, back)
    restored = (await web.get(binding(), user)).json
    assert (restored["status"], restored["number"], restored["undo"]) == ("verified", NUMBER, None)


async def test_the_way_back_is_the_users_own_and_ends(web: Web, user: dict[str, str]) -> None:
    await prove(web, await web.put(binding(), {"number": NUMBER}, user))
    reason = {"reason": "wrong phone"}
    gone = await web.ask("DELETE", binding(), await web.key("admin"), params=reason)
    assert gone.status == 204
    assert await audit(web, "binding.none") == [("key:admin", "wrong phone")]
    assert (await web.get(binding(), user)).json["undo"]["changed_by"] == "administrator"
    other = bearer(token("1002"))
    assert (await web.ask("POST", binding() + "/undo", other)).status == 404
    assert (await web.ask("POST", binding("1002") + "/undo", other)).problem == "no_undo"
    await web.house.store.clock.advance(1.01 * DAY, OURS)
    assert (await web.get(binding(), user)).json["undo"] is None
    assert (await web.ask("POST", binding() + "/undo", user)).problem == "no_undo"


async def test_going_back_passes_the_same_rules(web: Web, user: dict[str, str]) -> None:
    await prove(web, await web.put(binding(), {"number": NUMBER}, user))
    await web.ask("DELETE", binding(), user)
    await web.house.bindings.suppress(NUMBER, OURS)
    assert (await web.get(binding(), user)).json["next"]["undo"] is True  # it tells nothing of the suppression
    assert (await web.ask("POST", binding() + "/undo", user)).problem == "try_later"


async def test_a_reason_is_kept_and_may_be_left_out(web: Web, user: dict[str, str]) -> None:
    await prove(web, await web.put(binding(), {"number": NUMBER}, user))
    admin = await web.key("admin")
    path = binding() + "/suspend"
    assert (await web.ask("POST", path, admin)).json == {"status": "suspended"}
    assert (await web.ask("POST", binding() + "/resume", admin, json={"reason": "found  it"})).json[
        "status"
    ] == "verified"
    assert (await web.ask("POST", path, admin, json={"reason": "lost\nphone"})).status == 422
    assert (await web.ask("POST", path, admin, json={"why": "x"})).status == 422
    assert (await web.ask("POST", path, admin, json={"reason": "lost phone"})).status == 200
    assert await audit(web, "binding.suspended") == [("key:admin", ""), ("key:admin", "lost phone")]
    assert (await audit(web, "binding.verified"))[-1] == ("key:admin", "found it")
