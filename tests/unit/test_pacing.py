"""The spacing of calls."""

from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.dialing.pacing import BURST_S, Pacer


def test_after_a_quiet_time_a_few_leave_at_once_then_one_after_another() -> None:
    pacer = Pacer(10.0, 0.0)
    assert pacer.allowance(0.0) == 2
    pacer.spend(2)
    assert pacer.allowance(0.05) == 0
    assert pacer.wait_s == 0.05
    assert pacer.allowance(0.11) == 1
    pacer.spend(1)
    assert pacer.allowance(100.0) == 2


def test_a_slow_rate_still_lets_one_leave() -> None:
    pacer = Pacer(0.1, 0.0)
    assert pacer.allowance(0.0) == 1
    pacer.spend(1)
    assert 9.9 < pacer.wait_s <= 10.0


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 2), max_size=100))
def test_never_more_than_the_rate(rate: float, steps: list[float]) -> None:
    pacer, now, left = Pacer(rate, 0.0), 0.0, 0
    for step in steps:
        now += step
        calls = pacer.allowance(now)
        pacer.spend(calls)
        left += calls
        assert left <= rate * now + max(1.0, rate * BURST_S) + 1e-6
