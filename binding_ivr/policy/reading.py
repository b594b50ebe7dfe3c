"""Reads what people write and paste as a phone number, and finds the numbers that it may mean. It judges none of them.

The numbering plans and national writings are those of phonenumbers; what that does not know is in policy.renumbered.
docs/policy.md tells the rules.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from binding_ivr.errors import Refusal
from binding_ivr.policy.renumbered import rule_for

Parsed = phonenumbers.PhoneNumber

LONGEST_INPUT = 40
"""Signs of a number itself, once it is taken out of a URI."""
LONGEST_PASTED = 200

_SEPARATORS = r"\s\-./()\[\]~·•"
_WRITING = re.compile(rf"[\s(\[]*\+?[0-9{_SEPARATORS}]+")
_OTHER_DASHES = "\u2212\u30fc\u223c\u2053"
"""What people use as dashes, and Unicode does not call so: minus, the long vowel of Japanese, two kinds of tilde."""
_TRUNK_IN_BRACKETS = re.compile(r"(?<=[0-9])(\s*)[(\[]\s*0\s*[)\]]")
_URI = re.compile(r"<?\s*(tel|callto|sips?):\s*(?://)?([^<>]*)>?", re.IGNORECASE)
_EXTENSIONS = ("ext", "isub", "postd")
"""Parameters of a tel URI by which a number goes on behind the call (RFC 3966, RFC 2806)."""
_CONTEXT = re.compile(r"\+[0-9.()-]+")
HABITS = ("00", "011")
"""What most of the world, and North America, dial to call abroad."""

_HOW = "for example +1 202 555 0123"


@dataclass(frozen=True, slots=True)
class Typed:
    """What a user wrote, read once as it is meant in a region. `parsed` is why it is no number, when it is none.

    *parsed* is a number that may be none of any plan. *others* are what the same writing may mean too, of those that
    there are. *exact*: it is the E.164 number itself. *doubtful*: *parsed* and *others* are equally likely.
    """

    region: str
    written: str = field(repr=False)
    parsed: Parsed | Refusal = field(repr=False)
    others: tuple[Parsed, ...] = field(default=(), repr=False)
    exact: bool = False
    doubtful: bool = False

    @property
    def digits(self) -> str:
        """The digits that were written, in 0-9."""
        return re.sub(r"[^0-9]", "", self.written)

    @property
    def is_writing(self) -> bool:
        """True when it is made as phone numbers are, whether or not it is one."""
        return bool(self.digits) and re.fullmatch(r"\+?[0-9]+", self.written) is not None

    @property
    def number(self) -> Parsed:
        """The number, which may be none that exists. Raises Refusal `not_a_number` or `has_extension`."""
        if isinstance(self.parsed, Refusal):
            raise self.parsed
        return self.parsed

    @property
    def meanings(self) -> tuple[Parsed, ...]:
        """All that it may mean."""
        return () if isinstance(self.parsed, Refusal) else (self.parsed, *self.others)


def plain(text: str) -> str:
    """Return *text* in plain signs: digits of any script as 0-9, full-width signs as narrow ones, dashes as `-`.

    Invisible signs (Unicode's kind Cf: direction marks, soft hyphens, zero-width spaces) go, and outer space.
    """
    return "".join(_plain(sign) for sign in unicodedata.normalize("NFKC", text)).strip()


def _plain(sign: str) -> str:
    if sign.isascii():
        return sign
    if sign.isdecimal():
        return str(unicodedata.decimal(sign))
    match unicodedata.category(sign):
        case "Cf":
            return ""
        case "Pd":
            return "-"
        case "Zs" | "Zl" | "Zp":
            return " "
        case _:
            return "-" if sign in _OTHER_DASHES else sign


def read(text: str, region: str) -> Typed:
    """Read what a user wrote: a national writing of *region*, an international one, or a URI."""
    try:
        shown = _number_of_uri(plain(text[:LONGEST_PASTED]))
        _check_signs(shown, region)
    except Refusal as refusal:
        return Typed(region, plain(text[:LONGEST_PASTED]), refusal)
    return _typed(shown, region)


def candidates(typed: Typed) -> set[str]:
    """Return the writings of a number by which an own number may equal it: what must be known before it is judged."""
    found = {typed.digits}
    for number in typed.meanings:
        e164 = e164_of(number)
        found |= {e164, e164.removeprefix("+"), phonenumbers.national_significant_number(number)}
    return found


def e164_of(number: Parsed) -> str:
    """Return a number as + and digits."""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


# --- signs and URIs


def _number_of_uri(text: str) -> str:
    """Return the number in a tel, callto or sip URI; other text as it is. Raises Refusal."""
    found = _URI.fullmatch(text)
    if found is None:
        return text
    body = plain(unquote(found[2]))
    if found[1].lower().startswith("sip"):
        return _number_of_sip(body)
    return _subscriber(body.partition("?")[0])


def _number_of_sip(body: str) -> str:
    """Return the telephone number that is the user of a SIP URI (RFC 3261, 19.1.6)."""
    address, _, _ = body.partition("?")
    user, at, host = address.rpartition("@")
    parameters = [parameter.strip().lower() for parameter in host.split(";")[1:]]
    if not at or ":" in user or not ("user=phone" in parameters or user.startswith("+")):
        raise Refusal("not_a_number", f"this SIP address does not say that it is a phone number; use digits, {_HOW}")
    return _subscriber(user)


def _subscriber(text: str) -> str:
    """Return the number of a telephone-subscriber (RFC 3966), with the country code of its context."""
    number, *parameters = [part.strip() for part in text.split(";")]
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.lower() in _EXTENSIONS:
            raise _has_extension()
        if name.lower() == "phone-context" and not number.startswith("+") and _CONTEXT.fullmatch(value):
            number = f"{value} {number}"
    return number


def _check_signs(shown: str, region: str) -> None:
    """Raise Refusal for what no phone number has."""
    if len(shown) <= LONGEST_INPUT and _WRITING.fullmatch(shown):
        return
    if _says_extension(shown, region):
        raise _has_extension()
    strange = next((sign for sign in shown if not re.match(rf"[+0-9{_SEPARATORS}]", sign)), "")
    name = re.sub(r"[^a-z ]", "", unicodedata.name(strange, "").lower()).strip() if strange else ""
    said = f": {name[:40].strip()} is none of its signs" if name else ""
    raise Refusal("not_a_number", f"this is not a phone number{said}; use digits, {_HOW}")


def _says_extension(shown: str, region: str) -> bool:
    try:
        return bool(phonenumbers.parse(shown, region).extension)
    except NumberParseException:
        return False


def _has_extension() -> Refusal:
    return Refusal("has_extension", "a number with an extension cannot be called; enter the number of a cell phone")


# --- what digits mean


def _typed(shown: str, region: str) -> Typed:
    """Find what *shown*, of a number's signs only, means."""
    written = _digits(shown)
    first = _parse(written, region)
    number, standing = _current(first)
    as_it_is = number is not None and number is first and written == e164_of(number)
    exact = as_it_is and not _TRUNK_IN_BRACKETS.search(shown)
    equal = [*_by_habit(written, in_full=_is_valid(number)), *_without_brackets(shown, region)]
    equal = [other for other in equal if other != number and other not in standing]
    if not _is_valid(number):
        known = _distinct([*equal, *_without_trunk_prefix(written, region), *_without_plus(written, region)])
        if known:
            return Typed(region, written, known[0], known[1:], doubtful=len(known) > 1)
        if number is None:
            refusal = Refusal("not_a_number", f"this is not a phone number; write it with its country code, {_HOW}")
            return Typed(region, written, refusal)
        return Typed(region, written, number, exact=exact)
    assert number is not None
    others = [*standing, *(other for other in _without_plus(written, region) if other != number)]
    return Typed(region, written, number, _distinct([*equal, *others]), exact=exact, doubtful=bool(equal))


def _digits(shown: str) -> str:
    plus = "+" if "+" in shown else ""
    return plus + re.sub(r"[^0-9]", "", shown)


def _parse(written: str, region: str = "ZZ") -> Parsed | None:
    try:
        return phonenumbers.parse(written, region)
    except NumberParseException:
        return None


def _is_valid(number: Parsed | None) -> bool:
    return number is not None and phonenumbers.is_valid_number(number)


def _current(number: Parsed | None) -> tuple[Parsed | None, list[Parsed]]:
    """Return what *number* is today, and what else it may mean; it stays what it is where that would be no number."""
    if number is None:
        return None, []
    digits = e164_of(number).removeprefix("+")
    rule = rule_for(digits)
    today = None if rule is None else _parse(f"+{rule.apply(digits)}")
    if rule is None or not _is_valid(today):
        return number, []
    assert today is not None
    return (number, [today]) if rule.stands and _is_valid(number) else (today, [])


def _by_habit(written: str, *, in_full: bool) -> Iterator[Parsed]:
    """Yield the number abroad that those mean who dial 00 or 011 by habit; *in_full*: only as it is dialed abroad."""
    for prefix in HABITS:
        if not written.startswith(prefix):
            continue
        digits = written.removeprefix(prefix)
        number = _parse(f"+{digits}")
        if number is not None and (not in_full or e164_of(number) == f"+{digits}" or rule_for(digits)):
            yield from _known(f"+{digits}")


def _without_brackets(shown: str, region: str) -> Iterator[Parsed]:
    """Yield the number without the trunk prefix of `+44 (0)20 ...`, which is there for those who call from inside."""
    bare = _TRUNK_IN_BRACKETS.sub("", shown, count=1)
    if bare != shown:
        yield from _known(_digits(bare), region)


def _without_trunk_prefix(written: str, region: str) -> Iterator[Parsed]:
    prefix = phonenumbers.ndd_prefix_for_region(region, True)
    if prefix and written.startswith(prefix):
        yield from _known(f"+{phonenumbers.country_code_for_region(region)}{written.removeprefix(prefix)}")


def _without_plus(written: str, region: str) -> Iterator[Parsed]:
    """Yield the number of E.164 digits that have lost their +, as in spreadsheets; only with the region's own code."""
    if written.startswith(str(phonenumbers.country_code_for_region(region) or "+")):
        yield from _known(f"+{written}")


def _known(written: str, region: str = "ZZ") -> Iterator[Parsed]:
    number, others = _current(_parse(written, region))
    for found in (number, *others):
        if found is not None and _is_valid(found):
            yield found


def _distinct(numbers: list[Parsed]) -> tuple[Parsed, ...]:
    return tuple({e164_of(number): number for number in numbers}.values())
