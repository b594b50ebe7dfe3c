"""Numbers that cost whoever calls them, whatever their type says: services, satellites, prefixes of the operator.

It knows prefixes and short numbers, not regions and types.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from phonenumbers import PhoneNumber as Parsed
from phonenumbers import country_code_for_region, region_codes_for_country_code, shortnumberinfo

SATELLITE = frozenset((870, 881, 882, 883))
"""Inmarsat, global mobile satellite systems, and international networks (ITU-T E.164, list of assigned codes)."""
PREMIUM = frozenset((808, 979))
"""International shared cost and premium rate."""
SERVICE = frozenset((800, 878, 888))
"""Universal international freephone, universal personal telecommunications, and a code for relief operations."""

PREMIUM_PATTERNS = ("+1XXX976",)
"""Premium numbers that the numbering plan's metadata takes for ordinary ones: pay-per-call exchanges of +1."""

_EVERYWHERE = frozenset(("112", "911"))
"""Mobile networks take these for an emergency in any country (3GPP TS 22.101, section 10.1)."""
_LONGEST_SHORT = 6


@lru_cache(maxsize=1024)
def _regular(prefix: str) -> re.Pattern[str]:
    return re.compile(re.escape(prefix).replace("X", "[0-9]"))


def covers(prefix: str, e164: str) -> bool:
    """True when *e164* begins with *prefix*, in which `X` stands for any digit."""
    return _regular(prefix).match(e164) is not None


@dataclass(frozen=True, slots=True)
class Excepted:
    """A prefix (E.164 with `+`), or a *whole* number, that an administrator excepted from regions, types and *deny*."""

    prefix: str
    whole: bool

    def covers(self, e164: str) -> bool:
        """True when the number is excepted."""
        return e164 == self.prefix if self.whole else covers(self.prefix, e164)


def longest(prefixes: Iterable[str], e164: str) -> int:
    """Return the length of the longest of *prefixes* that covers *e164*, 0 when none does."""
    return max((len(prefix) for prefix in prefixes if covers(prefix, e164)), default=0)


def is_denied(e164: str, deny: Iterable[str], allow: Iterable[str]) -> bool:
    """True when a prefix of *deny* covers the number and none of *allow* that is as long or longer does."""
    return longest(deny, e164) > longest(allow, e164)


def is_premium(e164: str) -> bool:
    """True for premium numbers that look like ordinary ones."""
    return any(covers(prefix, e164) for prefix in PREMIUM_PATTERNS)


def is_emergency(digits: str, region: str) -> bool:
    """True when *digits*, dialled in *region* (ISO), are an emergency number or begin with one and are short."""
    if digits in _EVERYWHERE or shortnumberinfo.is_emergency_number(digits, region):
        return True
    return len(digits) <= _LONGEST_SHORT and shortnumberinfo.connects_to_emergency_number(digits, region)


def is_short(digits: str, region: str) -> bool:
    """True when *digits* are a short number in use in *region*: directory enquiries, text services and the like."""
    code = country_code_for_region(region)
    if not digits or not code or len(digits) > _LONGEST_SHORT:
        return False
    number = Parsed(country_code=code, national_number=int(digits), italian_leading_zero=digits.startswith("0"))
    return shortnumberinfo.is_valid_short_number_for_region(number, region)


def regions_of_code(country_code: int) -> tuple[str, ...]:
    """Return the ISO regions that share a country calling code; none for a code that belongs to no country."""
    return tuple(region for region in region_codes_for_country_code(country_code) if region != "001")
