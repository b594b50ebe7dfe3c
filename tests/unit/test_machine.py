"""The call machine: each path of a call, and any order of events."""

from hypothesis import given, settings
from hypothesis import strategies as st

from binding_ivr.call import events as ev
from binding_ivr.call.commands import Ask, Command, Finish, Handoff, Hangup, Originate, Progress, Say
from binding_ivr.call.machine import CallMachine, Phase
from binding_ivr.call.prompts import Prompt
from binding_ivr.call.rules import Rules
from binding_ivr.model.outcome import AttemptState, Fault, Outcome, Verdict

CODE = "112334"


FIRST = Ask((Prompt.GREETING, Prompt.REASON, Prompt.ASK_CODE), 6, 10.0, 5.0)
LOOP = Ask((Prompt.GREETING, Prompt.ASK_CODE), 6, 10.0, 5.0)
AGAIN = Ask((Prompt.ASK_CODE,), 6, 10.0, 5.0)


def machine(rules: Rules | None = None, gate: str = "") -> CallMachine:
    return CallMachine(rules or Rules(), lambda entry: entry == CODE, gate)


def talking(rules: Rules | None = None, gate: str = "") -> CallMachine:
    m = machine(rules, gate)
    for event in (ev.Begin(), ev.Ringing(), ev.Answered(), ev.Talking()):
        m.handle(event, 0.0)
    assert m.phase is Phase.TALKING
    return m


def press(m: CallMachine, keys: str, now: float = 1.0) -> list[Command]:
    commands: list[Command] = []
    for key in keys:
        commands += m.handle(ev.Digit(key), now)
    return commands


def verdict(commands: list[Command]) -> Verdict:
    (found,) = [c.verdict for c in commands if isinstance(c, Finish)]
    return found


def test_a_right_code_proves_the_number() -> None:
    m = machine()
    assert m.handle(ev.Begin(), 0.0) == [Originate(0), Progress(AttemptState.DIALING)]
    assert m.handle(ev.Ringing(), 0.1) == [Progress(AttemptState.RINGING)]
    assert m.handle(ev.Answered(), 3.0) == [Handoff(), Progress(AttemptState.ANSWERED)]
    assert m.handle(ev.Talking(), 3.1) == [FIRST]
    assert m.handle(ev.Digit("1"), 4.0) == [Progress(AttemptState.ANSWERED, 1)]
    press(m, "1233", 5.0)
    last = m.handle(ev.Digit("4"), 6.0)
    assert last == [Progress(AttemptState.ANSWERED, 6), Finish(Verdict(Outcome.VERIFIED, Fault.CALLEE, 1))]
    assert m.handle(ev.Recorded(), 6.1) == [Say((Prompt.VERIFIED,), "")]
    assert m.handle(ev.SayDone(), 9.0) == [Hangup()]
    assert m.handle(ev.Ended(16, None), 9.1) == []
    assert m.done


def test_three_wrong_entries_end_the_call() -> None:
    m = talking()
    first = press(m, "999999")
    assert Say((Prompt.WRONG_CODE,), "*") in first
    assert m.handle(ev.SayDone(), 2.0) == [AGAIN]
    press(m, "999999")
    m.handle(ev.SayDone(), 2.0)
    assert verdict(press(m, "999999")) == Verdict(Outcome.WRONG_CODE, Fault.CALLEE, 3)
    assert m.handle(ev.Recorded(), 9.0) == [Say((Prompt.NO_MORE_TRIES,), "")]


def test_an_entry_is_never_a_window_over_a_longer_stream() -> None:
    m = talking()
    commands = press(m, "9" + CODE[:5])  # the code's digits, shifted by one
    assert Say((Prompt.WRONG_CODE,), "*") in commands
    assert m.verdict is None
    assert press(m, CODE[5]) == []  # into the notice
    assert m.handle(ev.SayDone(), 2.0) == [AGAIN]
    assert press(m, CODE[5]) == [Progress(AttemptState.ANSWERED, 1)]


def test_hash_ends_an_entry_early_and_uses_a_try() -> None:
    m = talking()
    assert Say((Prompt.INCOMPLETE,), "*") in press(m, "1123#")
    m.handle(ev.SayDone(), 2.0)
    assert verdict(press(m, CODE)) == Verdict(Outcome.VERIFIED, Fault.CALLEE, 2)


def test_hash_before_the_first_digit_and_letters_are_ignored() -> None:
    m = talking()
    assert press(m, "#") == [Ask((), 6, 10.0, 5.0)]
    assert press(m, "1A") == [Progress(AttemptState.ANSWERED, 1)] * 2
    assert verdict(press(m, CODE[1:])).tries == 1


def test_too_slow_is_incomplete() -> None:
    m = talking()
    press(m, "11")
    assert Say((Prompt.INCOMPLETE,), "*") in m.handle(ev.Silence(), 7.0)


def test_star_reports_at_any_moment() -> None:
    for before in ("", "12"):
        m = talking()
        assert verdict(press(m, before + "*")).outcome is Outcome.REPORTED
        assert m.handle(ev.Recorded(), 2.0) == [Say((Prompt.REPORTED,), "")]


def test_silence_loops_and_ends_with_no_input() -> None:
    m = talking(Rules(loops=3))
    for _ in range(2):
        assert m.handle(ev.Silence(), 2.0) == [LOOP]
    assert verdict(m.handle(ev.Silence(), 4.0)) == Verdict(Outcome.NO_INPUT, Fault.CALLEE, 0)


def test_silence_after_a_wrong_entry_is_a_wrong_code() -> None:
    m = talking(Rules(loops=1))
    press(m, "999999")
    m.handle(ev.SayDone(), 2.0)
    assert verdict(m.handle(ev.Silence(), 4.0)) == Verdict(Outcome.WRONG_CODE, Fault.CALLEE, 1)


def test_the_longest_duration_counts_from_the_answer() -> None:
    m = machine(Rules(max_s=120.0))
    m.handle(ev.Begin(), 0.0)
    m.handle(ev.Answered(), 20.0)
    m.handle(ev.Talking(), 20.0)
    assert m.deadline == 140.0
    assert m.tick(139.9) == []
    commands = m.tick(140.0)
    assert verdict(commands).outcome is Outcome.NO_INPUT
    assert commands[-1] == Hangup()


def test_unanswered_ends_by_cause() -> None:
    cases = [
        ((17, 486), Outcome.BUSY, Fault.CALLEE),
        ((21, 403), Outcome.DECLINED, Fault.CALLEE),
        ((127, 607), Outcome.DECLINED, Fault.CALLEE),
        ((127, 608), Outcome.DECLINED, Fault.CALLEE),
        ((19, 603), Outcome.DECLINED, Fault.CALLEE),
        ((1, 404), Outcome.UNREACHABLE, Fault.NETWORK),
        ((22, 410), Outcome.UNREACHABLE, Fault.NETWORK),
        ((34, 503), Outcome.CONGESTION, Fault.NETWORK),
        ((38, 500), Outcome.CONGESTION, Fault.NETWORK),
        ((19, 480), Outcome.NO_ANSWER, Fault.CALLEE),
        ((18, 408), Outcome.NO_ANSWER, Fault.CALLEE),
        ((127, 499), Outcome.FAILED, Fault.US),
        ((None, None), Outcome.FAILED, Fault.US),
    ]
    for (cause, tech_cause), outcome, fault in cases:
        m = machine()
        m.handle(ev.Begin(), 0.0)
        got = verdict(m.handle(ev.Ended(cause, tech_cause), 1.0))
        assert (got.outcome, got.fault, got.cause, got.tech_cause) == (outcome, fault, cause, tech_cause)
        assert m.done


def test_the_next_route_only_before_it_rang() -> None:
    m = machine(Rules(routes=2))
    m.handle(ev.Begin(), 0.0)
    assert m.handle(ev.Ended(34, 503), 1.0) == [Originate(1), Progress(AttemptState.DIALING)]
    assert verdict(m.handle(ev.PlaceFailed("no endpoint"), 2.0)).outcome is Outcome.FAILED
    rang = machine(Rules(routes=2))
    rang.handle(ev.Begin(), 0.0)
    rang.handle(ev.Ringing(), 0.5)
    assert verdict(rang.handle(ev.Ended(34, 503), 1.0)).outcome is Outcome.CONGESTION
    busy = machine(Rules(routes=2))
    busy.handle(ev.Begin(), 0.0)
    assert verdict(busy.handle(ev.Ended(17, 486), 1.0)).outcome is Outcome.BUSY


def test_an_answered_call_that_never_talks_is_ours() -> None:
    m = machine()
    m.handle(ev.Begin(), 0.0)
    m.handle(ev.Answered(), 1.0)
    got = verdict(m.handle(ev.Ended(16, None), 1.1))
    assert (got.outcome, got.fault) == (Outcome.FAILED, Fault.US)
    assert "binding_ivr.conf" in got.detail
    stuck = machine()
    stuck.handle(ev.Begin(), 0.0)
    stuck.handle(ev.Answered(), 1.0)
    assert stuck.deadline is not None
    commands = stuck.tick(stuck.deadline)
    assert verdict(commands).outcome is Outcome.FAILED
    assert commands[-1] == Hangup()


def test_hang_up_in_the_conversation() -> None:
    m = talking()
    assert m.handle(ev.HangupNoticed(), 2.0) == []
    assert m.handle(ev.TalkLost("closed"), 2.0) == []
    assert verdict(m.handle(ev.Ended(16, None), 2.1)).outcome is Outcome.HUNG_UP


def test_the_session_may_close_before_the_news_of_the_hang_up() -> None:
    m = talking()
    assert m.handle(ev.TalkLost("closed"), 2.0) == []
    assert m.handle(ev.HangupNoticed(), 2.01) == []
    assert verdict(m.handle(ev.Ended(16, None), 2.1)).outcome is Outcome.HUNG_UP


def test_a_broken_session_is_ours() -> None:
    m = talking()
    m.handle(ev.TalkLost("the session stalled"), 2.0)
    assert m.deadline == 5.0
    got = verdict(m.tick(5.0))
    assert (got.outcome, got.fault, got.detail) == (Outcome.FAILED, Fault.US, "the session stalled")


def test_a_digit_pressed_before_the_hang_up_counts_though_the_news_overtook_it() -> None:
    m = talking()
    press(m, CODE[:5])
    m.handle(ev.HangupNoticed(), 2.0)
    assert verdict(m.handle(ev.Digit(CODE[5]), 2.01)).outcome is Outcome.VERIFIED


def test_a_hang_up_that_crosses_the_hand_over_is_the_callees() -> None:
    for news in ((ev.HangupNoticed(), ev.Ended(16, None)), (ev.Ended(16, None),)):
        m = machine()
        m.handle(ev.Begin(), 0.0)
        m.handle(ev.Answered(), 1.0)
        assert m.handle(ev.PlaceFailed("the channel was gone"), 1.01) == []
        got = [c.verdict for event in news for c in m.handle(event, 1.02) if isinstance(c, Finish)]
        assert [v.outcome for v in got] == [Outcome.HUNG_UP if len(news) == 2 else Outcome.FAILED]
        assert m.done


def test_a_hang_up_before_the_conversation_is_the_callees_though_its_end_is_never_told() -> None:
    m = machine()
    m.handle(ev.Begin(), 0.0)
    m.handle(ev.Answered(), 1.0)
    assert m.handle(ev.HangupNoticed(), 1.0) == []
    assert m.deadline is not None
    commands = m.tick(m.deadline)
    assert verdict(commands).outcome is Outcome.HUNG_UP
    assert commands[-1] == Hangup()


def test_cancel_before_and_in_the_call() -> None:
    new = machine()
    assert verdict(new.handle(ev.CancelRequested(), 0.0)).outcome is Outcome.CANCELED
    assert new.done
    m = talking()
    commands = m.handle(ev.CancelRequested(), 1.0)
    assert verdict(commands).outcome is Outcome.CANCELED
    assert commands[-1] == Hangup()


def test_abort_is_ours() -> None:
    m = talking()
    commands = m.handle(ev.Abort("the service stops"), 1.0)
    assert (verdict(commands).outcome, verdict(commands).fault) == (Outcome.FAILED, Fault.US)
    assert commands[-1] == Hangup()


def test_an_answer_that_crosses_the_cancel_is_hung_up() -> None:
    m = machine()
    m.handle(ev.Begin(), 0.0)
    m.handle(ev.CancelRequested(), 1.0)
    assert m.handle(ev.Answered(), 1.01) == [Hangup()]


def test_hangup_is_asked_again_and_then_left_to_the_sweep() -> None:
    m = talking()
    m.handle(ev.CancelRequested(), 1.0)
    asked = 1
    while not m.done:
        assert m.deadline is not None
        asked += m.tick(m.deadline).count(Hangup())
    assert asked == 3


def test_a_verdict_that_is_not_committed_is_not_announced() -> None:
    m = talking()
    press(m, CODE)
    assert m.deadline is not None
    assert m.tick(m.deadline) == [Say((Prompt.PROBLEM,), "")]
    assert m.handle(ev.Recorded(), m.deadline) == []


def test_no_closing_prompt_on_a_lost_conversation() -> None:
    m = talking()
    press(m, CODE)
    m.handle(ev.TalkLost("closed"), 2.0)
    assert m.handle(ev.Recorded(), 2.1) == [Hangup()]


EVENTS = st.one_of(
    st.sampled_from(
        [
            ev.Begin(),
            ev.Ringing(),
            ev.Answered(),
            ev.Talking(),
            ev.SayDone(),
            ev.Silence(),
            ev.TalkLost("lost"),
            ev.HangupNoticed(),
            ev.PlaceFailed("no"),
            ev.PlaceFailed("no", network=True),
            ev.CancelRequested(),
            ev.Abort("the service stops"),
            ev.Recorded(),
            ev.Recorded(committed=False),
            ev.Ended(None, None),
            ev.Ended(16, None),
            ev.Ended(17, 486),
            ev.Ended(34, 503),
        ]
    ),
    st.sampled_from("0123456789*#ABCD").map(ev.Digit),
    st.sampled_from(CODE).map(ev.Digit),
    st.floats(0, 60),  # time passes
)


@settings(max_examples=400)
@given(
    st.lists(EVENTS, max_size=120),
    st.builds(Rules, routes=st.integers(1, 3), hardened=st.booleans()),
    st.booleans(),
    st.sampled_from(["", "112"]),
)
def test_any_order_of_events_gives_one_verdict(
    history: list[ev.Event | float], rules: Rules, answered: bool, gate: str
) -> None:
    m = talking(rules, gate) if answered else machine(rules, gate)
    now, commands, heard = 0.0, [], ""
    for item in history:
        if isinstance(item, float):
            now += item
            commands += m.tick(now)
        else:
            was_talking = m.phase in (Phase.TALKING, Phase.LOST)
            if isinstance(item, ev.Digit) and was_talking:
                heard += item.digit
            commands += m.handle(item, now)
    ended_by_itself = m.done
    for event in (ev.Begin(), ev.CancelRequested(), ev.Ended(16, None)):  # whatever it was, it can be brought to an end
        commands += m.handle(event, now)
    for _ in range(10):
        if m.deadline is not None and not m.done:
            now = max(now, m.deadline)
            commands += m.tick(now)
    finishes = [c for c in commands if isinstance(c, Finish)]
    assert len(finishes) == 1
    assert m.done
    assert m.deadline is None
    assert finishes[0].verdict is m.verdict
    if finishes[0].verdict.outcome is Outcome.VERIFIED:
        assert CODE in "".join(c for c in heard if c in "0123456789")
    if ended_by_itself:
        assert m.handle(ev.Digit("1"), now) == []
    # Nothing is placed and nothing asked once the verdict was given.
    after = commands[commands.index(finishes[0]) + 1 :]
    assert not [c for c in after if isinstance(c, Originate | Handoff | Ask | Progress)]
