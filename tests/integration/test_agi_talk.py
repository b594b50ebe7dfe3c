"""Conversations over a real FastAGI socket: what is said, heard and lost, and who may open a session."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog

from binding_ivr.asterisk.agi.server import AgiServer
from binding_ivr.call.events import Digit, Event, HangupNoticed, SayDone, Silence, Talking, TalkLost
from binding_ivr.errors import ConfigError
from tests.integration.fake_agi import (
    ATTEMPT,
    CHANNEL,
    SECRET,
    TARGET,
    FakeLookups,
    Heard,
    Peer,
    hang_up,
    make,
    refusal,
    talking,
)
from tests.integration.fake_ari import until


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


async def test_a_conversation_from_greeting_to_the_last_digit(agi: AgiServer) -> None:
    heard = Heard()
    talk = agi.expect(ATTEMPT, CHANNEL, SECRET, heard)
    talk.admit()
    peer = await Peer.dial(agi, TARGET)
    await until(lambda: heard == [Talking()])
    talk.say(["greeting", "ask_code"], "0123456789*#")
    await peer.expect('STREAM FILE binding_ivr/greeting "0123456789*#"', "200 result=0 endpos=3404")
    await peer.expect('STREAM FILE binding_ivr/ask_code "0123456789*#"', "200 result=49 endpos=9760")
    await until(lambda: heard[1:] == [Digit("1")])
    talk.ask((), 1, 5, 5)
    await peer.expect("WAIT FOR DIGIT 5000", "200 result=35")
    await until(lambda: heard[2:] == [Digit("#")])
    talk.ask((), 1, 0.25, 0.25)
    await peer.expect("WAIT FOR DIGIT 250", "200 result=0")
    await until(lambda: heard[3:] == [Silence()])
    talk.say(["verified"], "")
    await peer.expect('STREAM FILE binding_ivr/verified ""', "200 result=0 endpos=10")
    await until(lambda: heard[4:] == [SayDone()])
    talk.close()
    talk.close()
    assert await peer.ended()
    assert len(heard) == 5


async def test_what_is_asked_before_the_session_is_done_in_order_and_a_d_are_digits(agi: AgiServer) -> None:
    heard = Heard()
    talk = agi.expect(ATTEMPT, CHANNEL, SECRET, heard)
    talk.say([], "")
    talk.ask((), 1, 0, 0)
    peer = await Peer.dial(agi, TARGET)
    await asyncio.sleep(0)
    assert heard == []
    talk.admit()  # a moment after the session came
    await peer.expect("WAIT FOR DIGIT 1", "100 result=0 Trying...\n200 result=65")
    await peer.expect("WAIT FOR DIGIT 1", "200 result=49")  # a letter is told, and is no digit of the entry
    await until(lambda: heard == [Talking(), SayDone(), Digit("A"), Digit("1")])
    talk.close()
    assert await peer.ended()


async def test_an_entry_is_collected_without_a_word_from_us(agi: AgiServer) -> None:
    heard, talk, peer = await talking(agi)
    talk.ask(["greeting", "ask_code"], 3, 10, 5)
    await peer.expect('STREAM FILE binding_ivr/greeting "0123456789*"', "200 result=0 endpos=1")
    await peer.expect('STREAM FILE binding_ivr/ask_code "0123456789*"', "200 result=55 endpos=1")
    await peer.expect("WAIT FOR DIGIT 5000", "200 result=56")
    await peer.expect("WAIT FOR DIGIT 5000", "200 result=57")
    await until(lambda: heard[1:] == [Digit("7"), Digit("8"), Digit("9")])
    talk.ask([], 3, 10, 5)
    await peer.expect("WAIT FOR DIGIT 10000", "200 result=49")
    await peer.expect("WAIT FOR DIGIT 5000", "200 result=35")
    await until(lambda: heard[4:] == [Digit("1"), Digit("#")])
    talk.ask(["ask_code"], 3, 10, 5)
    await peer.expect('STREAM FILE binding_ivr/ask_code "0123456789*"', "200 result=0 endpos=1")
    await peer.expect("WAIT FOR DIGIT 10000", "200 result=50")
    await peer.expect("WAIT FOR DIGIT 5000", "200 result=0")
    await until(lambda: heard[6:] == [Digit("2"), Silence()])
    talk.close()
    assert await peer.ended()


@pytest.mark.parametrize(
    ("status", "keys", "events"),
    [
        ("OK", "123456", [Digit(key) for key in "123456"]),
        ("OK", "123", [Digit("1"), Digit("2"), Digit("3"), Digit("#")]),
        ("OK", "", [Digit("#")]),
        ("OK", "12*456", [Digit("1"), Digit("2"), Digit("*")]),
        ("TIMEOUT", "12", [Digit("1"), Digit("2"), Silence()]),
        ("TIMEOUT", "", [Silence()]),
    ],
)
async def test_a_late_loop_lets_asterisk_collect_the_entry(
    lookups: FakeLookups, status: str, keys: str, events: list[Event]
) -> None:
    agi = AgiServer(lookups, port=0, late_s=0.0)  # always late
    await agi.start()
    heard, talk, peer = await talking(agi)
    talk.ask(["greeting", "ask_code"], 6, 10, 5)
    await peer.expect('EXEC Read "BINDING_KEYS,binding_ivr/greeting&binding_ivr/ask_code,6,,1,10"', "200 result=0")
    await peer.expect("GET VARIABLE READSTATUS", f"200 result=1 ({status})")
    await peer.expect("GET VARIABLE BINDING_KEYS", f"200 result=1 ({keys})" if keys else "200 result=0")
    await peer.expect('SET VARIABLE BINDING_KEYS ""', "200 result=1")
    await until(lambda: heard[1:] == events)
    talk.close()
    assert await peer.ended()
    await agi.stop()


@pytest.mark.parametrize(("late_s", "collects"), [(3600.0, "digit by digit"), (0.0, "in one go")])
async def test_words_before_a_question_take_star_alone_in_either_way(
    lookups: FakeLookups, late_s: float, collects: str
) -> None:
    agi = AgiServer(lookups, port=0, late_s=late_s)
    await agi.start()
    heard, talk, peer = await talking(agi)
    talk.say(["greeting", "reason"], "*")  # Asterisk drops every other key
    await peer.expect('STREAM FILE binding_ivr/greeting "*"', "200 result=0 endpos=3404")
    await peer.expect('STREAM FILE binding_ivr/reason "*"', "200 result=0 endpos=3404")
    await until(lambda: heard[1:] == [SayDone()])
    talk.ask(["digit_7"], 1, 10, 5)
    if collects == "in one go":
        await peer.expect('EXEC Read "BINDING_KEYS,binding_ivr/digit_7,1,,1,10"', "200 result=0")
        await peer.expect("GET VARIABLE READSTATUS", "200 result=1 (OK)")
        await peer.expect("GET VARIABLE BINDING_KEYS", "200 result=1 (7)")
        await peer.expect('SET VARIABLE BINDING_KEYS ""', "200 result=1")
    else:
        await peer.expect('STREAM FILE binding_ivr/digit_7 "0123456789*"', "200 result=55 endpos=100")
    await until(lambda: heard[2:] == [Digit("7")])
    talk.say(["gate"], "*")
    await peer.expect('STREAM FILE binding_ivr/gate "*"', "200 result=42 endpos=100")
    await until(lambda: heard[3:] == [Digit("*")])
    talk.close()
    assert await peer.ended()
    await agi.stop()


async def test_letters_in_an_entry_that_asterisk_collects_are_no_digits(lookups: FakeLookups) -> None:
    agi = AgiServer(lookups, port=0, late_s=0.0)
    await agi.start()
    heard, talk, peer = await talking(agi)
    talk.ask([], 4, 10, 5)
    for keys, most in (("1A2B", 4), ("3C", 2), ("4", 1)):
        await peer.expect(f'EXEC Read "BINDING_KEYS,,{most},,1,10"', "200 result=0")
        await peer.expect("GET VARIABLE READSTATUS", "200 result=1 (OK)")
        await peer.expect("GET VARIABLE BINDING_KEYS", f"200 result=1 ({keys})")
        await peer.expect('SET VARIABLE BINDING_KEYS ""', "200 result=1")
    await until(lambda: heard[1:] == [Digit(key) for key in "1A2B3C4"])
    talk.close()
    assert await peer.ended()
    await agi.stop()


async def test_an_entry_counts_although_the_phone_hangs_up_at_once(lookups: FakeLookups) -> None:
    agi = AgiServer(lookups, port=0, late_s=0.0)
    await agi.start()
    heard, talk, peer = await talking(agi)
    talk.ask([], 2, 10, 5)
    await peer.expect('EXEC Read "BINDING_KEYS,,2,,1,10"', "200 result=0")
    await peer.expect("GET VARIABLE READSTATUS", "200 result=1 (OK)")
    await peer.expect("GET VARIABLE BINDING_KEYS", "200 result=1 (12)")
    await hang_up(peer)
    await until(lambda: heard[1:] == [Digit("1"), Digit("2"), HangupNoticed()])
    await agi.stop()


async def test_a_hangup_in_an_entry_that_asterisk_collects(lookups: FakeLookups) -> None:
    agi = AgiServer(lookups, port=0, late_s=0.0)
    await agi.start()
    heard, talk, peer = await talking(agi)
    talk.ask([], 6, 10, 5)
    await peer.expect('EXEC Read "BINDING_KEYS,,6,,1,10"', "200 result=-1")
    await hang_up(peer)
    await until(lambda: heard[1:] == [HangupNoticed()])
    await agi.stop()


async def test_a_result_that_is_no_key_is_no_digit(agi: AgiServer) -> None:
    heard, talk, peer = await talking(agi)
    talk.say(["a"], "1")
    await peer.expect('STREAM FILE binding_ivr/a "1"', "200 result=7")
    talk.ask((), 1, 1, 1)
    await peer.expect("WAIT FOR DIGIT 1000", "200 result=99999")
    await until(lambda: heard == [Talking(), SayDone(), Silence()])
    talk.close()
    assert await peer.ended()


@pytest.mark.parametrize(
    ("prompts", "escape"), [(["a b"], ""), (['a"'], ""), (["../a"], ""), (["a"], '1"'), (["a\n"], "")]
)
async def test_a_prompt_that_would_break_the_line_is_refused(agi: AgiServer, prompts: list[str], escape: str) -> None:
    talk = agi.expect(ATTEMPT, CHANNEL, SECRET, Heard())
    with pytest.raises(ValueError, match=r"prompt names|escape digits"):
        talk.say(prompts, escape)
    talk.close()


async def test_a_hangup_while_a_prompt_plays(agi: AgiServer) -> None:
    heard, talk, peer = await talking(agi)
    talk.say(["a", "b"], "1")
    await peer.expect('STREAM FILE binding_ivr/a "1"', "200 result=-1 endpos=12160")
    await hang_up(peer)
    await until(lambda: heard[1:] == [HangupNoticed()])
    await until(lambda: agi.sessions == 0)


async def test_a_hangup_while_listening(agi: AgiServer) -> None:
    heard, talk, peer = await talking(agi)
    talk.ask((), 1, 4, 4)
    await peer.expect("WAIT FOR DIGIT 4000", "200 result=-1")
    await hang_up(peer)
    await until(lambda: heard[1:] == [HangupNoticed()])


async def test_a_hangup_while_nothing_is_asked(agi: AgiServer) -> None:
    heard, _talk, peer = await talking(agi)
    await hang_up(peer)
    await until(lambda: heard[1:] == [HangupNoticed()])


async def test_a_last_digit_with_the_hangup_behind_it_counts(agi: AgiServer) -> None:
    heard, talk, peer = await talking(agi)
    talk.ask((), 1, 4, 4)
    await peer.expect("WAIT FOR DIGIT 4000", "HANGUP\n200 result=55")
    await until(lambda: heard[1:] == [Digit("7"), HangupNoticed()])
    assert await peer.ended()


async def test_a_dead_channel(agi: AgiServer) -> None:
    heard, talk, peer = await talking(agi)
    talk.ask((), 1, 4, 4)
    await peer.expect("WAIT FOR DIGIT 4000", "511 Command Not Permitted on a dead channel or intercept routine")
    await until(lambda: heard[1:] == [HangupNoticed()])
    assert await peer.ended()


async def test_a_missing_prompt_is_named_and_is_no_hangup(agi: AgiServer) -> None:
    heard, talk, peer = await talking(agi)
    with structlog.testing.capture_logs() as logs:
        talk.say(["greeting"], "1")
        await peer.expect('STREAM FILE binding_ivr/greeting "1"', "200 result=-1 endpos=0")
        await peer.expect("CHANNEL STATUS", "200 result=6")
        await until(lambda: len(heard) == 2)
    assert heard[1] == TalkLost("prompt binding_ivr/greeting (es) is missing in Asterisk's sounds folder")
    assert "binding-ivr prompts build" in logs[0]["detail"]
    assert await peer.ended()


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        ("510 Invalid or unknown command", "answered 510 to WAIT"),
        (
            "520-Invalid command syntax.  Proper usage follows:\nlong\ntext\n520 End of proper usage.",
            "answered 520 to WAIT",
        ),
        ("200 nothing", "answered 200 to WAIT"),
        ("200 result=x", "not an AGI reply"),
        ("\x00\x01garbage", "not an AGI reply"),
        ("x" * 40000, "a line that never ends"),
    ],
)
async def test_a_reply_that_makes_no_sense_loses_the_talk(agi: AgiServer, reply: str, detail: str) -> None:
    heard, talk, peer = await talking(agi)
    talk.ask((), 1, 4, 4)
    await peer.expect("WAIT FOR DIGIT 4000", reply)
    await until(lambda: len(heard) == 2)
    assert isinstance(heard[1], TalkLost)
    assert detail in heard[1].detail
    await peer.leave()


async def test_a_reply_to_no_command_loses_the_talk(agi: AgiServer) -> None:
    heard, _talk, peer = await talking(agi)
    peer.send("200 result=49\n")
    await until(lambda: heard[1:] == [TalkLost("Asterisk sent a reply without a command")])
    assert await peer.ended()


async def test_a_stalled_asterisk_loses_the_talk(agi: AgiServer) -> None:
    heard, talk, peer = await talking(agi)
    talk.say(["a"], "1")
    await until(lambda: heard[1:] == [TalkLost("stalled: Asterisk did not answer STREAM within 1 s")])
    await peer.command()
    assert await peer.ended()


async def test_a_lost_connection_loses_the_talk(agi: AgiServer) -> None:
    heard, talk, peer = await talking(agi)
    talk.ask((), 1, 4, 4)
    await peer.command()
    await peer.leave()
    await until(lambda: heard[1:] == [TalkLost("Asterisk closed the FastAGI session")])


async def test_a_failing_sink_does_not_end_the_listener(agi: AgiServer) -> None:
    def broken(_event: Event) -> None:
        raise RuntimeError("a call's fault")

    with structlog.testing.capture_logs() as logs:
        talk = agi.expect(ATTEMPT, CHANNEL, SECRET, broken)
        talk.admit()
        peer = await Peer.dial(agi, TARGET)
        await until(lambda: logs)
    talk.close()
    assert await peer.ended()
    assert logs[0]["event"] == "agi.sink_failed"


async def test_close_ends_a_pending_command_without_an_event(agi: AgiServer) -> None:
    heard, talk, peer = await talking(agi)
    talk.ask((), 1, 4, 4)
    await peer.command()
    talk.close()
    assert await peer.ended()
    talk.say(["a"], "")
    assert heard == [Talking()]


async def test_only_the_one_expected_session_is_taken(agi: AgiServer) -> None:
    assert "no call waits" in await refusal(agi)
    heard = Heard()
    talk = agi.expect(ATTEMPT, CHANNEL, SECRET, heard)
    assert "not answered" in await refusal(agi)
    talk.admit()
    assert "not the channel that was called" in await refusal(agi, channel="1700000000.1")
    assert heard == []
    peer = await Peer.dial(agi, TARGET)
    await until(lambda: heard == [Talking()])
    assert "its session already" in await refusal(agi)
    talk.close()
    assert await peer.ended()
    assert heard == [Talking()]
    assert agi.refused == 4


@pytest.mark.parametrize(
    "secret", ["", "/", f"/{SECRET[:-1]}", f"/{SECRET}0", f"/{SECRET.upper()}", f"/{SECRET}/x", "/é"]
)
async def test_who_does_not_know_the_secret_is_refused(agi: AgiServer, secret: str) -> None:
    """The attempt and the channel can be seen by others; the session that names the secret is still let in."""
    heard = Heard()
    talk = agi.expect(ATTEMPT, CHANNEL, SECRET, heard)
    talk.admit()
    assert "does not know the call's secret" in await refusal(agi, f"attempt/{ATTEMPT}{secret}")
    assert heard == []
    peer = await Peer.dial(agi, TARGET)
    await until(lambda: heard == [Talking()])
    talk.close()
    assert await peer.ended()


async def test_a_new_expectation_replaces_the_earlier(agi: AgiServer) -> None:
    earlier = agi.expect(ATTEMPT, CHANNEL, SECRET, Heard())
    heard = Heard()
    talk = agi.expect(ATTEMPT, CHANNEL[:-1] + "1", SECRET, heard)
    earlier.close()
    talk.admit()
    peer = await Peer.dial(agi, TARGET, CHANNEL[:-1] + "1")
    await until(lambda: heard == [Talking()])
    talk.close()
    assert await peer.ended()


async def test_closing_while_a_session_waits_for_its_admission(agi: AgiServer) -> None:
    heard = Heard()
    talk = agi.expect(ATTEMPT, CHANNEL, SECRET, heard)
    peer = await Peer.dial(agi, TARGET)
    await until(lambda: agi.sessions == 1)
    talk.close()
    assert await peer.ended()
    assert heard == []


@pytest.mark.parametrize("target", ["attempt/x", "attempt", "attempt/", "trusted-numbers", "/", "verify/+15551230001"])
async def test_unknown_paths_are_closed_and_no_number_is_logged(agi: AgiServer, target: str) -> None:
    with structlog.testing.capture_logs() as logs:
        peer = await Peer.dial(agi, target)
        assert await peer.ended()
        await until(lambda: logs)
    assert "1555" not in str(logs)


async def test_a_foreign_address_is_refused(lookups: FakeLookups) -> None:
    agi = make(lookups, allow=["192.0.2.0/24", "2001:db8::/32"])
    await agi.start()
    assert "allow-list" in await refusal(agi)
    await agi.stop()


def test_an_allow_list_that_is_none_is_the_operators_to_correct() -> None:
    with pytest.raises(ConfigError, match=r"\[agi\] allow"):
        make(None, allow=["localhost"])


async def test_a_port_in_use_is_the_operators_to_correct(agi: AgiServer) -> None:
    second = make(None, port=agi.port)
    with pytest.raises(ConfigError, match=r"\[agi\] bind or port"):
        await second.start()
    await second.stop()
