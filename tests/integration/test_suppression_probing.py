"""Whoever asks for a suppressed number learns nothing that a busy number would not tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import FAULTS, AttemptState, Outcome, Verdict
from binding_ivr.store.database import Database, Transaction
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

OURS = Actor(ActorKind.CLI, "test", Source.CLI)
LIMITS = {"number_hour": 100, "number_day": 100, "user_hour": 4}
PROBES = 5


@pytest.fixture
async def web(dsn: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with running_web(config_for(dsn, tmp_path, limits=LIMITS)) as it:
        await it.users("1001", "1002")
        yield it


@dataclass
class Seen:
    """All that a prober can see of one request, and what it made PostgreSQL do."""

    reply: Reply
    binding: Any
    queries: list[str]


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the queries that run, in order."""
    names: list[str] = []

    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(self: Any, name: str, *args: Any) -> Any:
            names.append(name)
            return await method(self, name, *args)

        return wrapped

    for kind in (Database, Transaction):
        for method in ("row", "rows", "run"):
            monkeypatch.setattr(kind, method, watched(getattr(kind, method)))
    return names


async def probe(web: Web, queries: list[str], number: str, **headers: str) -> Seen:
    user = bearer(token("1002"))
    queries.clear()
    reply = await web.put(binding("1002"), {"number": number}, {**user, **headers})
    # what the service does by itself in the meantime is not what the request does
    ran = [name for name in queries if name in REQUEST]
    return Seen(reply, (await web.get(binding("1002"), user)).json, ran)


REQUEST = {
    "begin_accept", "accept_facts", "accept_attempt", "account", "own_numbers_for_check", "user", "binding_facts",
}  # fmt: skip


async def finish(web: Web, attempt: str, outcome: Outcome) -> None:
    ledger = web.installation.store.attempts
    await ledger.claim("test", 100, 30)
    await ledger.progress(UUID(attempt), AttemptState.ANSWERED, 0)
    assert await ledger.finish(UUID(attempt), Verdict(outcome, FAULTS[outcome], tries=1))


_ABOUT_CALLS = "AND action NOT IN ('user.added', 'extension.added', 'signin.seen')"


async def kept(web: Web) -> list[tuple[str, int]]:
    """How many rows there are about the prober."""
    async with web.installation.store.db.link() as link:
        return [
            (table, await link.fetchval(f"SELECT count(*) FROM binding_ivr.{table} WHERE user_id = '1002' {but}"))
            for table, but in (("audit", _ABOUT_CALLS), ("attempts", ""), ("outbox", ""), ("bindings", ""))
        ]


async def test_suppressed_and_busy_look_the_same(web: Web, queries: list[str]) -> None:
    busy = await web.put(binding(), {"number": NUMBER}, bearer(token("1001")))
    assert busy.status == 202
    await web.installation.numbers.suppress(OTHER_NUMBER, OURS)
    seen = {number: [await probe(web, queries, number) for _ in range(PROBES)] for number in (NUMBER, OTHER_NUMBER)}
    for one, other in zip(seen[NUMBER], seen[OTHER_NUMBER], strict=True):
        assert one.reply.problem == "try_later"
        assert (one.reply.status, one.reply.text) == (other.reply.status, other.reply.text)
        volatile = {"Date", "X-Request-Id"}
        assert {k: v for k, v in one.reply.headers.items() if k not in volatile} == {
            k: v for k, v in other.reply.headers.items() if k not in volatile
        }
        assert one.binding == other.binding
        assert one.queries == other.queries
        assert "accept_facts" in one.queries
    assert set(seen[NUMBER][0].reply.json) == {
        "type",
        "title",
        "status",
        "detail",
    }  # no limit, no time at which it lifts
    assert await kept(web) == [("audit", 0), ("attempts", 0), ("outbox", 0), ("bindings", 0)]
    assert seen[OTHER_NUMBER][-1].binding["next"]["bind"]["allowed"]  # nothing was counted


async def test_the_way_of_asking_makes_no_difference(web: Web, queries: list[str]) -> None:
    """By the same key again, by calling again, and by going back after a change."""
    user = bearer(token("1002"))
    for outcome, number in ((Outcome.VERIFIED, NUMBER), (Outcome.BUSY, OTHER_NUMBER)):
        attempt = (await web.put(binding("1002"), {"number": number}, user)).json["attempt"]["id"]
        await finish(web, attempt, outcome)
    answers = {}
    for state in ("busy", "suppressed"):
        if state == "suppressed":
            for number in (NUMBER, OTHER_NUMBER):
                await web.installation.numbers.suppress(number, OURS)
        else:
            for name, number in (("1001", NUMBER), ("1003", OTHER_NUMBER)):
                await web.users(name)
                assert (await web.put(binding(name), {"number": number}, bearer(token(name)))).status == 202
        told = []
        for path in ("/revalidate", "/undo"):
            told.append(await web.ask("POST", binding("1002") + path, user))
            told.append(await web.ask("POST", binding("1002") + path, {**user, "Idempotency-Key": state}))
            told.append(await web.ask("POST", binding("1002") + path, {**user, "Idempotency-Key": state}))
        answers[state] = [(reply.status, reply.text) for reply in told]
        answers[state].append((200, str((await web.get(binding("1002"), user)).json["next"])))
        if state == "busy":
            for name in ("1001", "1003"):
                assert (await web.ask("DELETE", binding(name) + "/attempt", bearer(token(name)))).status == 204
    assert answers["busy"] == answers["suppressed"]
    assert {status for status, _ in answers["busy"]} == {429, 200}


async def test_the_callee_who_pressed_star_is_not_told_of(web: Web, queries: list[str]) -> None:
    """Another user's report: who comes after sees what a busy line would have told, until an administrator lifts it."""
    attempt = (await web.put(binding(), {"number": NUMBER}, bearer(token("1001")))).json["attempt"]["id"]
    in_call = await probe(web, queries, NUMBER)
    await finish(web, attempt, Outcome.REPORTED)
    await web.installation.store.clock.advance(400 * 86_400, OURS)  # it does not lift by itself
    after = await probe(web, queries, NUMBER)
    assert (in_call.reply.text, in_call.queries) == (after.reply.text, after.queries)
    assert "reported" not in str(after.binding)
    await web.installation.numbers.unsuppress(NUMBER, OURS)
    assert (await probe(web, queries, NUMBER)).reply.status == 202


async def test_denied_by_the_operator_and_suppressed_look_the_same(web: Web, queries: list[str]) -> None:
    """Also when a limit of the prober's own stands against the call: that is told first, for either number."""
    user, denied, suppressed = bearer(token("1002")), "+12125550144", "+12125550145"
    deny = [*web.installation.config.number.deny, denied]
    await web.installation.store.directory.set_settings("default", {"number": {"deny": deny}})
    await web.installation.numbers.suppress(suppressed, OURS)
    one, other = [await probe(web, queries, number) for number in (denied, suppressed)]
    assert one.reply.problem == "try_later"
    assert (one.reply.text, one.queries, one.binding) == (other.reply.text, other.queries, other.binding)
    assert "accept_facts" in one.queries
    for n in range(LIMITS["user_hour"]):
        attempt = (await web.put(binding("1002"), {"number": f"+1303555010{n}"}, user)).json["attempt"]["id"]
        await finish(web, attempt, Outcome.BUSY)
    one, other = [await probe(web, queries, number) for number in (denied, suppressed)]
    assert one.reply.json["limit"] == "user_hour"
    assert (one.reply.status, one.queries) == (other.reply.status, other.queries)
    assert one.reply.json["retry_at"] == other.reply.json["retry_at"]


async def test_a_number_that_is_denied_later_is_told_as_one_that_is_suppressed(web: Web) -> None:
    for name, number in (("1001", NUMBER), ("1002", OTHER_NUMBER)):
        attempt = (await web.put(binding(name), {"number": number}, bearer(token(name)))).json["attempt"]["id"]
        await finish(web, attempt, Outcome.BUSY)
    await web.installation.store.directory.set_settings(
        "default", {"number": {"deny": [*web.installation.config.number.deny, NUMBER]}}
    )
    await web.installation.numbers.suppress(OTHER_NUMBER, OURS)
    told = []
    for name in ("1001", "1002"):
        foretold = (await web.get(binding(name), bearer(token(name)))).json["next"]["revalidate"]
        came = await web.ask("POST", binding(name) + "/revalidate", bearer(token(name)))
        assert (foretold["allowed"], foretold["code"], came.problem) == (False, "try_later", "try_later")
        told.append((foretold, came.text))
    assert told[0] == told[1]
    await web.installation.store.directory.set_settings("default", {})
    assert (await web.ask("POST", binding("1001") + "/revalidate", bearer(token("1001")))).status == 202
