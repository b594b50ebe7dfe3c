"""The lock has its say in a move: what it refuses is not dialled, on whatever route, and the call stays as it was."""

import pytest

from binding_ivr.lab import Lab
from tests.e2e.hotswitch.scene import CELL, Scene, notices, options, trust, until, until_quiet


@pytest.mark.parametrize("direction", ["made", "received"])
async def test_a_route_through_the_lock(lab: Lab, scene: Scene, direction: str) -> None:
    async with options(lab, HOTSWITCH_ROUTE="Local/{digits}@binding-ivr-out/n"):
        await (scene.made() if direction == "made" else scene.received())
        await scene.to_cell()
        await until_quiet(lab, but=2)  # helpers that speak and write are gone
        assert "Local/" not in await lab.pbx.rx("core show channels")
        await scene.cell.press("*77")
        await scene.moves(scene.cell, scene.desk)
        await scene.to_cell()
        await scene.customer.hangup()
        await scene.cell.idle()


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
