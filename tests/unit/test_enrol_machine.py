"""The dialogue at the desk phone: every way through it, and that it ends exactly once in any order of events."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binding_ivr.app import bindings
from binding_ivr.call import desk
from binding_ivr.call import events as ev
from binding_ivr.call.commands import Ask, Say
from binding_ivr.call.desk import DeskCommand, DeskEvent
from binding_ivr.call.desk_words import LATER, REFUSED, RESULT_PROMPT, WRONG_NUMBER, spoken
from binding_ivr.call.enrol import ANY_KEY, CLOSING_S, DeskRules, EnrolMachine
from binding_ivr.call.prompts import Prompt
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.policy import limits, numbers, reading
from binding_ivr.prompts.catalogue import LANGUAGES
from binding_ivr.resources import data_dir
from binding_ivr.store import attempts as store_attempts
from binding_ivr.store import database
from binding_ivr.store import limits as store_limits

RULES = DeskRules(loops=3, entries=3)
CODE = "862494"
SAY_CODE = (Prompt.ENROL_CODE, *spoken(CODE))
ENTER = Ask((Prompt.ENROL_ENTER,), 20, 10.0, 5.0)
LISTEN = Ask((), 1, 1.0, 1.0)


class Desk:
    """A machine and its clock; `do` sends one event after another and returns what the last one led to."""

    def __init__(self, *events: DeskEvent) -> None:
        self.machine = EnrolMachine(RULES)
        self.now = 100.0
        self.do(ev.Talking(), *events)

    def do(self, *events: DeskEvent) -> list[DeskCommand]:
        commands: list[DeskCommand] = []
        for event in events:
            commands = self.machine.handle(event, self.now)
        return commands

    def keys(self, keys: str) -> list[DeskCommand]:
        return self.do(*(ev.Digit(key) for key in keys))

    def wait(self) -> list[DeskCommand]:
        assert self.machine.deadline is not None
        self.now = self.machine.deadline
        return self.machine.tick(self.now)

    def says(self, prompt: Prompt, result: str, commands: list[DeskCommand]) -> None:
        """Expect the last words *prompt* and goodbye, and then the end with *result*."""
        assert commands == [Say((prompt, Prompt.ENROL_GOODBYE), "")]
        assert self.machine.deadline is not None
        assert self.do(ev.SayDone()) == [desk.Leave(result)]
        assert self.machine.done
        assert self.machine.deadline is None


def entered(number: str = "2025550150") -> Desk:
    """A desk that has keyed *number* in and heard it."""
    phone = Desk(desk.Known())
    read_out = phone.keys(number + "#")
    assert read_out == [Ask((Prompt.ENROL_ENTERED, *spoken(number), Prompt.ENROL_CONFIRM), 1, 10.0, 5.0)]
    return phone


def following(code: str | None = CODE) -> Desk:
    """A desk whose attempt was accepted, before anything was said of it."""
    phone = entered()
    phone.keys("1")
    phone.do(desk.Accepted(code))
    return phone


def test_a_user_without_a_number_from_entry_to_verified() -> None:
    phone = Desk()
    assert phone.machine.deadline == 100.0 + RULES.answer_s
    assert phone.do(desk.Known()) == [ENTER]
    assert phone.keys("2025550150") == []
    assert phone.keys("#") == [Ask((Prompt.ENROL_ENTERED, *spoken("2025550150"), Prompt.ENROL_CONFIRM), 1, 10.0, 5.0)]
    assert phone.keys("1") == [desk.Bind("2025550150")]
    assert phone.do(desk.Accepted(CODE)) == [Say(SAY_CODE, "")]
    assert phone.do(desk.Progress(AttemptState.QUEUED, CODE), ev.SayDone()) == [Say((Prompt.ENROL_THEN,), ANY_KEY)]
    assert phone.do(desk.Progress(AttemptState.DIALING, CODE), ev.SayDone()) == [Say(SAY_CODE, ANY_KEY)]
    assert phone.do(ev.SayDone()) == [Say((Prompt.ENROL_REPEAT,), ANY_KEY)]
    assert phone.do(ev.SayDone()) == [Say((Prompt.ENROL_CALLING,), ANY_KEY)]
    assert phone.do(ev.SayDone()) == [LISTEN]
    assert phone.do(ev.Silence()) == [LISTEN]
    assert phone.do(desk.Progress(AttemptState.RINGING, CODE)) == []
    assert phone.do(ev.Silence()) == [Say((Prompt.ENROL_RINGING,), ANY_KEY)]
    assert phone.do(ev.SayDone(), desk.Progress(AttemptState.ANSWERED, CODE)) == []
    assert phone.do(ev.Silence()) == [Say((Prompt.ENROL_ANSWERED,), ANY_KEY)]
    assert phone.do(ev.SayDone()) == [Say(SAY_CODE, ANY_KEY)]
    assert phone.do(desk.Over(Outcome.VERIFIED)) == []
    phone.says(Prompt.ENROL_VERIFIED, "verified", phone.do(ev.SayDone()))


def test_a_verified_number_is_offered_by_its_last_digits() -> None:
    phone = Desk()
    menu = Ask((Prompt.ENROL_CURRENT, Prompt.DIGIT_5, Prompt.DIGIT_0, Prompt.ENROL_MENU), 1, 10.0, 5.0)
    assert phone.do(desk.Known("50", verified=True)) == [menu]
    assert phone.keys("7") == [menu]
    assert phone.keys("1") == [desk.Revalidate()]
    assert phone.do(desk.Refused("limit_reached")) == [Say((Prompt.ENROL_LIMIT, Prompt.ENROL_GOODBYE), "")]


def test_a_number_that_is_not_verified_is_offered_and_another_may_be_entered() -> None:
    phone = Desk()
    (menu,) = phone.do(desk.Known("07"))
    assert isinstance(menu, Ask)
    assert menu.prompts[0] is Prompt.ENROL_UNVERIFIED
    assert phone.keys("2") == [ENTER]


@pytest.mark.parametrize(
    ("event", "prompt", "result"),
    [
        (desk.Unknown(), Prompt.ENROL_NO_USER, "no_user"),
        (desk.Known("50", held=True), Prompt.ENROL_SUSPENDED, "suspended"),
        (desk.Known("50", verified=True, busy=True), Prompt.ENROL_IN_PROGRESS, "call_in_progress"),
        (desk.Trouble(), Prompt.ENROL_PROBLEM, "problem"),
        (desk.Stopping(), Prompt.ENROL_PROBLEM, "problem"),
    ],
)
def test_who_cannot_enrol_is_told_why(event: DeskEvent, prompt: Prompt, result: str) -> None:
    phone = Desk()
    phone.says(prompt, result, phone.do(event))


def test_an_entry_ends_by_pound_by_a_pause_or_when_it_is_too_long() -> None:
    for end in ([*map(ev.Digit, "12#")], [*map(ev.Digit, "12"), ev.Silence()], [*map(ev.Digit, "1" * 20)]):
        phone = Desk(desk.Known())
        (confirm,) = phone.do(*end)
        assert isinstance(confirm, Ask)
        assert confirm.prompts[0] is Prompt.ENROL_ENTERED
        assert confirm.prompts[-1] is Prompt.ENROL_CONFIRM


def test_star_begins_the_entry_again_and_letters_are_nothing() -> None:
    phone = Desk(desk.Known())
    assert phone.keys("12A3D*") == [ENTER]
    assert phone.keys("4A5") == []
    assert phone.keys("#") == [Ask((Prompt.ENROL_ENTERED, *spoken("45"), Prompt.ENROL_CONFIRM), 1, 10.0, 5.0)]


def test_questions_are_asked_three_times() -> None:
    phone = Desk(desk.Known())
    again = [Ask((Prompt.ENROL_NO_ENTRY, Prompt.ENROL_ENTER), 20, 10.0, 5.0)]
    assert phone.do(ev.Silence()) == again
    assert phone.keys("#") == [ENTER]  # nothing was entered
    phone.says(Prompt.ENROL_NO_ENTRY, "no_entry", phone.do(ev.Silence()))


def test_numbers_may_be_entered_three_times() -> None:
    phone = entered()
    assert phone.keys("2") == [ENTER]
    assert phone.keys("5#")
    assert phone.keys("2") == [ENTER]
    assert phone.keys("6#")
    phone.says(Prompt.ENROL_NO_ENTRY, "no_entry", phone.keys("2"))


@pytest.mark.parametrize(("code", "prompt"), WRONG_NUMBER.items())
def test_after_a_wrong_number_another_may_be_entered(code: str, prompt: Prompt) -> None:
    phone = entered()
    assert phone.keys("1")
    assert phone.do(desk.Refused(code)) == [Ask((prompt, Prompt.ENROL_ENTER), 20, 10.0, 5.0)]
    assert phone.keys("911#1") == [desk.Bind("911")]
    assert phone.do(desk.Refused(code))
    assert phone.keys("912#1") == [desk.Bind("912")]
    phone.says(prompt, "no_entry", phone.do(desk.Refused(code)))


@pytest.mark.parametrize(
    ("code", "prompt"),
    [*REFUSED.items(), *((code, Prompt.ENROL_TRY_LATER) for code in sorted(LATER | {"of_tomorrow"}))],
)
def test_other_refusals_end_the_dialogue(code: str, prompt: Prompt) -> None:
    phone = entered()
    assert phone.keys("1")
    phone.says(prompt, code, phone.do(desk.Refused(code)))


ON_THE_WAY = (reading, numbers, limits, database, store_attempts, store_limits, bindings)
"""The modules through which a request from a desk phone passes."""
NOT_AT_DESKS = {"invalid", "outside_hours", "no_undo"}
"""Of values that cannot be keyed in; of hours, at any of which they may call; of the way back, which they lack."""


def test_every_refusal_that_a_desk_phone_can_meet_has_its_words() -> None:
    codes: set[str] = set()
    for module in ON_THE_WAY:
        codes |= set(re.findall(r'Refusal\(\s*"(\w+)"', Path(inspect.getfile(module)).read_text()))
    assert {"not_a_number", "premium_number", "limit_reached", "queue_full", "no_route", "suspended"} <= codes
    assert codes == set(WRONG_NUMBER) | set(REFUSED) | LATER | NOT_AT_DESKS
    assert not set(WRONG_NUMBER) & set(REFUSED) & LATER


@pytest.mark.parametrize("language", LANGUAGES)
def test_those_words_are_recorded_in_every_language(language: str) -> None:
    for prompt in {*WRONG_NUMBER.values(), *REFUSED.values(), Prompt.ENROL_TRY_LATER}:
        for kind in ("ulaw", "sln16"):
            assert (data_dir("dialplan") / "prompts" / language / f"{prompt.value}.{kind}").stat().st_size > 1000


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_told(outcome: Outcome) -> None:
    phone = following()
    assert phone.do(desk.Over(outcome)) == []
    phone.says(RESULT_PROMPT[outcome], outcome.value, phone.do(ev.SayDone()))


def test_the_code_is_told_when_the_cell_phone_was_answered() -> None:
    phone = entered()
    phone.keys("1")
    assert phone.do(desk.Accepted(None)) == [Say((Prompt.ENROL_ANSWER_FIRST,), ANY_KEY)]
    assert phone.do(desk.Progress(AttemptState.RINGING, None), ev.SayDone()) == [Say((Prompt.ENROL_REPEAT,), ANY_KEY)]
    assert phone.do(ev.SayDone()) == [Say((Prompt.ENROL_RINGING,), ANY_KEY)]
    assert phone.keys("5") == [LISTEN]  # there is no code to repeat yet
    assert phone.do(desk.Progress(AttemptState.ANSWERED, CODE)) == []
    assert phone.do(ev.Silence()) == [Say((Prompt.ENROL_ANSWERED,), ANY_KEY)]
    assert phone.do(ev.SayDone()) == [Say(SAY_CODE, "")]


def test_any_key_repeats_the_code() -> None:
    phone = following()
    assert phone.do(ev.SayDone()) == [Say((Prompt.ENROL_THEN,), ANY_KEY)]
    assert phone.keys("#") == [Say(SAY_CODE, ANY_KEY)]
    assert phone.do(ev.SayDone()) == [LISTEN]
    assert phone.keys("A") == []  # does not end an Ask
    assert phone.keys("*") == [Say(SAY_CODE, ANY_KEY)]


@pytest.mark.parametrize("gone", [ev.HangupNoticed(), ev.TalkLost("the prompt is missing")])
def test_who_hangs_up_before_the_code_was_told_cancels_the_call(gone: DeskEvent) -> None:
    assert following().do(gone) == [desk.Cancel(), desk.Leave("hung_up")]
    assert following(None).do(ev.SayDone(), gone) == [desk.Cancel(), desk.Leave("hung_up")]


def test_who_has_heard_the_code_may_hang_up() -> None:
    assert following().do(ev.SayDone(), ev.HangupNoticed()) == [desk.Leave("hung_up")]
    phone = following()
    phone.do(desk.Over(Outcome.BUSY))
    assert phone.do(ev.HangupNoticed()) == [desk.Leave("busy")]


def test_a_code_that_was_cut_off_was_not_told() -> None:
    phone = following(None)
    phone.do(ev.SayDone(), desk.Progress(AttemptState.ANSWERED, CODE), ev.SayDone(), ev.SayDone())
    assert phone.do(ev.HangupNoticed()) == [desk.Cancel(), desk.Leave("hung_up")]


@pytest.mark.parametrize(
    ("events", "end"),
    [
        ([desk.Accepted(CODE)], [desk.Cancel(), desk.Leave("hung_up")]),
        ([desk.Refused("own_number")], [desk.Leave("hung_up")]),
        ([desk.Trouble()], [desk.Leave("hung_up")]),
    ],
)
def test_who_hangs_up_while_the_service_decides(events: list[DeskEvent], end: list[DeskCommand]) -> None:
    phone = entered()
    phone.keys("1")
    assert phone.do(ev.HangupNoticed(), ev.TalkLost("twice")) == []
    assert phone.do(*events) == end
    assert phone.machine.done


def test_nobody_waits_for_a_service_that_does_not_answer() -> None:
    phone = Desk()
    assert phone.wait() == [Say((Prompt.ENROL_PROBLEM, Prompt.ENROL_GOODBYE), "")]
    phone = entered()
    phone.keys("1")
    assert phone.wait() == [Say((Prompt.ENROL_PROBLEM, Prompt.ENROL_GOODBYE), "")]
    assert phone.do(desk.Accepted(CODE)) == [desk.Cancel()]  # the user was told that it failed
    assert phone.now + CLOSING_S == phone.machine.deadline
    assert phone.wait() == [desk.Leave("problem")]
    phone = entered()
    phone.keys("1")
    phone.do(ev.HangupNoticed())
    assert phone.wait() == [desk.Leave("hung_up")]


def test_the_whole_dialogue_has_an_end() -> None:
    phone = following()
    assert phone.machine.deadline == 100.0 + RULES.max_s
    assert phone.wait() == [desk.Leave("problem", at_once=True)]


@pytest.mark.parametrize(
    ("phone", "at_once", "commands"),
    [
        (Desk(desk.Known()), False, [desk.Leave("problem", at_once=True)]),
        (Desk(desk.Known("50")), False, [desk.Leave("problem", at_once=True)]),
        (entered(), False, [desk.Leave("problem", at_once=True)]),
        (following(), False, []),
        (following(), True, [desk.Leave("problem", at_once=True)]),
    ],
)
def test_a_service_that_stops(phone: Desk, at_once: bool, commands: list[DeskCommand]) -> None:
    assert phone.do(desk.Stopping(at_once)) == commands


def test_a_service_that_stops_while_it_decides() -> None:
    phone = entered()
    phone.keys("1")
    assert phone.do(desk.Stopping()) == []
    phone.says(Prompt.ENROL_PROBLEM, "problem", phone.do(desk.Stopping(now=True)))


def test_a_store_that_stays_away_while_the_call_goes_on() -> None:
    assert following().do(desk.Trouble()) == [desk.Leave("problem", at_once=True)]
    phone = following()
    phone.do(desk.Over(Outcome.VERIFIED))
    assert phone.do(desk.Trouble()) == []


def test_codes_and_numbers_are_in_no_representation() -> None:
    for hidden in (desk.Accepted(CODE), desk.Progress(AttemptState.QUEUED, CODE), desk.Bind(CODE)):
        assert CODE not in repr(hidden)


# --- counts and times


def test_the_counts_and_times_of_an_ordinary_dialogue() -> None:
    """docs/enrolment.md: each question three times, five numbers; keys as in the validation call."""
    rules = DeskRules()
    assert (rules.loops, rules.entries, rules.longest) == (3, 5, 20)
    assert (rules.first_digit_s, rules.next_digit_s, rules.listen_s) == (10.0, 5.0, 1.0)
    assert (rules.answer_s, rules.max_s) == (15.0, 900.0)


def test_nothing_is_timed_before_it_begins_and_begin_comes_once() -> None:
    machine = EnrolMachine(RULES)
    assert (machine.deadline, machine.done, machine.tick(1e9)) == (None, False, [])
    assert machine.handle(ev.Talking(), 100.0) == [desk.Identify()]
    assert machine.deadline == 115.0
    assert machine.handle(ev.Talking(), 101.0) == []
    assert machine.deadline == 115.0


def test_a_tick_before_its_time_does_nothing() -> None:
    phone = Desk()
    assert phone.machine.tick(114.9) == []
    assert phone.machine.tick(115.0) == [Say((Prompt.ENROL_PROBLEM, Prompt.ENROL_GOODBYE), "")]
    questions = Desk(desk.Known())
    assert questions.machine.deadline == 1000.0, "only the whole dialogue is timed while keys are awaited"
    assert questions.machine.tick(999.9) == []
    assert questions.machine.tick(1000.0) == [desk.Leave("problem", at_once=True)]
    assert questions.machine.tick(1001.0) == []
    assert questions.machine.deadline is None


def test_the_service_has_its_time_to_decide_and_the_last_words_theirs() -> None:
    phone = entered()
    phone.now = 200.0
    phone.keys("1")
    assert phone.machine.deadline == 215.0
    phone.now = 201.0
    phone.do(desk.Refused("suspended"))
    assert phone.machine.deadline == 231.0
    assert phone.machine.tick(231.0) == [desk.Leave("suspended")]


def test_who_hung_up_is_waited_for_no_longer_than_the_service_had() -> None:
    phone = entered()
    phone.now = 200.0
    phone.keys("1")
    phone.now = 205.0
    phone.do(ev.HangupNoticed())
    assert phone.machine.deadline == 215.0


def test_the_end_of_the_whole_dialogue_comes_first_when_it_is_sooner() -> None:
    phone = entered()
    phone.now = 990.0
    phone.keys("1")
    assert phone.machine.deadline == 1000.0
    assert phone.machine.tick(1000.0) == [desk.Leave("problem", at_once=True)]


# --- what is out of place


@pytest.mark.parametrize(
    "event",
    [
        desk.Known("50"),
        desk.Unknown(),
        desk.Refused("own_number"),
        desk.Trouble(),
        ev.SayDone(),
        ev.Begin(),
        ev.Ringing(),
        ev.Ended(16),
        ev.Recorded(),
        ev.Talking(),
    ],
)
@pytest.mark.parametrize(
    ("begun", "then"),
    [
        (lambda: Desk(desk.Known("50")), [desk.Revalidate()]),
        (lambda: Desk(desk.Known()), []),
        (entered, [desk.Bind("2025550150")]),
    ],
    ids=["menu", "entering", "confirming"],
)
def test_what_does_not_belong_to_a_question_leaves_it_as_it_is(
    begun: Callable[[], Desk], then: list[DeskCommand], event: DeskEvent
) -> None:
    phone = begun()
    assert phone.do(event) == []
    assert not phone.machine.done
    assert phone.keys("1") == then


def test_an_attempt_that_nobody_asked_for_is_cancelled() -> None:
    for phone in (Desk(), Desk(desk.Known()), entered(), following()):
        assert phone.do(desk.Accepted(CODE)) == [desk.Cancel()]
        assert not phone.machine.done


def test_keys_that_answer_nothing_are_no_answer() -> None:
    assert Desk().keys("12#*") == []
    deciding = entered()
    deciding.keys("1")
    assert deciding.keys("12#*") == []
    closing = Desk(desk.Unknown())
    assert closing.keys("12#*") == []
    assert closing.do(ev.Silence()) == []
    for letter in "ABCD":
        assert entered().keys(letter) == []
        assert Desk(desk.Known("50")).keys(letter) == []


def test_another_key_puts_the_same_question_again_and_that_counts() -> None:
    phone = entered()
    again = [Ask((Prompt.ENROL_ENTERED, *spoken("2025550150"), Prompt.ENROL_CONFIRM), 1, 10.0, 5.0)]
    assert phone.keys("3") == again
    assert phone.keys("#") == again
    phone.says(Prompt.ENROL_NO_ENTRY, "no_entry", phone.keys("*"))


def test_silence_at_a_question_says_so_and_puts_it_again() -> None:
    menu = (Prompt.ENROL_CURRENT, *spoken("50"), Prompt.ENROL_MENU)
    phone = Desk(desk.Known("50", verified=True))
    assert phone.do(ev.Silence()) == [Ask((Prompt.ENROL_NO_ENTRY, *menu), 1, 10.0, 5.0)]
    assert phone.do(ev.Silence()) == [Ask((Prompt.ENROL_NO_ENTRY, *menu), 1, 10.0, 5.0)]
    phone.says(Prompt.ENROL_NO_ENTRY, "no_entry", phone.do(ev.Silence()))


def test_a_new_question_is_asked_as_often_as_the_first() -> None:
    phone = Desk(desk.Known())
    phone.do(ev.Silence(), ev.Silence())
    phone.keys("12#")
    assert phone.do(ev.Silence())
    assert phone.do(ev.Silence())
    phone.says(Prompt.ENROL_NO_ENTRY, "no_entry", phone.do(ev.Silence()))


def test_pound_without_a_digit_asks_again_and_that_counts() -> None:
    phone = Desk(desk.Known())
    assert phone.keys("#") == [ENTER]
    assert phone.keys("#") == [ENTER]
    phone.says(Prompt.ENROL_NO_ENTRY, "no_entry", phone.keys("#"))


def test_an_attempt_may_be_over_before_it_is_told_that_it_was_accepted() -> None:
    phone = entered()
    phone.keys("1")
    phone.do(desk.Over(Outcome.EXPIRED))
    phone.says(Prompt.ENROL_FAILED, "expired", phone.do(desk.Accepted(CODE)))


def test_the_star_uses_up_an_entry() -> None:
    phone = Desk(desk.Known())
    assert phone.keys("1*") == [ENTER]
    assert phone.keys("2*") == [ENTER]
    phone.says(Prompt.ENROL_NO_ENTRY, "no_entry", phone.keys("3*"))


def test_an_entry_has_a_longest_length() -> None:
    phone = Desk(desk.Known())
    assert phone.keys("1" * 19) == []
    assert phone.keys("2") == [Ask((Prompt.ENROL_ENTERED, *spoken("1" * 19 + "2"), Prompt.ENROL_CONFIRM), 1, 10.0, 5.0)]
    assert phone.keys("1") == [desk.Bind("1" * 19 + "2")]


# --- what is told of the call


def test_each_state_is_told_once_and_the_end_before_all_else() -> None:
    phone = following()
    phone.do(ev.SayDone(), ev.SayDone(), ev.SayDone())
    assert phone.do(ev.SayDone()) == [LISTEN], "no state was told yet"
    phone.do(desk.Progress(AttemptState.RINGING, CODE))
    assert phone.do(ev.Silence()) == [Say((Prompt.ENROL_RINGING,), ANY_KEY)]
    phone.do(desk.Progress(AttemptState.RINGING, CODE))
    assert phone.do(ev.SayDone()) == [LISTEN]
    phone.do(desk.Progress(AttemptState.ENDED, CODE))
    assert phone.do(ev.Silence()) == [LISTEN], "that it has ended is told by its outcome"
    phone.do(desk.Progress(AttemptState.ANSWERED, CODE), desk.Over(Outcome.REPORTED))
    phone.says(Prompt.ENROL_REPORTED, "reported", phone.do(ev.Silence()))


def test_a_code_that_is_taken_back_is_not_read_again() -> None:
    phone = following()
    phone.do(ev.SayDone(), desk.Progress(AttemptState.DIALING, None))
    assert phone.keys("5") == [Say((Prompt.ENROL_CALLING,), ANY_KEY)]


def test_a_state_of_the_call_before_is_not_told_of_the_next() -> None:
    phone = entered()
    phone.keys("1")
    phone.do(desk.Progress(AttemptState.ANSWERED, "111111"), desk.Accepted(CODE))
    phone.do(ev.SayDone(), ev.SayDone(), ev.SayDone())
    assert phone.do(ev.SayDone()) == [LISTEN]


# --- the end


class Unbegun(Desk):
    """A desk whose dialogue has not begun."""

    def __init__(self) -> None:
        self.machine = EnrolMachine(RULES)
        self.now = 100.0


@pytest.mark.parametrize("gone", [ev.HangupNoticed(), ev.TalkLost("closed")])
@pytest.mark.parametrize(
    ("phone", "result"),
    [
        (Unbegun, "hung_up"),
        (Desk, "hung_up"),
        (lambda: Desk(desk.Known("50")), "hung_up"),
        (lambda: Desk(desk.Known()), "hung_up"),
        (entered, "hung_up"),
        (lambda: Desk(desk.Unknown()), "no_user"),
    ],
)
def test_who_hangs_up_leaves_with_what_is_known(phone: Callable[[], Desk], result: str, gone: DeskEvent) -> None:
    there = phone()
    assert there.do(gone) == [desk.Leave(result)]
    assert there.machine.done
    assert there.do(gone) == []


def test_a_service_that_stops_ends_what_has_not_begun_and_lets_last_words_be_said() -> None:
    assert Unbegun().do(desk.Stopping()) == [desk.Leave("problem", at_once=True)]
    for now in (False, True):
        assert Desk(desk.Unknown()).do(desk.Stopping(now)) == []
        gone = entered()
        gone.keys("1")
        gone.do(ev.HangupNoticed())
        assert gone.do(desk.Stopping(now)) == []
        over = following()
        over.do(desk.Over(Outcome.BUSY))
        assert over.do(desk.Stopping(now)) == []


EVENTS = st.one_of(
    st.sampled_from(
        [
            ev.Talking(), ev.SayDone(), ev.Silence(), ev.HangupNoticed(), ev.TalkLost("x"), desk.Unknown(),
            desk.Trouble(), desk.Stopping(), desk.Stopping(now=True), desk.Known(), desk.Known("50", verified=True),
            desk.Known("12", busy=True), desk.Accepted(CODE), desk.Accepted(None), desk.Refused("own_number"),
            desk.Refused("try_later"), ev.Ended(16), ev.Recorded(),
        ]
    ),
    st.builds(ev.Digit, st.sampled_from("0123456789*#ABCD")),
    st.builds(desk.Progress, st.sampled_from(AttemptState), st.sampled_from([None, CODE])),
    st.builds(desk.Over, st.sampled_from(Outcome)),
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(st.one_of(EVENTS, st.just("wait")), max_size=60))
def test_any_order_of_events_ends_once_and_begins_one_attempt_at_a_time(events: list[DeskEvent | str]) -> None:
    machine = EnrolMachine(RULES)
    now, left, asked, begun = 0.0, 0, 0, 0
    for event in events:
        if isinstance(event, str):
            now = machine.deadline if machine.deadline is not None else now
            commands = machine.tick(now)
        else:
            begun += isinstance(event, desk.Accepted) and not machine.done
            commands = machine.handle(event, now)
        for command in commands:
            left += isinstance(command, desk.Leave)
            asked += isinstance(command, desk.Bind | desk.Revalidate)
            if isinstance(command, Say | Ask):
                assert not left
                assert command.prompts or isinstance(command, Ask)
                if isinstance(command, Ask):
                    assert 1 <= command.most <= RULES.longest
    assert left <= 1
    assert (left == 1) == machine.done
    for _ in range(5):  # time alone ends it
        if machine.deadline is not None:
            left += sum(isinstance(command, desk.Leave) for command in machine.tick(machine.deadline))
    assert left == (1 if machine.done else 0)
    assert machine.done or machine.deadline is None
