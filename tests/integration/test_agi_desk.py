"""Desk phones over a real FastAGI socket: who may begin a dialogue, how many, and how it ends for Asterisk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from urllib.parse import unquote

import pytest
import structlog

from binding_ivr.asterisk.agi import desk as agi_desk
from binding_ivr.asterisk.agi.server import AgiServer
from binding_ivr.call.events import Digit, Event, HangupNoticed, SayDone, Talking, TalkLost
from binding_ivr.ports import ChannelFacts, DeskCaller, DeskConversation
from tests.integration.fake_agi import FakeChannels, Peer, hang_up, make, refusal
from tests.integration.fake_ari import until
from tests.patience import SLOW

TARGET = "enrol?account=acme&extension=1001"


class FakeDialogue:
    """Hears what happens, and does what the test says with the conversation."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.conversation: DeskConversation | None = None
        self.end = asyncio.Event()
        self.fault: Exception | None = None
        self.cancelled = False

    def post(self, event: Event) -> None:
        self.heard.append(event)

    async def run(self, conversation: DeskConversation) -> None:
        self.conversation = conversation
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.fault is not None:
            raise self.fault

    @property
    def talk(self) -> DeskConversation:
        assert self.conversation is not None
        return self.conversation


class FakeDesk:
    def __init__(self) -> None:
        self.callers: list[DeskCaller] = []
        self.dialogues: list[FakeDialogue] = []

    def dialogue(self, caller: DeskCaller) -> FakeDialogue:
        self.callers.append(caller)
        self.dialogues.append(FakeDialogue())
        return self.dialogues[-1]


PHONE = ChannelFacts("PJSIP/1001-0000002a", True, "binding-ivr-enrol-desk")
ID = "1700000000.1"


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def channels() -> FakeChannels:
    return FakeChannels()


@pytest.fixture
async def agi(desk: FakeDesk, channels: FakeChannels) -> AsyncIterator[AgiServer]:
    made = make(None, desk=desk, desks=2)
    made.proof.channels = channels
    await made.start()
    yield made
    for dialogue in desk.dialogues:
        dialogue.end.set()
    await made.stop()
    assert made.sessions == 0


async def begun(agi: AgiServer, desk: FakeDesk, target: str = TARGET) -> tuple[FakeDialogue, Peer]:
    """A dialogue that has begun, and Asterisk's side of it."""
    count = len(desk.dialogues)
    channel, channels = f"1700000000.{count}", agi.proof.channels
    assert isinstance(channels, FakeChannels)
    extension = unquote(target.rpartition("extension=")[2])
    channels.there[channel] = ChannelFacts(f"PJSIP/{extension}-0000002a", True, "binding-ivr-enrol-desk")
    peer = await Peer.dial(agi, target, channel)
    await channels.vouches(peer, channel)
    await until(lambda: len(desk.dialogues) > count and desk.dialogues[-1].heard == [Talking()])
    return desk.dialogues[-1], peer


async def test_a_dialogue_speaks_asks_and_leaves_a_result(agi: AgiServer, desk: FakeDesk) -> None:
    dialogue, peer = await begun(agi, desk)
    assert desk.callers == [DeskCaller(channel="", account="acme", extension="1001", language="es")]
    talk = dialogue.talk
    talk.speak("fr")
    talk.say(["enrol_code", "digit_8"], "")
    talk.ask(["enrol_confirm"], 1, 10, 5)
    talk.leave("BINDING_ENROL", "verified")
    await peer.expect('SET VARIABLE CHANNEL(language) "fr"', "200 result=1")
    await peer.expect('STREAM FILE binding_ivr/enrol_code ""', "200 result=0 endpos=1")
    await peer.expect('STREAM FILE binding_ivr/digit_8 ""', "200 result=0 endpos=1")
    await peer.expect('STREAM FILE binding_ivr/enrol_confirm "0123456789*"', "200 result=49 endpos=1")
    await peer.expect('SET VARIABLE BINDING_ENROL "verified"', "200 result=1")
    async with asyncio.timeout(5 * SLOW):
        await talk.ended()
    dialogue.end.set()
    assert await peer.ended()
    assert dialogue.heard == [Talking(), SayDone(), Digit("1")]
    with pytest.raises(ValueError, match="write the language as a code"):
        talk.speak("en\nEXEC System rm")


async def test_the_account_is_default_and_values_are_decoded(agi: AgiServer, desk: FakeDesk) -> None:
    dialogue, peer = await begun(agi, desk, "enrol?account=&extension=10%2A%231")
    assert desk.callers == [DeskCaller(channel="", account="default", extension="10*#1", language="es")]
    dialogue.end.set()
    dialogue.talk.close()
    assert await peer.ended()


@pytest.mark.parametrize("target", ["enrol", "enrol?account=default", "enrol?extension=1&extension=2", "enrol?x"])
async def test_a_line_without_an_extension_is_named(agi: AgiServer, desk: FakeDesk, target: str) -> None:
    assert "must give extension= once" in await refusal(agi, target)
    assert desk.dialogues == []


async def test_a_program_on_the_host_is_no_phone(agi: AgiServer, desk: FakeDesk, channels: FakeChannels) -> None:
    """It can name a channel that is there, in the right place, of the right phone: it is not who has it."""
    channels.there[ID] = PHONE
    channels.left[ID, "BINDING_PROOF"] = "0123456789abcdef0123456789abcdef"  # of a session before
    for answer in ("200 result=0", "200 result=1", "510 Invalid command"):
        with structlog.testing.capture_logs() as logs:
            peer = await Peer.dial(agi, TARGET, ID)
            assert (await peer.command()).startswith("SET VARIABLE BINDING_PROOF")
            peer.send(f"{answer}\n")
            assert await peer.ended()
            await until(lambda: agi.sessions == 0)
        assert [line["detail"] for line in logs] in ([], ["not a channel of our Asterisk, or its ARI cannot be asked"])
    assert desk.dialogues == []


async def test_a_channel_has_one_session(agi: AgiServer, desk: FakeDesk, channels: FakeChannels) -> None:
    """Nobody comes in beside it, and whoever only names it keeps nobody out."""
    channels.there[ID] = PHONE
    early = await Peer.dial(agi, TARGET, ID)
    assert (await early.command()).startswith("SET VARIABLE BINDING_PROOF")
    early.send("200 result=1\n")
    assert await early.ended()
    first = await Peer.dial(agi, TARGET, ID)
    await channels.vouches(first, ID)
    await until(lambda: len(desk.dialogues) == 1)
    second = await Peer.dial(agi, TARGET, ID)
    await channels.vouches(second, ID)
    assert await second.ended()
    await until(lambda: agi.refused == 2)
    assert len(desk.dialogues) == 1
    desk.dialogues[0].end.set()
    desk.dialogues[0].talk.close()
    assert await first.ended()


@pytest.mark.parametrize("channel", ["1700000000.9", "", "../asterisk", "1700000000.1?x"])
async def test_a_channel_that_is_not_there(
    agi: AgiServer, desk: FakeDesk, channels: FakeChannels, channel: str
) -> None:
    channels.there[ID] = PHONE
    assert "not a channel of our Asterisk" in await refusal(agi, TARGET, channel)
    assert desk.dialogues == []


async def test_without_ari_nobody_can_tell(agi: AgiServer, desk: FakeDesk, channels: FakeChannels) -> None:
    channels.there[ID] = PHONE
    channels.away = True
    assert "ARI cannot be asked" in await refusal(agi, TARGET, ID)
    assert desk.dialogues == []


@pytest.mark.parametrize(
    ("phone", "told"),
    [
        (ChannelFacts("PJSIP/1002-0000002a", True, "binding-ivr-enrol-desk"), "desk_endpoint"),
        (ChannelFacts("PJSIP/trunk-1001-0000002a", True, "binding-ivr-enrol-desk"), "desk_endpoint"),
        (ChannelFacts("Local/1001@x-0000002a;1", True, "binding-ivr-enrol-desk"), "desk_endpoint"),
        (ChannelFacts("PJSIP/1001-0000002a", False, "binding-ivr-enrol-desk"), "desk_contexts"),
        (ChannelFacts("PJSIP/1001-0000002a", True, "from-trunk"), "desk_contexts"),
    ],
)
async def test_a_channel_that_is_no_phone_of_the_extension(
    agi: AgiServer, desk: FakeDesk, channels: FakeChannels, phone: ChannelFacts, told: str
) -> None:
    """Such as one that somebody had made by AMI, of another phone or none."""
    channels.there[ID] = phone
    with structlog.testing.capture_logs() as logs:
        peer = await Peer.dial(agi, TARGET, ID)
        await channels.vouches(peer, ID)
        assert await peer.ended()
        await until(lambda: logs)
    assert told in logs[0]["detail"]
    assert desk.dialogues == []


@pytest.mark.parametrize(
    ("endpoint", "name"), [("*", "SCCP/desk-7-0000002a"), ("{account}-{extension}", "PJSIP/acme-1001-0000002a")]
)
async def test_endpoints_with_names_of_their_own(desk: FakeDesk, endpoint: str, name: str) -> None:
    channels = FakeChannels()
    agi = make(None, desk=desk, desk_endpoint=endpoint, desk_contexts=["mine"])
    agi.proof.channels = channels
    await agi.start()
    channels.there[ID] = ChannelFacts(name, True, "mine")
    peer = await Peer.dial(agi, TARGET, ID)
    await channels.vouches(peer, ID)
    await until(lambda: len(desk.dialogues) == 1)
    desk.dialogues[0].end.set()
    desk.dialogues[0].talk.close()
    assert await peer.ended()
    await agi.stop()


async def test_only_so_many_at_once(agi: AgiServer, desk: FakeDesk, channels: FakeChannels) -> None:
    assert "not a channel" in await refusal(agi, TARGET)  # takes nobody's place
    (one, peer), (two, other) = await begun(agi, desk), await begun(agi, desk)
    channels.there["1700000000.9"] = PHONE
    with structlog.testing.capture_logs() as logs:
        more = await Peer.dial(agi, TARGET, "1700000000.9")
        await channels.vouches(more, "1700000000.9")
        assert await more.ended()
        await until(lambda: logs)
    assert "more than 2 desk phones at once" in logs[0]["detail"]
    one.end.set()
    one.talk.close()
    assert await peer.ended()
    three, third = await begun(agi, desk)
    for dialogue, last in ((two, other), (three, third)):
        dialogue.end.set()
        dialogue.talk.close()
        assert await last.ended()


async def test_no_desk_no_dialogue() -> None:
    for agi in (AgiServer(None, port=0), AgiServer(None, FakeDesk(), port=0, desks=0)):
        await agi.start()
        assert "no such AGI path" in await refusal(agi, TARGET)
        await agi.stop()


@pytest.mark.parametrize(
    ("goes", "last"),
    [(hang_up, HangupNoticed()), (Peer.leave, TalkLost("Asterisk closed the FastAGI session"))],
)
async def test_a_phone_that_goes_is_noticed(
    agi: AgiServer, desk: FakeDesk, goes: Callable[[Peer], asyncio.Future[None]], last: Event
) -> None:
    dialogue, peer = await begun(agi, desk)
    dialogue.talk.ask([], 1, 10, 5)
    assert await peer.command() == "WAIT FOR DIGIT 10000"
    await goes(peer)
    await until(lambda: dialogue.heard[1:] == [last])
    assert agi.sessions == 1  # the dialogue may still have something to do
    dialogue.end.set()
    await until(lambda: agi.sessions == 0)


async def test_a_dialogue_that_does_not_end_is_ended(
    agi: AgiServer, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agi_desk, "END_S", 0.05)
    dialogue, peer = await begun(agi, desk)
    await hang_up(peer)
    await until(lambda: dialogue.cancelled and agi.sessions == 0)


async def test_a_dialogue_that_fails_hangs_nobody(agi: AgiServer, desk: FakeDesk) -> None:
    with structlog.testing.capture_logs() as logs:
        dialogue, peer = await begun(agi, desk)
        dialogue.fault = RuntimeError("of the test")
        dialogue.end.set()
        assert await peer.ended()  # without a result: the dialplan says that there is a problem
    assert [line["event"] for line in logs] == ["desk.fault"]


async def test_a_missing_digit_is_not_named_in_the_log(agi: AgiServer, desk: FakeDesk) -> None:
    with structlog.testing.capture_logs() as logs:
        dialogue, peer = await begun(agi, desk)
        dialogue.talk.say(["digit_8"], "")
        await peer.expect('STREAM FILE binding_ivr/digit_8 ""', "200 result=-1 endpos=0")
        await peer.expect("CHANNEL STATUS", "200 result=6")
        await until(lambda: len(dialogue.heard) == 2)
        dialogue.end.set()
        assert await peer.ended()
    assert [line["event"] for line in logs] == ["agi.prompt_missing"]
    assert "digit_N" in logs[0]["detail"]
    assert "digit_8" not in str(logs) + repr(dialogue.heard)


async def test_the_service_stops_in_the_middle(agi: AgiServer, desk: FakeDesk) -> None:
    dialogue, peer = await begun(agi, desk)
    dialogue.talk.ask([], 1, 10, 5)
    assert await peer.command() == "WAIT FOR DIGIT 10000"
    stopping = asyncio.create_task(agi.stop(patience_s=2.0))
    await until(lambda: dialogue.heard[1:] == [TalkLost("the FastAGI server was stopped")])
    dialogue.end.set()
    await stopping
    assert await peer.ended()
