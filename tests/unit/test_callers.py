"""How caller IDs are written in each region, what each may mean, and the twins of that rule in dialplan and SQL."""

import random
import re

import phonenumbers
import pytest

from binding_ivr.policy.callers import E164_ONLY, CallerPlan, caller_plan, meanings
from binding_ivr.policy.renumbered import as_dialplan, as_sql
from binding_ivr.resources import data_dir
from tests import writings


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


US, AR, BR, MX = map(caller_plan, ("US", "AR", "BR", "MX"))


@pytest.mark.parametrize(
    ("plan", "asked", "meant"),
    [
        (US, "+1-202-555-0150", {"+12025550150"}),
        (US, "(+1) 202.555 0150", {"+12025550150"}),
        (US, "(202) 555-0150", {"+2025550150", "+12025550150"}),
        (US, "0014930123456", {"+0014930123456", "+14930123456", "+10014930123456"}),
        (US, "011", {"+011"}),
        (US, "+5215512345678", {"+5215512345678", "+525512345678"}),
        (MX, "5512345678", {"+5512345678", "+525512345678"}),
        (MX, "15512345678", {"+15512345678", "+5215512345678", "+525512345678"}),
        (MX, "0445512345678", {"+0445512345678", "+520445512345678", "+525512345678"}),
        (US, "+541123456789", {"+541123456789", "+5491123456789"}),
        (AR, "1123456789", {"+1123456789", "+541123456789", "+5491123456789"}),
        (AR, "01123456789", {"+01123456789", "+541123456789", "+5491123456789", "+23456789"}),
        (AR, "0111523456789", {"+0111523456789", "+54111523456789", "+5491123456789", "+1523456789"}),
        (AR, "035115234567" + "8", {"+0351152345678", "+54351152345678", "+5493512345678"}),
        (BR, "02111912345678", {"+02111912345678", "+552111912345678", "+5511912345678"}),
        (BR, "1181234567", {"+1181234567", "+551181234567", "+5511981234567"}),
        (BR, "+551178234567", {"+551178234567"}),  # may be somebody else's: a trunking network's
        (US, "+22997123456", {"+22997123456", "+2290197123456"}),
        (US, "22507123456", {"+22507123456", "+122507123456", "+2250707123456"}),
        (caller_plan("RU"), "8104930123456", {"+8104930123456", "+4930123456"}),
        (caller_plan("RU"), "89161234567", {"+89161234567", "+79161234567"}),
        (caller_plan("ES"), "612345678", {"+612345678", "+34612345678"}),
        (caller_plan("DE"), "000", {"+000", "+0"}),
        (caller_plan("BY"), "80291234567", {"+80291234567", "+3750291234567", "+375291234567"}),
        (E164_ONLY, "0114930123456", {"+0114930123456", "+4930123456"}),
        (US, "12", set()),
        (US, "+1 202 555 0150 ", set()),
    ],
)
def test_what_a_caller_id_may_mean(plan: CallerPlan, asked: str, meant: set[str]) -> None:
    assert meanings(asked, plan) == meant


def test_every_cell_phone_is_found_in_the_writings_of_trunks() -> None:
    tried = list(writings.callers(1, random.Random(5)))
    assert len({one.region for one in tried}) >= 240
    assert [one for one in tried if one.e164 not in meanings(one.text, caller_plan(one.region))] == []


def test_the_dialplan_has_the_same_table() -> None:
    text = (data_dir("dialplan") / "binding_ivr.conf").read_text()
    _, _, table = text.partition("[binding-ivr-renumbered]\n")
    assert table.partition("\n\n")[0].splitlines() == list(as_dialplan())


def test_the_newest_migration_that_has_the_table_has_the_same() -> None:
    """A rule that was changed needs a new migration: nobody may change an old one."""
    files = sorted((data_dir("sql") / "migrations").glob("*.sql"))
    texts = [text for file in files if "FUNCTION binding_ivr.current_number(" in (text := file.read_text())]
    table = texts[-1].partition("binding_ivr.current_number(")[2].partition("SELECT CASE\n")[2]
    assert table.partition("\n  END")[0].splitlines() == list(as_sql())
