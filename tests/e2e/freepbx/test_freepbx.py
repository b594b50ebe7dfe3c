"""Call Hot-switch in FreePBX's dialplan: calls that come and go by its routes, ring groups, queues and follow-me."""

import asyncio
from pathlib import Path

import pytest

from binding_ivr.lab import Lab
from tests.e2e.hotswitch.scene import ACCESS, CELL, CUSTOMER, Scene, notices, options, trust, until, until_quiet
from tests.e2e.hotswitch.test_with_service import proven
from tests.e2e.installation import installed
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
    number = lab.number("right", 342)
    await trust(lab, "1003", number)
    first, second, cell = await take("1003"), await take("1004", answers=False), await take(number)
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


async def test_follow_me(lab: Lab, take: Take) -> None:
    """The caller's channel is two Local channels away from the desk phone."""
    number = lab.number("right", 340)
    await trust(lab, "1002", number)
    scene = Scene(lab, await take("1002"), await take(number), await take(CUSTOMER))
    await scene.received("12025550102")
    await there_and_back(scene)


async def test_what_freepbx_has_stays(lab: Lab, scene: Scene) -> None:
    """One-touch recording in a call, before and after a move; Do Not Disturb."""

    async def pressed(times: int) -> bool:
        return f"Value: {times}" in await lab.pbx.rx("database get one-touch pressed")

    await scene.received(DID)
    await scene.desk.press("*1")
    await until(lambda: pressed(1), "one-touch recording does not start")
    await scene.to_cell()
    await scene.cell.press("*77")
    await scene.moves(scene.cell, scene.desk)
    await scene.desk.press("*1")
    await until(lambda: pressed(2), "one-touch recording does not stop")
    await pair(scene.desk, scene.customer)
    await scene.customer.hangup()
    await scene.desk.idle()
    await (await scene.desk.call("*78")).over()
    assert "Value: YES" in await lab.pbx.rx("database get DND 1001")
    await (await scene.desk.call("*79")).over()
    assert "not found" in await lab.pbx.rx("database get DND 1001")


async def test_the_other_party_has_the_feature_and_can_do_nothing_with_it(lab: Lab, take: Take) -> None:
    """All channels have the global DYNAMIC_FEATURES. A trunk is nobody's phone, so nothing is even said."""
    desk = await take("1001")
    scene = Scene(lab, desk, await take(CELL), await take(CUSTOMER))
    said = sum(notices(lab, prompt) for prompt in ("hs_no_number", "hs_failed", "hs_calling"))
    await scene.received(DID)
    # The key after it comes through, so the code has been dealt with by then.
    await scene.customer.press("*775")

    async def heard() -> bool:
        return desk.current.digits != ""

    await until(heard, "the desk heard no key")
    assert desk.current.digits == "5"
    await scene.unchanged()
    assert scene.cell.calls == []
    assert sum(notices(lab, prompt) for prompt in ("hs_no_number", "hs_failed", "hs_calling")) == said


async def test_the_access_number_is_a_custom_destination(lab: Lab, scene: Scene) -> None:
    async with options(lab, HOTSWITCH_PROOF="none"):
        await scene.received(DID)
        await (await scene.cell.call(ACCESS)).answered()
        await scene.moves(scene.desk, scene.cell)


async def test_only_some_extensions(lab: Lab, scene: Scene, take: Take) -> None:
    """The feature by endpoint instead of by the global; a left-over of a deleted extension costs the ones after it."""
    path = lab.pbx.folder / "etc/pjsip.endpoint_custom_post.conf"
    usual = path.read_text()
    lines = [line.removeprefix(";") for line in usual.splitlines() if line.startswith((";[", ";set_var"))]
    assert len(lines) == 2
    path.write_text("\n".join([*lines, *lines]).replace("[1001]", "[9999]", 2).replace("[9999]", "[1001]", 1) + "\n")
    await lab.pbx.rx("module reload res_pjsip.so")
    async with options(lab, DYNAMIC_FEATURES="apprecord"):
        await scene.received(DID)
        await there_and_back(scene)
        other, customer = await take("1002"), await take("+12065550152")
        await trust(lab, "1002", CELL)
        await customer.call("12025550102")
        await pair(other, customer)
        calls = len(scene.cell.calls)
        await other.press("*77")
        # Nothing is done with the keys: the other party hears them.
        await until_quiet(lab, but=4)
        assert len(scene.cell.calls) == calls
    path.write_text(usual)
    await lab.pbx.rx("module reload res_pjsip.so")
    await lab.pbx.rx("dialplan set global DYNAMIC_FEATURES apprecord#hotswitch")
    await trust(lab, "1001", CELL)


async def test_enrolment_at_a_device_is_for_its_user(lab: Lab, take: Take) -> None:
    """*62 at the device 1004 asks for a number of extension 1003."""
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked.put(await reader.readuntil(b"\n\n"))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", lab.agi_port)
    async with server:
        device = await take("1004")
        call = await device.call("*62")
        request = await asyncio.wait_for(asked.get(), 10)
        await call.over(20)
    assert b"/enrol?account=default&extension=1003\n" in request


async def test_asterisk_has_nothing_to_complain_of(lab: Lab) -> None:
    assert "hotswitch" in await lab.pbx.rx("features show")
    before = lab.pbx.mark()
    for command in ("dialplan reload", "module reload features", "module reload res_pjsip.so", "manager reload"):
        await lab.pbx.rx(command)
    assert lab.pbx.complaints(before) == []


async def test_a_number_is_proven_by_the_trunk_and_moves(lab: Lab, take: Take, tmp_path: Path) -> None:
    """With the users of manager_custom.conf and ari_additional_custom.conf."""
    number = lab.number("right", 341)
    routes = [{**lab.settings()["routes"][0], "endpoint": "PJSIP/{e164}@Trunk_01"}]
    try:
        async with installed(lab, tmp_path, node="fpbx", app="fpbx", answers_lookups=True, routes=routes) as one:
            await one.serve()
            await proven(one, "1001", number)
            scene = Scene(lab, await take("1001"), await take(number), await take(CUSTOMER))
            await scene.received(DID)
            await there_and_back(scene)
    finally:
        await trust(lab, "1001", CELL)
