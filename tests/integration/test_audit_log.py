"""Who did what stands in the audit with the name of whoever did it, and each row is told in the log exactly once."""

from __future__ import annotations

import asyncio
import getpass
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import pytest
from structlog.testing import capture_logs

from binding_ivr.app.signin import make_link
from binding_ivr.errors import UnavailableError
from binding_ivr.jobs.audit_log import AuditLog
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.rows import SuspendReason
from binding_ivr.store import PgAudit, open_store
from tests.generous import nothing_follows
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
from tests.integration.command import commands_on
from tests.patience import SLOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping, Sequence
    from pathlib import Path

    from binding_ivr.model.rows import AuditRow
    from binding_ivr.store import Store
    from tests.integration.conftest import World

    Lines: TypeAlias = Sequence[MutableMapping[str, Any]]


def of_audit(lines: Lines) -> Lines:
    return [line for line in lines if line["event"] == "audit"]


@asynccontextmanager
async def tellers(store: Store, count: int = 1) -> AsyncIterator[list[AuditLog]]:
    """So many nodes that tell the audit."""
    running = [AuditLog(store.audit, pause_s=0.01) for _ in range(count)]
    for one in running:
        one.start()
    try:
        yield running
    finally:
        await asyncio.gather(*(one.stop() for one in running))


async def untold(world: World) -> int:
    return int((await world.sql("SELECT count(*) AS n FROM binding_ivr.audit_untold"))[0]["n"])


async def emptied(world: World) -> None:
    async with asyncio.timeout(10 * SLOW):
        while await untold(world):
            await asyncio.sleep(0.01)


async def test_each_row_is_told_once_by_three_nodes_while_rows_come(world: World) -> None:
    with capture_logs() as lines:
        async with tellers(world.store, 3):
            for n in range(100):
                await world.users(f"1{n}")
            await emptied(world)
    rows = await world.sql("SELECT id, action FROM binding_ivr.audit ORDER BY id")
    assert len(rows) == 200
    assert Counter(line["id"] for line in of_audit(lines)) == Counter(row["id"] for row in rows)


async def test_an_outage_neither_loses_a_line_nor_says_one_twice(world: World, dsn: str) -> None:
    """Connections are cut again and again, also between the line and the commit that remembers it."""
    killer = await asyncpg.connect(dsn)
    cuts = 0
    try:
        with capture_logs() as lines:
            async with tellers(world.store):
                for n in range(60):
                    await killer.execute(
                        "INSERT INTO binding_ivr.users (account, user_id) VALUES ('default', $1)", f"1{n}"
                    )
                    if n % 3 == 0:
                        cuts += await killer.fetchval(
                            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                        )
                async with asyncio.timeout(10 * SLOW):
                    while await killer.fetchval("SELECT EXISTS (SELECT FROM binding_ivr.audit_untold)"):
                        await asyncio.sleep(0.01)
    finally:
        await killer.close()
    assert cuts > 0
    told = Counter(line["id"] for line in of_audit(lines))
    assert (len(told), set(told.values())) == (60, {1})


class _LostOnce(PgAudit):
    """The first time the rows are handed out, and the end of the transaction fails."""

    failing = True

    @asynccontextmanager
    async def untold(self, most: int) -> AsyncIterator[list[AuditRow]]:
        async with super().untold(most) as rows:
            yield rows
            if rows and self.failing:
                self.failing = False
                raise UnavailableError("cut")


async def test_a_row_whose_end_was_lost_is_not_told_again(world: World) -> None:
    await world.users("1001")
    audit = _LostOnce(world.store.db)
    with capture_logs() as lines:
        log = AuditLog(audit, pause_s=0.01)
        log.start()
        try:
            await emptied(world)
        finally:
            await log.stop()
    assert [line["action"] for line in of_audit(lines)] == ["user.added", "extension.added"]
    assert not audit.failing


async def test_what_happened_while_no_node_ran_is_told_by_the_next_and_a_line_has_no_number(world: World) -> None:
    await world.users("1001")
    await world.prove("1001", NUMBER)
    await world.store.bindings.suspend("default", "1001", SuspendReason.ADMIN, world.actor)
    await world.store.suppressions.add(OTHER_NUMBER, OTHER_NUMBER.encode().ljust(32, b"#"), "admin", "cli:root")
    with capture_logs() as lines:
        async with tellers(world.store):
            await emptied(world)
    told = of_audit(lines)
    assert [line["action"] for line in told] == [
        "user.added", "extension.added", "binding.pending", "attempt.dialing", "attempt.ended", "binding.verified",
        "binding.suspended", "suppression.added",
    ]  # fmt: skip
    verified = told[5]
    assert (verified["user"], verified["who"], verified["detail"]["number"]) == ("1001", "system", "…23")
    text = repr(told)
    assert NUMBER[1:] not in text
    assert OTHER_NUMBER[1:] not in text
    assert "hash" not in text


# --- who did it


@pytest.fixture
async def web(dsn: str, tmp_path: Path) -> AsyncIterator[Web]:
    config = config_for(
        dsn, tmp_path, web={"user_header": "X-User", "trusted_proxies": ["127.0.0.1"], "admin_users": ["default/ops"]}
    )
    async with running_web(config) as it:
        await it.users("1001", "1002")
        yield it


async def audited(web: Web, *first_words: str) -> list[tuple[str, str, str, str]]:
    """Action, who, user and what is told, of rows of these kinds, oldest first; and give them time to be written."""
    personal = web.installation.store.personal
    rows = [row for word in first_words for row in await personal.audit(action=word, limit=1000)]
    return [
        (row.action, row.who, row.user_id, str(row.detail.get("by", row.detail.get("why", ""))))
        for row in sorted(rows, key=lambda row: row.id)
    ]


async def waited_for(web: Web, word: str, count: int) -> list[tuple[str, str, str, str]]:
    """As audited, when there are so many rows: what is refused or seen is written in a task of its own."""
    async with asyncio.timeout(10 * SLOW):
        while len(found := await audited(web, word)) < count:
            await asyncio.sleep(0.01)
    return found


async def test_sessions_by_link_token_and_key_and_their_ends(web: Web) -> None:
    store = web.installation.store
    ops = Actor(ActorKind.CLI, "root", Source.CLI)
    link = (await make_link(web.service._config, store, "default", "1001", ops)).partition("?token=")[2]
    page = {"Origin": web.url}
    cookie = (await web.signs_in(link=link)).headers["Set-Cookie"].split(";")[0]
    assert (await web.signs_in(link=link)).status == 401
    assert (await web.ask("POST", "/signout", {**page, "Cookie": cookie, "X-CSRF-Token": ""})).status == 303
    assert (await web.get(f"/signin?token={token('1002')}")).status == 200
    await web.key("admin")
    assert (await web.signs_in(key=web.keys["admin"])).status == 200
    assert await audited(web, "link", "session") == [
        ("link.made", "cli:root", "1001", ""),
        ("link.used", "user:1001", "1001", ""),
        ("session.began", "user:1001", "1001", "link"),
        ("session.ended", "user:1001", "1001", ""),
        ("session.began", "user:1002", "1002", "token"),
        ("session.began", "key:admin", "", "key"),
    ]
    rows = await store.personal.audit(action="session.began")
    assert {row.address for row in rows} == {"127.0.0.1"}
    assert rows[0].detail["key"] == "admin"
    assert await waited_for(web, "signin.refused", 1) == [("signin.refused", "system", "", "bad_link")]


async def test_what_expires_by_itself_is_told_by_its_beginning_alone(web: Web) -> None:
    await web.cookie("1001")
    await make_link(web.service._config, web.installation.store, "default", "1001")
    before = await audited(web, "link", "session")
    async with web.installation.store.db.link() as link:
        for table in ("web_sessions", "signin_links"):
            await link.execute(f"UPDATE binding_ivr.{table} SET expires_at = now() - interval '1 second'")
    await web.installation.store.web.purge()
    after = await audited(web, "link", "session")
    assert [row[0] for row in after[len(before) :]] == ["session.changed", "link.changed"]


async def test_a_user_who_goes_takes_links_and_sessions_along(web: Web) -> None:
    await web.cookie("1001")
    await make_link(web.service._config, web.installation.store, "default", "1001")
    gone = await web.ask("DELETE", "/v1/accounts/default/users/1001", await web.key("admin"))
    assert gone.status == 204
    last = await audited(web, "link", "session", "user.removed", "extension.removed")
    assert {row[:2] for row in last[-4:]} == {
        (action, "key:admin") for action in ("link.ended", "session.ended", "user.removed", "extension.removed")
    }


async def test_credentials_that_come_with_each_request_are_told_once(web: Web) -> None:
    for _ in range(3):
        await web.get(binding(), bearer(token()))
        await web.get(binding(), {"X-User": "1001"})
        await web.get("/v1/accounts", await web.key("account:default"))
        await web.get(binding("nobody"), bearer(token("nobody")))  # a token is good for whomever its issuer knows
    assert sorted(await waited_for(web, "signin", 3)) == [
        ("signin.seen", "key:account.default", "", "key"),
        ("signin.seen", "user:1001", "1001", "header"),
        ("signin.seen", "user:1001", "1001", "token"),
    ]


async def test_a_flood_of_refused_sign_ins_is_one_row_and_a_count(web: Web) -> None:
    refused = [
        (await web.get("/v1/accounts", bearer("bik_0123456789ab_" + "x" * 43))).status for _ in range(100)
    ]  # 429 in the end
    assert set(refused) == {401, 429}
    assert (await web.get("/v1/accounts")).status == 401  # no credential at all is no sign-in
    assert await waited_for(web, "signin", 1) == [("signin.refused", "system", "", "bad_key")]
    text = web.metrics()
    assert 'binding_ivr_signins_refused_total{reason="bad_key"} 100.0' in text
    await web.service.stop()
    async with open_again(web) as rows:
        assert [(row.detail["why"], row.detail["count"], row.address) for row in rows] == [
            ("bad_key", 99, "127.0.0.1"), ("bad_key", 1, "127.0.0.1"),
        ]  # fmt: skip


@asynccontextmanager
async def open_again(web: Web) -> AsyncIterator[list[AuditRow]]:
    dsn = web.service._config.database.dsn
    async with open_store(dsn, 1, limits_of=nothing_follows, migrations="skip") as store:
        yield await store.personal.audit(action="signin.refused")


async def test_what_administrators_do_over_http(web: Web) -> None:
    admin = await web.key("admin")
    user = "/v1/accounts/default/users/1001"
    await web.put("/v1/accounts/acme", {"settings": {"limits": {"user_hour": 9}}}, admin)
    await web.put("/v1/accounts/acme", {"settings": {}}, admin)
    await web.put(user, {"extensions": ["1001", "30"], "language": "de", "email": "anna@example.org"}, admin)
    await web.get(user + "/export", await web.key("account:default"))
    await web.ask("POST", user + "/limits/reset", admin, json={"reason": "asked"})
    await web.ask("POST", user + "/erase", {"X-User": "ops", "Origin": web.url}, json={"reason": "asked for it"})
    found = await audited(web, "account", "user.changed", "user.exported", "user.unlocked", "user.erased")
    assert [row[:2] for row in found] == [
        ("account.added", "key:admin"),
        ("account.changed", "key:admin"),
        ("user.changed", "key:admin"),
        ("user.exported", "key:account.default"),
        ("user.unlocked", "key:admin"),
        ("user.erased", "admin:default/ops"),
    ]
    page = (await web.get("/admin?audit=account.changed&lang=de", {"X-User": "ops"})).text
    assert "Einstellungen des Kontos geändert" in page
    listed = (await web.get("/v1/audit?action=user&account=default", admin)).json["audit"]
    assert {row["action"].partition(".")[0] for row in listed} == {"user"}
    assert "anna" not in str((await web.get("/v1/audit?limit=1000", admin)).json)


async def test_lists_with_whole_numbers_are_told_when_they_are_read(web: Web, dsn: str, tmp_path: Path) -> None:
    key, run = await web.key("account:default"), commands_on(dsn, tmp_path)
    for path in ("/v1/attempts", "/v1/audit", "/v1/accounts/default/users", "/v1/attempts"):
        assert (await web.get(path, key)).status == 200
    for words in ("attempts", "audit", "user list", "own-number list"):
        await run.done(*words.split())
    rows = await web.installation.store.personal.audit(action="list.read")
    assert sorted((row.who.partition(":")[0], row.account, row.detail["list"]) for row in rows) == [
        ("cli", "", "attempts"), ("cli", "", "audit"), ("cli", "", "own-numbers"), ("cli", "", "users"),
        ("key", "default", "attempts"), ("key", "default", "audit"), ("key", "default", "users"),
    ]  # fmt: skip


async def test_commands_are_done_by_whoever_ran_them(world: World, dsn: str, tmp_path: Path) -> None:
    run = commands_on(dsn, tmp_path)
    for words in (
        "account add acme",
        "account set acme limits.user_hour 9",
        "user add 1001 --email anna@example.org",
        "own-number add +12025550100",
        "own-number remove +12025550100",
        "api-key add portal --scope lookup",
        "api-key remove portal",
        "link 1001",
        "exception add +4479 --prefix --reason asked",
        "exception remove +4479 --prefix",
        "suppress add +12025550199 --reason asked",
        "suppress remove +12025550199",
        "limits reset-user 1001 --reason asked",
        "limits reset-number +12025550199 --reason asked",
        "export 1001",
        "user remove 1001",
        "erase 1001 --reason asked",
    ):
        await run.done(*words.split())
    rows = await world.store.personal.audit(limit=1000)
    assert {row.who for row in rows} == {f"cli:{getpass.getuser()}"}
    assert {row.action for row in rows} == {
        "account.added", "account.changed", "user.added", "extension.added", "own_number.added", "own_number.removed",
        "key.added", "key.removed", "link.made", "link.ended", "exception.added", "exception.removed",
        "suppression.added", "suppression.removed", "user.unlocked", "number.unlocked", "user.exported",
        "extension.removed", "user.removed", "user.erased",
    }  # fmt: skip
    shown = (await run.done("audit", "--action", "own_number")).out
    assert "own_number.removed" in shown
    assert "user.added" not in shown
    assert "5550100" not in shown
