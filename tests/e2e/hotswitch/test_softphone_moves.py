"""The moves of a desk phone that is not Asterisk (baresip), with RFC 4733 and with SIP INFO."""

import pytest

from binding_ivr.lab import Lab
from tests.e2e.hotswitch.scene import ACCESS, CUSTOMER, Scene, options, trust
from tests.e2e.rig import Take

CELL = "+12065550160"


@pytest.fixture(params=[False, True], ids=["rfc4733", "info"])
async def scene(lab: Lab, take: Take, request: pytest.FixtureRequest) -> Scene:
    await trust(lab, "1005", CELL)
    return Scene(lab, await take.softphone(info=request.param), await take(CELL), await take(CUSTOMER))


async def test_there_and_back(scene: Scene) -> None:
    await scene.received("1005")
    await scene.to_cell()
    await scene.cell.press("*77")
    await scene.moves(scene.cell, scene.desk)
    await scene.customer.hangup()
    await scene.desk.idle()
    await scene.made()
    await scene.to_cell()
    await scene.desk.call("*78")
    await scene.moves(scene.cell, scene.desk)
    print("\n  baresip:", *scene.gaps, sep="\n    ", end="")


async def test_it_is_pulled(lab: Lab, scene: Scene) -> None:
    await scene.received("1005")
    async with options(lab, HOTSWITCH_PROOF="none"):
        await scene.cell.call(ACCESS)
        await scene.moves(scene.desk, scene.cell)


async def test_a_move_that_fails(lab: Lab, scene: Scene) -> None:
    await scene.received("1005")
    await scene.desk.press("*77")
    await scene.accepts("9")
    await scene.unchanged()
