"""`make moves`: many moves of calls by real phones, and whether history, phones and Asterisk's own records agree.

Three users' calls move at the same time in all ways, also in those that come to nothing. The service is restarted and
killed in the middle. At the end each move must be in the history once.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from binding_ivr.lab import Lab
from binding_ivr.log import set_up
from tests.e2e.hotswitch.lane import Lane, agree
from tests.e2e.hotswitch.scene import RING_S, options, until, until_quiet
from tests.e2e.hotswitch.test_with_service import in_astdb, proven
from tests.e2e.installation import TESTER, Installation, installed
from tests.e2e.rig import phones_of

CUSTOMERS = ("+12125550151", "+12065550161", "+13055550171")
EXTENSIONS = ("1001", "1002", "1003")
Step = Callable[[], Awaitable[None]]


def steps_of(lane: Lane, with_pin: bool) -> list[tuple[Step, int]]:
    """Return what may happen next, and how often."""
    common: list[tuple[Step, int]] = [
        (lane.to_cell, 22),
        (lane.to_desk, 22),
        (lane.desk_pull, 10),
        (lane.not_taken, 6),
        (lane.busy, 5),
        (lane.desk_busy, 5),
        (lane.gone, 5),
        (lane.at_the_last_moment, 5),
        (lane.no_answer, 1),
        (lane.desk_pull_of_nothing, 2),
    ]
    if with_pin:
        return [*common, (lane.pull, 10), (lane.wrong_pin, 3), (lane.no_pin, 3), (lane.pull_of_nothing, 1)]
    return [*common, (lane.called_back, 12), (lane.called_back_for_nothing, 2)]


async def drive(lane: Lane, until_seen: int, with_pin: bool, dice: random.Random) -> None:
    """Let *lane* go on until its phones have seen so many moves."""
    steps, weights = zip(*steps_of(lane, with_pin), strict=True)
    while len(lane.seen) < until_seen:
        await dice.choices(steps, weights)[0]()


async def together(lanes: Sequence[Lane], until_seen: int, dice: random.Random) -> None:
    """Let all lanes go on at the same time; the last one has no PIN."""
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(drive(lane, until_seen, lane is not lanes[-1], random.Random(dice.random())))


async def refused(one: Installation, lanes: Sequence[Lane], times: int) -> None:
    """Pulls that prove nothing, a trunk that is not there, numbers that are suspended or removed."""
    lab, bindings = one.lab, one.opened.bindings
    async with options(lab, HOTSWITCH_PROOF="verstat"):
        for _ in range(times):
            await asyncio.gather(*(lane.refused_pull("not_proven") for lane in lanes))
    async with options(lab, HOTSWITCH_ROUTE="PJSIP/{e164}@nowhere"):
        for lane in lanes:
            await lane.turned_away("unreachable")
    for lane in lanes:
        await bindings.suspend("default", lane.extension, TESTER)
        await in_astdb(lab, lane.extension, "")
        await lane.turned_away("suspended", "hs_suspended")
        await bindings.remove("default", lane.extension, TESTER)
        await lane.turned_away("no_number", "hs_no_number")
        await lane.over()


async def kept(one: Installation, lanes: Sequence[Lane]) -> list[dict[str, str]]:
    """The history, when it has as many as the phones saw, or does not grow any more."""
    seen = sum(len(lane.seen) for lane in lanes)
    rows: list[dict[str, str]] = []

    async def told() -> bool:
        nonlocal rows
        found = await one.opened.store.moves.moves(limit=100_000)
        rows = [{name: str(getattr(row, name)) for name in row.__slots__} for row in found]
        return len(rows) >= seen

    try:
        await until(told, "the history lacks some", 20)
    except AssertionError:
        print("the history lacks some", flush=True)
    return rows


async def run(moves: int, seed: int, folder: Path) -> int:
    """Do it; return the exit status."""
    dice = random.Random(seed)
    began = time.monotonic()
    each = moves // len(EXTENSIONS) + 1
    async with Lab() as lab:
        await lab.pbx.rx(f"dialplan set global HOTSWITCH_RING {RING_S}")
        async with (
            installed(lab, folder, node="moves", app="moves", answers_lookups=True) as one,
            phones_of(lab) as take,
        ):
            await one.serve()
            lanes = []
            for place, extension in enumerate(EXTENSIONS):
                number = lab.number("right", 320 + place)
                await proven(one, extension, number)
                lanes.append(await Lane.of(take, extension, number, CUSTOMERS[place]))
            for lane in lanes[:-1]:
                await lane.has_pin()
            await together(lanes, each // 4, dice)
            print(f"{sum(len(lane.seen) for lane in lanes)} moves, the service is restarted", flush=True)
            assert one.process is not None
            one.process.terminate()
            await asyncio.gather(one.process.wait(), together(lanes, each // 3, dice))
            await one.serve()
            await together(lanes, each // 2, dice)
            print(f"{sum(len(lane.seen) for lane in lanes)} moves, the service is killed", flush=True)
            await asyncio.gather(one.kill(), together(lanes, each // 2 + each // 20, dice))
            await together(lanes, each // 2 + each // 10, dice)
            await asyncio.gather(one.serve(), together(lanes, each - each // 30 - 1, dice))
            await refused(one, lanes, each // 30 + 1)
            await until_quiet(lab)
            rows = await kept(one, lanes)
            wrong = agree(lab, lanes, rows)
            (told,) = await one.opened.store.moves.lists(60)
            report(lanes, rows, time.monotonic() - began)
            print(f"lost: {told.lost_full} without a place, {told.lost_bad} not readable, {told.lost_flood} too many")
    for line in wrong[:50]:
        print("DIFFERS", line)
    print("history, phones and Asterisk's records agree" if not wrong else f"{len(wrong)} differences")
    return 1 if wrong else 0


def report(lanes: Sequence[Lane], rows: Sequence[dict[str, str]], seconds: float) -> None:
    """Print how many there were of each kind."""
    counts = Counter((row["kind"], row["outcome"]) for row in rows)
    for (kind, outcome), count in sorted(counts.items()):
        print(f"{kind:10} {outcome:12} {count:5}")
    seen = sum(len(lane.seen) for lane in lanes)
    print(f"{seen} moves seen by phones, {len(rows)} in the history, {seconds:.0f} s")


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    set_up("console", "critical")
    with tempfile.TemporaryDirectory(prefix="binding-ivr-moves-") as folder:
        return asyncio.run(run(asked.count, asked.seed, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
