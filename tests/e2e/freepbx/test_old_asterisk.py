"""The same on Asterisk 16, with which FreePBX 16 began."""

from collections.abc import AsyncIterator

import pytest

from binding_ivr.lab import Lab
from tests.e2e.freepbx.conftest import freepbx
from tests.e2e.freepbx.test_freepbx import there_and_back
from tests.e2e.hotswitch.scene import Scene


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with freepbx("bullseye") as running:
        yield running


async def test_a_ring_groups_call_moves(lab: Lab, scene: Scene) -> None:
    assert lab.pbx.version.startswith("16.")
    assert lab.pbx.complaints() == []
    await scene.received("12025550160")
    await there_and_back(scene)
