"""In which time zones a number may be, as far as its plan tells. It does not know where the phone is now."""

import phonenumbers
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_number

FEW = 4
"""A number with so many zones or fewer is in one of them; more are those of a whole country code."""

_MAIN = {
    "US": ("America/New_York", "America/Los_Angeles"),
    "CA": ("America/Toronto", "America/Vancouver"),
    "RU": ("Europe/Moscow", "Asia/Novosibirsk"),
    "KZ": ("Asia/Almaty",),
    "AU": ("Australia/Sydney", "Australia/Perth"),
    "CC": ("Indian/Cocos",),
    "CX": ("Indian/Christmas",),
    "AG": ("America/Antigua",),
    "AI": ("America/Anguilla",),
    "AS": ("Pacific/Pago_Pago",),
    "BB": ("America/Barbados",),
    "BM": ("Atlantic/Bermuda",),
    "BS": ("America/Nassau",),
    "DM": ("America/Dominica",),
    "DO": ("America/Santo_Domingo",),
    "GD": ("America/Grenada",),
    "GU": ("Pacific/Guam",),
    "JM": ("America/Jamaica",),
    "KN": ("America/St_Kitts",),
    "KY": ("America/Cayman",),
    "LC": ("America/St_Lucia",),
    "MP": ("Pacific/Saipan",),
    "MS": ("America/Montserrat",),
    "PR": ("America/Puerto_Rico",),
    "SX": ("America/Lower_Princes",),
    "TC": ("America/Grand_Turk",),
    "TT": ("America/Port_of_Spain",),
    "VC": ("America/St_Vincent",),
    "VG": ("America/Tortola",),
    "VI": ("America/St_Thomas",),
}
"""Where most people of a region live whose plan shares zones with half a continent: all of these are looked at."""


def zones_of(e164: str, region: str) -> tuple[str, ...]:
    """Return the IANA time zones of a number (E.164 with `+`) of an ISO *region*; at least one.

    A number of one area has the zones of that area. For one that says no more than its country (a cell phone in many
    countries), all zones of the country when there are few, else those in which most of its people live.
    """
    zones = tuple(zone for zone in time_zones_for_number(phonenumbers.parse(e164)) if zone != UNKNOWN_TIMEZONE)
    if 0 < len(zones) <= FEW:
        return zones
    return _MAIN.get(region) or zones or ("Etc/UTC",)
