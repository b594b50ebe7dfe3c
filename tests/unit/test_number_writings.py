"""Every region's cell phone numbers in every writing: one E.164 number each, or a refusal; and a table of how many."""

import random
import re
from collections import Counter

import phonenumbers
import pytest

from binding_ivr.errors import Refusal
from binding_ivr.policy.numbers import NumberRules, accept
from binding_ivr.policy.own import OwnNumbers
from binding_ivr.policy.reading import LONGEST_PASTED, read
from binding_ivr.policy.renumbered import RULES, Rule, current, regular, rule_for
from tests import writings
from tests.writings import Tried, drawn


@pytest.fixture(scope="module")
def tried() -> list[Tried]:
    return list(writings.tried(1, random.Random(3)))


def test_the_same_number_is_the_same_in_every_writing(tried: list[Tried], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n" + writings.table(tried))
    assert len({one.region for one in tried}) >= 240
    assert [one for one in tried if one.result == "differs"] == []


NEVER_REFUSED = (
    "e164", "international", "tel", "tel context", "callto", "sip", "sips", "marks", "full width", "devanagari",
    "dashes", "brackets", "national", "national digits", "significant", "trunk prefix", "trunk prefix apart",
    "mobile dialling", "(prefix)", "011 from US", "00 from DE", "0011 from AU",
)  # fmt: skip


def test_the_usual_writings_are_understood_everywhere(tried: list[Tried]) -> None:
    refused = [one for one in tried if one.writing in NEVER_REFUSED and one.result != "understood"]
    assert {one.writing for one in tried} >= set(NEVER_REFUSED)
    assert refused == []


def test_what_is_refused_could_be_two_numbers(tried: list[Tried]) -> None:
    """00 and 011 where they mean something else, (0) where a landline begins with it, old numbers that still exist."""
    refused = Counter(one.result for one in tried if one.result not in ("understood", "differs"))
    assert set(refused) <= {"ambiguous_number", "emergency_number", "not_valid"}
    assert refused["ambiguous_number"] < 0.08 * len(tried)
    assert refused["not_valid"] + refused["emergency_number"] <= 6, "a trunk prefix behind +57, and 00 in Brazil"


def test_no_writing_leads_past_a_denied_number(tried: list[Tried]) -> None:
    """Whatever is understood is judged as the E.164 number that it is: denied, of a region, one of the PBX's own."""
    for one in tried[::5]:
        if one.result == "understood":
            types = ("MOBILE", "FIXED_LINE_OR_MOBILE")
            for rules, own, code in (
                (NumberRules(one.region, writings.REGIONS, types, deny=[one.e164]), OwnNumbers(), "try_later"),
                (NumberRules(one.region, writings.REGIONS, types, deny=[one.e164[:5]]), OwnNumbers(), "prefix_denied"),
                (NumberRules(one.region, writings.REGIONS, types), OwnNumbers(dids={one.e164}), "own_number"),
                (NumberRules(one.region, (), types), OwnNumbers(), "region_not_allowed"),
            ):
                with pytest.raises(Refusal) as refused:
                    accept(one.text, rules, own)
                assert refused.value.code == code, one


# --- the table of what phonenumbers does not know


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.pattern)
def test_a_rule_leads_from_what_the_plan_does_not_have_to_what_it_has(rule: Rule) -> None:
    rng = random.Random(rule.pattern)
    known = 0
    for _ in range(60):
        old = drawn(regular(rule.pattern), rng)
        today = rule.apply(old)
        assert rule_for(old) is rule, "no two rules match the same digits"
        assert current(today) is None, "what a rule makes is not old"
        before, after = phonenumbers.parse(f"+{old}"), phonenumbers.parse(f"+{today}")
        if phonenumbers.is_valid_number(before) and not rule.stands:
            # phonenumbers reads it as the number of today by itself, or (Gabon) has both.
            assert before == after or rule.pattern.startswith("241")
        known += phonenumbers.is_valid_number(after)
    assert known, "the plan has such numbers"


def test_a_rule_that_would_lead_to_no_number_is_not_followed() -> None:
    number = read("+52 1 00 1234 5678", "MX")
    assert current("520012345678") is None
    assert not phonenumbers.is_valid_number(number.number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "tel:",
        "sip:@",
        "sip:+@x;user=phone",
        "callto:",
        "tel:;ext=1",
        "<tel:>",
        "tel:+1;phone-context=",
        "%",
        "tel:%",
    ],
)
def test_odd_texts_are_no_numbers(text: str) -> None:
    assert read(text, "US").meanings == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("+12025550é123", ": latin small letter e with acute is none of its signs; use digits"),
        ("+1202555Q0123", ": latin capital letter q is none of its signs; use digits"),
        ("+1 202+555", "not a phone number; use digits"),
        ("sip:alice@example.com", "does not say that it is a phone number"),
        ("+12025550123 ext 5", "a number with an extension cannot be called"),
        ("5", "write it with its country code"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, said: str) -> None:
    with pytest.raises(Refusal, match=re.escape(said)):
        assert read(text, "US").number


def test_long_texts_are_cut() -> None:
    assert read("1" * 10_000, "US").written == "1" * LONGEST_PASTED
