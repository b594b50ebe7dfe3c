"""A lab without binding_ivr: AstDB alone carries the moves, as when the service and PostgreSQL are down."""

from collections.abc import AsyncIterator

import pytest

from binding_ivr.lab import Lab
from tests.e2e.hotswitch.scene import CELL, RING_S, Scene, scene_of, trust, until_quiet
from tests.e2e.rig import Take, no_channels, phones_of


@pytest.fixture(scope="package")
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as running:
        await trust(running, "1001", CELL)
        await running.pbx.rx(f"dialplan set global HOTSWITCH_RING {RING_S}")
        yield running


@pytest.fixture
async def take(lab: Lab) -> AsyncIterator[Take]:
    async with phones_of(lab) as taken:
        yield taken
    await until_quiet(lab)
    await no_channels(lab)


@pytest.fixture
async def scene(lab: Lab, take: Take) -> AsyncIterator[Scene]:
    async with scene_of(lab, take) as made:
        yield made
