"""Cell phone numbers of every region, and all the ways in which people and trunks write each: what a run reads."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberFormat

from binding_ivr.errors import Refusal
from binding_ivr.policy.callers import caller_plan
from binding_ivr.policy.numbers import NumberRules, accept
from binding_ivr.policy.own import OwnNumbers
from binding_ivr.policy.reading import HABITS
from binding_ivr.policy.renumbered import RULES, Rule, regular, rule_for

# Python's own parser of regular expressions: the numbering plans are such expressions, and a number is drawn from one.
from re import _constants as signs  # type: ignore[attr-defined]  # isort: skip
from re import _parser as parser  # type: ignore[attr-defined]  # isort: skip

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
CELLS = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)
TYPES = ("MOBILE", "FIXED_LINE_OR_MOBILE")
_EVERYWHERE = frozenset(REGIONS)
ABROAD = {"US": "011", "DE": "00", "AU": "0011", "BR": "0021"}
"""Regions from which the others are called, with what is dialled there to call abroad."""


@cache
def _parsed(pattern: str) -> Any:
    return parser.parse(pattern)


def drawn(pattern: str, rng: random.Random) -> str:
    """Return a text that matches *pattern*, of those signs that numbering plans use."""
    return "".join(_drawn(_parsed(pattern), rng))


def _drawn(parts: Any, rng: random.Random) -> Iterator[str]:
    for kind, value in parts:
        if kind is signs.LITERAL:
            yield chr(value)
        elif kind is signs.IN:
            chosen: list[str] = []
            for inner, what in value:
                if inner is signs.LITERAL:
                    chosen.append(chr(what))
                elif inner is signs.RANGE:
                    chosen += [chr(code) for code in range(what[0], what[1] + 1)]
                else:
                    chosen += "0123456789"
            yield rng.choice(chosen)
        elif kind is signs.SUBPATTERN:
            yield from _drawn(value[3], rng)
        elif kind is signs.BRANCH:
            yield from _drawn(rng.choice(value[1]), rng)
        elif kind is signs.MAX_REPEAT:
            for _ in range(rng.randint(value[0], min(value[1], value[0] + 3))):
                yield from _drawn(value[2], rng)
        else:
            raise ValueError(f"{kind} is not drawn")


def cells(region: str, count: int, rng: random.Random) -> list[phonenumbers.PhoneNumber]:
    """Return up to *count* cell phone numbers of *region*, as its numbering plan has them, in no old writing."""
    metadata = PhoneMetadata.metadata_for_region(region)
    assert metadata is not None
    pattern = (metadata.mobile.national_number_pattern if metadata.mobile else None) or ""
    found: dict[str, phonenumbers.PhoneNumber] = {}
    for _ in range(count * 20 if pattern else 0):
        number = phonenumbers.parse(f"+{metadata.country_code}{drawn(pattern, rng)}")
        e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        if (
            phonenumbers.is_valid_number_for_region(number, region)
            and phonenumbers.number_type(number) in CELLS
            and re.fullmatch(r"\+[1-9][0-9]{6,14}", e164)
            and rule_for(e164[1:]) is None
        ):
            found[e164] = number
        if len(found) == count:
            break
    return list(found.values())


def at_home(number: phonenumbers.PhoneNumber, region: str) -> dict[str, str]:
    """Return how *number* of *region* is written there, by the name of the writing."""
    metadata = PhoneMetadata.metadata_for_region(region)
    assert metadata is not None
    nsn = phonenumbers.national_significant_number(number)
    prefix = phonenumbers.ndd_prefix_for_region(region, True) or ""
    return {
        "national": phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL),
        "national digits": re.sub(r"\D", "", phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)),
        "significant": nsn,
        "trunk prefix": f"{prefix}{nsn}",
        "trunk prefix apart": f"({prefix}) {nsn}" if prefix else nsn,
        "mobile dialling": phonenumbers.format_number_for_mobile_dialing(number, region, True) or nsn,
    }


def anywhere(number: phonenumbers.PhoneNumber, region: str) -> dict[str, str]:
    """Return how *number* is written for whoever is anywhere, with `+`."""
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    code, nsn = str(number.country_code), phonenumbers.national_significant_number(number)
    uri = phonenumbers.format_number(number, PhoneNumberFormat.RFC3966)
    prefix = phonenumbers.ndd_prefix_for_region(region, True) or ""
    return {
        "e164": e164,
        "international": phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL),
        "tel": uri,
        "tel context": f"tel:{nsn};phone-context=+{code}",
        "callto": f"callto:{e164}",
        "sip": f"sip:{e164}@example.com;user=phone",
        "sips": f"SIPS:{e164}@[2001:db8::1]:5061;transport=tls;user=phone",
        "(0)": f"+{code} (0) {nsn}",
        "(prefix)": f"+{code} ({prefix}) {nsn}",
        "+ prefix": f"+{code} {prefix}{nsn}",
        "marks": f"\u202a+{code}\u00a0{nsn[:3]}\u2011{nsn[3:5]}\u00ad{nsn[5:]}\u200b\u202c",
        "full width": e164.translate({ord("+"): "＋"} | {48 + n: 0xFF10 + n for n in range(10)}),
        "devanagari": e164.translate({48 + n: 0x0966 + n for n in range(10)}),
        "dashes": f"+{code}-{nsn[:2]}–{nsn[2:4]}—{nsn[4:6]}〜{nsn[6:]}".replace("〜", "﹣"),
        "brackets": f"[+{code}] ({nsn[:3]}) {nsn[3:]}",
    }


def from_abroad(number: phonenumbers.PhoneNumber, dialled: str) -> dict[str, str]:
    """Return how *number* is written where *dialled* is what comes first to call abroad."""
    digits = phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]
    return {first: f"{first}{digits}" for first in dict.fromkeys((dialled, "00", "011"))}


def before(rule: Rule, count: int, rng: random.Random) -> dict[str, str]:
    """Return E.164 digits of *count* old writings that *rule* knows, with those of today, where today's are a cell."""
    found: dict[str, str] = {}
    for _ in range(count * 200):
        old = drawn(regular(rule.pattern), rng)
        today = phonenumbers.parse(f"+{rule.apply(old)}")
        stood = not rule.stands or phonenumbers.is_valid_number(phonenumbers.parse(f"+{old}"))
        if stood and phonenumbers.is_valid_number(today) and phonenumbers.number_type(today) in CELLS:
            found[old] = rule.apply(old)
        if len(found) == count:
            break
    return found


def rules_and_writings(count: int, rng: random.Random) -> Iterator[tuple[Rule, str, str, str, str]]:
    """Yield rule, region, the name of a writing, an old writing in it, and the E.164 number that it is today."""
    for rule in RULES:
        for old, today in before(rule, count, rng).items():
            parsed = phonenumbers.parse(f"+{today}")
            region = phonenumbers.region_code_for_number(parsed) or ""
            code = str(parsed.country_code)
            prefix = phonenumbers.ndd_prefix_for_region(region, True) or ""
            yield rule, region, "old, with +", f"+{old}", f"+{today}"
            yield rule, region, "old, 00", f"00{old}", f"+{today}"
            yield rule, region, "old, national", old.removeprefix(code), f"+{today}"
            if not old.removeprefix(code).startswith("0"):
                yield rule, region, "old, trunk prefix", prefix + old.removeprefix(code), f"+{today}"


# --- the run


@dataclass(frozen=True, slots=True)
class Tried:
    """A writing of the number *e164* that was read in *region*: `understood`, `differs`, or the refusal's code."""

    region: str
    writing: str
    text: str
    e164: str
    result: str


def tried(count: int, rng: random.Random) -> Iterator[Tried]:
    """Read up to *count* numbers of each region, and old writings by each rule, in every writing."""
    for region in REGIONS:
        for number in cells(region, count, rng):
            e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
            texts = {**at_home(number, region), **anywhere(number, region), "E.164 without +": e164[1:]}
            for writing, text in texts.items():
                yield _tried(region, writing, text, e164)
            if (dialled := caller_plan(region).international) and dialled not in HABITS:
                yield _tried(region, "as dialed at home for abroad", f"{dialled}{e164[1:]}", e164)
            for place, dialled in ABROAD.items():
                if place != region:
                    yield _tried(place, f"international from {place}", texts["international"], e164)
                    for first, text in from_abroad(number, dialled).items():
                        yield _tried(place, f"{first} from {place}", text, e164)
    for rule, region, writing, text, e164 in rules_and_writings(3 * count, rng):
        yield _tried(region, f"{writing}{', stands' if rule.stands else ''}", text, e164)


def _tried(region: str, writing: str, text: str, e164: str) -> Tried:
    try:
        found = accept(text, NumberRules(region, _EVERYWHERE, TYPES), OwnNumbers()).e164
    except Refusal as refusal:
        return Tried(region, writing, text, e164, refusal.code)
    return Tried(region, writing, text, e164, "understood" if found == e164 else "differs")


def table(every: Iterable[Tried]) -> str:
    """Return how many there were of each writing, and how they ended."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in every:
        counts[one.writing][one.result] += 1
        counts["all"][one.result] += 1
    lines = [f"{'writing':<28}{'tried':>8}{'understood':>12}{'differing':>11}  refused"]
    for writing, results in counts.items():
        refused = ", ".join(f"{code} {n}" for code, n in results.items() if code not in ("understood", "differs"))
        told = f"{results.total():>8}{results['understood']:>12}{results['differs']:>11}"
        lines.append(f"{writing:<28}{told}  {refused}".rstrip())
    return "\n".join(lines)


# --- callers


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller ID as a trunk of a PBX in *region* may send it for the proven number *e164*."""

    region: str
    writing: str
    text: str
    e164: str


def callers(count: int, rng: random.Random) -> Iterator[Caller]:
    """Yield callers of up to *count* numbers of each region, at home and abroad, and old writings by each rule."""
    for region in REGIONS:
        for number in cells(region, count, rng):
            e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
            nsn = phonenumbers.national_significant_number(number)
            digits, code, prefix = e164[1:], str(number.country_code), caller_plan(region).national
            texts = {
                "with +": e164,
                "without +": digits,
                "marks": f"+{code}-{nsn[:2]}.{nsn[2:]}",
                "brackets": f"(+{code}) {nsn[:3]} {nsn[3:]}",
                "00": f"00{digits}",
                "011": f"011{digits}",
                "national": nsn,
                "trunk prefix": f"{prefix}{nsn}",
            }
            for writing, text in texts.items():
                yield Caller(region, writing, text, e164)
            yield Caller("US" if region != "US" else "DE", "00 abroad", f"00{digits}", e164)
    for rule in RULES:
        if rule.somebody:
            continue
        for old, today in before(rule, 2 * count, rng).items():
            region = phonenumbers.region_code_for_number(phonenumbers.parse(f"+{today}")) or ""
            code = str(phonenumbers.parse(f"+{today}").country_code)
            yield Caller("US", "old, with +", f"+{old}", f"+{today}")
            yield Caller(region, "old, without +", old, f"+{today}")
            yield Caller(region, "old, national", old.removeprefix(code), f"+{today}")
