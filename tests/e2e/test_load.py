"""Two hundred calls at the same time, all keyed right: all verified, none wrong, no channel left."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from binding_ivr.lab import Lab
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.model.rows import AttemptRow
from tests.e2e.installation import GENEROUS, Installation, installed
from tests.patience import SLOW

CALLS = 200
ASKED_AT_ONCE = 8
"""As many as a server's connections to PostgreSQL: it is the calls that are to be many, not the askers."""
STARTS_PER_SECOND = 20
WAITS_MS = 30_000
"""From the answer to the first key: more than twice as long as the last call leaves after the first."""
HANDS: tuple[dict[str, int], ...] = ({}, {"gap_ms": 40, "duration_ms": 50})
"""How the callers key, one by one: in the usual way, and as quickly as a speed-dial key does."""


async def ask_for_a_call(one: Installation, index: int, asking: asyncio.Semaphore) -> None:
    number = one.lab.number("right", 200 + index)
    params: dict[str, Any] = {"after_ms": WAITS_MS, **HANDS[index % len(HANDS)]}
    async with asking:
        await one.lab.set_script(number, "right", **params)
        await one.bind(await one.new_user(), number)


async def all_ended(one: Installation) -> tuple[list[AttemptRow], int]:
    """Wait until no call is left; return the attempts, and how many channels there were at the most."""
    most = 0
    async with asyncio.timeout(300 * SLOW):
        while True:
            most = max(most, await one.lab.pbx.channels())
            rows = await one.opened.store.attempts.attempts(limit=CALLS + 1)
            if all(row.state is AttemptState.ENDED for row in rows):
                return rows, most
            await asyncio.sleep(0.2)


@pytest.mark.alone
async def test_two_hundred_calls_in_flight(lab: Lab, tmp_path: Path) -> None:
    limits = {**GENEROUS, "concurrent_node": CALLS, "starts_per_second": STARTS_PER_SECOND}
    sections = {"call": {"delay_s": 0, "ring_s": 30}, "limits": limits}
    async with installed(lab, tmp_path, node="load", app="load", sections=sections) as one:
        await one.serve()
        asking = asyncio.Semaphore(ASKED_AT_ONCE)
        await asyncio.gather(*(ask_for_a_call(one, index, asking) for index in range(CALLS)))
        rows, most = await all_ended(one)
        assert len(rows) == CALLS
        odd = [(row.outcome, row.cause, row.tech_cause, row.detail) for row in rows if row.outcome != Outcome.VERIFIED]
        assert odd == []
        assert {row.tries for row in rows} == {1}
        assert most >= CALLS * 0.9, "the calls were not in flight at the same time"
        await one.no_channels()
