"""What the page shows of each state: the pure part."""

from datetime import timedelta

import pytest

from binding_ivr.errors import Refusal
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.policy.numbers import as_people_write_it, example_of
from binding_ivr.web.page.view import (
    GOOD_NEWS,
    grouped,
    hindrance,
    moment,
    rules,
    shows,
)
from tests.unit.page_fakes import CODE, NOW, attempt, live, view


@pytest.mark.parametrize(
    ("code", "text"),
    [("482913", "482 913"), ("4829135", "482 91 35"), ("48291357", "4829 1357"), ("123456789", "123 456 789"),
     ("1234567890", "123 456 78 90"), ("000000", "000 000")],
)  # fmt: skip
def test_a_code_is_grouped_for_reading_and_no_digit_stands_alone(code: str, text: str) -> None:
    assert grouped(code) == text
    assert grouped(code).replace(" ", "") == code


def test_while_it_rings_the_code_is_shown_with_what_to_do() -> None:
    seen = shows(live(AttemptState.RINGING), 6, "at_request", NOW).live
    assert seen is not None
    assert (seen.step, seen.code, seen.code_note) == ("ringing", CODE, "code.key_in")
    assert dict(seen.stages) == {
        "dialing": "done", "ringing": "now", "answered": "ahead", "code": "ahead", "verified": "ahead"
    }  # fmt: skip
    assert seen.hides is not None


def test_digits_are_a_step_of_their_own() -> None:
    seen = shows(live(AttemptState.ANSWERED, 3), 6, "at_request", NOW).live
    assert seen is not None
    assert (seen.step, seen.digits, seen.code_note) == ("digits", 3, "code.in_call")
    assert seen.hides is None


@pytest.mark.parametrize(
    ("state", "due_s", "step"),
    [
        (AttemptState.QUEUED, 30, "queued"),  # it may not leave yet
        (AttemptState.QUEUED, 0, "queued"),  # a node is about to claim it
        (AttemptState.QUEUED, -1.9, "queued"),
        (AttemptState.QUEUED, -2, "waiting"),
        (AttemptState.QUEUED, -60, "waiting"),
        (AttemptState.DIALING, -60, "dialing"),
        (AttemptState.RINGING, -60, "ringing"),
    ],
)
def test_only_a_call_that_should_have_left_by_now_waits_for_a_line(
    state: AttemptState, due_s: float, step: str
) -> None:
    seen = shows(live(state, due_s=due_s), 6, "at_request", NOW).live
    assert seen is not None
    assert seen.step == step


def test_a_code_that_waits_for_the_answer_says_so_and_one_too_old_too() -> None:
    waiting = shows(live(AttemptState.RINGING, code=None), 6, "on_answer", NOW).live
    late = shows(live(AttemptState.RINGING, code=None), 6, "on_answer", NOW + timedelta(hours=1)).live
    gone = shows(live(AttemptState.RINGING, code=None), 6, "at_request", NOW).live
    assert waiting is not None
    assert late is not None
    assert gone is not None
    assert [seen.code_note for seen in (waiting, late, gone)] == ["code.on_answer", "code.gone", "code.gone"]


@pytest.mark.parametrize("outcome", Outcome)
def test_every_ending_is_told_at_once_and_nothing_of_a_code(outcome: Outcome) -> None:
    status = "verified" if outcome is Outcome.VERIFIED else "pending"
    seen = shows(view(status, attempt(outcome=outcome)), 6, "at_request", NOW)
    assert seen.live is None
    assert seen.ending is not None
    assert (seen.ending.outcome, seen.ending.prominent) == (outcome.value, True)


def test_old_news_is_told_small() -> None:
    old = GOOD_NEWS.total_seconds() + 1
    good = shows(view("verified", attempt(outcome=Outcome.VERIFIED, ago_s=old)), 6, "at_request", NOW).ending
    bad = shows(view("pending", attempt(outcome=Outcome.BUSY, ago_s=old)), 6, "at_request", NOW).ending
    very_old = shows(view("pending", attempt(outcome=Outcome.BUSY, ago_s=200_000)), 6, "at_request", NOW).ending
    assert good is not None
    assert bad is not None
    assert very_old is not None
    assert [ending.prominent for ending in (good, bad, very_old)] == [False, True, False]


def test_a_removed_number_leaves_no_news_and_an_administrators_suspension_no_advice() -> None:
    assert shows(view("none", attempt(outcome=Outcome.CANCELED)), 6, "at_request", NOW).ending is None
    held = view("suspended", attempt(outcome=Outcome.BUSY), reason="admin", revalidate=Refusal("suspended", "said"))
    ending = shows(held, 6, "at_request", NOW).ending
    assert ending is not None
    assert not ending.advise


def test_a_limit_is_named_with_the_time_it_lifts() -> None:
    step = Refusal("limit_reached", "said", limit="user_hour", retry_at=NOW.timestamp() + 90.2)
    seen = shows(view("pending", revalidate=step), 6, "at_request", NOW).revalidate
    assert seen is not None
    assert seen.key == "limit.user_hour"
    assert seen.lifts is not None
    assert seen.lifts.minutes == 2
    assert hindrance(Refusal("queue_full", "said"), NOW).key == "refusal.queue_full"


def test_a_time_that_has_passed_has_no_minutes_left() -> None:
    past = moment(NOW - timedelta(hours=1), NOW)
    assert past is not None
    assert past.minutes == 0
    assert moment(None, NOW) is None


def test_a_shortened_number_stays_as_it_is() -> None:
    assert as_people_write_it("…50") == "…50"
    assert as_people_write_it("+12025550150") == "+1 202-555-0150"


def test_an_example_is_of_the_region() -> None:
    assert example_of("DE").startswith("+49 ")
    assert example_of("ZZ").startswith("+1 ")


def test_only_counted_limits_become_rules() -> None:
    known = {"rule.number_hour": "", "rule.user_hour": ""}
    assert rules({"number_hour": 3, "user_hour": 0, "queue_length": 20}, known) == [("number_hour", 3)]
