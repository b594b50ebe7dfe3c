"""The decision for each of many real numbers of all regions and types, written out in data/number_decisions.csv."""

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from binding_ivr.errors import Refusal
from binding_ivr.model import forms
from binding_ivr.policy.numbers import accept
from binding_ivr.policy.ranges import Excepted
from binding_ivr.policy.routes import dial_string, stored
from tests.unit.number_profiles import OWN, PROFILES, rules

FILE = Path(__file__).with_name("data") / "number_decisions.csv"


class Decision(NamedTuple):
    """What is typed in an account with a profile and region, and what comes of it: E.164, or a refusal's code."""

    profile: str
    region: str
    typed: str
    expected: str
    what: str


@cache
def decisions() -> list[Decision]:
    with FILE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == list(Decision._fields)
    return [Decision(*row) for row in rows[1:]]


def decide(row: Decision) -> str:
    try:
        return accept(row.typed, rules(row.profile, row.region), OWN).e164
    except Refusal as refusal:
        return refusal.code


def test_the_file_holds_what_it_is_for() -> None:
    rows = decisions()
    assert len(rows) == len({row[:3] for row in rows}) > 300
    assert {row.profile for row in rows} == set(PROFILES)
    accepted = {row.expected for row in rows if row.expected.startswith("+")}
    regions = {phonenumbers.region_code_for_number(phonenumbers.parse(number)) for number in accepted}
    assert len(regions) > 60
    assert {row.expected for row in rows if not row.expected.startswith("+")} == {
        *("not_a_number", "not_valid", "own_number", "emergency_number", "short_number", "satellite_number"),
        *("service_number", "premium_number", "region_not_allowed", "prefix_denied", "type_not_allowed", "try_later"),
        *("has_extension", "ambiguous_number"),
    }


def test_every_decision_is_as_written() -> None:
    wrong = [(row, found) for row in decisions() if (found := decide(row)) != row.expected]
    assert wrong == []


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_accepted_stays_accepted_in_its_own_writing(profile: str) -> None:
    for row in decisions():
        if row.profile == profile and row.expected.startswith("+"):
            assert decide(row._replace(typed=row.expected)) == row.expected
            assert stored(row.expected).e164 == row.expected


DIGITS = st.text(st.sampled_from("0123456789"), min_size=1, max_size=16)
LIKELY = st.one_of(
    st.text(max_size=60),
    DIGITS,
    st.builds("+{}".format, DIGITS),
    st.builds("{}{}{}".format, st.sampled_from(["+", "00", "011", "0", "1", "+1", "+44", "+881"]), DIGITS, st.just("")),
    st.builds(lambda row, sign: f"{row.typed}{sign}", st.sampled_from(decisions()), st.text(max_size=3)),
    st.builds(
        lambda row, at, sign: row.typed[:at] + sign + row.typed[at:],
        st.sampled_from(decisions()),
        st.integers(0, 20),
        st.sampled_from(["", " ", "-", "0", "9", "\n", '"', "&", "@", ";", "٣", "５"]),
    ),
)


@settings(max_examples=600)
@given(st.sampled_from(sorted(PROFILES)), LIKELY)
@example("all", "+8705731116321")
@example("us", "0011119005551234")
def test_whatever_is_typed_only_an_allowed_number_is_ever_dialled(profile: str, typed: str) -> None:
    limits, code = rules(profile), ""
    try:
        number = accept(typed, limits, OWN)
    except Refusal as refusal:
        code, said = refusal.code, str(refusal).replace("+1 202 555 0123", "")
    if code:
        assert code.isidentifier()
        assert "\n" not in said
        assert not any(sign.isdigit() for sign in said)
        return
    assert forms.fits(forms.CALLABLE, number.e164)
    assert number == stored(number.e164)  # what it says of itself is what the library says of its E.164
    read = phonenumbers.parse(number.e164)
    assert number.e164 not in OWN.dids
    assert (
        phonenumbers.is_valid_number(read)
        or Excepted(number.e164, whole=True) in limits.exceptions
        or (profile == "unknown" and number.e164.startswith("+1711"))
    )
    if not any(excepted.covers(number.e164) for excepted in limits.exceptions):
        assert phonenumbers.region_code_for_number(read) in limits.regions
        assert phonenumbers.PhoneNumberType.to_string(phonenumbers.number_type(read)) in limits.types
    assert dial_string("PJSIP/{e164}@trunk", number) == f"PJSIP/{number.e164}@trunk"
    assert dial_string("Local/{digits}@out/n", number) == f"Local/{number.e164[1:]}@out/n"
    national = dial_string("PJSIP/{national}@trunk", number)
    assert national.removeprefix("PJSIP/").removesuffix("@trunk").isdigit()
