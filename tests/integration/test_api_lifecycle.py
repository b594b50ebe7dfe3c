"""What the API tells of a binding's life: until when it is trusted, the way back after a change, the reasons kept."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from binding_ivr.config import Limits
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import FAULTS, AttemptState, Outcome, Verdict
from binding_ivr.store import PgAttempts
from tests.generous import follows
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
OURS = Actor(ActorKind.CLI, "test", Source.CLI)


@pytest.fixture
async def web(dsn: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with running_web(config_for(dsn, tmp_path, auth={"step_up_minutes": 0})) as it:
        await it.users("1001", "1002")
        await it.installation.store.directory.add_account("acme")
        yield it


@pytest.fixture
def user() -> dict[str, str]:
    return bearer(token("1001", life_s=3600))


async def prove(web: Web, accepted: Reply, outcome: Outcome = Outcome.VERIFIED) -> None:
    assert accepted.status == 202, accepted
    attempt, ledger = UUID(accepted.json["attempt"]["id"]), web.installation.store.attempts
    await ledger.claim("test", 100, 30)
    await ledger.progress(attempt, AttemptState.ANSWERED, 0)
    assert await ledger.finish(attempt, Verdict(outcome, FAULTS[outcome], tries=1))


async def audit(web: Web, action: str) -> list[tuple[str, str]]:
    async with web.installation.store.db.link() as link:
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
    await web.installation.store.clock.advance(1.01 * DAY, OURS)
    assert (await web.get(binding(), user)).json["undo"] is None
    assert (await web.ask("POST", binding() + "/undo", user)).problem == "no_undo"


async def test_going_back_passes_the_same_rules(web: Web, user: dict[str, str]) -> None:
    await prove(web, await web.put(binding(), {"number": NUMBER}, user))
    await web.ask("DELETE", binding(), user)
    await web.installation.numbers.suppress(NUMBER, OURS)
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


async def test_the_audit_is_for_administrators_and_for_the_keys_of_an_account(web: Web, user: dict[str, str]) -> None:
    await prove(web, await web.put(binding(), {"number": NUMBER}, user))
    await web.installation.numbers.suppress(OTHER_NUMBER, OURS)
    rows = (await web.get("/v1/audit?action=suppression", await web.key("admin"))).json["audit"]
    assert [row["action"] for row in rows] == ["suppression.added"]
    mine = (await web.get("/v1/audit?user_id=1001&limit=2", await web.key("account:default"))).json["audit"]
    assert [row["action"] for row in mine] == ["binding.verified", "attempt.ended"]
    assert (mine[0]["who"], mine[0]["detail"]["number"]) == ("system", NUMBER)
    everything = (await web.get("/v1/audit", await web.key("account:default"))).json["audit"]
    assert "suppression.added" not in {row["action"] for row in everything}  # whose number it is, is nobody's business
    assert (await web.get("/v1/audit", user)).status == 403
    assert (await web.get("/v1/audit?account=default", await web.key("account:acme"))).status == 404


async def test_a_persons_data_are_handed_over_and_forgotten(web: Web, user: dict[str, str]) -> None:
    path = binding().removesuffix("/binding")
    await prove(web, await web.put(binding(), {"number": NUMBER}, user))
    for headers, status in ((user, 403), (await web.key("account:acme"), 404), (await web.key("lookup"), 403)):
        assert (await web.get(path + "/export", headers)).status == status
        assert (await web.ask("POST", path + "/erase", headers, json={"reason": "asked"})).status == status
    parts = (await web.get(path + "/export", await web.key("account:default"))).json["parts"]
    assert (parts["user"]["user_id"], parts["binding"]["number"]) == ("1001", NUMBER)
    admin = await web.key("admin")
    assert (await web.ask("POST", path + "/erase", admin, json={"reason": ""})).status == 422
    done = (await web.ask("POST", path + "/erase", admin, json={"reason": "asked for it"})).json
    assert done["pseudonym"].startswith("erased/")
    assert (done["attempts"], done["audit"] >= 4) == (1, True)
    assert (await web.get(path + "/export", admin)).status == 404
    assert (await web.get(binding(), user)).status in (401, 404)
    last = (await web.get("/v1/audit?limit=1", admin)).json["audit"][0]
    assert (last["action"], last["who"], last["reason"]) == ("user.erased", "key:admin", "asked for it")
    assert (await web.get("/v1/audit?user_id=1001", admin)).json["audit"] == []


async def test_a_call_is_ended_before_its_user_is_forgotten(web: Web, user: dict[str, str]) -> None:
    accepted = await web.put(binding(), {"number": NUMBER}, user)
    ledger = web.installation.store.attempts
    attempt = UUID(accepted.json["attempt"]["id"])
    await ledger.claim("test", 100, 30)

    async def phone() -> None:
        while not await ledger.cancel_requests("test"):
            await asyncio.sleep(0.01)
        await ledger.finish(attempt, Verdict(Outcome.CANCELED, FAULTS[Outcome.CANCELED]))

    path = binding().removesuffix("/binding") + "/erase"
    asked = web.ask("POST", path, await web.key("admin"), json={"reason": "asked for it"})
    done, _ = await asyncio.gather(asked, phone())
    assert (done.status, done.json["attempts"]) == (200, 1)


async def test_suppressions_are_listed_without_numbers_and_lifted_by_number_or_hash(web: Web) -> None:
    admin = await web.key("admin")
    for number in (NUMBER, OTHER_NUMBER):
        body = {"number": number, "reason": "asked by letter"}
        assert (await web.ask("POST", "/v1/suppressions", admin, json=body)).json == {"added": True}
    listed = await web.get("/v1/suppressions", admin)
    assert NUMBER[2:] not in listed.text
    [_, first] = listed.json["suppressions"]
    assert (first["reason"], first["who"], first["note"]) == ("admin", "key:admin", "asked by letter")
    gone = await web.ask("DELETE", "/v1/suppressions/" + first["number_hash"], admin, params={"reason": "a mistake"})
    assert gone.status == 204
    assert (await web.ask("DELETE", "/v1/suppressions/" + first["number_hash"], admin)).status == 404
    assert (await web.ask("DELETE", f"/v1/suppressions/{OTHER_NUMBER}", admin)).status == 204
    assert (await web.get("/v1/suppressions", admin)).json == {"suppressions": []}
    assert await audit(web, "suppression.added") == [("key:admin", "asked by letter")] * 2
    assert await audit(web, "suppression.removed") == [("key:admin", "a mistake"), ("key:admin", "")]


async def test_limits_are_seen_and_lifted(web: Web, user: dict[str, str]) -> None:
    admin = await web.key("admin")
    rules = Limits(user_failed_tries=3, user_lock_s=7200, breaker_calls=1, number_unproven=1)
    await web.installation.store.directory.set_settings("default", {"limits": {"breaker_calls": 1}})
    ledger = PgAttempts(web.installation.store.db, limits_of=follows(rules))
    asked = await web.put(binding(), {"number": NUMBER}, user)
    attempt = UUID(asked.json["attempt"]["id"])
    await ledger.claim("test", 100, 30)
    await ledger.progress(attempt, AttemptState.ANSWERED, 0)
    assert await ledger.finish(attempt, Verdict(Outcome.WRONG_CODE, FAULTS[Outcome.WRONG_CODE], tries=3))
    state = await web.get("/v1/limits", admin)
    assert (state.json["locked_users"], state.json["locked_numbers"], state.json["calls_hour"]) == (1, 1, 1)
    assert [(one["account"], one["answered"], one["proven"]) for one in state.json["paused"]] == [("default", 1, 0)]
    assert [(one["user_id"], one["locked"]) for one in state.json["locked_out"]] == [("1001", True)]
    assert NUMBER[2:] not in state.text

    async def refused() -> tuple[str, str | None]:
        reply = await web.put(binding(), {"number": NUMBER}, user)
        return reply.json["type"].rpartition(":")[2], reply.json.get("limit")

    async def lift(path: str, **body: str) -> Reply:
        return await web.ask("POST", path, admin, json={**body, "reason": "checked by telephone"})

    assert await refused() == ("limit_reached", "user_failed_tries")
    of_user = binding().removesuffix("/binding") + "/limits/reset"
    assert (await web.ask("POST", of_user, admin, json={"reason": ""})).status == 422
    assert (await lift(of_user)).json == {"calls": 1, "locks": 1}
    assert (await lift(of_user.replace("1001", "nobody"))).status == 404
    assert await refused() == ("limit_reached", "account_breaker")
    assert (await lift("/v1/limits/resume", account="")).status == 404
    assert (await lift("/v1/limits/resume", account="default")).status == 204
    assert await refused() == ("try_later", None)
    assert (await lift("/v1/limits/numbers/reset", number=NUMBER)).json == {"calls": 1, "locks": 1}
    assert (await web.put(binding(), {"number": NUMBER}, user)).status == 202
    assert await audit(web, "account.resumed") == [("key:admin", "checked by telephone")]
    metrics = web.metrics()
    assert 'binding_ivr_refusals_total{reason="user_failed_tries"} 1.0' in metrics
    assert 'binding_ivr_refusals_total{reason="try_later"} 1.0' in metrics


async def test_a_suppression_ends_the_trust_and_its_answer_names_nobody(web: Web, user: dict[str, str]) -> None:
    admin, second = await web.key("admin"), bearer(token("1002"))
    await prove(web, await web.put(binding(), {"number": NUMBER}, user))
    await prove(web, await web.put(binding("1002"), {"number": OTHER_NUMBER}, second), Outcome.BUSY)
    before = (await web.get(binding("1002"), second)).json
    answers = [
        await web.ask("POST", "/v1/suppressions", admin, json={"number": number, "reason": "asked by letter"})
        for number in (NUMBER, OTHER_NUMBER, "+12025550142")
    ]
    assert [(reply.status, reply.json) for reply in answers] == [(201, {"added": True})] * 3  # the same, whoever has it
    told = (await web.get(binding(), user)).json
    assert (told["status"], told["reason"], told["number"]) == ("suspended", "suppressed", NUMBER)
    trusted = await web.get("/v1/accounts/default/extensions/1001/trusted-number", admin)
    assert NUMBER not in trusted.text
    assert await audit(web, "binding.suspended") == [("key:admin", "asked by letter")]
    events = (await web.get("/v1/audit?user_id=1001&limit=1", admin)).json["audit"]
    assert (events[0]["action"], events[0]["detail"]["reason"]) == ("binding.suspended", "suppressed")
    after = (await web.get(binding("1002"), second)).json
    assert {**after, "next": None} == {**before, "next": None}  # who has proven nothing is told nothing
    again = (await web.put(binding("1002"), {"number": OTHER_NUMBER}, second)).problem
    assert again == "try_later"
    assert (await web.put(binding(), {"number": NUMBER}, user)).problem == "try_later"


PROXY = {
    "trusted_proxies": ["127.0.0.0/8"],
    "user_header": "X-Remote-User",
    "admin_users": ["default/ops", "other/1001"],
}
BY_ADMINISTRATOR = "Your administrator changed your number"
BY_USER = "You changed your number"


@pytest.mark.parametrize("name", ["ops", "other/1001"])
async def test_what_an_administrator_of_the_proxy_did_is_not_said_to_be_the_users(
    dsn: str, tmp_path: Path, name: str
) -> None:
    """Also not of an administrator who has the user's name in another account."""
    whole = name if "/" in name else f"default/{name}"
    async with running_web(config_for(dsn, tmp_path, web=PROXY)) as web:
        await web.users("1001", "ops")
        user, admin = ({"X-Remote-User": sign_in, "Origin": web.url} for sign_in in ("1001", name))
        await prove(web, await web.put(binding(), {"number": NUMBER}, user))
        await prove(web, await web.put(binding(), {"number": OTHER_NUMBER}, admin), Outcome.BUSY)
        assert (await web.get(binding(), user)).json["undo"]["changed_by"] == "administrator"
        page = (await web.get("/", user)).text
        assert BY_ADMINISTRATOR in page
        assert BY_USER not in page
        [ended] = [
            row for row in (await web.get("/v1/audit", admin)).json["audit"] if row["action"] == "binding.pending"
        ][:1]
        assert (ended["who"], ended["user_id"]) == (f"admin:{whole}", "1001")
        await prove(web, await web.put(binding(), {"number": NUMBER}, user))
        await prove(web, await web.put(binding(), {"number": OTHER_NUMBER}, user), Outcome.BUSY)
        assert BY_USER in (await web.get("/", user)).text


async def test_an_administrator_of_the_proxy_is_the_user_of_the_own_binding(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path, web=PROXY)) as web:
        await web.users("ops")
        ops = {"X-Remote-User": "ops", "Origin": web.url}
        await prove(web, await web.put(binding("ops"), {"number": NUMBER}, ops))
        assert (await web.ask("DELETE", binding("ops"), ops)).status == 204
        assert BY_USER in (await web.get("/", ops)).text
        assert await audit(web, "binding.none") == [("user:ops", "")]
