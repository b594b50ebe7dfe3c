"""Which numbers may be called: validity, region, type and the account's own numbers. It asks nobody.

What is accepted is E.164 of an allowed region and type; nothing else is ever dialled. docs/policy.md tells the rules.
"""

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
from binding_ivr.policy.plan import holds_any
from binding_ivr.policy.ranges import Excepted
from binding_ivr.policy.reading import HABITS, Parsed, Typed, e164_of, plain, read

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
"""Types that no setting allows."""
_COSTLY = NEVER_KINDS - {"UNKNOWN"}
_PREMIUM_TYPES = frozenset((PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST))
_NO_COUNTRY = ("ZZ", "001")
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
    regions, types and *deny*, and that no plan holds a number; nothing else.
    """

    region: str
    regions: Collection[str]
    types: Collection[str]
    deny: Collection[str] = ()
    allow: Collection[str] = ()
    exceptions: Collection[Excepted] = ()


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number: E.164 with `+`, its ISO region and its libphonenumber type's name (`UNKNOWN` in no plan).

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


def parse(text: str, region: str) -> PhoneNumber:
    """Return the number of a writing (see policy.reading), for who administers numbers.

    Raises Refusal `not_a_number` or `has_extension` for what cannot be read, `ambiguous_number`, and `not_valid` for
    what no numbering plan holds, unless it is E.164 of a length that the plan has: it may be younger than the plan.
    """
    return all_of(text, region)[0]


def all_of(text: str, region: str) -> list[PhoneNumber]:
    """Return the number of a writing, and whatever else the same writing may stand for. Raises like `parse`."""
    typed = read(text, region)
    found = [described(number) for number in (typed.number, *typed.others)]
    if found[0].kind == "UNKNOWN" and not (typed.exact and phonenumbers.is_possible_number(typed.number)):
        raise _not_valid()
    if typed.doubtful:
        raise _ambiguous()
    return found


def described(number: Parsed) -> PhoneNumber:
    """Return what is known of a number, which may be none of its plan.

    Raises Refusal `not_valid` for one that has no country.
    """
    e164 = e164_of(number)
    region = phonenumbers.region_code_for_number(number)
    region = region or phonenumbers.region_code_for_country_code(number.country_code or 0)
    nowhere = region in _NO_COUNTRY and not phonenumbers.is_valid_number(number)
    if nowhere or not forms.fits(forms.CALLABLE, e164):
        raise _not_valid()
    kind = KINDS.get(phonenumbers.number_type(number), "UNKNOWN")
    return PhoneNumber(e164, region, kind, phonenumbers.national_significant_number(number))


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

    Raises Refusal with one stable code. Whatever the settings: `not_a_number`, `has_extension`, `own_number`,
    `emergency_number`, `short_number`, `satellite_number`, `service_number`, `not_valid`, `ambiguous_number`,
    `premium_number`. By the settings: `region_not_allowed`, `prefix_denied`, `type_not_allowed`.
    """
    if typed.is_writing:
        if typed.digits in own.extensions:
            raise _own_number()
        _refuse_short(typed, rules.region)
    number = meant(typed, rules, own)
    if number.kind in _COSTLY or ranges.is_premium(number.e164):
        raise _premium_number()
    if not is_excepted(number.e164, rules):
        _refuse_by_rules(number, rules)
    return replace(number, denied=is_denied_alone(number.e164, rules))


def meant(typed: Typed, rules: NumberRules, own: OwnNumbers) -> PhoneNumber:
    """Return which number is meant, of those that the writing may stand for; never a guess between two.

    Raises Refusal `not_a_number`, `has_extension`, `satellite_number`, `service_number`, `premium_number`, `not_valid`,
    `own_number` (one of them is the PBX's own) and `ambiguous_number`.
    """
    _refuse_services(typed.number.country_code or 0)
    number = _known(typed.number, rules)
    every = [number, *map(described, typed.others)]
    if any(is_own(one.e164, one.national, own) for one in every):
        raise _own_number()
    if len(every) == 1 or Excepted(number.e164, whole=True) in rules.exceptions:
        return number
    allowed = [one for one in every if one.kind in rules.types or is_excepted(one.e164, rules)]
    if typed.exact and number in allowed and all(one.kind != number.kind for one in every[1:]):
        return number  # word for word the number of a landline, where landlines may be called
    if typed.doubtful or len(allowed) > 1:
        raise _ambiguous()
    return allowed[0] if allowed else number


def _known(number: Parsed, rules: NumberRules) -> PhoneNumber:
    """Return a number that its plan holds, or that is younger than the plan and excepted. Raises Refusal."""
    if phonenumbers.is_valid_number(number):
        return described(number)
    e164 = e164_of(number)
    if not any(_allows_unknown(excepted, e164) for excepted in rules.exceptions) or _overruns_premium(e164):
        raise _not_valid()
    return described(number)


def _allows_unknown(excepted: Excepted, e164: str) -> bool:
    """True when an exception is of this very number, or of a range of which the plan knows nothing at all."""
    return excepted.covers(e164) and (excepted.whole or not holds_any(excepted.prefix))


def _overruns_premium(e164: str) -> bool:
    """True when a network that takes the first digits only would reach a premium number."""
    return any(
        phonenumbers.number_type(phonenumbers.parse(e164[:length])) in _PREMIUM_TYPES
        for length in range(len("+1234567"), len(e164))
    )


def is_excepted(e164: str, rules: NumberRules) -> bool:
    """Return whether an exception lifts regions, types and denied prefixes for the number."""
    return any(excepted.covers(e164) for excepted in rules.exceptions)


def is_denied_alone(e164: str, rules: NumberRules) -> bool:
    """Return whether this very number is denied, because of what happened to it: that must look as if it were busy."""
    if is_excepted(e164, rules):
        return False
    return e164 in rules.deny and ranges.is_denied(e164, rules.deny, rules.allow)


def exceptable(text: str, region: str, *, whole: bool) -> Excepted:
    """Return the exception for a *whole* number (any writing) or for a prefix (E.164 with `+`).

    A whole number may be younger than its numbering plan. Raises Refusal for what no exception lifts: a number that
    `accept` would refuse all the same.
    """
    if whole:
        typed = read(text, region)
        if typed.others and not typed.exact:
            raise _ambiguous()
        excepted = Excepted(e164_of(typed.number), whole=True)
        number = judge(typed, NumberRules(region, (), (), exceptions=[excepted]), OwnNumbers())
        if number.kind == "UNKNOWN" and not typed.written.startswith("+"):
            raise _not_valid()  # what no plan holds must be written in full
        return excepted
    prefix = plain(text)
    forms.check(forms.PREFIX, prefix)
    for code in range(1, len(prefix)):
        _refuse_services(int(prefix[1 : code + 1]))
    if ranges.is_premium(prefix):
        raise _premium_number()
    return Excepted(prefix, whole=False)


def _refuse_short(typed: Typed, region: str) -> None:
    """Refuse emergency and short numbers: as typed in the account's region, and after a country code in its own."""
    written, digits = typed.written, typed.digits
    prefix = phonenumbers.ndd_prefix_for_region(region, True) or "0"
    places = [(number, region) for number in (digits, digits.lstrip("0"), digits.removeprefix(prefix))]
    # Behind 00 or 011, where these digits are no number as they stand (in Malawi 0111 begins cell phones).
    habits = () if any(map(phonenumbers.is_valid_number, typed.meanings)) else HABITS
    abroad = [f"+{digits.removeprefix(habit)}" for habit in habits if digits.startswith(habit)]
    for international in (written, *abroad):
        try:
            number = phonenumbers.parse(international, region)
        except NumberParseException:
            continue
        national = phonenumbers.national_significant_number(number)
        places += [(national, place) for place in ranges.regions_of_code(number.country_code or 0)]
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


def _not_valid() -> Refusal:
    return Refusal("not_valid", "there is no such phone number; check the digits and the country code")


def _ambiguous() -> Refusal:
    return Refusal(
        "ambiguous_number",
        "this could be two different numbers; write the cell phone's number in full, as it is dialed from abroad today:"
        " + and the country code, then every digit, such as the additional one of cell phones in Argentina and Brazil",
    )


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
