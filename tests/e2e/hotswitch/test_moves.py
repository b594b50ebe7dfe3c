"""Every move of a live call, with audio: the right two hear each other afterwards, and the third leg is gone."""

import asyncio
import time

import pytest

from binding_ivr.lab import Lab, Phone
from tests.e2e.hotswitch.scene import (
    ACCESS,
    CELL,
    CUSTOMER,
    Scene,
    notices,
    options,
    other_sounds_ms,
    tones_of,
    trust,
    until,
)
from tests.e2e.rig import Take, pair


@pytest.mark.parametrize("direction", ["made", "received"])
async def test_desk_to_cell_and_back(scene: Scene, direction: str) -> None:
    await (scene.made() if direction == "made" else scene.received())
    await scene.to_cell()
    await scene.cell.press("*77")
    await scene.moves(scene.cell, scene.desk)
    await scene.to_cell()
    await scene.customer.hangup()
    await scene.cell.idle()


async def test_codes_by_sip_info(lab: Lab, take: Take) -> None:
    scene = Scene(lab, await take("1001", info=True), await take(CELL, info=True), await take(CUSTOMER))
    await scene.received()
    await scene.to_cell()
    await scene.cell.press("*77")
    await scene.moves(scene.cell, scene.desk)


async def test_the_cell_phone_hangs_up_after_the_move(scene: Scene) -> None:
    await scene.received()
    await scene.to_cell()
    await scene.cell.hangup()
    await scene.customer.idle()


async def test_only_the_presser_hears_the_notice(scene: Scene) -> None:
    await scene.received()
    before = time.time()
    await scene.desk.press("*77")
    await scene.cell.answered()

    async def spoken() -> bool:
        return other_sounds_ms(scene.desk, scene.customer, before) > 500

    await until(spoken, "the desk heard no notice")
    assert scene.customer.current.holes(scene.desk, since=before) == []
    # The code itself takes the sound for some milliseconds; see `refused`.
    assert [part for part in scene.customer.current.missed(scene.desk, since=before) if part.ms > 500] == []
    # The keys themselves begin before the PBX knows that they are not for the customer.
    assert other_sounds_ms(scene.customer, scene.desk, scene.desk.calls[-1].pressed[-1].end + 0.1) == 0
    await scene.cell.press("1")
    await scene.moves(scene.desk, scene.cell)


async def test_a_call_between_two_desks_keeps_its_display(lab: Lab, take: Take) -> None:
    """The other desk's display goes on showing the user, and never the cell phone's number."""
    scene = Scene(lab, await take("1001"), await take(CELL), await take("1002"))
    await scene.received()
    await scene.to_cell()
    assert scene.customer.current.caller in ("", "1001")
    await scene.cell.press("*77")
    await scene.moves(scene.cell, scene.desk)
    assert scene.customer.current.caller in ("", "1001")


async def test_all_legs_keep_the_linkedid(lab: Lab, scene: Scene) -> None:
    known, recorded = len(lab.cel()), len(lab.cdr())
    await scene.received()
    await scene.to_cell()
    await scene.cell.press("*77")
    await scene.moves(scene.cell, scene.desk)
    await scene.customer.hangup()
    await scene.desk.idle()

    def linked() -> list[tuple[str, str]]:
        return [
            (row["channel"].split("-")[0], row["linkedid"])
            for row in lab.cel()[known:]
            if row["event"] == "BRIDGE_ENTER"
        ]

    async def written() -> bool:
        return len(linked()) >= 6

    await until(written, "the channel events are not all there")
    assert {name for name, _ in linked()} == {"PJSIP/1001", "PJSIP/trunk"}
    # A leg joins with a linkedid of its own; from then on it has the call's.
    customer = next(row["uniqueid"] for row in lab.cel()[known:] if row["event"] == "CHAN_START")
    ended = [row for row in lab.cel()[known:] if row["event"] == "HANGUP" and row["channel"].startswith("PJSIP/")]
    assert {row["linkedid"] for row in ended} == {customer}
    assert not [row for row in lab.cdr()[recorded:] if row["channel"].startswith("Local/")]


async def test_a_recording_goes_on(lab: Lab, scene: Scene) -> None:
    """Every leg after a move is in a file of its own, beside the call's, and nobody's voice is lost."""
    folder = lab.pbx.folder / "spool/monitor"
    async with options(lab, HOTSWITCH_RECORD="yes"):
        await scene.received("2100")
        await scene.to_cell()
        await scene.cell.press("*77")
        await scene.moves(scene.cell, scene.desk)
        await scene.customer.hangup()
        await scene.desk.idle()
    wanted = sorted(sorted({phone.tone_hz, scene.customer.tone_hz}) for phone in (scene.desk, scene.cell, scene.desk))

    def heard() -> list[list[int]]:
        # The call's own file may have the later legs as well, or not.
        first, *moved = sorted(folder.glob("hotswitch*.wav"), key=lambda path: len(path.name))
        of_desk = {scene.desk.tone_hz, scene.customer.tone_hz}
        return sorted([sorted(tones_of(first) & of_desk), *(sorted(tones_of(path)) for path in moved)])

    async def written() -> bool:
        # MixMonitor writes in blocks of two seconds, and closes its file after the call.
        return await asyncio.to_thread(heard) == wanted

    await until(written, "somebody is missing in the recordings")


async def test_a_call_whose_audio_is_translated(lab: Lab, take: Take) -> None:
    """The other party speaks another codec than the desk phone: the new leg takes that codec, and all is heard."""
    await trust(lab, "1001", CELL)
    scene = Scene(lab, await take("1001"), await take(CELL), await take("1002"))
    for _ in range(4):  # without that, half of the moves fall silent
        await scene.received()
        await scene.to_cell()
        await scene.cell.press("*77")
        await scene.moves(scene.cell, scene.desk)
        await scene.to_cell()
        assert "ulaw" not in await lab.pbx.rx("pjsip show channelstats")
        await scene.customer.hangup()
        await scene.cell.idle()


async def test_a_queue_call(lab: Lab, take: Take) -> None:
    scene = Scene(lab, await take("1001"), await take(CELL), await take(CUSTOMER))
    other = await take("1002", answers=False)
    await scene.received("2000")
    await other.idle()
    await scene.to_cell()
    await scene.cell.press("*77")
    await scene.moves(scene.cell, scene.desk)


async def test_an_attended_transferred_call(lab: Lab, take: Take) -> None:
    """1003 takes the call, asks 1001, and hands it over; then 1001 moves it."""
    scene = Scene(lab, await take("1001"), await take(CELL), await take(CUSTOMER))
    first = await take("1003")
    await scene.customer.call("1003")
    await pair(first, scene.customer)
    await first.press("*21001#")
    await pair(first, scene.desk)
    await first.hangup()
    await pair(scene.desk, scene.customer)
    await scene.to_cell()
    await scene.cell.press("*77")
    await scene.moves(scene.cell, scene.desk)


async def test_what_comes_after_the_call_still_comes(lab: Lab, scene: Scene) -> None:
    """Dial(…,g): the caller's dialplan goes on, after a move and after a move that failed."""
    await scene.received("2200")
    await scene.to_cell()
    await scene.cell.hangup()
    await scene.customer.hears("busy")
    await scene.customer.hangup()
    async with options(lab, HOTSWITCH_ROUTE="PJSIP/{e164}@nowhere"):
        before = notices(lab, "hs_failed")
        await scene.received("2200")
        await scene.desk.press("*77")
        await until(lambda: _more(lab, before), "the desk was not told")
        await scene.desk.hangup()
        await scene.customer.hears("busy")


async def _more(lab: Lab, before: int) -> bool:
    return notices(lab, "hs_failed") > before


async def test_the_desk_brings_the_call_back_by_dialling(scene: Scene) -> None:
    await scene.received()
    await scene.to_cell()
    await scene.desk.call("*78")
    await scene.moves(scene.cell, scene.desk)


@pytest.mark.parametrize("held", [False, True])
async def test_the_cell_pulls_the_call_after_a_call_back(lab: Lab, scene: Scene, held: bool) -> None:
    await scene.received()
    if held:
        await scene.desk.hold()
        await scene.customer.hears("hold")
    await lab.pbx.rx("database deltree hotswitch_called")
    calling_in = await scene.cell.call(ACCESS)
    await calling_in.answered()
    await scene.cell.hangup()
    await scene.cell.rings()
    await scene.accepts()
    if held:
        await pair(scene.cell, scene.customer)
        await scene.desk.idle()
    else:
        await scene.moves(scene.desk, scene.cell)


async def test_one_of_several_calls_is_chosen(lab: Lab, take: Take) -> None:
    """The calls are told by the other party's number, in no order; a key takes one, and leaves the others."""
    desk, cell = await take("1001"), await take(CELL)
    customers = [await take(CUSTOMER), await take("+12065550152")]
    for customer in customers:
        await customer.call("1001")
        await customer.answered()
        await desk.answered()
    async with options(lab, HOTSWITCH_PROOF="none"):
        await (await cell.call(ACCESS)).answered()
        await cell.press("2")
        await until(lambda: _taken(cell, customers), "the cell phone has no call")
        chosen = next(customer for customer in customers if str(customer.tone_hz) in cell.hearing())
        await pair(cell, chosen)
        assert all(customer.is_up() for customer in customers)
        await until(lambda: _has_one(desk), "the desk phone has not one call left")
        # The other one is the only one left, so nothing is asked.
        await cell.hangup()
        await chosen.idle()
        other = next(customer for customer in customers if customer is not chosen)
        await (await cell.call(ACCESS)).answered()
        await pair(cell, other)
        await desk.idle()


async def _taken(cell: Phone, customers: list[Phone]) -> bool:
    return any(cell.hearing() == {str(customer.tone_hz)} for customer in customers)


async def _has_one(desk: Phone) -> bool:
    return len(desk.live) == 1


async def test_two_users_move_their_ends_of_one_call(lab: Lab, take: Take) -> None:
    """1001 and 1002 talk; both end up on their cell phones."""
    await trust(lab, "1002", "+12065550152")
    desk, cell, other = await take("1001"), await take(CELL), await take("1002")
    second = await take("+12065550152")
    await other.call("1001")
    await pair(desk, other)
    await desk.press("*77")
    await cell.answered()
    await cell.press("1")
    await pair(cell, other)
    await other.press("*77")
    await second.answered()
    await second.press("1")
    await pair(cell, second)
    await asyncio.gather(desk.idle(), other.idle())


async def test_three_calls_move_at_once(lab: Lab, take: Take) -> None:
    """Each other party gets the cell phone that is meant for it, there and back."""
    scenes = []
    for at, extension in enumerate(("1001", "1002", "1003")):
        cell, customer = lab.number("right", 310 + at), lab.number("right", 320 + at)
        await trust(lab, extension, cell)
        scenes.append(Scene(lab, await take(extension), await take(cell), await take(customer)))
    try:
        await asyncio.gather(*(scene.received(scene.desk.name) for scene in scenes))
        await asyncio.gather(*(scene.to_cell() for scene in scenes))
        await asyncio.gather(*(scene.cell.press("*77") for scene in scenes))
        await asyncio.gather(*(scene.moves(scene.cell, scene.desk) for scene in scenes))
    finally:
        await trust(lab, "1001", CELL)
    for scene in scenes:
        print("\n  at once:", *scene.gaps, sep="\n    ", end="")
