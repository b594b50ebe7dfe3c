"""Who calls the access number takes the call over only with the proof that is asked for."""

import pytest

from binding_ivr.lab import Lab
from tests.e2e.hotswitch.scene import ACCESS, CELL, CUSTOMER, Scene, options, until, until_quiet
from tests.e2e.rig import Take, pair

PIN = "4711"
STRANGER = "+13055550153"


async def database(lab: Lab, branch: str) -> str:
    return await lab.pbx.rx(f"database show {branch} default/1001")


async def forget(lab: Lab) -> None:
    """No PIN, no wrong entries, no call back before."""
    for branch in ("hotswitch_pin", "hotswitch_wrong", "hotswitch_called"):
        await lab.pbx.rx(f"database deltree {branch}")


async def choose_pin(lab: Lab, scene: Scene, *entries: str) -> None:
    """The user dials *79 at the desk phone, keys *entries* one after the other, and listens to the end."""
    call = await scene.desk.call("*79")
    await call.answered()
    for entry in entries:
        await scene.desk.press(f"{entry}#")
    await call.over(30)


async def refused_pull(scene: Scene) -> None:
    """The call is where it was."""
    await scene.cell.idle(30)
    await until_quiet(scene.lab, but=2)
    await pair(scene.desk, scene.customer)


async def test_a_pin_that_was_set_at_the_desk(lab: Lab, scene: Scene) -> None:
    await forget(lab)
    # Too simple, too simple, the extension itself; then twice the same.
    await choose_pin(lab, scene, "1111", "3456", PIN, PIN)
    kept = await database(lab, "hotswitch_pin")
    assert "1 results found" in kept
    assert PIN not in kept.split(":", 1)[1].split("-")[0]
    await scene.received()
    await (await scene.cell.call(ACCESS)).answered()
    await scene.cell.press("4712#")
    await until(lambda: _wrong(lab), "the wrong entry was not counted")
    await scene.cell.press(f"{PIN}#")
    await scene.moves(scene.desk, scene.cell)
    assert not await _wrong(lab)


@pytest.mark.parametrize(
    "entries", [("1111", "2345", "1001"), ("4711", "4712", "8642", "8643", "9090", "9091"), ("12", "", "77")]
)
async def test_pins_that_are_not_taken(lab: Lab, scene: Scene, entries: tuple[str, ...]) -> None:
    await forget(lab)
    await choose_pin(lab, scene, *entries)
    assert "0 results found" in await database(lab, "hotswitch_pin")


async def test_wrong_pins_lock_it(lab: Lab, scene: Scene) -> None:
    await forget(lab)
    await choose_pin(lab, scene, PIN, PIN)
    await scene.received()
    for tries in (3, 2):
        call = await scene.cell.call(ACCESS)
        await call.answered()
        for number in range(tries):
            await scene.cell.press(f"{4000 + number}#")
        await call.over(30)
    call = await scene.cell.call(ACCESS)
    await call.answered()
    await call.over(30)
    await refused_pull(scene)
    # What is locked does not open to the right one either: nobody is asked for it.
    call = await scene.cell.call(ACCESS)
    await call.answered()
    await scene.cell.press(f"{PIN}#")
    await refused_pull(scene)
    await forget(lab)


async def test_without_a_pin_only_a_call_back_counts(lab: Lab, scene: Scene) -> None:
    await forget(lab)
    async with options(lab, HOTSWITCH_PROOF="pin"):
        await scene.received()
        await scene.cell.call(ACCESS)
        await refused_pull(scene)


async def test_a_forged_caller_id_gets_nothing(lab: Lab, scene: Scene, take: Take) -> None:
    """The one who forges hears that somebody is called back: the phone itself, whose owner does not accept."""
    await forget(lab)
    forger = await take(STRANGER)
    await scene.received()
    call = await forger.call(ACCESS, caller_id=CELL)
    await call.answered()
    await forger.hangup()
    await scene.cell.answered()
    await scene.cell.press("9")
    await refused_pull(scene)
    # Not again at once: nobody's phone is made to ring by the minute.
    calls = len(scene.cell.calls)
    call = await forger.call(ACCESS, caller_id=CELL)
    await call.over(30)
    await refused_pull(scene)
    assert len(scene.cell.calls) == calls
    assert forger.calls[-1].cause == 16


async def test_nobody_is_called_back_without_a_call(lab: Lab, scene: Scene) -> None:
    await forget(lab)
    call = await scene.cell.call(ACCESS)
    await call.answered()
    await call.over(30)
    await until_quiet(lab)
    assert len(scene.cell.calls) == 1


@pytest.mark.parametrize("caller", [STRANGER, "", "anonymous", '+1"2025550150', "+12025550150,1"])
async def test_who_is_not_known_is_not_answered(lab: Lab, take: Take, caller: str) -> None:
    phone = await take(STRANGER)
    call = await phone.call(ACCESS, caller_id=caller)
    await call.over()
    assert call.up_at is None


async def test_an_unknown_word_in_the_options_proves_nothing(lab: Lab, scene: Scene) -> None:
    await scene.received()
    for words in ("yes", "stir", "verstat", "-", "none2"):
        async with options(lab, HOTSWITCH_PROOF=words):
            await scene.cell.call(ACCESS)
            await refused_pull(scene)


async def test_the_numbers_of_astdb_must_agree(lab: Lab, take: Take) -> None:
    """A left-over binding/num without its binding/ext is nobody's."""
    await lab.pbx.rx("database put binding num/13055550153 default/1003")
    async with options(lab, HOTSWITCH_PROOF="none"):
        desk, customer, stranger = await take("1003"), await take(CUSTOMER), await take(STRANGER)
        await customer.call("1003")
        await pair(desk, customer)
        call = await stranger.call(ACCESS)
        await call.over()
        assert call.up_at is None
        await pair(desk, customer)


async def _wrong(lab: Lab) -> bool:
    return "1 results found" in await database(lab, "hotswitch_wrong")
