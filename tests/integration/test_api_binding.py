"""The API's calls about a binding: what they do, once, for whom, and how bad input is told."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import FAULTS, AttemptState, Outcome, Verdict
from tests.integration.api_service import (
    NUMBER,
    OTHER_NUMBER,
    Web,
    bearer,
    binding,
    config_for,
    running_web,
    token,
)

OURS = Actor(ActorKind.CLI, "test", Source.CLI)


@pytest.fixture
async def web(dsn: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with running_web(config_for(dsn, tmp_path)) as it:
        await it.users("1001", "1002")
        yield it


@pytest.fixture
def user() -> dict[str, str]:
    return bearer(token("1001"))


async def finish(web: Web, attempt: str, outcome: Outcome) -> None:
    ledger = web.installation.store.attempts
    await ledger.claim("test", 100, 30)
    await ledger.progress(UUID(attempt), AttemptState.ANSWERED, 0)
    assert await ledger.finish(UUID(attempt), Verdict(outcome, FAULTS[outcome], tries=1))


async def test_calling_hours(web: Web, user: dict[str, str]) -> None:
    """Outside of them a call needs the user's own word; the hour that is told is the hour at which they begin."""
    admin = await web.key("admin")
    there = (await web.installation.store.clock.read()).now.astimezone(ZoneInfo("America/New_York"))
    hours = f"{there + timedelta(hours=6):%H:00}-{there + timedelta(hours=9):%H:00}"
    settings = {"settings": {"call": {"hours": hours}}}
    assert (await web.put("/v1/accounts/default", settings, admin)).status == 200
    refused = await web.put(binding("1001"), {"number": NUMBER}, user)
    assert (refused.status, refused.problem) == (409, "outside_hours")
    opens = datetime.fromisoformat(refused.json["retry_at"])
    assert timedelta(hours=5) <= opens - there <= timedelta(hours=6)
    assert f"until {opens.astimezone(there.tzinfo):%Y-%m-%d %H:%M} local time" in refused.json["detail"]
    assert int(refused.headers["Retry-After"]) > 5 * 3600 - 60
    assert (await web.put(binding("1001"), {"number": NUMBER, "now": False}, user)).problem == "outside_hours"
    assert (await web.put(binding("1001"), {"number": NUMBER, "now": "yes"}, user)).status == 422
    accepted = await web.put(binding("1001"), {"number": NUMBER, "now": True}, user)
    assert (accepted.status, accepted.json["attempt"]["state"]) == (202, "queued")
    assert (await web.ask("DELETE", binding("1001") + "/attempt", user)).status == 204
    step = (await web.get(binding("1001"), user)).json["next"]
    assert step["bind"]["allowed"] is True
    assert (step["revalidate"]["code"], step["revalidate"]["retry_at"]) == ("outside_hours", refused.json["retry_at"])
    bodies: list[dict[str, Any]] = [{}, {"json": {}}, {"data": b"{}"}, {"json": {"now": False}}]
    for body in bodies:
        assert (await web.ask("POST", binding("1001") + "/revalidate", user, **body)).problem == "outside_hours"
    again = await web.ask("POST", binding("1001") + "/revalidate", user, json={"now": True})
    assert again.status == 202
    assert (await web.ask("DELETE", binding("1001") + "/attempt", user)).status == 204
    await web.installation.store.clock.advance((opens - there).total_seconds() + 1, OURS)
    assert (await web.ask("POST", binding("1001") + "/revalidate", user)).status == 202
    bad = await web.put("/v1/accounts/default", {"settings": {"call": {"hours": "night"}}}, admin)
    assert (bad.status, bad.problem, "call.hours" in bad.json["detail"]) == (422, "invalid", True)


async def test_exceptions_from_the_policy(web: Web) -> None:
    """An administrator allows a number of another country for a time."""
    admin = await web.key("admin")
    assert (await web.put("/v1/accounts/branch", {"settings": {}}, admin)).status == 201
    await web.users("2001", account="branch")
    until = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    abroad = {"number": "+44 20 7946 0958", "reason": "on call desk", "until": until, "account": "branch"}
    refused = await web.put(binding("2001", "branch"), {"number": abroad["number"]}, admin)
    assert (refused.status, refused.problem) == (422, "region_not_allowed")
    added = await web.ask("POST", "/v1/exceptions", admin, json=abroad)
    assert (added.status, added.json["number"], added.json["whole"]) == (201, "+442079460958", True)
    [entry] = (await web.get("/v1/exceptions", admin)).json["exceptions"]
    assert (entry["account"], entry["reason"], entry["who"]) == ("branch", "on call desk", "key:admin")
    assert (entry["whole"], entry["expired"]) == (True, False)
    premium = await web.ask("POST", "/v1/exceptions", admin, json={**abroad, "number": "+19005551234"})
    assert (premium.status, premium.problem) == (422, "premium_number")
    nobody = await web.ask("POST", "/v1/exceptions", admin, json={**abroad, "account": "none"})
    assert nobody.status == 404
    prefix = {**abroad, "number": "+4420", "prefix": True}
    assert (await web.ask("POST", "/v1/exceptions", admin, json=prefix)).json["whole"] is False
    assert (await web.ask("DELETE", "/v1/exceptions/+4420?prefix=true&account=branch", admin)).status == 204
    accepted = await web.put(binding("2001", "branch"), {"number": abroad["number"]}, admin)
    assert accepted.status == 202
    assert (await web.ask("DELETE", binding("2001", "branch"), admin)).status == 204
    assert (await web.ask("DELETE", "/v1/exceptions/442079460958?account=branch", admin)).status == 422
    assert (await web.ask("DELETE", "/v1/exceptions/+442079460958?account=branch", admin)).status == 204
    assert (await web.ask("DELETE", "/v1/exceptions/+442079460958?account=branch", admin)).status == 404


async def test_a_number_from_entry_to_trust_and_away(web: Web, user: dict[str, str]) -> None:
    empty = (await web.get(binding(), user)).json
    assert (empty["status"], empty["number"], empty["last_attempt"]) == ("none", None, None)
    assert empty["next"]["bind"]["allowed"]
    assert empty["next"]["revalidate"]["code"] == "no_number"
    accepted = await web.put(binding(), {"number": "(202) 555-0123"}, user)
    assert accepted.status == 202
    attempt = accepted.json["attempt"]
    assert len(attempt["code"]) == 6
    assert attempt["expires_at"].endswith("Z")
    now = (await web.get(binding(), user)).json
    assert (now["status"], now["number"], now["number_written"]) == ("pending", NUMBER, "+1 202-555-0123")
    assert now["last_attempt"]["code"] == attempt["code"]
    assert now["next"]["bind"]["code"] == "call_in_progress"
    assert now["caller_ids"] == ["+12025550100"]
    await finish(web, attempt["id"], Outcome.VERIFIED)
    proven = (await web.get(binding(), user)).json
    assert (proven["status"], proven["last_attempt"]["outcome"], proven["last_attempt"]["code"]) == (
        "verified",
        "verified",
        None,
    )
    found = (await web.get("/v1/accounts/default/extensions/1001/trusted-number", await web.key("lookup"))).json
    assert (found["status"], found["number"]) == ("FOUND", NUMBER)
    back = await web.get(f"/v1/trusted-callers/{NUMBER}?format=text", await web.key("lookup"))
    assert (back.text, back.headers["Content-Type"]) == ("1001", "text/plain; charset=utf-8")
    line = await web.get("/v1/accounts/default/extensions/1001/trusted-number?format=csv", await web.key("lookup"))
    dial = found["dial"]
    assert line.text == f"FOUND,{NUMBER},default,1001,{found['since']},{dial}"
    assert dial.endswith(f"{NUMBER}@trunk")
    form = {"format": "csv", "key": (await web.key("lookup"))["Authorization"].partition(" ")[2]}
    for question in ({"extension": "1001"}, {"account": "", "extension": "1001"}, {"number": NUMBER}):
        assert (await web.form("/v1/look-ups", {**form, **question})).text == line.text
    for question in ({"extension": "1002"}, {"number": "no"}, {}):
        assert (await web.form("/v1/look-ups", {**form, **question})).text == "NONE,,,,,"
    assert (await web.ask("DELETE", binding(), user)).status == 204
    assert (await web.ask("DELETE", binding(), user)).problem == "not_found"
    none = await web.get(f"/v1/trusted-callers/{NUMBER}?format=csv", await web.key("lookup"))
    assert none.text == "NONE,,,,,"
    gone = await web.get(f"/v1/trusted-callers/{NUMBER}", await web.key("lookup"))
    assert gone.json["status"] == "NONE"


async def test_a_look_up_by_form_needs_its_key(web: Web, user: dict[str, str]) -> None:
    right = (await web.key("lookup"))["Authorization"].partition(" ")[2]
    await web.installation.store.directory.add_account("other")
    other = (await web.key("account:other"))["Authorization"].partition(" ")[2]
    asked = {"extension": "1001", "format": "text"}
    for key, status in (("", 401), ("bik_wrong", 401), (right[:-1], 401), (right, 200), (other, 404)):
        assert (await web.form("/v1/look-ups", {**asked, "key": key})).status == status, status
    assert (await web.form("/v1/look-ups", {"number": NUMBER, "format": "csv", "key": other})).text == "NONE,,,,,"
    assert (await web.form("/v1/look-ups", {**asked, "key": right, "more": "x"})).status == 422
    # nowhere else does a key in a body count
    assert (await web.form(binding() + "/revalidate", {"key": right})).status == 401


async def test_again_and_cancel(web: Web, user: dict[str, str]) -> None:
    assert (await web.ask("POST", binding() + "/revalidate", user)).problem == "no_number"
    first = (await web.put(binding(), {"number": NUMBER}, user)).json["attempt"]
    assert (await web.put(binding(), {"number": NUMBER}, user)).problem == "call_in_progress"
    assert (await web.get(binding() + "/attempt", user)).json["code"] == first["code"]
    assert (await web.ask("DELETE", binding() + "/attempt", user)).status == 204
    assert (await web.ask("DELETE", binding() + "/attempt", user)).status == 404
    again = await web.ask("POST", binding() + "/revalidate", user)
    assert again.status == 202
    assert again.json["attempt"]["id"] != first["id"]


async def test_an_entity_tag(web: Web, user: dict[str, str]) -> None:
    before = await web.get(binding(), user)
    tag = before.headers["ETag"]
    unchanged = await web.get(binding(), {**user, "If-None-Match": f'"x", W/{tag}'})
    assert (unchanged.status, unchanged.text, unchanged.headers["ETag"]) == (304, "", tag)
    assert (await web.put(binding(), {"number": NUMBER}, {**user, "If-Match": '"x"'})).problem == "changed"
    accepted = await web.put(binding(), {"number": NUMBER}, {**user, "If-Match": tag})
    assert accepted.status == 202
    assert (await web.get(binding(), {**user, "If-None-Match": tag})).status == 200
    assert (await web.ask("DELETE", binding(), {**user, "If-Match": tag})).status == 412
    assert (await web.ask("DELETE", binding(), {**user, "If-Match": "*"})).status == 204


async def test_the_same_request_sent_again(web: Web, user: dict[str, str]) -> None:
    keyed = {**user, "Idempotency-Key": str(uuid4())}
    first = await web.put(binding(), {"number": NUMBER}, keyed)
    again = await web.put(binding(), {"number": NUMBER}, keyed)
    assert (again.status, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.json["attempt"]["id"] == first.json["attempt"]["id"]
    assert again.json["attempt"]["code"] == first.json["attempt"]["code"]
    assert (await web.put(binding(), {"number": OTHER_NUMBER}, keyed)).problem == "key_reused"
    assert (await web.ask("POST", binding() + "/revalidate", keyed)).status == 422
    # another caller's key of the same text is another key
    other = {**bearer(token("1002")), "Idempotency-Key": keyed["Idempotency-Key"]}
    assert (await web.put(binding("1002"), {"number": OTHER_NUMBER}, other)).status == 202
    await finish(web, first.json["attempt"]["id"], Outcome.BUSY)
    late = await web.put(binding(), {"number": NUMBER}, keyed)
    assert (late.json["attempt"]["outcome"], late.json["attempt"]["code"]) == ("busy", None)
    async with web.installation.store.db.link() as link:
        kept = await link.fetch("SELECT body FROM binding_ivr.web_replies")
    assert {row["body"] for row in kept} == {b""}


async def test_what_was_refused_may_be_asked_again_with_the_same_key(web: Web, user: dict[str, str]) -> None:
    keyed = {**user, "Idempotency-Key": "one"}
    await web.installation.bindings.suspend("default", "1001", OURS)
    assert (await web.put(binding(), {"number": NUMBER}, keyed)).problem == "suspended"
    await web.installation.bindings.resume("default", "1001", OURS)
    assert (await web.put(binding(), {"number": NUMBER}, keyed)).status == 202


async def test_a_request_whose_node_died_is_not_carried_out_twice(web: Web, user: dict[str, str]) -> None:
    keyed = {**user, "Idempotency-Key": "one"}
    first = await web.put(binding(), {"number": NUMBER}, keyed)
    running = "UPDATE binding_ivr.web_replies SET status = NULL"
    async with web.installation.store.db.link() as link:
        await link.execute(running)
    assert (await web.put(binding(), {"number": NUMBER}, keyed)).problem == "in_progress"
    async with web.installation.store.db.link() as link:
        await link.execute(running + ", begun_at = now() - interval '2 minutes'")
    taken_over = await web.put(binding(), {"number": NUMBER}, keyed)
    assert taken_over.json["attempt"]["id"] == first.json["attempt"]["id"]


BAD_BODIES: list[tuple[bytes, str, int]] = [
    (b"", "application/json", 400),
    (b"{", "application/json", 400),
    (b"\xff\xfe", "application/json", 400),
    (b"[" * 16_000, "application/json", 400),
    (b'{"number": ' + b"[" * 16_000, "application/json", 400),
    (b"null", "application/json", 422),
    (b"[]", "application/json", 422),
    (b"{}", "application/json", 422),
    (b'{"number": 12025550123}', "application/json", 422),
    (b'{"number": "+12025550123", "admin": true}', "application/json", 422),
    (b'{"number": ""}', "application/json", 422),
    (b'{"number": "' + b"1" * 41 + b'"}', "application/json", 422),
    (b'{"number": "abc"}', "application/json", 422),
    (b'{"number": "\\u0000"}', "application/json", 422),
    (b'{"number": "\\ud800"}', "application/json", 400),
    (b'{"number": "911"}', "application/json", 422),
    (b'{"number": "+19005550123"}', "application/json", 422),
    (b'{"number": "+442079460123"}', "application/json", 422),
    (b'{"number": "+12025550123"}', "text/plain", 415),
    (b"number=%2B12025550123", "application/x-www-form-urlencoded", 415),
    (b'{"number": "' + b" " * 20_000 + b'"}', "application/json", 413),
]


@pytest.mark.parametrize(("body", "kind", "status"), BAD_BODIES, ids=range(len(BAD_BODIES)))
async def test_a_bad_body_is_told_and_changes_nothing(
    web: Web, user: dict[str, str], body: bytes, kind: str, status: int
) -> None:
    reply = await web.ask("PUT", binding(), {**user, "Content-Type": kind}, data=body)
    assert reply.status in (status, 422 if status == 400 else status), reply
    assert reply.problem
    assert (await web.get(binding(), user)).json["status"] == "none"


async def test_a_number_in_other_digits(web: Web, user: dict[str, str]) -> None:
    accepted = await web.put(binding(), {"number": "+１２０２５５５０１２３"}, user)
    assert accepted.json["binding"]["number"] == NUMBER


@pytest.mark.parametrize(
    "path",
    [
        "/v1/accounts/default/users/1001/binding?x=1",
        "/v1/attempts?limit=0",
        "/v1/attempts?limit=1&limit=2",
        "/v1/attempts?since=yesterday",
        "/v1/attempts?since=2026-01-01T00:00:00",
    ],
)
async def test_a_bad_query(web: Web, path: str) -> None:
    assert (await web.get(path, await web.key("admin"))).problem == "bad_query"


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/accounts/%00", "/v1/accounts/a%2Fb", "/v1/accounts/%ff%fe", "//"])
async def test_what_is_not_there(web: Web, path: str) -> None:
    assert (await web.get(path, await web.key("admin"))).problem == "not_found"


async def test_a_method_that_is_not_there(web: Web, user: dict[str, str]) -> None:
    reply = await web.ask("PATCH", binding(), user)
    assert (reply.problem, sorted(reply.headers["Allow"].split(","))) == (
        "method_not_allowed",
        ["DELETE", "GET", "PUT"],
    )


async def test_a_limit_is_named_with_the_time_it_lifts(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path, limits={"user_hour": 1})) as web:
        await web.users("1001")
        user = bearer(token("1001"))
        first = (await web.put(binding(), {"number": NUMBER}, user)).json["attempt"]
        await finish(web, first["id"], Outcome.BUSY)
        reply = await web.ask("POST", binding() + "/revalidate", user)
        assert (reply.status, reply.json.get("limit")) == (429, "user_hour"), reply
        assert 3500 < int(reply.headers["Retry-After"]) <= 3600
        assert reply.json["retry_at"].endswith("Z")
        step = (await web.get(binding(), user)).json["next"]["revalidate"]
        assert (step["allowed"], step["code"], step["limit"]) == (False, "limit_reached", "user_hour")


async def test_too_many_requests(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path, web={"requests_per_second": 1})) as web:
        await web.users("1001")
        replies = [await web.get(binding(), bearer(token("1001"))) for _ in range(15)]
        assert {reply.status for reply in replies} == {200, 429}
        assert replies[-1].problem == "too_many_requests"
        assert int(replies[-1].headers["Retry-After"]) >= 1
        assert (await web.get("/health/live")).status == 200


async def test_administration(web: Web) -> None:
    admin = await web.key("admin")
    assert (await web.put("/v1/accounts/branch", {"settings": {"limits": {"user_hour": 7}}}, admin)).status == 201
    assert (await web.put("/v1/accounts/branch", {"settings": {"limits": {"user_hour": 8}}}, admin)).status == 200
    assert (await web.get("/v1/accounts/branch/limits", admin)).json["limits"]["user_hour"] == 8
    bad: list[Any] = [{"ari": {"user": "x"}}, {"limits": {"user_hour": "x"}}, {"limits": 5}, {"limits": None}]
    for settings in bad:
        assert (await web.put("/v1/accounts/branch", {"settings": settings}, admin)).status == 422
    people = "/v1/accounts/branch/users"
    for name in ("2001", "2002", "2003"):
        assert (await web.put(f"{people}/{name}", {"extensions": [name]}, admin)).status == 201
    assert (await web.put(f"{people}/2003", {"extensions": ["2002"]}, admin)).problem == "extension_taken"
    page = (await web.get(f"{people}?limit=2", admin)).json
    assert ([user["user_id"] for user in page["users"]], page["next"]) == (["2001", "2002"], "2002")
    rest = (await web.get(f"{people}?limit=2&after=2002", admin)).json
    assert ([user["user_id"] for user in rest["users"]], rest["next"]) == (["2003"], None)
    assert [user["user_id"] for user in (await web.get(f"{people}?q=003", admin)).json["users"]] == ["2003"]
    assert (await web.ask("DELETE", f"{people}/2003", admin)).status == 204
    assert (await web.get(f"{people}/2003", admin)).status == 404
    assert (await web.ask("POST", "/v1/suppressions", admin, json={"number": NUMBER})).status == 201
    assert (await web.ask("POST", "/v1/suppressions", admin, json={"number": NUMBER})).status == 200
    listed = (await web.get("/v1/suppressions", admin)).json["suppressions"]
    assert [entry["who"] for entry in listed] == ["key:admin"]
    refused = await web.put(binding("2001", "branch"), {"number": NUMBER}, admin)
    assert (refused.status, refused.problem) == (429, "try_later")
    assert (await web.ask("DELETE", f"/v1/suppressions/{NUMBER}", admin)).status == 204
    own = await web.key("account:branch")
    accepted = await web.put(binding("2001", "branch"), {"number": NUMBER}, own)
    assert accepted.json["attempt"]["code"]
    assert [row["user_id"] for row in (await web.get("/v1/attempts", own)).json["attempts"]] == ["2001"]
    assert "code" not in (await web.get("/v1/attempts", admin)).json["attempts"][0]
    # an administrator who looks on does not see the code, the portal's key does
    assert (await web.get(binding("2001", "branch"), admin)).json["last_attempt"]["code"] is None
    assert (await web.get(binding("2001", "branch"), own)).json["last_attempt"]["code"]
    assert (await web.ask("POST", binding("2001", "branch") + "/suspend", own)).json == {"status": "suspended"}
    assert (await web.ask("POST", binding("2001", "branch") + "/resume", own)).json == {"status": "pending"}


async def test_the_database_is_away(dsn: str, tmp_path: Path, server: Any) -> None:
    """PostgreSQL is reached through a folder that can be taken away, and its connections are cut."""
    folder = Path(parse_qs(urlsplit(dsn).query)["host"][0])
    there = tmp_path / "there"
    there.symlink_to(folder)
    through = dsn.replace(quote(str(folder), safe=""), quote(str(there), safe=""))
    async with running_web(config_for(through, tmp_path)) as web:
        await web.users("1001")
        keyed = {**bearer(token("1001")), "Idempotency-Key": "one"}
        assert (await web.get(binding(), keyed)).status == 200
        there.unlink()
        name = urlsplit(dsn).path.lstrip("/")
        await server.admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        for method, path, body in (
            ("GET", binding(), None),
            ("PUT", binding(), {"number": NUMBER}),
            ("GET", "/v1/accounts/default/extensions/1001/trusted-number", None),
            ("GET", binding() + "/events", None),
            ("GET", "/signin?token=" + token("1001", jti="x"), None),
        ):
            reply = await web.ask(method, path, keyed, json=body)
            assert (reply.status, reply.problem, reply.headers["Retry-After"]) == (503, "unavailable", "5"), path
        assert (await web.get("/health/live")).status == 200
        there.symlink_to(folder)
        assert (await web.put(binding(), {"number": NUMBER}, keyed)).status == 202
