"""Every move and every pull is in the history once, also those that happen while the service is away."""

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from binding_ivr.lab import Lab
from tests.e2e.hotswitch.lane import Lane, Seen, agree
from tests.e2e.hotswitch.scene import CELL, CUSTOMER, RING_S, options, trust, until, until_quiet
from tests.e2e.hotswitch.test_with_service import proven
from tests.e2e.installation import Installation, installed
from tests.e2e.rig import Take, no_channels, phones_of


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as running:
        await running.pbx.rx(f"dialplan set global HOTSWITCH_RING {RING_S}")
        yield running


@pytest.fixture
async def take(lab: Lab) -> AsyncIterator[Take]:
    async with phones_of(lab) as taken:
        yield taken
    await until_quiet(lab)
    await no_channels(lab)


async def history(one: Installation, lane: Lane) -> list[dict[str, Any]]:
    """The history as soon as all that the phones saw is in it."""
    rows: list[dict[str, Any]] = []

    async def told() -> bool:
        nonlocal rows
        found = await one.opened.store.moves.moves(extension=lane.extension, limit=5000)
        rows = [{name: str(getattr(row, name)) for name in row.__slots__} for row in found]
        return len(rows) >= len(lane.seen)

    await until(told, "the history lacks some", 30)
    return rows


async def test_every_move_is_in_the_history_once(lab: Lab, take: Take, tmp_path: Path) -> None:
    number = lab.number("right", 310)
    async with installed(lab, tmp_path, node="history", app="history", answers_lookups=True) as one:
        await one.serve()
        await proven(one, "1001", number)
        lane = await Lane.of(take, "1001", number, CUSTOMER)
        await lane.to_cell()
        await lane.to_desk()
        await lane.not_taken()
        await lane.busy()
        await lane.called_back()
        assert agree(lab, [lane], await history(one, lane)) == []
        # nobody reads the list, and the moves go on
        await one.kill()
        await lane.desk_busy()
        await lane.desk_pull()
        await lane.gone()
        await lane.at_the_last_moment()
        await lane.desk_pull_of_nothing()
        async with options(lab, HOTSWITCH_PROOF="verstat"):
            await lane.refused_pull("not_proven")
        await lane.over()
        assert len(await one.opened.store.moves.moves()) < len(lane.seen)
        await one.serve()
        assert agree(lab, [lane], await history(one, lane)) == []
        # a comparison that would find nothing is worth nothing
        for rows in ((await history(one, lane))[1:], [*await history(one, lane), *(await history(one, lane))[-1:]]):
            assert agree(lab, [lane], rows) != []
        listed = await one.json_command("moves", "1001")
        assert len(listed) == len(lane.seen)
        assert {row["user_id"] for row in listed} == {"1001"}
        assert number not in str(listed)
        assert CUSTOMER not in str(listed)
        assert not await one.json_command("moves", "1002")
        doctor = {row["check"]: row for row in await _doctor(one)}
        assert doctor["moves"]["status"] == "ok", doctor["moves"]


async def _doctor(one: Installation) -> list[dict[str, Any]]:
    """What doctor says, whatever its exit status: not all of it is set up here."""
    _, out, _ = await one.command("doctor", "--json")
    found: list[dict[str, Any]] = json.loads(out)
    return found


LOCKED = """
[test-locked]
exten => s,1,Set(TEST_LOCKED=${LOCK(hotswitch-moves)})
 same => n,Wait(120)
"""


async def test_a_list_that_cannot_be_written_keeps_no_move_waiting(lab: Lab, take: Take, tmp_path: Path) -> None:
    """Somebody holds what the list is written under, as a slow disk does: moves go on, and are noted afterwards."""
    with (lab.pbx.folder / "etc/extensions_lab.conf").open("a") as out:
        out.write(LOCKED)
    await lab.pbx.rx("dialplan reload")
    number = lab.number("right", 311)
    async with installed(lab, tmp_path, node="slow", app="slow", answers_lookups=True) as one:
        await one.serve()
        await proven(one, "1002", number)
        lane = await Lane.of(take, "1002", number, CUSTOMER)
        await lab.pbx.rx("channel originate Local/s@test-locked application Wait 120")
        await lane.to_cell()
        await lane.to_desk()
        await lane.not_taken()
        await lane.over()
        assert await one.opened.store.moves.moves(extension="1002") == []
        channels = await lab.pbx.rx("core show channels concise")
        holder = next(line.split("!")[0] for line in channels.splitlines() if "@test-locked" in line)
        await lab.pbx.rx(f"channel request hangup {holder}")
        rows = await history(one, lane)
        assert [Seen(row["kind"], row["outcome"]) for row in reversed(rows)] == lane.seen


async def test_a_full_list_counts_what_finds_no_place(lab: Lab, take: Take) -> None:
    """With nobody who reads it. Half of it is for calls that moved: others cannot crowd these out."""
    await trust(lab, "1003", CELL)
    lane = await Lane.of(take, "1003", CELL, CUSTOMER)

    async def held(key: str, value: str) -> bool:
        return f"Value: {value}" in await lab.pbx.rx(f"database get {key}")

    for head, move, dropped, last in (
        (5000, lane.not_taken, 1, 5000),
        (5000, lane.to_cell, 1, 5001),
        (10_000, lane.to_desk, 2, 10_000),
    ):
        await lab.pbx.rx("database put hotswitch_list tail 0")
        await lab.pbx.rx(f"database put hotswitch_list head {head}")
        await move()
        await until(partial(held, "hotswitch_list dropped", str(dropped)), "it was not counted")
        await until(partial(held, "hotswitch_list head", str(last)), "the list is not as long as it should be")
    assert await held("hotswitch_moves 5001", "1,")
    assert "not found" in await lab.pbx.rx("database get hotswitch_moves 10001")
    for family in ("hotswitch_list", "hotswitch_moves"):
        await lab.pbx.rx(f"database deltree {family}")
