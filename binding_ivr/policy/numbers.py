"""Which numbers may be called: parsing, validity, region, type and the account's own numbers. It asks nobody."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

from binding_ivr.errors import Refusal

LONGEST_INPUT = 40
E164 = re.compile(r"^\+[1-9][0-9]{6,14}$")

_TYPES = {
    PhoneNumberType.MOBILE: "MOBILE",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "FIXED_LINE_OR_MOBILE",
    PhoneNumberType.FIXED_LINE: "FIXED_LINE",
    PhoneNumberType.VOIP: "VOIP",
    PhoneNumberType.PERSONAL_NUMBER: "PERSONAL_NUMBER",
    PhoneNumberType.PREMIUM_RATE: "PREMIUM_RATE",
    PhoneNumberType.SHARED_COST: "SHARED_COST",
    PhoneNumberType.TOLL_FREE: "TOLL_FREE",
    PhoneNumberType.PAGER: "PAGER",
    PhoneNumberType.UAN: "UAN",
    PhoneNumberType.VOICEMAIL: "VOICEMAIL",
}
_TYPE_WORDS = {
    "PREMIUM_RATE": "a premium-rate number",
    "SHARED_COST": "a shared-cost number",
    "TOLL_FREE": "a toll-free number",
    "FIXED_LINE": "a fixed line",
    "VOIP": "an internet (VoIP) number",
    "PERSONAL_NUMBER": "a personal number service",
    "PAGER": "a pager",
    "UAN": "a company's universal number",
    "VOICEMAIL": "a voicemail access number",
}


@dataclass(frozen=True, slots=True)
class NumberRules:
    """What an account allows: *region* for national writing, *regions* (ISO 3166-1) and libphonenumber *types*."""

    region: str
    regions: Collection[str]
    types: Collection[str]


@dataclass(frozen=True, slots=True)
class OwnNumbers:
    """Numbers a call would loop back to: extensions as dialled, DIDs as E.164, Asterisk patterns on E.164 digits."""

    extensions: Collection[str] = ()
    dids: Collection[str] = ()
    patterns: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A valid number: E.164 with `+`, its ISO region and its libphonenumber type's name."""

    e164: str = field(repr=False)
    region: str
    kind: str
    national: str = field(repr=False)

    @property
    def digits(self) -> str:
        """E.164 without the `+`."""
        return self.e164[1:]


def plain(text: str) -> str:
    """Return *text* in plain characters: full-width and other digits become 0-9, outer white space goes."""
    return unicodedata.normalize("NFKC", text).strip()


def parse(text: str, region: str) -> PhoneNumber:
    """Parse national (of *region*) or international writing; any digits of the world's scripts.

    Raises Refusal `not_a_number` for what cannot be read and `not_valid` for what no numbering plan holds.
    """
    written = plain(text)
    if not written or len(written) > LONGEST_INPUT or re.search(r"[^0-9+()./\s\-‐-―]", written):
        raise Refusal("not_a_number", "this is not a phone number; use digits, for example +1 202 555 0123")
    try:
        number = phonenumbers.parse(written, region)
    except NumberParseException:
        raise Refusal(
            "not_a_number", "this is not a phone number; write it with country code, for example +1 202 555 0123"
        ) from None
    if not phonenumbers.is_valid_number(number):
        raise Refusal("not_valid", "there is no such phone number; check the digits and the country code")
    kind = _TYPES.get(phonenumbers.number_type(number), "UNKNOWN")
    return PhoneNumber(
        phonenumbers.format_number(number, PhoneNumberFormat.E164),
        phonenumbers.region_code_for_number(number) or "",
        kind,
        phonenumbers.national_significant_number(number),
    )


def accept(text: str, rules: NumberRules, own: OwnNumbers) -> PhoneNumber:
    """Return the number that may be called for what the user typed.

    Raises Refusal with one stable code: `own_number`, `not_a_number`, `emergency_number`, `not_valid`,
    `region_not_allowed`, `type_not_allowed`.
    """
    digits = re.sub(r"[^0-9]", "", plain(text))
    if digits and digits in own.extensions:
        raise _own_number()
    if digits and len(digits) <= 6 and phonenumbers.connects_to_emergency_number(digits, rules.region):
        raise Refusal("emergency_number", "emergency and short numbers cannot be used; enter a cell phone number")
    number = parse(text, rules.region)
    if is_own(number, own):
        raise _own_number()
    if number.kind not in rules.types:
        what = _TYPE_WORDS.get(number.kind, "a number of an unknown kind")
        raise Refusal("type_not_allowed", f"this is {what}; enter a cell phone number")
    if number.region not in rules.regions:
        raise Refusal("region_not_allowed", "numbers of this country are not allowed here; ask your administrator")
    return number


def is_own(number: PhoneNumber, own: OwnNumbers) -> bool:
    """True when the number belongs to an account of this PBX (rule R1): a call to it would come back to us."""
    return number.e164 in own.dids or any(matches(pattern, number.digits) for pattern in own.patterns)


def matches(pattern: str, digits: str) -> bool:
    """True when *digits* match an Asterisk extension pattern such as `_1555010XXXX` or `_1555[2-4]!`.

    Asterisk documentation, "Pattern Matching": X 0-9, Z 1-9, N 2-9, [..] a set, `.` one or more, `!` none or more.
    """
    return re.fullmatch(_regular(pattern), digits) is not None


def check_pattern(pattern: str) -> str:
    """Return *pattern* as stored. Raises Refusal `bad_pattern` when it is not an Asterisk pattern on digits."""
    if not re.fullmatch(r"_[+]?([0-9XZNxzn]|\[[0-9-]+\]){3,}[.!]?", pattern):
        raise Refusal("bad_pattern", "a pattern looks like _1555010XXXX: digits of E.164 without +, X Z N [2-4] . !")
    try:
        re.compile(_regular(pattern))
    except re.error:
        raise Refusal("bad_pattern", "the pattern has a set [..] that is out of order") from None
    return pattern


_PATTERN_SIGNS = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": ".+", "!": ".*"}


def _regular(pattern: str) -> str:
    body = pattern.removeprefix("_").removeprefix("+")
    return "".join(
        part if part.startswith("[") else _PATTERN_SIGNS.get(part.upper(), re.escape(part))
        for part in re.findall(r"\[[^\]]*\]|.", body)
    )


def own_numbers(kinds_and_values: Iterable[tuple[str, str]]) -> OwnNumbers:
    """Sort stored own numbers (`extension`, `did`, `pattern`) for `accept`."""
    sorted_by_kind: dict[str, set[str]] = {"extension": set(), "did": set(), "pattern": set()}
    for kind, value in kinds_and_values:
        sorted_by_kind[kind].add(value)
    return OwnNumbers(sorted_by_kind["extension"], sorted_by_kind["did"], sorted_by_kind["pattern"])


def _own_number() -> Refusal:
    return Refusal("own_number", "this number belongs to this phone system; enter a number outside of it")


def as_people_write_it(e164: str) -> str:
    """Return the international format, for example `+1 202-555-0123`."""
    return phonenumbers.format_number(phonenumbers.parse(e164), PhoneNumberFormat.INTERNATIONAL)
