"""How caller IDs are written in each region: what libphonenumber knows, in the short form that every door can use."""

import re

import phonenumbers
import pytest

from binding_ivr.policy.callers import CallerPlan, caller_plan


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ("US", "1/1/011"),
        ("DE", "49/0/00"),
        ("ES", "34//00"),
        ("IT", "39//00"),
        ("RU", "7/8/810"),
        ("AU", "61/0/0011"),
        ("JP", "81/0/010"),
        ("CN", "86/0/00"),
        ("BR", "55/0/"),  # the international prefix is the carrier's
    ],
)
def test_the_plans_of_some_regions(region: str, text: str) -> None:
    assert str(caller_plan(region)) == text


def test_every_region_has_a_plan_that_the_dialplan_and_the_database_take() -> None:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        plan = caller_plan(region)
        assert re.fullmatch(r"[1-9][0-9]{0,2}/[0-9]{0,4}/[0-9]{0,5}", str(plan)), region
        assert int(plan.country) == phonenumbers.country_code_for_region(region)


def test_a_region_without_numbers_has_none() -> None:
    with pytest.raises(ValueError, match="not a region"):
        caller_plan("ZZ")
    assert str(CallerPlan("")) == "//"
