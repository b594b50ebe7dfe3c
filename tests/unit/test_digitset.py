"""Sets of digit strings, compared with plain sets in which each string is listed one by one."""

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binding_ivr.policy.digitset import LONGEST, DigitSet, DigitSets
from binding_ivr.policy.own import matches

DIGITS = "0123456789"
SHORT = ["".join(digits) for length in range(4) for digits in product(DIGITS, repeat=length)]
"""Every string of up to three digits."""


def listed(sets: DigitSets, name: DigitSet) -> set[str]:
    """The strings of up to three digits in a set."""
    return {text for text in SHORT if sets.contains(name, text)}


def test_the_smallest_sets() -> None:
    sets = DigitSets()
    assert listed(sets, 0) == set()
    assert listed(sets, sets.only) == {""}
    assert listed(sets, sets.tail(0)) == {""}
    assert listed(sets, sets.tail(1)) == {"", *DIGITS}
    assert listed(sets, sets.tail(2)) == {text for text in SHORT if len(text) <= 2}
    assert sets.contains(sets.tail(LONGEST), "9" * LONGEST)
    assert not sets.contains(sets.tail(LONGEST), "9" * (LONGEST + 1))


@pytest.mark.parametrize("lengths", [(), (0,), (1,), (2, 3), (0, 3), (1, 2)])
def test_strings_of_certain_lengths(lengths: tuple[int, ...]) -> None:
    sets = DigitSets()
    assert listed(sets, sets.of_lengths(lengths)) == {text for text in SHORT if len(text) in lengths}
    assert not sets.contains(sets.of_lengths(lengths), "0000")


@pytest.mark.parametrize(
    ("prefix", "pattern"), [("", ".*"), ("1", "1.*"), ("12", "12.*"), ("X", ".+"), ("1X3", "1.3"), ("X0", ".0.*")]
)
def test_what_begins_alike(prefix: str, pattern: str) -> None:
    sets = DigitSets()
    made = sets.beginning(prefix)
    assert listed(sets, made) == {text for text in SHORT if re.fullmatch(pattern, text)}
    whole = prefix.replace("X", "5") + "7" * (LONGEST - len(prefix))
    assert sets.contains(made, whole)
    assert not sets.contains(made, whole + "7")


def test_what_comes_after_a_prefix() -> None:
    sets = DigitSets()
    assert listed(sets, sets.after("4X", sets.matching("[12]?"))) == {
        text for text in SHORT if re.fullmatch("4.[12]?", text)
    }
    assert sets.after("4", 0) == 0
    assert sets.after("", sets.only) == sets.only


def test_no_string_is_longer_than_a_number_can_be() -> None:
    """E.164 (ITU-T): 15 digits at the most, country code included."""
    sets = DigitSets()
    begun = sets.beginning("49")
    assert sets.contains(begun, "49" + "1" * 13)
    assert not sets.contains(begun, "49" + "1" * 14)


PATTERNS = [
    "1", "[0-3]", r"\d", "1|2", "(?:1|23)4?", "1{2}", "[12]{1,3}", "0?1?2?", "(?:12){0,1}3", "(?:1?2?){2}", "1(?:|2)",
    r"[2-9]\d{0,2}", "(?:[13]|2[0-4]){1,2}", "", "[0-9]?[5-9]",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_what_the_regular_expression_does(pattern: str) -> None:
    sets = DigitSets()
    assert listed(sets, sets.matching(pattern)) == {text for text in SHORT if re.fullmatch(pattern, text)}


@pytest.mark.parametrize("pattern", ["1", "1?", "1|2", "(?:1|2){2}"])
def test_what_follows_a_pattern_follows_each_of_its_ways(pattern: str) -> None:
    sets = DigitSets()
    followed = sets.matching(pattern, sets.matching("3[45]?"))
    assert listed(sets, followed) == {text for text in SHORT if re.fullmatch(f"(?:{pattern})3[45]?", text)}


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(?:1", "lacks a parenthesis: (?:1"),
        ("1)", "a part too many: 1)"),
        ("1**", "cannot be read: 1*"),
        ("{2}1", "has {2} out of place"),
        ("|?", "has ? out of place"),
        ("(1)", "has ( out of place"),
        ("a" * 100, "cannot be read: " + "a" * 60 + "$"),
    ],
)
def test_what_cannot_be_read_is_told(pattern: str, told: str) -> None:
    found = ""
    try:
        DigitSets().matching(pattern)
    except ValueError as error:
        found = str(error)
    assert re.search(re.escape(told).replace(r"\$", "$"), found)


SOME = st.lists(st.sampled_from(SHORT[:120]), max_size=8).map(set)


def made_of(sets: DigitSets, strings: set[str]) -> DigitSet:
    found = 0
    for text in strings:
        found = sets.union(found, sets.after(text, sets.only))
    return found


@settings(max_examples=25)
@given(SOME, SOME)
def test_they_combine_as_sets_do_and_equal_ones_have_one_name(one: set[str], other: set[str]) -> None:
    sets = DigitSets()
    a, b = made_of(sets, one), made_of(sets, other)
    assert listed(sets, a) == one
    for name, strings in (
        (sets.union(a, b), one | other),
        (sets.meet(a, b), one & other),
        (sets.minus(a, b), one - other),
        (sets.minus(b, a), other - one),
    ):
        assert listed(sets, name) == strings
        assert name == made_of(sets, strings)
    assert sets.union(a, b) == sets.union(b, a)
    assert sets.meet(a, b) == sets.meet(b, a)


@settings(max_examples=25)
@given(SOME)
def test_the_patterns_match_each_string_of_the_set_once_and_no_other(strings: set[str]) -> None:
    sets = DigitSets()
    patterns = list(sets.patterns(made_of(sets, strings)))
    assert not any("!" in pattern or "." in pattern for pattern in patterns)
    for text in SHORT[:120]:
        assert sum(matches(f"_{pattern}", text) for pattern in patterns) == (text in strings)


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (r"\d", ["X"]),
        ("[1-9]", ["Z"]),
        ("[2-9]", ["N"]),
        ("7", ["7"]),
        ("[0-8]", ["[0-8]"]),
        ("[13]", ["[13]"]),
        ("[12]", ["[12]"]),
        ("[1-356]", ["[1-356]"]),
        ("[024-79]", ["[024-79]"]),
        ("[0-246-8]", ["[0-246-8]"]),
        ("[1-46-9]", ["[1-46-9]"]),
        ("1?", ["", "1"]),
        (r"1\d|2\d", ["[12]X"]),
        ("12|34", ["12", "34"]),
    ],
)
def test_how_a_set_is_written(pattern: str, written: list[str]) -> None:
    sets = DigitSets()
    assert list(sets.patterns(sets.matching(pattern))) == written


def test_where_anything_may_follow_there_is_one_pattern() -> None:
    sets = DigitSets()
    assert list(sets.patterns(sets.tail(LONGEST))) == ["!"]
    assert list(sets.patterns(sets.union(sets.beginning("1"), sets.beginning("2")))) == ["[12]!"]
    ends_sooner = sets.after("1", sets.tail(3))
    assert list(sets.patterns(ends_sooner)) == ["1", "1X", "1XX", "1XXX"]
    whole = "1" * LONGEST
    assert list(sets.patterns(sets.after(whole, sets.only))) == [whole]
