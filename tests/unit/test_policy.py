"""Numbers, limits and the access code: the pure rules."""

import hmac
import re
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.errors import Refusal
from binding_ivr.policy.code import access_code, is_code, number_hash, pseudonym
from binding_ivr.policy.numbers import (
    NumberRules,
    PhoneNumber,
    accept,
    as_people_write_it,
    judge,
    parse,
)
from binding_ivr.policy.own import OwnNumbers, check_pattern, is_own, matches, own_numbers
from binding_ivr.policy.reading import candidates, read
from binding_ivr.policy.routes import dial_string, serving, stored

RULES = NumberRules("US", ("US", "GB"), ("MOBILE", "FIXED_LINE_OR_MOBILE"))
OWN = OwnNumbers(extensions={"1001"}, dids={"+12025550199"}, patterns={"_1202555018X"})


@pytest.mark.parametrize(
    "text",
    [
        "202 555 0123",
        "(202) 555-0123",
        "+1 202-555-0123",
        "1.202.555.0123",
        "０２０２".replace("０２０２", "２０２５５５０１２３"),
    ],
)
def test_all_writings_of_a_number_are_one(text: str) -> None:
    assert accept(text, RULES, OWN).e164 == "+12025550123"


WRITINGS = {"+12025550123", "12025550123", "2025550123"}


@pytest.mark.parametrize(
    ("text", "region", "found"),
    [
        ("(202) 555-0123", "US", WRITINGS),
        ("+1 202 555 0123", "DE", WRITINGS),
        ("0011 1 202 555 0123", "AU", WRITINGS | {"001112025550123"}),
        ("1001", "US", {"1001", "+11001", "11001"}),
        ("call me", "US", {""}),
        ("9" * 41, "US", {"9" * 41}),
    ],
)
def test_what_an_own_number_could_be_is_known_before_a_number_is_judged(
    text: str, region: str, found: set[str]
) -> None:
    assert candidates(read(text, region)) == found


@pytest.mark.parametrize("own", sorted(WRITINGS))
def test_a_number_that_equals_an_own_one_in_any_writing_is_refused(own: str) -> None:
    typed = read("(202) 555-0123", "US")
    mine = OwnNumbers(dids={own}) if own.startswith("+") else OwnNumbers(extensions={own})
    assert judge(typed, RULES, OwnNumbers()).e164 == "+12025550123"
    with pytest.raises(Refusal) as refused:
        judge(typed, RULES, mine)
    assert refused.value.code == "own_number"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not_a_number"),
        ("call me", "not_a_number"),
        ("1-800-FLOWERS", "not_a_number"),
        ("++1", "not_a_number"),
        ("+1202555012" * 5, "not_a_number"),
        ('+12025550123" & x', "not_a_number"),
        ("+12025550123\r\nAction: x", "not_a_number"),
        ("+15551230001", "not_valid"),
        ("+1202555012", "not_valid"),
        ("911", "emergency_number"),
        ("112", "emergency_number"),
        ("1001", "own_number"),
        ("+1 202 555 0199", "own_number"),
        ("202 555 0185", "own_number"),
        ("+1 900 555 1234", "premium_number"),
        ("+1 800 555 1234", "type_not_allowed"),
        ("+44 20 7946 0958", "type_not_allowed"),
        ("+1 242 359 1234", "region_not_allowed"),  # the Bahamas share +1
        ("+4915123456789", "region_not_allowed"),
    ],
)
def test_refused_numbers(text: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        accept(text, RULES, OWN)
    assert refused.value.code == code
    assert "\n" not in str(refused.value)
    assert " " in str(refused.value), "a sentence"


@given(st.text(max_size=60))
def test_any_text_is_a_number_or_a_refusal(text: str) -> None:
    try:
        number = accept(text, RULES, OWN)
    except Refusal as refusal:
        code = refusal.code
    else:
        code = ""
        assert stored(number.e164) == number
        assert dial_string("PJSIP/{e164}@trunk", number) == f"PJSIP/{number.e164}@trunk"
    assert code == "" or code.isidentifier()


def test_dial_strings() -> None:
    number = stored("+12025550123")
    assert dial_string("PJSIP/{digits}@trunk", number) == "PJSIP/12025550123@trunk"
    assert dial_string("Local/{national}@from-internal", number) == "Local/2025550123@from-internal"
    assert as_people_write_it("+12025550123") == "+1 202-555-0123"
    assert "2025550123" not in repr(number)


def test_patterns() -> None:
    assert matches("_1202555XXXX", "12025550123")
    assert not matches("_1202555XXXX", "120255501234")
    assert matches("_1N0[1-3]!", "1202")
    assert matches("_44.", "447700900123")
    assert not matches("_44.", "44")
    assert check_pattern("_1202555XXXX") == "_1202555XXXX"
    for bad in ("1202", "_", "_12A", "_[9-1]123", "_12.3", "_(a+)+$"):
        with pytest.raises(Refusal):
            check_pattern(bad)


def test_codes_are_of_the_attempt_alone() -> None:
    key, attempt = b"k" * 32, UUID(int=7)
    code = access_code(key, attempt, 6)
    assert code == access_code(key, attempt, 6)
    assert len(code) == 6
    assert code.isdigit()
    assert is_code(code, code)
    assert not is_code(code, code[:5])
    assert not is_code(code, "")
    assert len({access_code(key, uuid4(), 10) for _ in range(500)}) == 500
    assert access_code(b"j" * 32, attempt, 10) != access_code(key, attempt, 10)
    for bad in (5, 11):
        with pytest.raises(ValueError, match="6 to 10"):
            access_code(key, attempt, bad)
    with pytest.raises(ValueError, match="16 bytes"):
        access_code(b"short", attempt, 6)


def test_codes_are_uniform() -> None:
    counts = [0] * 10
    for n in range(5000):
        for digit in access_code(b"k" * 32, UUID(int=n), 6):
            counts[int(digit)] += 1
    # 30,000 digits, 3,000 expected of each, standard deviation 52: six of them
    assert all(abs(count - 3000) < 312 for count in counts)


@pytest.mark.parametrize(
    ("digits", "region", "e164"),
    [
        ("2025550150", "US", "+12025550150"),
        ("12025550150", "US", "+12025550150"),
        ("011442079460123", "US", "+442079460123"),
        ("00442079460123", "US", "+442079460123"),  # not the US way, but meant so
        ("0012025550150", "US", "+12025550150"),
        ("0012025550150", "DE", "+12025550150"),
        ("015112345678", "DE", "+4915112345678"),
        ("0049015112345678", "US", "+4915112345678"),
    ],
)
def test_what_is_keyed_in_is_read_as_it_is_dialled(digits: str, region: str, e164: str) -> None:
    assert parse(digits, region).e164 == e164


@given(st.text("0123456789", max_size=24), st.sampled_from(["US", "DE", "JP", "SG", "RU"]))
def test_any_keys_are_a_number_or_a_refusal(digits: str, region: str) -> None:
    try:
        number = parse(digits, region)
    except Refusal as refusal:
        code = refusal.code
    else:
        code = number.e164[0]
    assert code in ("+", "not_a_number", "not_valid", "ambiguous_number")


# --- own numbers and their patterns


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("_X", "0123456789", ["", "00", "a"]),
        ("_Z", "123456789", ["0", "12"]),
        ("_N", "23456789", ["0", "1"]),
        ("_xzn", ["012", "999"], ["002", "011", "11"]),
        ("_[2-4]", "234", ["1", "5", "[2-4]"]),
        ("_[135]9", ["19", "59"], ["29", "9"]),
        ("_12!", ["12", "123", "1299999"], ["1", "13"]),
        ("_12.", ["123", "1299999"], ["12", "13"]),
        ("_+1555X", ["15550"], ["+15550", "1555"]),
        ("1001", ["1001"], ["10011", "1002"]),
    ],
)
def test_a_pattern_matches_as_asterisk_says(pattern: str, inside: list[str], outside: list[str]) -> None:
    assert all(matches(pattern, digits) for digits in inside)
    assert not any(matches(pattern, digits) for digits in outside)


@pytest.mark.parametrize(
    "pattern",
    ["_1202555XXXX", "_+1202555XXXX", "_123", "_XZN", "_xzn", "_1[2-4]5", "_[13]55.", "_155!"],
)
def test_patterns_that_are_stored_as_they_are(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "pattern",
    ["1202555XXXX", "_12", "__123", "_123..", "_123!4", "_1 23", "_123\n", "_12[]", "_12[a-c]", "_12[9-1]", "_123\\d"],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_pattern(pattern)
    assert refused.value.code == "bad_pattern"


def test_own_numbers_are_sorted_by_their_kind() -> None:
    own = own_numbers([("extension", "1001"), ("did", "+12025550199"), ("pattern", "_1303XXXXXXX"), ("did", "+1303")])
    assert own == OwnNumbers({"1001"}, {"+12025550199", "+1303"}, {"_1303XXXXXXX"})
    assert own_numbers([]) == OwnNumbers(set(), set(), set())


@pytest.mark.parametrize(
    ("own", "is_ours"),
    [
        (OwnNumbers(dids={"+12025550123"}), True),
        (OwnNumbers(extensions={"12025550123"}), True),
        (OwnNumbers(extensions={"2025550123"}), True),
        (OwnNumbers(patterns={"_1202555XXXX"}), True),
        (OwnNumbers(patterns={"_1303XXXXXXX", "_1202555XXXX"}), True),
        (OwnNumbers(dids={"12025550123"}), False),
        (OwnNumbers(extensions={"+12025550123", "5550123"}), False),
        (OwnNumbers(patterns={"_202555XXXX"}), False),
        (OwnNumbers(), False),
    ],
)
def test_what_would_come_back_to_us(own: OwnNumbers, is_ours: bool) -> None:
    assert is_own("+12025550123", "2025550123", own) is is_ours


# --- routes


@dataclass
class Way:
    """A `[[routes]]` table."""

    name: str
    regions: tuple[str, ...]
    endpoint: str = "PJSIP/{e164}@trunk"


def test_the_routes_of_a_region_in_their_order() -> None:
    routes = [Way("a", ("US", "CA")), Way("b", ("*",)), Way("c", ("GB",)), Way("d", ("US",)), Way("e", ())]
    assert [route.name for route in serving(routes, "US")] == ["a", "b", "d"]
    assert [route.name for route in serving(routes, "GB")] == ["b", "c"]
    assert [route.name for route in serving(routes, "DE")] == ["b"]
    assert serving([], "US") == []


@pytest.mark.parametrize(
    ("e164", "national"),
    [
        ("12025550123", "2025550123"),
        ("+02025550123", "2025550123"),
        ("+1202555", "x"),
        ("+12025550123", "202555012a"),
        ("+12025550123", "٢٠٢"),
        ("+12025550123", ""),
        ("+12025550123\n", "2025550123"),
        ("+120255", "20255"),
    ],
)
def test_nothing_but_a_validated_number_is_dialled(e164: str, national: str) -> None:
    with pytest.raises(ValueError, match="only a validated"):
        dial_string("PJSIP/{e164}@trunk", PhoneNumber(e164, "US", "MOBILE", national))


def test_every_placeholder_is_filled_each_time_it_stands_there() -> None:
    number = stored("+442079460958")
    assert dial_string("{e164} {digits} {national} {digits}", number) == (
        "+442079460958 442079460958 2079460958 442079460958"
    )
    assert dial_string("PJSIP/x@trunk", number) == "PJSIP/x@trunk"


# --- what is derived from keys


def test_the_code_of_an_attempt_is_always_the_same() -> None:
    """Written out: after an update the code that a user sees must be the one that the call compares."""
    key, attempt = b"0123456789abcdef", UUID("0b8f4f2e-63c5-4b5e-a5cf-7d1a2d3e4f50")
    long = access_code(key, attempt, 10)
    assert [access_code(key, attempt, length) for length in (6, 7, 8, 9)] == [long[-n:] for n in (6, 7, 8, 9)]
    expected = int.from_bytes(hmac.digest(key, b"binding_ivr access code\0" + attempt.bytes, "sha256"), "big")
    assert long == f"{expected:080d}"[-10:]
    with pytest.raises(ValueError, match="16 bytes"):
        access_code(key[:15], attempt, 6)


def test_codes_keep_their_leading_zeros() -> None:
    codes = [access_code(b"k" * 16, UUID(int=n), 6) for n in range(200)]
    assert all(len(code) == 6 for code in codes)
    assert any(code.startswith("0") for code in codes)


def test_an_erased_user_is_always_the_same_pseudonym() -> None:
    key = b"k" * 32
    name = pseudonym(key, "default", "1001")
    assert name == pseudonym(key, "default", "1001")
    assert re.fullmatch("erased/[0-9a-f]{32}", name)
    others = {
        pseudonym(b"j" * 32, "default", "1001"),
        pseudonym(key, "default", "1002"),
        pseudonym(key, "sales", "1001"),
    }
    assert len(others | {name}) == 4
    assert pseudonym(key, "a", "bc") != pseudonym(key, "ab", "c")


def test_a_number_is_suppressed_by_its_keyed_hash() -> None:
    found = number_hash(b"k" * 32, "+12025550123")
    assert found == hmac.digest(b"k" * 32, b"binding_ivr number\0+12025550123", "sha256")
    assert number_hash(b"j" * 32, "+12025550123") != found != number_hash(b"k" * 32, "+12025550124")
