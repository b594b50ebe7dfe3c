"""Look-ups over a real FastAGI socket: what the dialplan gets, whatever happens on our side."""

from collections.abc import AsyncIterator

import pytest
import structlog

from binding_ivr.asterisk.agi.server import AgiServer
from binding_ivr.model.lookups import LookupAnswer, LookupStatus
from binding_ivr.ports import ChannelFacts
from tests.integration.fake_agi import LOOKUP_KEY, FakeChannels, FakeLookups, Peer, looked_up, make


@pytest.fixture
def lookups() -> FakeLookups:
    return FakeLookups()


@pytest.fixture
async def agi(lookups: FakeLookups) -> AsyncIterator[AgiServer]:
    made = make(lookups)
    await made.start()
    yield made
    await made.stop()
    assert made.sessions == 0


async def test_a_found_number_is_set_in_one_round_trip_with_the_status_last(
    agi: AgiServer, lookups: FakeLookups
) -> None:
    assert await looked_up(agi, "trusted-number?account=default&extension=1001") == [
        'EXEC MSet "BINDING_NUMBER=+15551230001,BINDING_DIAL=PJSIP/+15551230001@trunk,BINDING_ACCOUNT=default,'
        'BINDING_EXTENSION=1001,BINDING_SINCE=2026-11-01T10:00:00Z,BINDING_STATUS=FOUND"'
    ]
    assert lookups.asked == [("default", "1001")]


async def test_values_with_a_meaning_in_a_dialplan_are_set_one_by_one(agi: AgiServer, lookups: FakeLookups) -> None:
    lookups.answer = LookupAnswer(LookupStatus.FOUND, "+15551230001", 'PJSIP/a,${B}"\r\nHANGUP', "a&b", "1001", "")
    assert await looked_up(agi, "trusted-caller?number=%2B15551230001") == [
        'SET VARIABLE BINDING_NUMBER "+15551230001"',
        'SET VARIABLE BINDING_DIAL "PJSIP/a,${B}HANGUP"',
        'SET VARIABLE BINDING_ACCOUNT "a&b"',
        'SET VARIABLE BINDING_EXTENSION "1001"',
        'SET VARIABLE BINDING_SINCE ""',
        'SET VARIABLE BINDING_STATUS "FOUND"',
    ]
    assert lookups.asked == [("+15551230001",)]


NOTHING = (
    'EXEC MSet "BINDING_NUMBER=,BINDING_DIAL=,BINDING_ACCOUNT=,BINDING_EXTENSION=,BINDING_SINCE=,BINDING_STATUS={}"'
)


@pytest.mark.parametrize(
    ("target", "asked", "status"),
    [
        ("trusted-number?extension=1001", [("default", "1001")], "NONE"),
        ("trusted-caller?number=", [("",)], "NONE"),
        ("trusted-caller?number=+15551230001", [("+15551230001",)], "NONE"),
        ("trusted-number?account=a", [], "ERROR"),
        ("trusted-number", [], "ERROR"),
        ("trusted-number?extension=1&extension=2", [], "ERROR"),
        ("trusted-caller?number=1&number=2", [], "ERROR"),
        ("trusted-caller?number=%ff", [], "ERROR"),
        ("trusted-caller?nothing", [], "ERROR"),
    ],
)
async def test_questions_and_what_is_made_of_them(
    agi: AgiServer, lookups: FakeLookups, target: str, asked: list[tuple[str, ...]], status: str
) -> None:
    lookups.answer = LookupAnswer(LookupStatus.NONE)
    assert await looked_up(agi, target) == [NOTHING.format(status)]
    assert lookups.asked == asked


async def test_a_look_up_that_fails_or_hangs_is_an_error(agi: AgiServer, lookups: FakeLookups) -> None:
    with structlog.testing.capture_logs() as logs:
        lookups.answer = RuntimeError("+15551230001")
        assert await looked_up(agi, "trusted-caller?number=1") == [NOTHING.format("ERROR")]
        lookups.hangs = True
        assert await looked_up(agi, "trusted-caller?number=1") == [NOTHING.format("ERROR")]
        assert await looked_up(agi, "trusted-caller?number=1") == [NOTHING.format("ERROR")]
    assert [line["event"] for line in logs] == ["agi.lookup_error"] * 2
    assert "1555" not in str(logs)


@pytest.mark.parametrize("reply", ["511 dead", "510 unknown", "junk", "HANGUP"])
async def test_a_look_up_whose_channel_is_gone_just_ends(agi: AgiServer, reply: str) -> None:
    peer = await Peer.dial(agi, "trusted-caller?number=1")
    await peer.shows_key()
    assert (await peer.command()).startswith("EXEC MSet")
    peer.send(reply + "\n")
    assert await peer.ended()


async def test_an_asterisk_without_mset_gets_the_values_one_by_one(agi: AgiServer) -> None:
    peer = await Peer.dial(agi, "trusted-caller?number=1")
    await peer.shows_key()
    assert (await peer.command()).startswith("EXEC MSet")
    peer.send("200 result=-2\n")
    names = []
    while command := await peer.command():
        names.append(command.split()[2])
        peer.send("200 result=1\n")
    await peer.leave()
    assert names[-1] == "BINDING_STATUS"
    assert len(names) == 6


ID = "1700000000.1"
ANSWER = NOTHING.format("ERROR")


async def last(peer: Peer) -> str:
    """The one command that is left, and nothing after it."""
    command = await peer.command()
    peer.send("200 result=0\n")
    assert await peer.ended()
    return command


@pytest.mark.parametrize("target", ["trusted-caller?number=1", "trusted-number?extension=1001"])
async def test_a_program_on_the_host_is_told_nothing(agi: AgiServer, lookups: FakeLookups, target: str) -> None:
    """It may name any channel: it knows neither the key that Asterisk has nor the word that ARI leaves there."""
    channels = agi.proof.channels = FakeChannels()
    channels.there[ID] = ChannelFacts("PJSIP/1001-0000002a", True, "from-internal")
    for claimed in ("", "0123456789abcdef0123456789abcdef", LOOKUP_KEY[:-1]):
        with structlog.testing.capture_logs() as logs:
            peer = await Peer.dial(agi, target, ID)
            await peer.expect("GET VARIABLE BINDING_AGI_KEY", f"200 result=1 ({claimed})")
            assert (await peer.command()).startswith("SET VARIABLE BINDING_PROOF")
            peer.send("200 result=1\n")
            assert await last(peer) == ANSWER
        assert all(LOOKUP_KEY not in str(line) for line in logs)
    assert lookups.asked == []
    unknown = await Peer.dial(agi, target, "1700000000.9")
    await unknown.expect("GET VARIABLE BINDING_AGI_KEY", "200 result=0")
    await channels.vouches(unknown, "1700000000.9")
    assert await last(unknown) == ANSWER
    assert lookups.asked == []


async def test_the_key_is_enough_without_ari(agi: AgiServer) -> None:
    channels = agi.proof.channels = FakeChannels()
    channels.away = True
    assert "BINDING_STATUS=FOUND" in (await looked_up(agi, "trusted-caller?number=1"))[0]


async def test_an_asterisk_that_lost_the_key_is_known_by_its_channel_and_given_the_key(agi: AgiServer) -> None:
    channels = agi.proof.channels = FakeChannels()
    channels.there[ID] = ChannelFacts("PJSIP/1001-0000002a", True, "from-internal")
    peer = await Peer.dial(agi, "trusted-caller?number=1", ID)
    await peer.expect("GET VARIABLE BINDING_AGI_KEY", "200 result=0")
    await channels.vouches(peer, ID)
    assert "BINDING_STATUS=FOUND" in await last(peer)
    assert channels.told == {"BINDING_AGI_KEY": LOOKUP_KEY}


async def test_without_key_and_ari_nobody_is_told_anything(lookups: FakeLookups) -> None:
    agi = make(lookups, key="")
    await agi.start()
    try:
        assert await looked_up(agi, "trusted-caller?number=1") == [ANSWER]
        assert lookups.asked == []
    finally:
        await agi.stop()
