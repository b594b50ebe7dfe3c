"""What a phone registers as its contact is the phone's own text: nothing but that place is ever dialled for it."""

from collections.abc import AsyncIterator, Sequence

import pytest

from binding_ivr.lab import Lab
from tests.e2e.hotswitch.scene import until
from tests.sip import DROPPED, endpoint, register

EXTENSION = "1006"
ASK = """
[test-desk-of]
exten => s,1,Gosub(hotswitch-desk-of,s,1(default,{extension}))
 same => n,Set(DB(test/asked)=<${{GOSUB_RETVAL}}>)
 same => n,Hangup()
"""
HONEST = "sip:1006@127.0.0.1:5999;ob"


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as running:
        for file, text in (
            ("pjsip_lab.conf", endpoint(EXTENSION)),
            ("extensions_lab.conf", ASK.format(extension=EXTENSION)),
        ):
            with (running.pbx.folder / "etc" / file).open("a") as out:
                out.write(text)
        await running.pbx.rx("module reload res_pjsip.so")
        await running.pbx.rx("dialplan reload")
        yield running


async def dialled(lab: Lab) -> str:
    """What the mover would dial for the extension."""
    await lab.pbx.rx("database del test asked")
    await lab.pbx.rx("channel originate Local/s@test-desk-of application Wait 0")

    async def told() -> bool:
        return "Value: <" in await lab.pbx.rx("database get test asked")

    await until(told, "the dialplan did not answer")
    return (await lab.pbx.rx("database get test asked")).partition("<")[2].rpartition(">")[0]


async def test_all_places_where_a_phone_is_registered(lab: Lab) -> None:
    places = [HONEST, "sips:1006@[::1]:5061;transport=tls", "sip:~a%20b!*@phone.example:5060;rinstance=0a.b_c"]
    assert await register(lab, EXTENSION, *places) == 200
    assert set((await dialled(lab)).split("&")) == {f"PJSIP/{EXTENSION}/{place}" for place in places}


@pytest.mark.parametrize(
    "contact",
    [
        "sip:x&PJSIP/+19005551212@trunk",
        "sip:x&Local/2300@lab-desks/n&y@127.0.0.1",
        "sip:x,20,g@127.0.0.1",
        "sip:x,,U(hotswitch-idle)@127.0.0.1",
        "sip:x$y@127.0.0.1",
        "sip:x?y@127.0.0.1",
        "sip:x/n@127.0.0.1",
        "sip:x@127.0.0.1;a=b&PJSIP/+19005551212@trunk",
        "sip:x@127.0.0.1?Route=%3Csip:192.0.2.1%3E",
        "sip:x:0:1)@127.0.0.1",
        "sip:x(y)@127.0.0.1",
    ],
)
@pytest.mark.parametrize("others", [(), (HONEST,)], ids=["alone", "beside an honest one"])
async def test_a_contact_that_is_more_than_a_place(lab: Lab, contact: str, others: Sequence[str]) -> None:
    status = await register(lab, EXTENSION, contact, *others)
    if status != 200:  # the registrar itself may refuse or drop one, and then there is nothing to dial
        assert status in (400, DROPPED)
        return
    assert await dialled(lab) == "".join(f"PJSIP/{EXTENSION}/{place}" for place in others)
