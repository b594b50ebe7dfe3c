"""Phones that hear each other: the rig that every test of a live call stands on."""

import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from binding_ivr.lab import Lab, LabError
from binding_ivr.lab.phones.handset import until
from tests.e2e.rig import Take, got, no_channels, pair, phones_of

CUSTOMER = "+12025550150"


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as running:
        yield running


@pytest.fixture
async def take(lab: Lab) -> AsyncIterator[Take]:
    async with phones_of(lab) as taken:
        yield taken
    await no_channels(lab)


async def test_keys_one_by_one_are_as_good_as_in_one_go(lab: Lab, take: Take) -> None:
    """Whoever presses again at once leaves the gap that a hand would, else Asterisk reports the key before twice."""
    desk, customer = await take("1001"), await take(CUSTOMER)
    await desk.call(CUSTOMER)
    await pair(desk, customer)
    keys = "11223#3456#4711#"
    for key in keys:
        await desk.press(key)
    await lab.keyed("1001", keys)
    await got(customer.calls[0], keys)
    await desk.hangup()
    await customer.idle()


async def test_a_desk_calls_a_customer(lab: Lab, take: Take, tmp_path: Path) -> None:
    desk, customer = await take("1001"), await take(CUSTOMER)
    call = await desk.call(CUSTOMER)
    await pair(desk, customer)
    assert (await customer.rings()).caller == "1001"
    await desk.press("*55")
    await got(customer.calls[0], "*55")
    assert call.digits == ""
    await pair(desk, customer)
    await lab.keyed("1001", "*55")
    # The keys are holes in the tone, and nothing else is one.
    heard = customer.calls[0]
    holes = heard.hearing.holes(desk.tone_hz)
    assert len(call.pressed) == 3
    assert all(any(hole.start < key.end and key.start < hole.end for hole in holes) for key in call.pressed)
    assert [hole for hole in heard.holes(desk) if hole.ms > 100] == []
    await desk.hangup()
    await customer.idle()
    assert (call.cause, heard.cause) == (16, 16)
    with wave.open(str(heard.save(tmp_path / "heard.wav"))) as audio:
        seconds = audio.getnframes() / audio.getframerate()
    assert heard.up_at is not None
    assert heard.over_at is not None
    assert abs(seconds - (heard.over_at - heard.up_at)) < 0.5


async def test_a_customer_calls_a_desk(lab: Lab, take: Take) -> None:
    desk, customer = await take("1002", answers=False), await take(CUSTOMER)
    await customer.call("1002", caller_id="+12125550199")
    assert (await desk.rings()).caller == "+12125550199"
    assert not desk.is_up()
    await desk.answer()
    await pair(desk, customer)
    await customer.press("4#")
    await got(desk.calls[0], "4#")
    await pair(desk, customer)
    await lab.keyed("trunk", "4#")
    await customer.hangup()
    await desk.idle()

    def rows() -> list[dict[str, str]]:
        return [row for row in lab.cdr() if row["src"] == "+12125550199"]

    # Both records are written after the channel has gone.
    await until(lambda: rows() != [], lambda: "the PBX wrote no record of the call")
    recorded = rows()
    assert [(row["dst"], row["disposition"]) for row in recorded] == [("1002", "ANSWERED")]

    def told() -> set[str]:
        return {row["event"] for row in lab.cel() if row["linkedid"] == recorded[0]["uniqueid"]}

    wanted = {"CHAN_START", "ANSWER", "BRIDGE_ENTER", "BRIDGE_EXIT", "HANGUP", "LINKEDID_END"}
    await until(lambda: wanted <= told(), lambda: f"the PBX told {sorted(told())}")


async def test_keys_arrive_at_the_pbx(lab: Lab, take: Take) -> None:
    for info in (False, True):
        desk, customer = await take("1003", info=info), await take(CUSTOMER, info=info)
        await asyncio.gather(desk.call("3000"), customer.call("3000"))
        await asyncio.gather(desk.hears(desk), customer.hears(customer))
        await asyncio.gather(desk.press("*551"), customer.press("123"))
        await asyncio.gather(lab.keyed("1003", "*551"), lab.keyed("trunk", "123"))
        await asyncio.gather(desk.hangup(), customer.hangup())


async def test_hold_and_blind_transfer(take: Take) -> None:
    desk, other, customer = await take("1001"), await take("1004", answers=False), await take(CUSTOMER)
    await customer.call("1001")
    await pair(desk, customer)
    await desk.hold()
    await customer.hears("hold")
    await desk.unhold()
    await pair(desk, customer)
    await desk.transfer("1004")
    await other.rings()
    assert desk.is_idle()
    await other.answer()
    await pair(other, customer)
    # Ringing lies between: the customer's gap is the time it took the other to answer.
    assert customer.calls[0].gap_ms(desk, other) > 0
    await other.hangup()


async def test_busy_and_unanswered(take: Take) -> None:
    desk, customer = await take("1001", answers=False), await take(CUSTOMER)
    call = await customer.call("1001")
    await desk.rings()
    await desk.decline(17)
    assert (await call.over()).cause == 17
    call = await customer.call("1001")
    ringing = await desk.rings()
    await customer.hangup()
    await asyncio.gather(call.over(), ringing.over())
    with pytest.raises(LabError, match="before it was answered"):
        await call.answered()


async def test_two_calls_of_one_desk(take: Take) -> None:
    desk = await take("1001")
    customers = [await take(f"+12025550{ending}") for ending in ("150", "151")]
    first = await customers[0].call("1001")
    await pair(desk, customers[0])
    await desk.hold()
    await customers[1].call("1001")
    await pair(desk, customers[1])
    await desk.hangup()
    await desk.unhold()
    await pair(desk, customers[0])
    await customers[0].hangup(first)
    await desk.idle()


async def test_the_queue_rings_both_desks(take: Take) -> None:
    one, two, customer = await take("1001", answers=False), await take("1002", answers=False), await take(CUSTOMER)
    await customer.call("2000")
    await asyncio.gather(one.rings(), two.rings())
    await customer.hears("hold")
    await two.answer()
    await pair(two, customer)
    await one.idle()
    await customer.hangup()
    await two.idle()


async def test_a_phone_says_what_is_wrong(lab: Lab, take: Take) -> None:
    desk = await take("1001")
    with pytest.raises(LabError, match="1001 is in no call"):
        await desk.press("1")
    with pytest.raises(LabError, match="nobody knows the sound"):
        await desk.hears("silence")
    with pytest.raises(LabError, match="does not ring"):
        await desk.answer(timeout_s=0.1)
    with pytest.raises(LabError, match="cannot be dialled"):
        await desk.call("1002@elsewhere")
    with pytest.raises(LabError, match="has keyed '', not '1'"):
        await lab.keyed("1004", "1", timeout_s=0.1)
