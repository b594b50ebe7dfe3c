"""Who calls the access number takes the call over only with the proof that is asked for."""

import asyncio
import time

import pytest

from binding_ivr.lab import Lab, Phone
from tests.e2e.hotswitch.scene import ACCESS, CELL, CUSTOMER, Scene, options, trust, until, until_quiet
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
    # Counted is the entry that is asked for now.
    await until(lambda: _counted(lab, 2), "the wrong entry was not counted")
    await scene.cell.press(f"{PIN}#")
    await scene.moves(scene.desk, scene.cell)
    assert "0 results found" in await database(lab, "hotswitch_wrong")


async def test_a_pin_stands_in_asterisks_log_only_where_the_docs_say(lab: Lab, scene: Scene) -> None:
    await forget(lab)
    logs = {name: f"binding-ivr-{name}" for name in ("quiet", "loud")}
    await lab.pbx.rx(f"logger add channel {logs['quiet']} notice,warning,error")
    await lab.pbx.rx(f"logger add channel {logs['loud']} verbose(3)")
    try:
        await choose_pin(lab, scene, PIN, PIN)
        texts = {name: "\n".join(path.read_text() for path in lab.folder.rglob(file)) for name, file in logs.items()}
    finally:
        for file in logs.values():
            await lab.pbx.rx(f"logger remove channel {file}")
    assert f"User entered '{PIN}'" in texts["loud"]
    assert PIN not in texts["quiet"]
    assert [path.name for path in lab.folder.rglob(logs["quiet"])] != []


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


async def test_many_calls_at_once_get_no_more_entries_than_one(lab: Lab, scene: Scene, take: Take) -> None:
    await forget(lab)
    await choose_pin(lab, scene, PIN, PIN)
    await scene.received()
    forgers = [await take(number) for number in (STRANGER, "+13055550154", "+13055550155")]

    async def guess(forger: Phone, first: int) -> None:
        call = await (await forger.call(ACCESS, caller_id=CELL)).answered()
        for number in range(first, first + 3):
            if call.live:
                await forger.press(f"{number}#")
        await call.over(30)

    await asyncio.gather(*(guess(forger, 5000 + 10 * at) for at, forger in enumerate(forgers)))
    assert await _counted(lab, 5)
    await refused_pull(scene)
    await forget(lab)


@pytest.mark.parametrize(
    ("count", "ago_s", "asked"), [(5, 880, False), (5, 910, True), (10, 3500, False), (10, 3700, True)]
)
async def test_the_more_wrong_pins_the_longer_it_is_locked(
    lab: Lab, scene: Scene, count: int, ago_s: int, asked: bool
) -> None:
    await forget(lab)
    await choose_pin(lab, scene, PIN, PIN)
    await lab.pbx.rx(f"database put hotswitch_wrong default/1001 {count}-{int(time.time()) - ago_s}")
    await scene.received()
    await (await scene.cell.call(ACCESS)).answered()
    await scene.cell.press(f"{PIN}#")
    if asked:
        await scene.moves(scene.desk, scene.cell)
    else:
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
    # The second one in a row that nobody confirmed makes it four times as long, until somebody does confirm.
    await lab.pbx.rx(f"database put hotswitch_called default/1001 2-{int(time.time()) - 200}")
    await (await forger.call(ACCESS, caller_id=CELL)).over(30)
    await refused_pull(scene)
    assert len(scene.cell.calls) == calls
    await lab.pbx.rx(f"database put hotswitch_called default/1001 2-{int(time.time()) - 250}")
    await (await scene.cell.call(ACCESS)).over(30)
    await scene.accepts()
    await scene.moves(scene.desk, scene.cell)
    assert "0 results found" in await database(lab, "hotswitch_called")


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


async def test_the_same_extension_of_another_account_is_somebody_else(lab: Lab, scene: Scene, take: Take) -> None:
    """The service proves numbers for many PBXs; this one's desk phones are those of its own account."""
    await trust(lab, "1001", STRANGER, account="other")
    stranger = await take(STRANGER)
    await scene.received()
    for proof in ("none", "callback"):
        async with options(lab, HOTSWITCH_PROOF=proof):
            call = await stranger.call(ACCESS)
            await call.over(30)
            await until_quiet(lab, but=2)
            await pair(scene.desk, scene.customer)
    # Nobody has called it back.
    assert len(stranger.calls) == 2
    await lab.pbx.rx(f"database deltree binding/num/{STRANGER[1:]}")


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


async def _counted(lab: Lab, entries: int) -> bool:
    return f": {entries}-" in await database(lab, "hotswitch_wrong")
