"""The lock has its say in a move: what it refuses is not dialled, on whatever route, and the call stays as it was."""

import pytest

from binding_ivr.lab import Lab
from tests.e2e.hotswitch.scene import CELL, Scene, notices, trust, until


@pytest.mark.parametrize("number", ["+19005551234", "+447400123456", "+12129761234", "+15550100"])
async def test_what_the_lock_refuses_is_not_dialled(lab: Lab, scene: Scene, number: str) -> None:
    """Although AstDB calls it trusted: premium, another country, premium in disguise, an own number."""
    try:
        await trust(lab, "1001", number)
        await scene.received()
        before = notices(lab, "hs_failed")
        await scene.desk.press("*77")

        async def told() -> bool:
            return notices(lab, "hs_failed") > before

        await until(told, "the desk was not told")
        assert await lab.heard(number) == {}
        await scene.unchanged()
    finally:
        await trust(lab, "1001", CELL)
