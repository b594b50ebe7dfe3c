"""The numbers that a fraudster wants called: premium, satellite, far away, in every way to write them.

All come from libphonenumber's own examples and from the list of assigned codes. None of them leaves loopback.
"""

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

EXTRA_PAID = (PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST)
WORLDWIDE = (800, 808, 870, 878, 881, 882, 883, 888, 979)
ASKED_FOR_AT_HOME = (
    "900 555 0123", "1-900-976-1234", "+1 900 200 0001", "212 976 1234", "+1 (213) 976-5550", "415-976-0001",
    "011 881 6 2145 1234", "00881621451234", "011 870 773 111 632", "+870773111632", "+8816 21451234",
    "+88213123456", "+883 5100 0123 4567", "011 979 1 2345 6789", "+979123456789", "+808 1234 5678",
    "＋４４ ９０９ ８７９ ０１２３", "+44 (0) 909 879 0123", "0044 9098790123", "+878 10 1234567890",
    "+1 800 555 0199", "888-555-0123", "911", "9-1-1", "+1911", "112", "411", "+1411", "611",
    "0", "00", "*67", "#31#9005550123", "1010288",
    "9005550123;ext=5", "900555012345678901234567890", "+1900", "tel:+19005550123", "sip:x@example.com",
)  # fmt: skip


def extra_paid() -> list[str]:
    """Return premium, shared-cost, satellite and service numbers of the world, each as one would write or dial it."""
    found = list(ASKED_FOR_AT_HOME)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in EXTRA_PAID:
            found += _written(phonenumbers.example_number_for_type(region, kind))
    for code in WORLDWIDE:
        found += _written(phonenumbers.example_number_for_non_geo_entity(code))
    return found


def far_away() -> list[str]:
    """Return a cell phone, else a fixed line, of every other region, islands that are dialled with +1 included."""
    found = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS - {"US"}):
        for kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                found.append(_e164(number))
                break
    return found


def _written(number: phonenumbers.PhoneNumber | None) -> list[str]:
    if number is None:
        return []
    e164 = _e164(number)
    return [e164, f"011{e164[1:]}", phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)]


def _e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)
