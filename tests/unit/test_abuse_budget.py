"""The judge of `make abuse` finds what is above a limit, and knows what is costly."""

import pytest

from binding_ivr.config import Limits
from tests.abuse.attacks_codes import sequence
from tests.abuse.budget import DAY, HOUR, above, broken, most_in, seconds_in, used
from tests.abuse.carrier import Leg, is_costly
from tests.abuse.costly import extra_paid, far_away

A, B = "+12065550150", "+12065550151"


def legs(number: str, *times: float, seconds: int = 10) -> list[Leg]:
    return [Leg(number, at, seconds, answered=True) for at in times]


def test_a_window_slides() -> None:
    assert most_in([], HOUR) == 0
    assert most_in([0, 1800, 3599, 3600, 5400], HOUR) == 3
    assert seconds_in(legs(A, 0, 1800, 3600, seconds=7), HOUR) == 14


def test_calls_within_every_limit_are_not_complained_of() -> None:
    within = legs(A, 0, 60, 180) + legs(B, 240, 300) + legs(A, HOUR + 1, HOUR + 300)
    assert broken(within, Limits()) == []
    assert used(within, Limits()).startswith("busiest hour 5 of 30 calls, busiest day 7 of 200 calls")


@pytest.mark.parametrize(
    ("calls", "limit"),
    [
        (legs(A, 0, 60, 120, 180), "number_hour"),
        (legs(A, *(n * 2 * HOUR for n in range(6))), "number_day"),
        (legs(A, 0, 1, 2) + legs(B, 3, 4, 5), "system_prefix_hour"),
        ([leg for n in range(31) for leg in legs(f"+1206556{n:04}"[:-4] + f"{n:02}00", n)], "system_hour"),
        ([leg for n in range(201) for leg in legs(f"+12{n:03}5550150", n * 400)], "system_day"),
        (legs(A, 0, DAY / 2, seconds=3700), "system_minutes_day"),
    ],
)
def test_one_call_too_many_is_found(calls: list[Leg], limit: str) -> None:
    assert [sentence.partition(":")[0] for sentence in broken(calls, Limits())].count(limit) == 1


def test_what_a_queue_holds_back_is_no_fault() -> None:
    # accepted at 0 and at 3,600 s; the first one left a minute later
    assert above([60, 100, 200, 300, 400, 3600], "user_hour", Limits(), "user") == []
    assert above([60, 100, 200, 300, 400, 3500], "user_hour", Limits(), "user") == [
        "user_hour: 6 calls of one user, 5 allowed"
    ]


def test_the_judge_knows_costly_numbers_by_himself() -> None:
    for number in ("+19005550123", "+12129761234", "+881621451234", "+870773111632", "+979123456789", "+449098790123"):
        assert is_costly(number), number
    for number in (A, "+447400123456", "+4915123456789"):
        assert not is_costly(number), number


def test_the_fraudster_has_a_few_hundred_numbers() -> None:
    assert len(extra_paid()) > 400
    assert len(far_away()) > 200
    assert any(number.startswith("+1") for number in far_away()), "islands that are dialled with +1"


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_de_bruijn_sequence_holds_every_code_once(length: int) -> None:
    digits = sequence(length)
    ring = digits + digits[: length - 1]
    codes = [ring[at : at + length] for at in range(len(digits))]
    assert len(digits) == 10**length
    assert sorted(codes) == [f"{code:0{length}}" for code in range(10**length)]
