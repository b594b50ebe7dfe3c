"""Two hundred calls at the same time, all keyed right: all verified, none wrong, no channel left."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from binding_ivr.call.outcome import Outcome
from binding_ivr.lab import Lab
from tests.e2e.installation import GENEROUS, Installation, installed

CALLS = 200
WAITS_MS = 15_000
"""From the answer to the first key: longer than a slow machine takes to begin all the calls."""


async def one_call(one: Installation, index: int, params: dict[str, Any]) -> Outcome | None:
    user, number = await one.new_user(), one.lab.number("right", 200 + index)
    await one.lab.set_script(number, "right", **params)
    return (await one.ended(await one.bind(user, number))).outcome


@pytest.mark.parametrize(
    "params",
    [{"after_ms": WAITS_MS}, {"after_ms": WAITS_MS, "gap_ms": 40, "duration_ms": 50}],
    ids=["usual", "gaps of 40 ms"],
)
async def test_two_hundred_calls_in_flight(lab: Lab, tmp_path: Path, params: dict[str, Any]) -> None:
    sections = {"call": {"delay_s": 0, "ring_s": 30}, "limits": {**GENEROUS, "concurrent_node": CALLS}}
    async with installed(lab, tmp_path, node="load", app="load", sections=sections) as one:
        await one.serve()
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, await lab.pbx.channels())
                await asyncio.sleep(0.2)

        watching = asyncio.create_task(watch())
        outcomes = Counter(await asyncio.gather(*(one_call(one, index, params) for index in range(CALLS))))
        watching.cancel()
        assert outcomes == {Outcome.VERIFIED: CALLS}
        assert most >= CALLS * 0.9, "the calls were not in flight at the same time"
        await one.no_channels()
        rows = await one.house.store.attempts.attempts(limit=CALLS + 1)
        assert len(rows) == CALLS
        assert {row.tries for row in rows} == {1}
