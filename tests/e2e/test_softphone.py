"""A desk phone that is not Asterisk: it hears and is heard like the others, and its keys arrive."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from binding_ivr.lab import Lab, LabError
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


async def test_it_calls_and_keys(lab: Lab, take: Take, tmp_path: Path) -> None:
    desk, customer = await take.softphone(), await take(CUSTOMER)
    call = await desk.call(CUSTOMER)
    await call.answered()
    await pair(desk, customer)
    assert (await customer.rings()).caller == "1005"
    await desk.press("412")
    await got(customer.calls[0], "412")
    await pair(desk, customer)
    await lab.keyed("1005", "412")
    assert [hole for hole in customer.calls[0].holes(desk) if hole.ms > 100] == []
    await desk.hangup()
    await customer.idle()
    assert call.cause == 16
    assert call.save(tmp_path / "heard.wav").stat().st_size > 8000
    await desk.call("3000")
    await desk.hears(desk)
    await desk.press("*413")
    await lab.keyed("1005", "*413")


async def test_it_is_called_holds_and_transfers(take: Take) -> None:
    desk, other, customer = await take.softphone(answers=False), await take("1002"), await take(CUSTOMER)
    await customer.call("1005")
    assert (await desk.rings()).caller == CUSTOMER
    assert not desk.is_up()
    await desk.answer()
    await pair(desk, customer)
    await desk.hold()
    await customer.hears("hold")
    await desk.unhold()
    await pair(desk, customer)
    await desk.transfer("1002")
    await pair(other, customer)
    assert customer.calls[0].gap_ms(desk, other) > 0
    await customer.hangup()
    call = await customer.call("1005")
    await desk.rings()
    await desk.decline()
    assert (await call.over()).cause == 17


async def test_keys_go_by_info_as_well(lab: Lab, take: Take) -> None:
    desk = await take.softphone(info=True)
    await lab.pbx.rx("pjsip set history on")
    await desk.call("3000")
    await desk.hears(desk)
    await desk.press("*41")
    await lab.keyed("1005", "*41")
    history = await lab.pbx.rx("pjsip show history")
    await lab.pbx.rx("pjsip set history off")
    assert len([line for line in history.splitlines() if "INFO sip:" in line]) == 3


async def test_two_of_its_calls(take: Take) -> None:
    desk = await take.softphone()
    one, two = await take(CUSTOMER), await take("+12025550151")
    await one.call("1005")
    await pair(desk, one)
    await desk.hold()
    await two.call("1005")
    await pair(desk, two)
    await two.hangup()
    await desk.unhold()
    await pair(desk, one)


async def test_it_says_what_is_wrong(lab: Lab, take: Take) -> None:
    desk = await take.softphone()
    with pytest.raises(LabError, match="1005 is in no call"):
        await desk.press("1")
    with pytest.raises(LabError, match="cannot be dialled"):
        await desk.call("elsewhere")
    with pytest.raises(LabError, match="running already"):
        await lab.softphone()
    await asyncio.gather(lab.put_away(desk), lab.put_away(desk))
    with pytest.raises(LabError, match="not running"):
        await desk.call(CUSTOMER)
