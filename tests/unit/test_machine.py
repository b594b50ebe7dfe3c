"""The call machine: each path of a call, and any order of events."""

from hypothesis import given, settings
from hypothesis import strategies as st

from binding_ivr.call import events as ev
from binding_ivr.call.commands import Ask, Command, Finish, Handoff, Hangup, Originate, Progress, Say
from binding_ivr.call.machine import CallMachine, Phase
from binding_ivr.call.prompts import Prompt
from binding_ivr.call.rules import Rules
from binding_ivr.model.outcome import FAULTS, AttemptState, Fault, Outcome, Verdict, of_unanswered

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


# --- each time that is waited for, from the event that it counts from


def test_how_long_each_step_is_waited_for() -> None:
    m = machine(Rules(ring_s=30.0, max_s=120.0))
    m.handle(ev.Begin(), 100.0)
    assert m.deadline == 135.0, "ringing ends by Asterisk itself; 5 s later by us"
    m.handle(ev.Ringing(), 110.0)
    assert m.deadline == 135.0, "ringing does not begin it anew"
    m.handle(ev.Answered(), 120.0)
    assert m.deadline == 130.0, "10 s until the conversation begins"
    m.handle(ev.Talking(), 121.0)
    assert m.deadline == 240.0, "the longest call counts from the answer"
    press(m, CODE, 150.0)
    assert m.deadline == 158.0, "8 s until the verdict is written"
    m.handle(ev.Recorded(), 152.0)
    assert m.deadline == 182.0, "30 s for the last words"
    assert m.tick(181.9) == []
    assert m.tick(182.0) == [Hangup()]
    assert m.deadline == 187.0, "5 s until the channel is gone"
    assert m.tick(187.0) == [Hangup()]
    assert m.tick(192.0) == [Hangup()]
    assert m.tick(197.0) == []
    assert m.done


def test_a_call_whose_ringing_never_ends_was_not_answered() -> None:
    for events in ((ev.Begin(),), (ev.Begin(), ev.Ringing())):
        m = machine()
        for event in events:
            m.handle(event, 0.0)
        commands = m.tick(35.0)
        assert commands == [
            Finish(Verdict(Outcome.NO_ANSWER, Fault.CALLEE, detail="no end of the ringing was reported")),
            Hangup(),
        ]


def test_a_short_longest_duration_ends_a_call_on_its_way_to_the_conversation() -> None:
    m = machine(Rules(max_s=4.0))
    m.handle(ev.Begin(), 0.0)
    m.handle(ev.Answered(), 1.0)
    assert m.deadline == 5.0
    got = verdict(m.tick(5.0))
    assert (got.outcome, got.detail) == (Outcome.NO_INPUT, "the call reached its longest duration")


def test_after_a_wrong_entry_the_longest_duration_ends_with_wrong_code() -> None:
    m = talking(Rules(max_s=60.0))
    press(m, "999999")
    assert verdict(m.tick(60.0)) == Verdict(
        Outcome.WRONG_CODE, Fault.CALLEE, 1, detail="the call reached its longest duration"
    )


# --- what the verdict holds


def test_the_verdict_tells_how_far_the_call_came() -> None:
    steps: list[ev.Event] = [ev.Begin(), ev.Ringing(), ev.Answered(), ev.Talking()]
    for number, came in enumerate([(False, False), (True, False), (True, True), (True, True)], 1):
        m = machine()
        for event in steps[:number]:
            m.handle(event, 0.0)
        got = verdict(m.handle(ev.Abort("the service stops"), 1.0))
        assert (got.rang, got.answered) == came
        assert (got.outcome, got.detail, got.tries) == (Outcome.FAILED, "the service stops", 0)
    at_once = machine()
    at_once.handle(ev.Begin(), 0.0)
    at_once.handle(ev.Answered(), 0.0)
    got = verdict(at_once.handle(ev.CancelRequested(), 1.0))
    assert (got.rang, got.answered, got.detail, got.fault) == (False, True, "", Fault.CALLEE)


def test_verdicts_are_the_same_however_far_the_call_came() -> None:
    plain = Verdict(Outcome.BUSY, Fault.CALLEE)
    assert plain == Verdict(Outcome.BUSY, Fault.CALLEE, 0, None, None, "", rang=True, answered=True)
    assert (plain.tries, plain.cause, plain.tech_cause, plain.detail) == (0, None, None, "")
    assert not plain.rang
    assert not plain.answered


def test_causes_are_kept_whoever_ended_it() -> None:
    hung_up = talking()
    got = verdict(hung_up.handle(ev.Ended(16, 200), 2.0))
    assert (got.outcome, got.cause, got.tech_cause, got.detail) == (Outcome.HUNG_UP, 16, 200, "")
    vanished = talking()
    got = verdict(vanished.handle(ev.Ended(None, None), 2.0))
    assert (got.outcome, got.fault) == (Outcome.FAILED, Fault.US)
    assert got.detail == "the channel vanished; was Asterisk restarted?"
    broke = talking()
    broke.handle(ev.TalkLost("the session stalled"), 2.0)
    got = verdict(broke.handle(ev.Ended(16, 200), 2.1))
    assert (got.outcome, got.cause, got.tech_cause) == (Outcome.FAILED, 16, 200)
    assert got.detail == "the session stalled"
    unknown = machine()
    unknown.handle(ev.Begin(), 0.0)
    got = verdict(unknown.handle(ev.Ended(127, 499), 1.0))
    assert got.detail.startswith("the call ended before it was answered")
    busy = machine()
    busy.handle(ev.Begin(), 0.0)
    assert verdict(busy.handle(ev.Ended(17, 486), 1.0)).detail == ""


def test_a_call_that_cannot_be_placed() -> None:
    for network, outcome, fault in (
        (False, Outcome.FAILED, Fault.US),
        (True, Outcome.CONGESTION, Fault.NETWORK),
    ):
        m = machine()
        m.handle(ev.Begin(), 0.0)
        got = verdict(m.handle(ev.PlaceFailed("no endpoint", network), 0.1))
        assert (got.outcome, got.fault, got.detail) == (outcome, fault, "no endpoint")
        assert m.done, "there is no channel whose end could be waited for"
        second = machine(Rules(routes=2))
        second.handle(ev.Begin(), 0.0)
        assert second.handle(ev.PlaceFailed("no endpoint", network), 7.0) == [
            Originate(1),
            Progress(AttemptState.DIALING),
        ]
        assert second.deadline == 42.0, "the next route rings as long"


def test_routes_are_tried_in_their_order_and_each_once() -> None:
    m = machine(Rules(routes=3))
    m.handle(ev.Begin(), 0.0)
    assert m.handle(ev.Ended(34, 503), 1.0)[0] == Originate(1)
    assert m.handle(ev.Ended(38, 500), 2.0)[0] == Originate(2)
    assert verdict(m.handle(ev.Ended(41, 500), 3.0)) == Verdict(Outcome.CONGESTION, Fault.NETWORK, 0, 41, 500)


CAUSES: dict[Outcome, list[int | None]] = {
    Outcome.UNREACHABLE: [1, 3, 22, 28],
    Outcome.BUSY: [17],
    Outcome.NO_ANSWER: [18, 19],
    Outcome.DECLINED: [21],
    Outcome.CONGESTION: [27, 34, 38, 41, 42],
    Outcome.FAILED: [None, 0, 2, 16, 127],
}


def test_each_cause_is_one_outcome_and_three_sip_codes_say_more() -> None:
    for outcome, causes in CAUSES.items():
        for cause in causes:
            for tech_cause in (None, 0, 404, 486, 604):
                assert of_unanswered(cause, tech_cause) == (outcome, FAULTS[outcome])
            for tech_cause in (603, 607, 608):
                assert of_unanswered(cause, tech_cause) == (Outcome.DECLINED, Fault.CALLEE)


def test_who_must_act_for_the_next_call_to_go_better() -> None:
    others = {
        Outcome.UNREACHABLE: Fault.NETWORK,
        Outcome.CONGESTION: Fault.NETWORK,
        Outcome.EXPIRED: Fault.POLICY,
        Outcome.FAILED: Fault.US,
    }
    assert {outcome: others.get(outcome, Fault.CALLEE) for outcome in Outcome} == FAULTS


def test_the_timings_and_counts_of_an_ordinary_call() -> None:
    rules = Rules()
    assert (rules.length, rules.tries, rules.loops, rules.routes) == (6, 3, 5, 1)
    assert (rules.ring_s, rules.first_digit_s, rules.next_digit_s, rules.max_s) == (30.0, 10.0, 5.0, 120.0)
    assert not rules.at_desk
    assert not rules.hardened


def test_at_a_desk_the_request_is_for_the_code_that_the_desk_says() -> None:
    m = machine(Rules(at_desk=True))
    for event in (ev.Begin(), ev.Ringing(), ev.Answered()):
        m.handle(event, 0.0)
    assert m.handle(ev.Talking(), 0.0) == [Ask((Prompt.GREETING, Prompt.REASON, Prompt.ASK_CODE_DESK), 6, 10.0, 5.0)]


def test_silence_after_an_entry_was_given_up_counts_its_loops_anew() -> None:
    m = talking(Rules(loops=2))
    assert m.handle(ev.Silence(), 1.0) == [LOOP]
    assert m.handle(ev.Digit("1"), 2.0) == [Progress(AttemptState.ANSWERED, 1)]
    assert m.handle(ev.Silence(), 3.0) == [Say((Prompt.INCOMPLETE,), "*"), Progress(AttemptState.ANSWERED)]
    assert m.handle(ev.Silence(), 4.0) == [], "the notice takes no silence"
    assert m.handle(ev.SayDone(), 4.0) == [AGAIN]
    assert m.handle(ev.Silence(), 5.0) == [LOOP]
    assert verdict(m.handle(ev.Silence(), 6.0)) == Verdict(Outcome.WRONG_CODE, Fault.CALLEE, 1)


def test_a_right_code_that_ends_after_the_hang_up_is_told_and_a_wrong_one_is_not() -> None:
    m = talking()
    press(m, CODE[:5])
    m.handle(ev.HangupNoticed(), 2.0)
    assert m.handle(ev.Digit(CODE[5]), 2.0) == [
        Progress(AttemptState.ANSWERED, 6),
        Finish(Verdict(Outcome.VERIFIED, Fault.CALLEE, 1)),
    ]
    wrong = talking()
    press(wrong, CODE[:5])
    wrong.handle(ev.HangupNoticed(), 2.0)
    assert wrong.handle(ev.Digit("9"), 2.0) == []
    assert verdict(wrong.handle(ev.Ended(16, None), 2.1)) == Verdict(Outcome.HUNG_UP, Fault.CALLEE, 0, 16)


# --- events that are late, doubled or out of place


def test_what_is_out_of_place_changes_nothing() -> None:
    new = machine()
    early: list[ev.Event] = [ev.Ringing(), ev.Answered(), ev.Talking(), ev.Digit("1"), ev.SayDone(), ev.Silence()]
    for event in [*early, ev.Recorded(), ev.Ended(16, None)]:
        assert new.handle(event, 0.0) == []
    assert (new.phase, new.verdict, new.deadline) == (Phase.NEW, None, None)
    m = talking()
    doubled: list[ev.Event] = [ev.Begin(), ev.Ringing(), ev.Answered(), ev.Talking(), ev.Recorded()]
    for event in doubled:
        assert m.handle(event, 1.0) == []
    assert m.phase is Phase.TALKING


def test_after_the_verdict_nothing_gives_another_one() -> None:
    m = talking()
    first = verdict(press(m, CODE))
    for event in (ev.CancelRequested(), ev.Abort("x"), ev.PlaceFailed("x"), ev.Digit("1"), ev.Silence(), ev.SayDone()):
        assert m.handle(event, 2.0) == []
    assert m.handle(ev.Talking(), 2.0) == [Hangup()], "a conversation that begins too late is ended"
    assert m.handle(ev.Ended(16, None), 2.0) == []
    assert m.done
    assert m.verdict is first


def test_a_conversation_that_breaks_in_the_last_words_is_hung_up() -> None:
    m = talking()
    press(m, CODE)
    m.handle(ev.Recorded(), 2.0)
    assert m.handle(ev.TalkLost("closed"), 3.0) == [Hangup()]
    assert m.phase is Phase.HANGING_UP


def test_news_of_the_hang_up_waits_three_seconds_for_the_end() -> None:
    m = talking()
    m.handle(ev.HangupNoticed(), 10.0)
    assert (m.phase, m.deadline) == (Phase.LOST, 13.0)
    m.handle(ev.HangupNoticed(), 11.0)
    assert m.deadline == 14.0
    commands = m.tick(14.0)
    assert commands == [Finish(Verdict(Outcome.HUNG_UP, Fault.CALLEE)), Hangup()]


def test_a_hand_over_that_fails_waits_for_the_news_and_is_ours_without() -> None:
    m = machine()
    m.handle(ev.Begin(), 0.0)
    m.handle(ev.Answered(), 1.0)
    m.handle(ev.PlaceFailed("the channel was gone"), 1.5)
    assert m.deadline == 4.5
    commands = m.tick(4.5)
    assert commands == [Finish(Verdict(Outcome.FAILED, Fault.US, detail="the channel was gone")), Hangup()]


def test_an_outcome_without_words_of_its_own_is_a_problem() -> None:
    given_up = talking()
    press(given_up, CODE)
    assert given_up.handle(ev.Recorded(committed=False), 2.0) == [Say((Prompt.PROBLEM,), "")]
    silent = talking(Rules(loops=1))
    silent.handle(ev.Silence(), 2.0)
    assert silent.handle(ev.Recorded(), 2.0) == [Say((Prompt.NO_INPUT,), "")]


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
