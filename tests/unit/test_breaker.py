"""The circuit breaker's rules, without any account or database."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.policy.breaker import CLOSED, Answered, Breaker, Rules, after, closed

NOW = 1_800_000_000.0
RULES = Rules(calls=20, percent=20, pause_s=3600, longest_s=86_400, probes=3)


def ended(proven: bool = False, *, probe: bool = False, last: tuple[int, int] = (20, 0)) -> Answered:
    return Answered(proven, probe, *last)


@pytest.mark.parametrize(
    ("last", "opens"),
    [((19, 0), False), ((20, 0), True), ((20, 3), True), ((20, 4), False), ((20, 20), False), ((0, 0), False)],
)
def test_it_opens_when_too_few_of_enough_calls_were_proven(last: tuple[int, int], opens: bool) -> None:
    found = after(RULES, CLOSED, ended(last=last), NOW)
    assert found == (Breaker(paused_until=NOW + 3600, pauses=1) if opens else CLOSED)
    assert found.lifts(NOW) == (NOW + 3600 if opens else None)


def test_it_never_opens_when_it_is_off() -> None:
    assert after(Rules(), CLOSED, ended(last=(1000, 0)), NOW) == CLOSED


def test_a_call_from_before_the_pause_changes_nothing() -> None:
    paused = Breaker(paused_until=NOW + 1, pauses=1)
    for proven in (True, False):
        assert after(RULES, paused, ended(proven, last=(20, 20)), NOW) == paused
        assert after(RULES, paused, ended(proven, last=(20, 0)), NOW + 5) == paused


def test_after_the_pause_one_call_may_come_at_a_time() -> None:
    paused = Breaker(paused_until=NOW, pauses=1)
    assert (paused.lifts(NOW - 1), paused.is_half_open(NOW - 1)) == (NOW, False)
    assert (paused.lifts(NOW), paused.is_half_open(NOW)) == (None, True)
    with_probe = Breaker(paused_until=NOW, pauses=1, probe_until=NOW + 600)
    assert with_probe.lifts(NOW) == NOW + 600
    assert with_probe.lifts(NOW + 700) == NOW + 760, "an answered call may outlive its attempt's time"


def test_a_proof_closes_it_and_what_was_before_no_longer_counts() -> None:
    assert after(RULES, Breaker(paused_until=NOW - 1, pauses=3), ended(True, probe=True), NOW) == closed(NOW)
    assert (closed(NOW).lifts(NOW), closed(NOW).counts_from) == (None, NOW)


def test_answered_probes_without_a_proof_pause_again_for_twice_as_long() -> None:
    found, now, pauses = Breaker(paused_until=NOW, pauses=1), NOW, []
    for _ in range(7):
        for failed in range(3):
            assert found.failed_probes == failed
            found = after(RULES, found, ended(probe=True), now)
        assert found.paused_until is not None
        pauses.append(found.paused_until - now)
        now = found.paused_until
    assert pauses == [7200, 14_400, 28_800, 57_600, 86_400, 86_400, 86_400]


def test_a_first_pause_that_is_longer_than_the_longest_stays() -> None:
    rules = Rules(calls=1, pause_s=7200, longest_s=3600)
    found = after(rules, Breaker(paused_until=NOW, pauses=9, failed_probes=2), ended(probe=True), NOW)
    assert found.paused_until == NOW + 7200


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 90_000)), max_size=200))
def test_whatever_comes_it_lets_calls_through_again(calls: list[tuple[bool, float]]) -> None:
    """No order of endings pauses for ever, skips a pause, or pauses while enough is proven."""
    found, now, window = CLOSED, NOW, list[bool]()
    for proven, wait in calls:
        now += wait
        window = ([*window, proven])[-20:]
        old, probe = found, found.is_half_open(now)
        found = after(RULES, found, Answered(proven, probe, len(window), sum(window)), now)
        if old.is_closed and not found.is_closed:
            assert (len(window), sum(window) < 4) == (20, True)
        if found.is_closed and not old.is_closed:
            assert proven
            window = []
        if found.paused_until is not None:
            assert found.paused_until - now <= RULES.longest_s
            assert found.lifts(found.paused_until) is None
    assert found.pauses == 0 or found.paused_until is not None


@given(st.integers(0, 60))
def test_pauses_never_shrink(pauses: int) -> None:
    lengths = [
        (after(RULES, Breaker(paused_until=NOW, pauses=n, failed_probes=2), ended(probe=True), NOW).paused_until or 0)
        for n in range(1, pauses + 2)
    ]
    assert all(one <= other for one, other in pairwise(lengths))


def test_what_is_not_said_otherwise() -> None:
    """Off; and when it is on, as docs/limits.md says: 20 per cent, one hour, a day at most, three probes."""
    assert (Rules().calls, Rules().percent, Rules().probes) == (0, 20, 3)
    assert (Rules().pause_s, Rules().longest_s) == (3600.0, 86_400.0)
    assert (CLOSED.paused_until, CLOSED.pauses, CLOSED.failed_probes, CLOSED.probe_until) == (None, 0, 0, None)
    assert CLOSED.counts_from < 0


def test_a_probe_in_flight_is_told_a_minute_ahead_at_least() -> None:
    probed = Breaker(paused_until=NOW - 100, pauses=1, probe_until=NOW + 30)
    assert probed.lifts(NOW) == NOW + 60
    assert probed.lifts(NOW - 31) == NOW + 30


def test_the_next_pause_forgets_the_probes_of_the_last() -> None:
    paused = Breaker(counts_from=5.0, paused_until=NOW, pauses=2, failed_probes=2, probe_until=NOW + 9)
    assert after(RULES, paused, ended(probe=True), NOW) == Breaker(5.0, NOW + 14_400, 3, 0, None)
    many = Breaker(paused_until=NOW, pauses=5000, failed_probes=2)
    assert after(RULES, many, ended(probe=True), NOW).paused_until == NOW + 86_400


def test_as_many_calls_as_needed_and_too_few_proofs_open_it_exactly_then() -> None:
    rules = Rules(calls=5, percent=40, pause_s=60)
    assert after(rules, CLOSED, ended(last=(5, 2)), NOW) == CLOSED
    assert after(rules, CLOSED, ended(last=(5, 1)), NOW).paused_until == NOW + 60
    assert after(rules, CLOSED, ended(last=(6, 2)), NOW).paused_until == NOW + 60
    assert after(rules, CLOSED, ended(last=(4, 0)), NOW) == CLOSED
