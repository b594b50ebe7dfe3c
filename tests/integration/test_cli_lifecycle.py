"""The commands about a binding's life, as an operator types them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from binding_ivr.config import Limits
from binding_ivr.model.outcome import Fault, Outcome, Verdict
from binding_ivr.model.rows import User
from binding_ivr.store import PgAttempts
from tests.generous import follows
from tests.integration.command import commands_on
from tests.integration.fake_ami import FakeAmi

if TYPE_CHECKING:
    from tests.integration.conftest import World

A, B = "+12025550123", "+12025550188"


async def test_status_undo_and_reasons(world: World, dsn: str, tmp_path: Path) -> None:
    run = commands_on(dsn, tmp_path)
    await world.users("1001")
    assert (await run("undo", "1001")).err.startswith("binding-ivr: you can no longer go back to the earlier number")
    await world.prove("1001", A)
    status = (await run.done("status", "1001", "--json")).json
    assert (status["undo"], status["stale_since"]) == (None, None)
    assert status["verify_by"] > status["verified_at"]
    await world.finish(await world.dial("1001", B), Outcome.BUSY)
    told = (await run.done("status", "1001")).out
    assert f"{A}, until " in told
    assert "binding-ivr undo 1001" in told
    back = await run.done("undo", "1001", "--json")
    assert (back.json["number"], back.json["status"], len(back.json["attempt"]["code"])) == (A, "pending", 6)
    await run.done("cancel", "1001")
    await run.done("suspend", "1001", "--reason", "phone  lost")
    await run.done("resume", "1001", "--reason", "found")
    await run.done("remove", "1001", "--reason", "left")
    rows = await world.sql("SELECT action, reason FROM binding_ivr.audit WHERE reason <> '' ORDER BY id")
    assert [(row["action"], row["reason"]) for row in rows] == [
        ("binding.suspended", "phone lost"),
        ("binding.pending", "found"),
        ("binding.none", "left"),
    ]


async def test_audit_export_and_erase(world: World, dsn: str, tmp_path: Path) -> None:
    run = commands_on(dsn, tmp_path)
    await world.users("1001", "1002")
    await world.prove("1001", A)
    table = (await run.done("audit", "--user", "1001", "--since", "1h")).out
    assert table.splitlines()[0].split()[:4] == ["at", "account", "user_id", "action"]
    assert "outcome=verified" in table
    rows = (await run.done("audit", "--action", "binding", "--limit", "1", "--json")).json
    assert (rows[0]["action"], rows[0]["detail"]["number"]) == ("binding.verified", A)
    told = (await run.done("export", "1001")).json
    assert (told["user_id"], told["binding"]["number"], len(told["attempts"])) == ("1001", A, 1)
    assert (await run("export", "nobody")).status == 1
    assert (await run("erase", "1001")).status == 2
    assert (await run("erase", "1001", "--reason", "x")).err.startswith("binding-ivr: --reason: ")
    done = (await run.done("erase", "1001", "--reason", "asked for it", "--json")).json
    assert (done["attempts"], done["pseudonym"][:7]) == (1, "erased/")
    assert (await run("export", "1001")).err == "binding-ivr: nothing is held about a user 1001 of account default\n"
    [last] = (await run.done("audit", "--limit", "1", "--json")).json
    assert (last["action"], last["user_id"], last["reason"]) == ("user.erased", done["pseudonym"], "asked for it")


async def test_an_export_says_who_has_a_pin(world: World, dsn: str, tmp_path: Path) -> None:
    await world.store.directory.add_user(User("default", "1001", ("1001", "30"), "", ""))
    assert (await commands_on(dsn, tmp_path).done("export", "1001")).json["hot_switch_pins"] is None  # no AMI
    async with FakeAmi() as fake:
        fake.astdb = {"hotswitch_pin/default/30": "secret", "hotswitch_pin/default/31": "secret"}
        run = commands_on(dsn, tmp_path, ami={"port": fake.port, "user": "u", "secret": fake.secret})
        done = await run.done("export", "1001")
        assert (done.json["hot_switch_pins"], "secret" in done.out) == (["30"], False)
        fake.denied = {"DBGet"}
        assert (await run.done("export", "1001")).json["hot_switch_pins"] is None


@pytest.mark.parametrize(
    "words",
    [
        ("status", "10\0"), ("bind", "10\0", A), ("remove", "10\0"), ("export", "10\0"), ("user", "remove", "10\0"),
        ("remove", "1001", "--account", "a\0"), ("suspend", "1001", "--reason", "why\0"), ("attempts", "--user", "\0"),
        ("audit", "--user", "\0"), ("api-key", "remove", "\0"), ("limits", "reset-user", "\0", "--reason", "asked"),
    ],
)  # fmt: skip
async def test_a_value_that_cannot_be_stored_is_refused(
    world: World, dsn: str, tmp_path: Path, words: tuple[str, ...]
) -> None:
    await world.users("1001")
    done = await commands_on(dsn, tmp_path)(*words)
    assert (done.status, done.err) == (1, "binding-ivr: a value has characters that cannot be stored\n")


async def test_suppressions(world: World, dsn: str, tmp_path: Path) -> None:
    run = commands_on(dsn, tmp_path)
    await run.done("suppress", "add", A, "--reason", "asked by letter")
    [row] = (await run.done("suppress", "list", "--json")).json
    assert (row["reason"], row["note"], A[2:] in str(row)) == ("admin", "asked by letter", False)
    assert (await run.done("suppress", "check", A)).out == "suppressed\n"
    await run.done("suppress", "remove", row["hash"], "--reason", "a mistake")
    assert (await run.done("suppress", "check", A)).out == "not suppressed\n"
    rows = await world.sql("SELECT action, reason, detail ->> 'number_hash' AS hash FROM binding_ivr.audit ORDER BY id")
    assert [(one["action"], one["reason"]) for one in rows] == [
        ("suppression.added", "asked by letter"),
        ("suppression.removed", "a mistake"),
    ]
    assert {one["hash"] for one in rows} == {row["hash"]}


async def test_limits_are_seen_and_lifted(world: World, dsn: str, tmp_path: Path) -> None:
    run = commands_on(dsn, tmp_path)
    await world.users("1001")
    installation = PgAttempts(
        world.store.db, limits_of=follows(Limits(user_failed_tries=3, user_lock_s=7200, breaker_calls=1))
    )
    assert await installation.finish(await world.answer("1001", A), Verdict(Outcome.WRONG_CODE, Fault.CALLEE, tries=3))
    table = (await run.done("limits", "show")).out
    for words in ("paused", "0 of 1 answered calls", "1001", "locked out", "1 in the last hour", "locked: 1 users"):
        assert words in table
    seen = (await run.done("limits", "show", "--account", "default", "--json")).json
    assert (seen["paused"][0]["account"], seen["locked_out"][0]["user_id"]) == ("default", "1001")
    refused = await run("bind", "1001", A)
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "(limit user_failed_tries); try again in 2 h" in refused.err
    assert (await run("limits", "reset-user", "1001")).status == 2
    for what in (["reset-user", "1001"], ["reset-number", A], ["resume"]):
        unsaid = await run("limits", *what, "--reason", " ")
        assert (unsaid.status, unsaid.err.startswith("binding-ivr: --reason: say why")) == (1, True)
    freed = await run.done("limits", "reset-user", "1001", "--reason", "showed their badge", "--json")
    assert freed.json == {"calls_that_count_no_more": 1, "locks_lifted": 1}
    assert "(limit account_breaker)" in (await run("bind", "1001", A)).err
    assert (await run("limits", "resume", "--system", "--reason", "a drill")).err == (
        "binding-ivr: calls of the whole system are not paused\n"
    )
    await run.done("limits", "resume", "--reason", "a drill")
    await run.done("limits", "reset-number", A, "--reason", "it is theirs")
    bound = await run.done("bind", "1001", A, "--json", "--now")
    assert bound.json["status"] == "pending"
    assert (await run("limits", "reset-number", "nonsense", "--reason", "a drill")).err.startswith(
        "binding-ivr: this is"
    )
    rows = await world.sql("SELECT action FROM binding_ivr.audit WHERE reason <> '' ORDER BY id")
    assert [row["action"] for row in rows] == ["user.unlocked", "account.resumed", "number.unlocked"]


async def test_another_key_for_numbers_is_refused_once_anything_was_hashed(
    world: World, dsn: str, tmp_path: Path
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    run = commands_on(dsn, tmp_path / "one")
    await run.done("suppress", "list")
    other = commands_on(dsn, tmp_path / "other", code={"number_key": "another key of 32 characters ..."})
    await other.done("suppress", "list")  # nothing was hashed yet
    await other.done("suppress", "add", A)
    refused = await run("suppress", "check", A)
    assert refused.status == 1
    assert refused.err.startswith("binding-ivr: code.number_key: not the key")
    assert "another key" not in refused.err
    assert (await other.done("suppress", "check", A)).out == "suppressed\n"


async def test_a_suppression_ends_the_trust(world: World, dsn: str, tmp_path: Path) -> None:
    run = commands_on(dsn, tmp_path)
    await world.users("1001")
    await world.prove("1001", A)
    assert (await run.done("suppress", "add", A, "--reason", "asked by letter")).out == "suppressed\n"
    status = (await run.done("status", "1001", "--json")).json
    assert (status["status"], status["reason"]) == ("suspended", "suppressed")
    [last] = (await run.done("audit", "--user", "1001", "--limit", "1", "--json")).json
    assert (last["action"], last["reason"], last["detail"]["reason"]) == (
        *("binding.suspended", "asked by letter"),
        "suppressed",
    )
    assert last["who"].startswith("cli:")
    assert (await world.events("1001"))[-1] == "binding.suspended"
    assert A not in (await run("lookup", "1001")).out
    assert (await run.done("suppress", "add", A)).out == "was suppressed before\n"
