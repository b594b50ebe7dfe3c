"""Whatever goes wrong with a move leaves the call as it was."""

import asyncio

import pytest

from binding_ivr.lab import Lab
from tests.e2e.hotswitch.scene import (
    CELL,
    CUSTOMER,
    Scene,
    noticed,
    notices,
    options,
    scene_of,
    trust,
    until,
    until_quiet,
)
from tests.e2e.rig import Take, pair


async def refused(scene: Scene, prompt: str) -> None:
    """Press the code: *prompt* is said to the desk alone, and the call is as it was."""
    before = notices(scene.lab, prompt)
    await scene.desk.press("*77")
    await noticed(scene.lab, prompt, before)
    await scene.unchanged()
    # The subroutine itself takes the sound for some milliseconds; a look-up or a wait in it would be heard.
    assert [hole for hole in scene.customer.current.missed(scene.desk) if hole.ms > 500] == []
    assert all(call.over_at is not None for call in scene.cell.calls)


@pytest.mark.parametrize(("doors", "prompt"), [("astdb", "hs_no_number"), ("astdb,agi", "hs_failed")])
async def test_no_trusted_number(lab: Lab, scene: Scene, doors: str, prompt: str) -> None:
    """Nothing in AstDB: there is no number, or it cannot be known because the service that knows is down."""
    await lab.pbx.rx("database del binding ext/default/1001")
    try:
        async with options(lab, BINDING_LOOKUP=doors):
            await scene.received()
            await refused(scene, prompt)
        assert scene.cell.calls == []
    finally:
        await trust(lab, "1001", CELL)


@pytest.mark.parametrize(
    "value", ["12025550150", "+1", '+1202555"0150', "+12025550150&PJSIP/+12025550151", "+1202555015x"]
)
async def test_what_is_no_number_is_not_dialled(lab: Lab, scene: Scene, value: str) -> None:
    quoted = value.replace('"', '\\"')
    await lab.pbx.rx(f'database put binding ext/default/1001 "{quoted}"')
    try:
        await scene.received()
        await refused(scene, "hs_failed")
        assert scene.cell.calls == []
    finally:
        await trust(lab, "1001", CELL)


async def test_what_the_lock_does_not_allow_is_not_dialled(lab: Lab, scene: Scene) -> None:
    """A premium number and one abroad, as a bug somewhere else might put them into AstDB."""
    for number in ("+19005550150", "+442079460150", "+881612345678"):
        await trust(lab, "1001", number)
        try:
            await scene.received()
            await refused(scene, "hs_failed")
        finally:
            await trust(lab, "1001", CELL)
        await scene.customer.hangup()
        await scene.desk.idle()


async def test_the_way_out_may_be_the_lock_itself(lab: Lab, take: Take) -> None:
    async with options(lab, HOTSWITCH_ROUTE="Local/{digits}@binding-ivr-out/n"), scene_of(lab, take) as scene:
        await scene.received()
        await scene.to_cell()
        await scene.cell.press("*77")
        await scene.moves(scene.cell, scene.desk)
        await scene.to_cell()
        await scene.customer.hangup()
        await scene.cell.idle()


@pytest.mark.parametrize("cause", [17, 21, 34])
async def test_busy_declined_and_congestion(lab: Lab, take: Take, cause: int) -> None:
    async with scene_of(lab, take, cell_answers=False) as scene:
        await scene.received()
        before = notices(lab, "hs_failed")
        await scene.desk.press("*77")
        await scene.cell.rings()
        await scene.cell.decline(cause)
        await noticed(lab, "hs_failed", before)
        await scene.unchanged()


async def test_no_answer(lab: Lab, take: Take) -> None:
    async with scene_of(lab, take, cell_answers=False) as scene:
        await scene.received()
        await refused(scene, "hs_failed")
        assert len(scene.cell.calls) == 1


async def test_voicemail_presses_nothing(scene: Scene) -> None:
    await scene.received()
    before = notices(scene.lab, "hs_failed")
    await scene.desk.press("*77")
    await scene.cell.answered()
    # Voicemail hangs up when its message is full, or we do after the third request.
    await scene.cell.current.over(60)
    await noticed(scene.lab, "hs_failed", before)
    await scene.unchanged()


async def test_another_key_declines(scene: Scene) -> None:
    await scene.received()
    before = notices(scene.lab, "hs_failed")
    await scene.desk.press("*77")
    await scene.accepts("5")
    await noticed(scene.lab, "hs_failed", before)
    await scene.unchanged()


async def test_the_trunk_is_down(lab: Lab, scene: Scene) -> None:
    async with options(lab, HOTSWITCH_ROUTE="PJSIP/{e164}@nowhere"):
        await scene.received()
        await refused(scene, "hs_failed")


async def test_the_code_is_pressed_twice(lab: Lab, scene: Scene) -> None:
    await scene.received()
    before = notices(lab, "hs_in_progress")
    await scene.desk.press("*77")
    await scene.cell.answered()
    await scene.desk.press("*77")
    await noticed(lab, "hs_in_progress", before)
    assert len(scene.cell.live) == 1
    await scene.cell.press("1")
    await scene.moves(scene.desk, scene.cell)


async def test_both_sides_press_at_once(lab: Lab, take: Take) -> None:
    """One move at most, and the call goes on."""
    await trust(lab, "1002", "+12065550152")
    async with scene_of(lab, take) as scene:
        other, second = await take("1002"), await take("+12065550152")
        await other.call("1001")
        await pair(scene.desk, other)
        await asyncio.gather(scene.desk.press("*77"), other.press("*77"))
        await until_quiet(lab, but=2)
        await pair(scene.desk, other)
        assert len(scene.cell.calls) + len(second.calls) <= 1


async def test_the_other_party_hangs_up_while_the_cell_rings(lab: Lab, take: Take) -> None:
    async with scene_of(lab, take, cell_answers=False) as scene:
        await scene.received()
        await scene.desk.press("*77")
        await scene.cell.rings()
        await scene.customer.hangup()
        await asyncio.gather(scene.desk.idle(), scene.cell.idle())


async def test_accepted_after_the_other_party_hung_up(scene: Scene) -> None:
    await scene.received()
    await scene.desk.press("*77")
    await scene.cell.answered()
    await scene.customer.hangup()
    await asyncio.gather(scene.desk.idle(), scene.cell.idle())


async def test_the_desk_hangs_up_right_after_the_code(scene: Scene) -> None:
    await scene.received()
    await scene.asks()
    await scene.desk.hangup()
    await scene.cell.answered()
    await scene.customer.hears("ringing")
    await scene.cell.press("1")
    await pair(scene.cell, scene.customer)


async def test_the_desk_hangs_up_and_nobody_accepts(lab: Lab, take: Take) -> None:
    """The desk phone is rung again, and the call goes on there."""
    async with scene_of(lab, take, cell_answers=False) as scene:
        await scene.received()
        await scene.asks()
        await scene.desk.hangup()
        await scene.customer.hears("ringing")
        await pair(scene.desk, scene.customer)
        assert len(scene.desk.calls) == 2
        await scene.cell.idle()


async def test_a_blind_transfer_in_between(lab: Lab, take: Take) -> None:
    """Who accepts then gets no call: it has gone elsewhere."""
    async with scene_of(lab, take) as scene:
        other = await take("1003")
        await scene.received()
        await scene.desk.press("*77")
        await scene.cell.answered()
        await scene.desk.transfer("1003")
        await pair(other, scene.customer)
        await scene.cell.press("1")
        await scene.cell.idle()
        await pair(other, scene.customer)


async def test_limits_of_users_and_of_all(lab: Lab, scene: Scene) -> None:
    for name in ("HOTSWITCH_USER_MAX", "HOTSWITCH_MAX"):
        async with options(lab, **{name: 1}):
            await scene.received()
            await scene.to_cell()
            # A second call of the same user, on the desk phone.
            other = await scene.lab.phone("+12065550152")
            await other.call("1001")
            await pair(scene.desk, other)
            before = notices(lab, "hs_limit")
            await scene.desk.press("*77")
            await noticed(lab, "hs_limit", before)
            await pair(scene.desk, other)
            await pair(scene.cell, scene.customer)
            await lab.put_away(other)
            await scene.customer.hangup()
            await scene.cell.idle()


async def test_a_moved_call_has_an_end(lab: Lab, scene: Scene) -> None:
    async with options(lab, HOTSWITCH_MAX_SECONDS=2):
        await scene.received()
        await scene.to_cell()
        await asyncio.gather(scene.cell.idle(), scene.customer.idle())


async def test_the_other_party_cannot_steal_the_call(lab: Lab, take: Take) -> None:
    """1004 is set up wrongly: its marks have underscores, so that the other party inherits them."""
    await trust(lab, "1004", "+12065550153")
    desk, customer, cell = await take("1004"), await take(CUSTOMER), await take("+12065550153")
    await desk.call(CUSTOMER)
    await pair(desk, customer)
    await customer.press("*77")
    await pair(desk, customer)
    await until_quiet(lab, but=2)
    assert cell.calls == []


async def test_a_channel_never_stays(lab: Lab, scene: Scene) -> None:
    """Everybody hangs up at the worst moments; nothing is left over."""
    for moment in range(4):
        await scene.received()
        await scene.desk.press("*77")
        if moment:
            await scene.cell.answered()
        await (scene.desk if moment % 2 else scene.customer).hangup()
        if moment == 3:
            await scene.cell.hangup()
            await scene.desk.rings()
        for phone in (scene.customer, scene.desk, scene.cell):
            while phone.live:
                await phone.hangup()
        await until_quiet(lab)

    async def gone() -> bool:
        return "hotswitch" not in await lab.pbx.rx("core show channels concise")

    await until(gone, "a helper stayed")
