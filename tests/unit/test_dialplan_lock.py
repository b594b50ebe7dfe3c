"""The lock in the dialplan allows exactly what the policy accepts: set by set, number by number, and the sample."""

import re
import tomllib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random

import msgspec
import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binding_ivr import config as configuration
from binding_ivr.app.bindings import number_rules
from binding_ivr.app.lock import fingerprint_of, make_lock, ways_out, written
from binding_ivr.config import Config, Route
from binding_ivr.errors import ConfigError, Refusal
from binding_ivr.model.rows import Account, NumberException, OwnNumber
from binding_ivr.policy.digitset import DigitSets
from binding_ivr.policy.lock import LockRules, Out, Timed, lock
from binding_ivr.policy.numbers import KINDS, NumberRules, accept
from binding_ivr.policy.own import OwnNumbers, matches
from binding_ivr.policy.plan import Plan
from tests.unit.number_profiles import EXCEPTIONS, OWN, PROFILES, rules
from tests.unit.test_number_decisions import Decision, decisions

ROOT = Path(__file__).resolve().parents[2]
OUT = [Out("binding-ivr-out", "PJSIP/{e164}@trunk", 20)]
FUTURE = 4_000_000_000


# --- an Asterisk in miniature: contexts with patterns, and the order in which the subroutine asks them


class Dialplan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.contexts: dict[str, list[str]] = {}
        for line in text.splitlines():
            if head := re.fullmatch(r"\[(.*)\]", line):
                context = self.contexts.setdefault(head[1], [])
            elif extension := re.match(r"exten => ([^,]+),1,", line):
                context.append(extension[1])
        self._literal = {name: {e for e in found if e[0] != "_"} for name, found in self.contexts.items()}
        self._pattern = {
            name: [
                (e[1:].rstrip("!.").split("[")[0].split("X")[0].split("N")[0].split("Z")[0], e)
                for e in found
                if e[0] == "_"
            ]
            for name, found in self.contexts.items()
        }

    def exists(self, context: str, digits: str) -> bool:
        return digits in self._literal[context] or any(
            digits.startswith(begin) and matches(pattern, digits) for begin, pattern in self._pattern[context]
        )

    def allows(self, digits: str) -> bool:
        if not re.fullmatch("[1-9][0-9]{6,14}", digits):
            return False
        if self.exists("binding-ivr-own", digits) or self.exists("binding-ivr-never", digits):
            return False
        if any(self.exists(name, digits) for name in self.contexts if name.startswith("binding-ivr-excepted-")):
            return True
        return not self.exists("binding-ivr-denied", digits) and self.exists("binding-ivr-plan", digits)


@cache
def dialplan(profile: str, region: str = "") -> Dialplan:
    timed = [Timed(excepted, FUTURE) for excepted in EXCEPTIONS.get(profile, ())]
    return Dialplan(written(LockRules([rules(profile, region)], OWN, OUT, 14_400, timed)))


def policy(profile: str, e164: str) -> bool:
    try:
        return accept(e164, rules(profile), OWN).e164 == e164
    except Refusal:
        return False


# --- what it allows


@pytest.mark.parametrize("profile", PROFILES)
def test_the_lock_agrees_with_every_written_decision(profile: str) -> None:
    """Also for what was refused: its digits, as a bug might dial them."""
    plan = dialplan(profile)
    rows = [row for row in decisions() if row.profile == profile]
    asked = [(row, digits) for row in rows for digits in _as_dialled(row)]
    wrong = [(row, digits) for row, digits in asked if plan.allows(digits) != policy(profile, f"+{digits}")]
    assert all(plan.allows(row.expected[1:]) for row in rows if row.expected.startswith("+"))
    assert wrong == []


def _as_dialled(row: Decision) -> set[str]:
    digits = re.sub("[^0-9]", "", row.typed)
    found = {digits, row.expected.removeprefix("+") if row.expected.startswith("+") else digits}
    try:
        read = phonenumbers.parse(row.typed, row.region)
        found.add(phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164)[1:])
    except phonenumbers.NumberParseException:
        pass
    return {text for text in found if 7 <= len(text) <= 15 and text[0] != "0"}


@settings(max_examples=400)
@given(st.sampled_from(sorted(PROFILES)), st.sampled_from(decisions()), st.randoms(use_true_random=False))
def test_the_lock_agrees_with_the_policy_beside_every_number(profile: str, row: Decision, chance: Random) -> None:
    """Numbers that differ from real ones in a digit, in length, or at their end."""
    for digits in _as_dialled(row):
        at = chance.randrange(len(digits))
        for text in (
            digits[:at] + str(chance.randrange(10)) + digits[at + 1 :],
            digits + str(chance.randrange(10)),
            digits[:-1],
            digits[:-4] + f"{chance.randrange(10_000):04}",
        ):
            if 7 <= len(text) <= 15 and text[0] != "0":
                assert dialplan(profile).allows(text) == policy(profile, f"+{text}"), text


def test_the_plan_knows_region_and_type_of_every_number_as_the_library_does() -> None:
    sets = DigitSets()
    plan = Plan(sets)
    chance = Random(7)
    numbers = [phonenumbers.parse(row.expected) for row in decisions() if row.expected.startswith("+")]
    assert len({phonenumbers.region_code_for_number(number) for number in numbers}) > 200
    for number in chance.sample(numbers, 150):
        digits = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
        code = number.country_code
        assert code is not None
        for text in {
            digits,
            digits[:-3] + "000",
            digits[: len(str(code)) + 1] + digits[:1] + digits[len(str(code)) + 2 :],
        }:
            other = phonenumbers.parse(f"+{text}")
            kind = KINDS.get(phonenumbers.number_type(other), "UNKNOWN")
            region = phonenumbers.region_code_for_number(other)
            for candidate in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[other.country_code or 0]:
                for wanted in KINDS.values():
                    there = sets.contains(plan.numbers(candidate, [wanted]), text)
                    assert there == ((candidate, wanted) == (region, kind)), (text, candidate, wanted)


def test_own_numbers_and_premium_are_refused_whatever_else_the_file_says() -> None:
    excepted = dialplan("excepted")
    for digits in ("12025550199", "12025550185", "442079460000", "12129761234", "19005551234", "870773111632"):
        assert not excepted.allows(digits)
    assert excepted.allows("442079460958")
    # an extension as long as a number, in the writings in which a route may dial it
    assert "12025550170" in excepted.contexts["binding-ivr-own"]


def test_an_extension_as_long_as_a_number_that_is_none_is_not_among_them() -> None:
    extensions = frozenset({"5551234567", "9999999"})
    own = OwnNumbers(extensions)
    text = written(LockRules([rules("us")], own, OUT, 14_400))
    assert not {"5551234567", "15551234567", "9999999", "19999999"} & set(
        Dialplan(text).contexts.get("binding-ivr-own", ())
    )


def test_the_own_numbers_are_those_that_could_be_dialled_and_no_others() -> None:
    """Of the extensions only the one that is a number of the plan in one of its writings."""
    own = dialplan("us").contexts["binding-ivr-own"]
    assert set(own) == {"12025550170", "12025550199", "_1202555018X", "442079460000"}
    assert len(own) == 4


def test_an_exception_ends() -> None:
    text = written(LockRules([rules("us")], OWN, OUT, 60, [Timed(EXCEPTIONS["excepted"][0], 1_800_000_000)]))
    assert 'GotoIf($["${DIALPLAN_EXISTS(binding-ivr-excepted-1,${ARG1},1)}"="1" & ${EPOCH} < 1800000000]?yes)' in text


def test_several_accounts_may_call_what_one_of_them_may() -> None:
    accounts = [
        rules("us"),
        account_rules(deny=["+12025"]),
        account_rules(regions=["GB"], default_region="GB", deny=["+4474"]),
    ]
    plan = Dialplan(written(LockRules(accounts, OWN, OUT, 14_400)))
    assert plan.allows("12025550123")  # denied by one account, not by the other
    assert not plan.allows("447400123456")
    assert plan.allows("447500123456")
    assert not plan.allows("14165550123")
    both = Dialplan(
        written(LockRules([account_rules(deny=["+12025"]), account_rules(deny=["+12025", "+1303"])], OWN, OUT, 60))
    )
    assert not both.allows("12025550123")
    assert both.allows("13035550123")
    for lines in (plan.contexts, both.contexts):
        assert "_" not in lines["binding-ivr-plan"], "no line for what an account does not call at all"


@pytest.mark.parametrize(
    ("deny", "allow", "refused", "allowed"),
    [
        ([], [], [], ["12025550123", "13035550123"]),
        (["+1202"], [], ["12025550123"], ["13035550123"]),
        (["+1202"], ["+1202555"], ["12024560123"], ["12025550123"]),
        (["+1202"], ["+1202"], [], ["12025550123"]),
        (["+1202", "+12025550"], ["+1202555"], ["12025550123", "12024560123"], ["12025551123"]),
        (["+1XXX5551212"], [], ["12025551212", "13035551212"], ["12025551213"]),
    ],
)
def test_of_denied_and_allowed_prefixes_the_longest_decides_here_too(
    deny: list[str], allow: list[str], refused: list[str], allowed: list[str]
) -> None:
    plan = Dialplan(written(LockRules([account_rules(regions=["US"], deny=deny, allow=allow)], OWN, OUT, 60)))
    assert not any(plan.allows(digits) for digits in refused)
    assert all(plan.allows(digits) for digits in allowed)
    assert bool(plan.contexts["binding-ivr-denied"]) == bool(refused)


def account_rules(**number: object) -> NumberRules:
    return number_rules(Config().for_account({"number": number}))


# --- sets of digits


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        (r"[2-9]\d{2}", ["200", "999"], ["199", "20", "2000"]),
        (r"(?:1[0-3]|20)\d{2,3}5?", ["1012", "20999", "13005", "130095"], ["1412", "2012345", "201"]),
        (r"7(?:[0-57-9]|624)", ["70", "7624"], ["76", "762", "76245"]),
        (r"0?1|", ["01", "1", ""], ["0", "11"]),
        (r"[\d]4", ["04", "94"], ["4"]),
    ],
)
def test_patterns_of_numbering_plans(pattern: str, inside: list[str], outside: list[str]) -> None:
    sets = DigitSets()
    made = sets.matching(pattern)
    assert all(sets.contains(made, text) for text in inside)
    assert not any(sets.contains(made, text) for text in outside)


@pytest.mark.parametrize("pattern", ["a", "(1", "1)", "1*", "[1-3", "(?=1)2", "?1", "^1", "1{2", "(?:1"])
def test_other_patterns_are_refused_not_guessed(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern of the numbering plan"):
        DigitSets().matching(pattern)


SIMPLE = st.lists(st.sampled_from(["[2-5]", "\\d", "7", "(?:12|3)", "0?", "[013]{1,2}"]), min_size=1, max_size=4).map(
    "".join
)


@given(SIMPLE, SIMPLE, st.text("0123457", max_size=6))
def test_sets_combine_as_sets_do(one: str, other: str, text: str) -> None:
    sets = DigitSets()
    a, b = sets.matching(one), sets.matching(other)
    in_a, in_b = bool(re.fullmatch(one, text)), bool(re.fullmatch(other, text))
    assert sets.contains(a, text) == in_a
    assert sets.contains(sets.union(a, b), text) == (in_a or in_b)
    assert sets.contains(sets.meet(a, b), text) == (in_a and in_b)
    assert sets.contains(sets.minus(a, b), text) == (in_a and not in_b)
    for made in (a, sets.union(a, b), sets.minus(a, b), sets.after("4X", a)):
        patterns = [f"_{pattern}" for pattern in sets.patterns(made)]
        assert any(matches(pattern, text) for pattern in patterns) == sets.contains(made, text)
    assert sets.union(a, b) == sets.union(b, a)
    assert sets.minus(a, a) == 0


def test_what_may_go_on_ends_in_an_exclamation_mark_and_nothing_else_does() -> None:
    sets = DigitSets()
    assert list(sets.patterns(sets.beginning("53"))) == ["53!"]
    assert list(sets.patterns(sets.beginning("1X9"))) == ["1X9!"]
    assert list(sets.patterns(sets.matching(r"16\d{7,8}"))) == ["16XXXXXXX", "16XXXXXXXX"]
    assert list(sets.patterns(0)) == []


# --- the file


def sample_config(tmp_path: Path) -> Config:
    lines = (ROOT / "binding_ivr/binding-ivr.sample.toml").read_text().splitlines()
    start = lines.index("# [[routes]]")
    path = tmp_path / "sample.toml"
    path.write_text("\n".join([*lines[:start], *(line.removeprefix("# ") for line in lines[start:])]))
    return configuration.load(path, {})


def test_the_shipped_sample_is_what_the_sample_configuration_makes(tmp_path: Path) -> None:
    made = make_lock(sample_config(tmp_path), [Account("default", {})])
    shipped = ROOT / "dialplan/samples/binding_ivr_out.conf"
    assert shipped.read_text() == made, (
        "binding-ivr dialplan policy makes another one now; review it and replace the file"
    )


def test_the_fingerprint_tells_one_policy_from_another(tmp_path: Path) -> None:
    config = sample_config(tmp_path)
    plain = make_lock(config, [Account("default", {})])
    more = make_lock(config, [Account("default", {})], [OwnNumber("default", "did", "+12025550111")])
    assert len(fingerprint_of(plain)) == 16
    assert fingerprint_of(plain) != fingerprint_of(more)
    assert fingerprint_of("nothing") == ""


def test_expired_exceptions_are_left_out() -> None:
    now = datetime.now(UTC)
    row = NumberException("", "+442079460958", True, "why", "cli:x", now, now + timedelta(days=1), False)
    assert "442079460958" in make_lock(Config(), [Account("default", {})], (), [row])
    late = NumberException("", "+442079460958", True, "why", "x", now, now, True)
    assert "442079460958" not in make_lock(Config(), [Account("default", {})], (), [late])


def test_every_line_fits_asterisk(tmp_path: Path) -> None:
    text = dialplan("world").text
    assert max(map(len, text.splitlines())) < 300
    assert re.findall(r"@[A-Z_]+@", text) == []
    for line in text.splitlines():
        assert line == "" or line[0] in ";[ e", line


def route(name: str, endpoint: str, trunk: str = "", **more: object) -> Route:
    return msgspec.convert({"name": name, "endpoint": endpoint, "trunk": trunk, **more}, Route)


def test_ways_out() -> None:
    through = "Local/{digits}@binding-ivr-out/n"
    assert ways_out([], 7) == [Out("binding-ivr-out", "PJSIP/{e164}@trunk", 7)]
    assert ways_out([route("a", "PJSIP/{digits}@isp")], 7) == [Out("binding-ivr-out", "PJSIP/{digits}@isp", 7)]
    national = route("a", "Local/{digits}@de/n", "PJSIP/0{national}@isp", regions=["DE"])
    other = route("b", through, "PJSIP/{e164}@isp")
    assert ways_out([national, other, other], 0) == [
        Out("de", "PJSIP/0{national}@isp", 0, 2),
        Out("binding-ivr-out", "PJSIP/{e164}@isp", 0),
    ]
    with pytest.raises(ConfigError, match="through the context binding-ivr-out to different trunks"):
        ways_out([other, route("c", through, "PJSIP/{e164}@second")], 0)
    text = written(LockRules([rules("us")], OWN, ways_out([national], 0), 60))
    assert "Dial(PJSIP/0${EXTEN:2}@isp)" in text
    assert "GROUP_COUNT" not in text


@pytest.mark.parametrize(
    ("endpoint", "trunk", "told"),
    [
        ("PJSIP/{e164}@isp", "PJSIP/{e164}@isp", 'routes[0].endpoint: with a trunk, write "Local/{digits}@CONTEXT/n"'),
        (
            "Local/{digits}@out",
            "PJSIP/{e164}@isp",
            'routes[0].endpoint: with a trunk, write "Local/{digits}@CONTEXT/n"',
        ),
        (
            "Local/{digits}@out/n",
            "PJSIP/x@isp",
            "routes[0].trunk: needs one of the placeholders {e164}, {digits}, {national}",
        ),
        (
            "Local/{digits}@out/n",
            "PJSIP/{national}@isp",
            "routes[0].trunk: {national} needs regions that share one country code; use {e164}",
        ),
        (
            "Local/{digits}@out/n",
            "Local/{digits}@out/n",
            "routes[0].trunk: the lock would dial itself; write the trunk's own endpoint",
        ),
    ],
)
def test_a_route_through_the_lock_is_checked(tmp_path: Path, endpoint: str, trunk: str, told: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(f'[[routes]]\nname = "a"\nendpoint = "{endpoint}"\ntrunk = "{trunk}"\n')
    with pytest.raises(ConfigError) as refused:
        configuration.load(path, {})
    assert str(refused.value) == told
    assert tomllib.loads(path.read_text())


def test_a_template_without_a_part_is_named() -> None:
    with pytest.raises(ValueError, match="the template of the lock has no part 'head'"):
        lock(LockRules([rules("us")], OWN, OUT, 60), "exten => s,1,NoOp()\n")
