"""Numbers in stored facts: what is shortened, what is hashed, and what is left as it is."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.model import forms
from binding_ivr.policy.masking import masked, short


def hash_of(number: str) -> bytes:
    return hashlib.sha256(number.encode()).digest()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("+12025550123", "…23"),
        ("+123456", "…56"),  # the shortest
        ("+123456789012345", "…45"),  # the longest
        ("+12345", "+12345"),
        ("+1234567890123456", "+1234567890123456"),
        ("+02025550123", "+02025550123"),
        ("12025550123", "12025550123"),
        ("call +12025550123", "call +12025550123"),
        ("", ""),
    ],
)
def test_of_a_number_the_last_two_digits_are_kept_and_all_else_stays(text: str, kept: str) -> None:
    assert short(text) == kept


def test_each_fact_that_is_a_number_gets_its_hash() -> None:
    facts = {"number": "+12025550123", "old": "+442079460958", "reason": "asked on 3 March", "tries": 3, "none": None}
    assert masked(facts, hash_of) == {
        "number": "…23",
        "number_hash": hash_of("+12025550123").hex(),
        "old": "…58",
        "old_hash": hash_of("+442079460958").hex(),
        "reason": "asked on 3 March",
        "tries": 3,
        "none": None,
    }
    assert facts["number"] == "+12025550123", "what was given is not touched"


@pytest.mark.parametrize("facts", [{}, {"reason": "none"}, {"tries": 12025550123}, {"number": "…23"}])
def test_where_there_is_no_number_there_is_nothing_to_do(facts: dict[str, object]) -> None:
    assert masked(facts, hash_of) is None


@given(st.dictionaries(st.sampled_from("abcd"), st.one_of(st.integers(), st.from_regex(forms.E164, fullmatch=True))))
def test_what_was_masked_holds_no_number_and_is_not_masked_again(facts: dict[str, object]) -> None:
    found = masked(facts, hash_of)
    numbers = {name for name, value in facts.items() if isinstance(value, str)}
    assert (found is None) == (not numbers)
    if found is not None:
        assert set(found) == set(facts) | {f"{name}_hash" for name in numbers}
        assert not any(isinstance(value, str) and forms.fits(forms.E164, value) for value in found.values())
        assert masked(found, hash_of) is None
