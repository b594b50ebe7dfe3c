"""`binding-ivr number check` and exceptions for numbers younger than the plan, as an operator types them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.command import commands_on

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import World

CELL, UNKNOWN = "+12025550123", "+17115550123"


async def everything(world: World) -> dict[str, str]:
    """The rows of every table, as one text each."""
    tables = await world.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'binding_ivr'::regnamespace AND relkind = 'r'"
    )
    found = {}
    for table in tables:
        name = table["relname"]
        [row] = await world.sql(
            f"SELECT coalesce(string_agg(t::text, ' ' ORDER BY t::text), '') AS all FROM binding_ivr.{name} t"
        )
        found[name] = row["all"]
    return found


async def test_a_check_tells_every_step_and_writes_nothing(world: World, dsn: str, tmp_path: Path) -> None:
    run = commands_on(dsn, tmp_path)
    await world.users("1001")
    await run.done("number", "check", CELL, "--now")  # what a first command writes is there now
    before = await everything(world)
    told = (await run.done("number", "check", "tel:+1-202-555-0123", "--now")).out
    assert "read as" in told
    assert "PJSIP/+…23@trunk" in told
    known = (await run.done("number", "check", CELL, "--user", "1001", "--now", "--json")).json
    assert (known["would_be_called"], known["number"], known["refused_by"]) == (True, CELL, None)
    assert {step["result"] for step in known["steps"]} == {"ok"}
    refused = await run("number", "check", "+44 20 7946 0958", "--now")
    assert refused.status == 1
    assert refused.err.startswith("it would not be called: numbers in this country")
    assert "not asked" in refused.out
    assert (await run("number", "check", CELL, "--user", "nobody")).status == 1
    assert (await run("number", "check", CELL, "--account", "nowhere")).status == 1
    assert await everything(world) == before


async def test_a_check_tells_what_the_page_does_not(world: World, dsn: str, tmp_path: Path) -> None:
    run = commands_on(dsn, tmp_path)
    await world.users("1001")
    await world.dial("1001", CELL)
    busy = await run("number", "check", CELL, "--user", "1001", "--now", "--json")
    assert (busy.status, busy.json["refused_by"]) == (1, "call_in_progress")
    taken = await run("number", "check", CELL, "--now", "--json")
    assert (taken.status, taken.json["refused_by"]) == (1, "try_later")
    await run.done("suppress", "add", "+12025550124", "--reason", "asked for it")
    hidden = await run("number", "check", "202 555 0124", "--now", "--json")
    [step] = [step for step in hidden.json["steps"] if step["result"] == "refused"]
    assert (hidden.json["refused_by"], step["step"]) == ("try_later", "suppression")


async def test_a_number_younger_than_the_plan_is_allowed_by_an_exception_until_it_ends(
    world: World, dsn: str, tmp_path: Path
) -> None:
    run = commands_on(dsn, tmp_path)
    await world.users("1001")
    assert "no such phone number" in (await run("bind", "1001", UNKNOWN, "--now")).err
    assert (await run("exception", "add", UNKNOWN)).status == 2, "without a reason"
    added = await run.done("exception", "add", UNKNOWN, "--reason", "new area code", "--until", "1d")
    assert "no numbering plan holds this number" in added.err
    checked = (await run.done("number", "check", "+1 711 555 0123", "--now", "--json")).json
    assert {step["step"]: step["detail"] for step in checked["steps"]}[
        "numbering plan"
    ] == "US; in no plan, but excepted"
    begun = (await run.done("bind", "1001", "(711) 555-0123", "--now", "--json")).json
    assert begun["number"] == UNKNOWN
    await run.done("cancel", "1001")
    await world.sql("UPDATE binding_ivr.number_exceptions SET expires_at = now() - interval '1 second'")
    assert (await run("revalidate", "1001", "--now")).status == 1
    await run.done("suppress", "add", UNKNOWN, "--reason", "asked for it")


async def test_what_may_be_two_numbers_is_suppressed_as_both(world: World, dsn: str, tmp_path: Path) -> None:
    number = {"default_region": "AR", "regions": ["AR"], "types": ["MOBILE", "FIXED_LINE"]}
    run = commands_on(dsn, tmp_path, number=number)
    await world.users("1001")
    await run.done("suppress", "add", "11 2345 6789", "--reason", "asked for it")
    for writing in ("+54 9 11 2345 6789", "+54 11 2345 6789"):
        told = (await run("number", "check", writing, "--now", "--json")).json
        assert told["refused_by"] == "try_later", writing
    assert "could be two different numbers" in (await run("bind", "1001", "11 2345 6789", "--now")).err
    await run.done("suppress", "remove", "+54 11 2345 6789")
    assert (await run("number", "check", "+54 9 11 2345 6789", "--now")).status == 0
