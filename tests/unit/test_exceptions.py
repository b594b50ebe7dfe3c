"""Exceptions of the number policy, and numbers that are denied in full: what they lift, and what nothing lifts."""

from dataclasses import replace

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.errors import Refusal
from binding_ivr.policy.numbers import (
    NumberRules,
    accept,
    all_of,
    as_people_write_it,
    example_of,
    exceptable,
    is_denied_alone,
    judge,
    parse,
)
from binding_ivr.policy.own import OwnNumbers
from binding_ivr.policy.ranges import Excepted, covers, is_denied, is_emergency, is_short, longest, regions_of_code
from binding_ivr.policy.reading import LONGEST_INPUT, candidates, plain, read

US = NumberRules("US", ("US",), ("MOBILE", "FIXED_LINE_OR_MOBILE"))
NOTHING_OWN = OwnNumbers()
CELL, LANDLINE_ABROAD = "+12025550123", "+442079460958"


def refusal_of(text: str, rules: NumberRules, own: OwnNumbers = NOTHING_OWN) -> str:
    """The code with which *text* is refused, empty when it is accepted."""
    try:
        accept(text, rules, own)
    except Refusal as refusal:
        return refusal.code if " " in str(refusal) else "it does not say why"
    return ""


def excepting(rules: NumberRules, *texts: str) -> NumberRules:
    return replace(rules, exceptions=[Excepted(text.removesuffix("…"), whole=not text.endswith("…")) for text in texts])


# --- what can be excepted


@pytest.mark.parametrize(
    ("typed", "region", "e164"),
    [
        ("+44 20 7946 0958", "US", LANDLINE_ABROAD),
        ("(202) 555-0123", "US", CELL),
        ("020 7946 0958", "GB", LANDLINE_ABROAD),
        ("+1 800 555 1234", "US", "+18005551234"),  # toll-free: no type but premium and shared cost is out of reach
        ("+49 151 23456789", "US", "+4915123456789"),
        ("+15551230001", "US", "+15551230001"),  # younger than the numbering plan
        ("+541123456789", "AR", "+541123456789"),  # a landline: word for word
        ("+551178234567", "BR", "+551178234567"),
    ],
)
def test_a_whole_number_may_be_excepted_in_any_writing_and_of_any_region(typed: str, region: str, e164: str) -> None:
    assert exceptable(typed, region, whole=True) == Excepted(e164, whole=True)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("nobody", "not_a_number"),
        ("+12025550123 ext. 9", "has_extension"),
        ("11 2345 6789", "not_valid"),
        ("+55 (0) 11 7823 4567", "ambiguous_number"),  # with or without the ninth digit
        ("+190055512345", "not_valid"),  # whose first digits are a premium number
        ("911", "emergency_number"),
        ("411", "short_number"),
        ("+870773111632", "satellite_number"),
        ("+8001234567890", "service_number"),
        ("+80012345678", "service_number"),
        ("+19005551234", "premium_number"),
        ("+12129761234", "premium_number"),
        ("+448431234567", "premium_number"),  # shared cost
        ("+979123456789", "premium_number"),
    ],
)
def test_what_no_exception_lifts_cannot_be_excepted(typed: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        exceptable(typed, "US", whole=True)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("typed", "prefix"),
    [
        ("+44", "+44"),
        (" +4477 ", "+4477"),
        ("＋４４７７", "+4477"),
        ("+123456789012345", "+123456789012345"),
        ("+88", "+88"),  # most of it stays refused all the same
        ("+121297", "+121297"),
        ("+80", "+80"),
    ],
)
def test_a_prefix_is_two_to_fifteen_digits_with_a_plus(typed: str, prefix: str) -> None:
    assert exceptable(typed, "US", whole=False) == Excepted(prefix, whole=False)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("44", "invalid"),
        ("+4", "invalid"),
        ("+", "invalid"),
        ("", "invalid"),
        ("+04", "invalid"),
        ("+44 77", "invalid"),
        ("+44X", "invalid"),
        ("a+44", "invalid"),
        ("+1234567890123456", "invalid"),
        ("+870", "satellite_number"),
        ("+88123", "satellite_number"),
        ("+800", "service_number"),
        ("+8781", "service_number"),
        ("+979", "premium_number"),
        ("+8085", "premium_number"),
        ("+1212976", "premium_number"),
        ("+12129765", "premium_number"),
    ],
)
def test_a_prefix_of_what_is_never_called_cannot_be_excepted(typed: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        exceptable(typed, "US", whole=False)
    assert refused.value.code == code


@given(st.from_regex(r"\+[1-9][0-9]{1,14}", fullmatch=True))
def test_any_prefix_is_excepted_as_it_stands_or_refused(prefix: str) -> None:
    found, code = None, ""
    try:
        found = exceptable(prefix, "US", whole=False)
    except Refusal as refusal:
        code = refusal.code
    if found is None:
        assert code in ("satellite_number", "service_number", "premium_number")
    else:
        assert found == Excepted(prefix, whole=False)
        assert found.covers(prefix)
        assert not found.covers(prefix[:-1])


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("+15551230001", ""),  # younger than the plan, as a DID may be
        ("+1 555 123 0001", ""),
        ("555 123 0001", "not_valid"),
        ("001 555 123 0001", "not_valid"),
        ("+1555123000", "not_valid"),
        ("+541123456789", ""),
        ("00436799528820", "ambiguous_number"),
    ],
)
def test_what_who_administers_numbers_may_write(typed: str, code: str) -> None:
    found = ""
    try:
        parse(typed, "BR" if typed.startswith("0043") else "US")
    except Refusal as refusal:
        found = refusal.code
    assert found == code


def test_what_could_be_two_numbers_is_told_with_what_to_write() -> None:
    world = replace(US, regions=("BR", "AR"), types=(*US.types, "FIXED_LINE"))
    assert refusal_of("+55 11 7823 4567", world) == "ambiguous_number"
    assert refusal_of("11 2345 6789", replace(world, region="AR")) == "ambiguous_number"
    with pytest.raises(Refusal, match="as it is dialed from abroad today"):
        accept("+55 11 7823 4567", world, NOTHING_OWN)
    assert accept("+55 11 7823 4567", excepting(world, "+551178234567"), NOTHING_OWN).e164 == "+551178234567"


def test_all_that_a_writing_may_stand_for() -> None:
    assert [number.e164 for number in all_of("11 2345 6789", "AR")] == ["+541123456789", "+5491123456789"]
    assert [number.e164 for number in all_of("+54 9 11 2345 6789", "US")] == ["+5491123456789"]


# --- what an exception lifts


@pytest.mark.parametrize(
    ("typed", "without"),
    [
        (LANDLINE_ABROAD, "region_not_allowed"),
        ("+18005551234", "type_not_allowed"),
        ("+12025550123", "prefix_denied"),
    ],
)
def test_an_exception_lifts_region_type_and_denied_range(typed: str, without: str) -> None:
    rules = replace(US, deny=["+1202"])
    assert refusal_of(typed, rules) == without
    assert refusal_of(typed, excepting(rules, typed)) == ""
    assert refusal_of(typed, excepting(rules, f"{typed[:-4]}…")) == ""
    assert refusal_of(typed, excepting(rules, "+13035550100", f"{typed[:3]}…")) == "", "one of several is enough"
    assert refusal_of(typed, excepting(rules, typed[:-1] + "9")) == without, "a whole number is that number alone"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("+19005551234", "premium_number"),
        ("+12129761234", "premium_number"),
        ("+870773111632", "satellite_number"),
        ("+8001234567890", "service_number"),
        ("+190055512345", "not_valid"),  # whose first digits are a premium number
        ("+12025550199", "own_number"),
    ],
)
def test_an_exception_lifts_nothing_else(typed: str, code: str) -> None:
    own = OwnNumbers(dids={"+12025550199"})
    everything = excepting(US, *(f"+{first}…" for first in range(1, 10)), typed)
    assert refusal_of(typed, US, own) == refusal_of(typed, everything, own) == code


def test_a_whole_number_that_is_excepted_is_not_a_prefix_of_others() -> None:
    assert Excepted("+4420", whole=False).covers(LANDLINE_ABROAD)
    assert not Excepted("+4420", whole=True).covers(LANDLINE_ABROAD)
    assert Excepted("+44X07946", whole=False).covers(LANDLINE_ABROAD)


# --- a number that is denied in full


def test_a_number_that_is_denied_in_full_looks_busy_and_its_neighbours_are_free() -> None:
    rules = replace(US, deny=[CELL])
    assert refusal_of(CELL, rules) == "try_later"
    assert refusal_of("+12025550124", rules) == ""
    number = judge(read("202 555 0123", "US"), rules, NOTHING_OWN)
    assert (number.e164, number.denied) == (CELL, True)
    assert judge(read("202 555 0124", "US"), rules, NOTHING_OWN).denied is False


@pytest.mark.parametrize(
    ("deny", "allow", "excepted", "alone"),
    [
        ([CELL], [], [], True),
        ([CELL, "+1202"], [], [], True),
        ([CELL], ["+1202"], [], True),  # the longest decides
        ([CELL], [CELL], [], False),  # of two that are equally long, allow
        (["+1202"], [], [], False),  # a range is told by name
        (["+1202555012X"], [], [], False),
        ([], [], [], False),
        ([CELL], [], [CELL], False),
        ([CELL], [], ["+12…"], False),
        ([CELL], [], [LANDLINE_ABROAD, "+44…"], True),
    ],
)
def test_only_the_very_number_is_denied_alone(
    deny: list[str], allow: list[str], excepted: list[str], alone: bool
) -> None:
    rules = excepting(replace(US, deny=deny, allow=allow), *excepted)
    assert is_denied_alone(CELL, rules) is alone
    assert (refusal_of(CELL, rules) == "try_later") is alone


def test_what_is_told_by_name_comes_before_what_must_not_be_told() -> None:
    abroad = replace(US, deny=[LANDLINE_ABROAD])
    assert refusal_of(LANDLINE_ABROAD, abroad) == "region_not_allowed"
    assert refusal_of("+18005551234", replace(US, deny=["+18005551234"])) == "type_not_allowed"


@pytest.mark.parametrize(
    ("deny", "allow", "denied"),
    [
        (["+1202"], [], True),
        (["+1202"], ["+1"], True),
        (["+1202"], ["+1202"], False),
        (["+1202"], ["+1202555"], False),
        (["+1202", "+12025550"], ["+1202555"], True),
        (["+1XXX5550"], [], True),
        (["+1XXX5550"], ["+1202555"], True),
        (["+44"], [], False),
        (["1202"], [], False),
    ],
)
def test_the_longest_prefix_decides(deny: list[str], allow: list[str], denied: bool) -> None:
    assert is_denied(CELL, deny, allow) is denied
    assert (refusal_of(CELL, replace(US, deny=deny, allow=allow)) == "prefix_denied") is denied


def test_the_longest_of_several() -> None:
    assert longest(["+1", "+12025", "+44", "+1202"], CELL) == 6
    assert longest(["+44", "+1203"], CELL) == 0
    assert longest([], CELL) == 0
    assert covers("+1XX25", CELL)
    assert not covers("+12025550123X", CELL)


# --- writing


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("  202 555 ", "202 555"),
        ("٢٠٢", "202"),
        ("＋１（２０２）", "+1(202)"),
        ("1²", "12"),
        ("abc", "abc"),
        ("", ""),
        ("\u202a202\u00a0555\u202c", "202 555"),
        ("202\u2011555\u2212\u3030\uff0d", "202-555---"),
    ],
)
def test_signs_of_any_script_are_plain_ones(text: str, read: str) -> None:
    assert plain(text) == read


@pytest.mark.parametrize(
    ("typed", "written", "writings"),
    [
        ("202 555-0123", "2025550123", {"2025550123", "+12025550123", "12025550123"}),
        (" ＋４４ 20 7946 0958", "+442079460958", {"442079460958", "+442079460958", "2079460958"}),
        ("1001", "1001", {"1001", "+11001", "11001"}),
        ("call 1001", "call 1001", {"1001"}),
        ("+1", "+1", {"1"}),
    ],
)
def test_in_which_writings_a_number_may_be_one_of_our_own(typed: str, written: str, writings: set[str]) -> None:
    found = read(typed, "US")
    assert (found.region, found.written) == ("US", written)
    assert candidates(found) == writings
    assert not any(digits in repr(found) for digits in ("555", "7946", "1001"))


def test_writing_has_a_longest_length() -> None:
    spaces = LONGEST_INPUT - len(CELL)
    assert parse(CELL[:5] + " " * spaces + CELL[5:], "US").e164 == CELL
    with pytest.raises(Refusal, match="use digits"):
        parse(CELL[:5] + " " * (spaces + 1) + CELL[5:], "US")


def test_what_a_number_says_of_itself() -> None:
    number = parse("020 7946 0958", "GB")
    assert (number.e164, number.digits, number.national) == (LANDLINE_ABROAD, "442079460958", "2079460958")
    assert (number.region, number.kind, number.denied) == ("GB", "FIXED_LINE", False)
    assert "2079460958" not in repr(number)
    assert parse(CELL, "GB").kind == "FIXED_LINE_OR_MOBILE"


@pytest.mark.parametrize(
    ("typed", "region", "code"),
    [
        ("+1 911", "DE", "emergency_number"),  # in the country that it is written for
        ("0911", "US", "emergency_number"),
        ("00112", "GB", "emergency_number"),
        ("0044 999", "DE", "emergency_number"),
        ("0044 999", "US", "emergency_number"),  # 00 and 011 by habit
        ("01144 999", "DE", "emergency_number"),
        ("+44 999", "US", "emergency_number"),
        ("999", "GB", "emergency_number"),
        ("110", "DE", "emergency_number"),
        ("0 110", "DE", "emergency_number"),
        ("411", "US", "short_number"),
        ("118500", "GB", "short_number"),
        ("+44 118500", "US", "short_number"),
    ],
)
def test_emergency_and_short_numbers_in_every_writing(typed: str, region: str, code: str) -> None:
    assert refusal_of(typed, replace(US, region=region)) == code


@pytest.mark.parametrize(
    ("digits", "region", "short"),
    [
        ("411", "US", True),
        ("148", "BR", True),
        ("0148", "BR", False),  # a zero in front makes it another number
        ("118500", "GB", True),
        ("1185000", "GB", False),
        ("2025550123", "US", False),
        ("", "US", False),
        ("411", "ZZ", False),
    ],
)
def test_short_numbers_of_a_region(digits: str, region: str, short: bool) -> None:
    assert is_short(digits, region) is short


def test_two_emergency_numbers_hold_in_every_region() -> None:
    for region in [*sorted(phonenumbers.SUPPORTED_REGIONS), "ZZ"]:
        assert is_emergency("112", region)
        assert is_emergency("911", region)
        assert not is_emergency("2025550123", region)


def test_the_regions_of_a_country_code() -> None:
    assert set(regions_of_code(44)) == {"GB", "GG", "IM", "JE"}
    assert regions_of_code(49) == ("DE",)
    for nowhere in (800, 870, 979, 999):
        assert regions_of_code(nowhere) == ()


def test_how_people_write_it() -> None:
    assert as_people_write_it(LANDLINE_ABROAD) == "+44 20 7946 0958"
    assert as_people_write_it("…58") == "…58", "a shortened number stays as it is"


@pytest.mark.parametrize("region", ["US", "DE", "GB", "JP", "ES"])
def test_the_example_of_a_region_is_a_cell_phone_number_there(region: str) -> None:
    number = parse(example_of(region), "ZZ")
    assert number.region == region
    assert number.kind in ("MOBILE", "FIXED_LINE_OR_MOBILE")
    assert example_of(region) == as_people_write_it(number.e164)


def test_a_region_without_cell_phones_has_the_example_of_the_first() -> None:
    assert example_of("ZZ") == example_of("US") == "+1 201-555-0123"
