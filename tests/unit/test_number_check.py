"""`binding-ivr number check`: each refusal has its step, and the steps tell what was found."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from binding_ivr.app import bindings
from binding_ivr.app.bindings import number_rules
from binding_ivr.app.number_check import STEPS, Findings, NumberCheck, Result, explained
from binding_ivr.config import Config, Route
from binding_ivr.errors import Refusal
from binding_ivr.policy import limits, numbers, reading
from binding_ivr.policy.limits import try_later
from binding_ivr.policy.numbers import judge
from binding_ivr.policy.own import OwnNumbers
from binding_ivr.policy.ranges import Excepted
from binding_ivr.policy.reading import read
from binding_ivr.store import limits as store_limits
from tests.unit.number_profiles import account

CODES = {code for codes in STEPS.values() for code in codes}
ELSEWHERE = {"invalid", "no_number", "no_undo"}
"""Of settings and prefixes, and of the present number."""
ROUTES = (Route(name="main", endpoint="PJSIP/{e164}@trunk", caller_id="+12025550100"),)


def test_every_refusal_of_a_number_has_its_step() -> None:
    told: set[str] = set()
    for module in (reading, numbers, limits, bindings, store_limits):
        told |= set(re.findall(r'Refusal\(\s*"(\w+)"', Path(inspect.getfile(module)).read_text()))
    assert told - ELSEWHERE <= CODES
    assert len(told) > 15


def check(
    text: str, profile: str = "us", region: str = "", exceptions: tuple[Excepted, ...] = (), **found: Any
) -> NumberCheck:
    config = account(profile, region)
    config = Config(routes=ROUTES, number=config.number)
    rules, typed = number_rules(config, exceptions), read(text, config.number.default_region)
    try:
        result: Findings | Refusal = Findings(judge(typed, rules, OwnNumbers({"1001"})), **found)
    except Refusal as refusal:
        result = refusal
    return explained(typed, rules, config, result)


def details(told: NumberCheck) -> dict[str, str]:
    return {step.step: step.detail for step in told.steps}


def test_a_number_that_would_be_called() -> None:
    told = check("tel:+1-202-555-0123")
    assert told.refusal is None
    assert told.number == "+12025550123"
    assert {step.result for step in told.steps} == {Result.PASSED}
    assert [step.step for step in told.steps] == list(STEPS)
    said = details(told)
    assert said["read as"] == "+12025550123 (+1 202-555-0123)"
    assert said["numbering plan"] == "US, FIXED_LINE_OR_MOBILE"
    assert said["route"] == "main (+12025550100)"
    assert said["dialed"] == "PJSIP/+…23@trunk"
    assert "0123" not in repr(told)


@pytest.mark.parametrize(
    ("text", "profile", "region", "step", "code"),
    [
        ("call me", "us", "", "read as", "not_a_number"),
        ("202 555 0123 x9", "us", "", "read as", "has_extension"),
        ("1001", "us", "", "own number", "own_number"),
        ("911", "us", "", "emergency number", "emergency_number"),
        ("+870773111632", "us", "", "service", "satellite_number"),
        ("+15551230001", "us", "", "numbering plan", "not_valid"),
        ("+551178234567", "world", "", "meaning", "ambiguous_number"),
        ("+1 900 555 1234", "us", "", "premium rate", "premium_number"),
        ("+44 7400 123456", "us", "", "region", "region_not_allowed"),
        ("+53 5 123 4567", "world", "", "prefix", "prefix_denied"),
        ("+44 20 7946 0958", "world", "", "type", "type_not_allowed"),
    ],
)
def test_where_a_number_is_refused(text: str, profile: str, region: str, step: str, code: str) -> None:
    told = check(text, profile, region)
    assert told.refusal is not None
    assert told.refusal.code == code
    results = {each.step: each.result for each in told.steps}
    at = list(STEPS).index(step)
    assert [results[name] for name in list(STEPS)[:at]] == [Result.PASSED] * at
    assert results[step] is Result.REFUSED
    assert {results[name] for name in list(STEPS)[at + 1 :]} <= {Result.NOT_ASKED}
    assert details(told)[step].startswith(f"{code}: ")


@pytest.mark.parametrize(
    ("found", "step", "said"),
    [
        ({"no_route": Refusal("no_route", "no")}, "route", "no_route: no"),
        ({"hours": Refusal("outside_hours", "late")}, "hours", "outside_hours: late"),
        ({"suppressed": True, "limit": try_later()}, "suppression", "try_later: this number"),
        ({"limit": try_later("number_hour")}, "limits", "(limit number_hour)"),
    ],
)
def test_what_stands_against_an_accepted_number(found: dict[str, Any], step: str, said: str) -> None:
    told = check("202 555 0123", **found)
    assert [each.step for each in told.steps if each.result is Result.REFUSED] == [step]
    assert said in details(told)[step]


def test_an_exception_and_another_meaning_are_told() -> None:
    told = check("+15551230001", exceptions=(Excepted("+15551230001", whole=True),))
    said = details(told)
    assert told.refusal is None
    assert (said["exception"], said["region"]) == ("+15551230001", "lifted by the exception")
    assert said["numbering plan"] == "US; in no plan, but excepted"
    said = details(check("11 2345 6789", "world", "AR"))
    assert said["read as"] == "+5491123456789 (+54 9 11 2345-6789)"
    assert said["meaning"] == "not +541123456789, of a type that is not allowed"
