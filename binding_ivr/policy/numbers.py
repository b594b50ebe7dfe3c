"""Which numbers may be called: parsing, validity, region, type and the account's own numbers. It asks nobody.

What is accepted is E.164 of an allowed region and type; nothing else is ever dialled. docs/policy.md tells the rules.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

from binding_ivr.errors import Refusal
from binding_ivr.model import forms
from binding_ivr.policy import ranges
from binding_ivr.policy.limits import try_later
from binding_ivr.policy.own import OwnNumbers, is_own

LONGEST_INPUT = 40
_WRITING = re.compile(r"\(?\s*\+?[0-9()./\s\-‐-―]+")

KINDS = {
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
"""libphonenumber's types by the names that the configuration uses."""
NEVER_KINDS = frozenset(("PREMIUM_RATE", "SHARED_COST", "UNKNOWN"))
"""Types that no setting and no exception allows."""
_KIND_WORDS = {
    "MOBILE": "a cell phone",
    "FIXED_LINE_OR_MOBILE": "a number that could be a landline",
    "TOLL_FREE": "a toll-free number",
    "FIXED_LINE": "a landline",
    "VOIP": "an internet (VoIP) number",
    "PERSONAL_NUMBER": "a personal number",
    "PAGER": "a pager",
    "UAN": "a company's universal number",
    "VOICEMAIL": "a voicemail access number",
}


@dataclass(frozen=True, slots=True)
class NumberRules:
    """What an account allows: *region* for national writing, *regions* (ISO 3166-1) and libphonenumber *types*.

    *deny* and *allow* are prefixes (see policy.ranges): the longest that covers a number decides. *exceptions* lift
    regions, types and *deny*, and nothing else.
    """

    region: str
    regions: Collection[str]
    types: Collection[str]
    deny: Collection[str] = ()
    allow: Collection[str] = ()
    exceptions: Collection[ranges.Excepted] = ()


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A valid number: E.164 with `+`, its ISO region and its libphonenumber type's name.

    `denied`: the operator denied this one number. It must be refused, but only after all that is told by name.
    """

    e164: str = field(repr=False)
    region: str
    kind: str
    national: str = field(repr=False)
    denied: bool = False

    @property
    def digits(self) -> str:
        """E.164 without the `+`."""
        return self.e164[1:]


def plain(text: str) -> str:
    """Return *text* in plain characters: digits of any script become 0-9, full-width ones plain, outer space goes."""
    return "".join(
        str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in unicodedata.normalize("NFKC", text)
    ).strip()


def typed_digits(text: str) -> str:
    """Return the digits of what was typed, in 0-9."""
    return re.sub(r"[^0-9]", "", plain(text))


@dataclass(frozen=True, slots=True)
class Typed:
    """What a user typed, read once as it is meant in a region. `parsed` is why it is no number, when it is none."""

    region: str
    written: str = field(repr=False)
    parsed: phonenumbers.PhoneNumber | Refusal = field(repr=False)

    @property
    def digits(self) -> str:
        """The digits that were typed, in 0-9."""
        return re.sub(r"[^0-9]", "", self.written)

    @property
    def number(self) -> phonenumbers.PhoneNumber:
        """The number, which may be none that exists. Raises Refusal `not_a_number`."""
        if isinstance(self.parsed, Refusal):
            raise self.parsed
        return self.parsed


def read(text: str, region: str, *, keyed_in: bool = False) -> Typed:
    """Read what a user typed: national (of *region*) or international writing; *keyed_in* at a phone (see `keyed`)."""
    if keyed_in:
        text = keyed(text, region)
    try:
        written = _written(text)
        return Typed(region, written, _read(written, region))
    except Refusal as refusal:
        return Typed(region, plain(text), refusal)


def candidates(typed: Typed) -> set[str]:
    """Return the writings of a number by which an own number may equal it: what must be known before it is judged."""
    found = {typed.digits}
    if not isinstance(typed.parsed, Refusal):
        e164 = phonenumbers.format_number(typed.parsed, PhoneNumberFormat.E164)
        found |= {e164, e164.removeprefix("+"), phonenumbers.national_significant_number(typed.parsed)}
    return found


def parse(text: str, region: str) -> PhoneNumber:
    """Parse national (of *region*) or international writing; any digits of the world's scripts.

    Raises Refusal `not_a_number` for what cannot be read and `not_valid` for what no numbering plan holds.
    """
    return _valid(read(text, region).number)


def keyed(digits: str, region: str) -> str:
    """Return *digits*, keyed in at a phone in *region*, as `parse` reads them.

    A phone has no `+`. Beside the international prefix of *region*, 00 stands for it, if the digits mean nothing
    there: it is what people dial in most countries.
    """
    if not digits.startswith("00"):
        return digits
    try:
        parse(digits, region)
    except Refusal:
        return f"+{digits[2:]}"
    return digits


def _written(text: str) -> str:
    """Return *text* in plain characters. Raises Refusal for characters that no phone number has."""
    written = plain(text)
    if not _is_writing(written):
        raise Refusal("not_a_number", "this is not a phone number; use digits, for example +1 202 555 0123")
    return written


def _is_writing(written: str) -> bool:
    return len(written) <= LONGEST_INPUT and _WRITING.fullmatch(written) is not None


def _read(written: str, region: str) -> phonenumbers.PhoneNumber:
    try:
        return phonenumbers.parse(written, region)
    except NumberParseException:
        raise Refusal(
            "not_a_number", "this is not a phone number; write it with its country code, for example +1 202 555 0123"
        ) from None


def _valid(number: phonenumbers.PhoneNumber) -> PhoneNumber:
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(number) or not forms.fits(forms.CALLABLE, e164):
        raise Refusal("not_valid", "there is no such phone number; check the digits and the country code")
    return PhoneNumber(
        e164,
        phonenumbers.region_code_for_number(number) or "",
        KINDS.get(phonenumbers.number_type(number), "UNKNOWN"),
        phonenumbers.national_significant_number(number),
    )


def accept(text: str, rules: NumberRules, own: OwnNumbers) -> PhoneNumber:
    """Return the number that may be called for what the user typed. Raises like `judge`, and for a denied number.

    The latter is Refusal `try_later`.
    """
    number = judge(read(text, rules.region), rules, own)
    if number.denied:
        raise try_later()
    return number


def judge(typed: Typed, rules: NumberRules, own: OwnNumbers) -> PhoneNumber:
    """Return the number for what the user typed, read in the region of *rules*.

    It is marked when it may not be called because it alone is denied.

    Raises Refusal with one stable code. Whatever the settings: `not_a_number`, `own_number`, `emergency_number`,
    `short_number`, `satellite_number`, `service_number`, `not_valid`, `premium_number`. By the settings:
    `region_not_allowed`, `prefix_denied`, `type_not_allowed`.
    """
    if _is_writing(typed.written):
        if typed.digits in own.extensions:
            raise _own_number()
        _refuse_short(typed.written, typed.digits, rules.region)
    _refuse_services(typed.number.country_code or 0)
    number = _valid(typed.number)
    if is_own(number.e164, number.national, own):
        raise _own_number()
    if number.kind in NEVER_KINDS or ranges.is_premium(number.e164):
        raise _premium_number()
    if not any(excepted.covers(number.e164) for excepted in rules.exceptions):
        _refuse_by_rules(number, rules)
    return replace(number, denied=is_denied_alone(number.e164, rules))


def is_denied_alone(e164: str, rules: NumberRules) -> bool:
    """Return whether this very number is denied, because of what happened to it: that must look as if it were busy."""
    if any(excepted.covers(e164) for excepted in rules.exceptions):
        return False
    return e164 in rules.deny and ranges.is_denied(e164, rules.deny, rules.allow)


def exceptable(text: str, region: str, *, whole: bool) -> ranges.Excepted:
    """Return the exception for a *whole* number (any writing) or for a prefix (E.164 with `+`).

    Raises Refusal for what no exception lifts: a number that `accept` would refuse all the same.
    """
    if whole:
        number = accept(text, NumberRules(region, (), (), exceptions=[ranges.Excepted("+", False)]), OwnNumbers())
        return ranges.Excepted(number.e164, whole=True)
    prefix = plain(text)
    forms.check(forms.PREFIX, prefix)
    for code in range(1, len(prefix)):
        _refuse_services(int(prefix[1 : code + 1]))
    if ranges.is_premium(prefix):
        raise _premium_number()
    return ranges.Excepted(prefix, whole=False)


def _refuse_short(written: str, digits: str, region: str) -> None:
    """Refuse emergency and short numbers: as typed in the account's region, and after a country code in its own."""
    prefix = phonenumbers.ndd_prefix_for_region(region, True) or "0"
    places = [(number, region) for number in (digits, digits.lstrip("0"), digits.removeprefix(prefix))]
    for international in (written, f"+{digits[2:]}") if digits.startswith("00") else (written,):
        try:
            read = phonenumbers.parse(international, region)
        except NumberParseException:
            continue
        national = phonenumbers.national_significant_number(read)
        places += [(national, place) for place in ranges.regions_of_code(read.country_code or 0)]
    places = [(number, place) for number, place in places if number]
    if any(ranges.is_emergency(number, place) for number, place in places):
        raise Refusal("emergency_number", "emergency numbers cannot be used; enter a cell phone number")
    if any(ranges.is_short(number, place) for number, place in places):
        raise Refusal("short_number", "short numbers cannot be used; enter a cell phone number")


def _refuse_services(country_code: int) -> None:
    if country_code in ranges.SATELLITE:
        raise Refusal(
            "satellite_number", "satellite phones and international networks cannot be used; enter a cell phone number"
        )
    if country_code in ranges.PREMIUM:
        raise _premium_number()
    if country_code in ranges.SERVICE:
        raise Refusal(
            "service_number", "this number belongs to a service, not to a cell phone; enter a cell phone number"
        )


def _refuse_by_rules(number: PhoneNumber, rules: NumberRules) -> None:
    if number.region not in rules.regions:
        raise Refusal("region_not_allowed", "numbers in this country are not allowed here; ask your administrator")
    if ranges.is_denied(number.e164, rules.deny, rules.allow) and not is_denied_alone(number.e164, rules):
        raise Refusal("prefix_denied", "numbers in this range are not allowed here; ask your administrator")
    if number.kind not in rules.types:
        raise Refusal("type_not_allowed", f"this is {_KIND_WORDS[number.kind]}; enter a cell phone number")


def _own_number() -> Refusal:
    return Refusal("own_number", "this number belongs to this phone system; enter a number outside it")


def _premium_number() -> Refusal:
    return Refusal("premium_number", "premium-rate numbers cannot be used; enter a cell phone number")


def as_people_write_it(e164: str) -> str:
    """Return the international format, as `+1 202-555-0123`; a shortened number of an old call stays as it is."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(e164), PhoneNumberFormat.INTERNATIONAL)
    except NumberParseException:
        return e164


@cache
def example_of(region: str) -> str:
    """Return an example of a cell phone number of *region* (ISO 3166-1), as people abroad write it."""
    number = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    if number is None:
        return "+1 201-555-0123"
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
