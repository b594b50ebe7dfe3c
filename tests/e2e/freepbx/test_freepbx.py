"""Call Hot-switch in FreePBX's dialplan: calls that come and go by its routes, ring groups, queues and follow-me."""

import pytest

from binding_ivr.lab import Lab
from tests.e2e.hotswitch.scene import CELL, CUSTOMER, Scene, trust
from tests.e2e.rig import Take, pair

DID = "12025550101"


async def there_and_back(scene: Scene) -> None:
    """From the desk to the cell phone, back, and once more."""
    await scene.to_cell()
    await scene.cell.press("*77")
    await scene.moves(scene.cell, scene.desk)
    await scene.to_cell()
    await scene.customer.hangup()
    await scene.cell.idle()


@pytest.mark.parametrize(
    "to", [DID, "12025550160", "12025550161", "12025550140"], ids=["extension", "confirmed-group", "group", "queue"]
)
async def test_a_call_from_outside(scene: Scene, to: str) -> None:
    await scene.received(to)
    await there_and_back(scene)


async def test_a_call_to_outside(scene: Scene) -> None:
    await scene.desk.call(scene.customer.key)
    await pair(scene.desk, scene.customer)
    await there_and_back(scene)


async def test_the_codes_of_desk_phones(scene: Scene) -> None:
    """*63 brings the call back; *78 and *79 stay FreePBX's own."""
    await scene.received(DID)
    await scene.to_cell()
    await scene.desk.call("*63")
    await scene.moves(scene.cell, scene.desk)


async def test_a_user_with_two_devices(lab: Lab, take: Take) -> None:
    """Extension 1003 has the devices 1003 and 1004: each is a phone of the user, and both ring on the way back."""
    await trust(lab, "1003", CELL)
    first, second, cell = await take("1003"), await take("1004", answers=False), await take(CELL)
    customer = await take(CUSTOMER)
    await first.call(customer.key)
    await pair(first, customer)
    await first.press("*77")
    await cell.answered()
    await cell.press("1")
    await pair(cell, customer)
    await first.idle()
    await cell.press("*77")
    await second.rings()
    await pair(first, customer)
    await second.idle()
    await cell.idle()


async def test_asterisk_has_nothing_to_complain_of(lab: Lab) -> None:
    assert "hotswitch" in await lab.pbx.rx("features show")
    before = lab.pbx.mark()
    for command in ("dialplan reload", "module reload features", "module reload res_pjsip.so", "manager reload"):
        await lab.pbx.rx(command)
    assert lab.pbx.complaints(before) == []
