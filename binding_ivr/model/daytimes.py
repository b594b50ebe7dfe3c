"""How the configuration writes hours of the day and days off. It knows no time zone and no time."""

import re
from datetime import date

ALWAYS = "00:00-24:00"
HOLIDAYS = "holidays"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60

_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")
_QUIET = re.compile(r"(?:([A-Z]{2}):)?([a-z]+|(?:[0-9]{4}-)?[0-9]{2}-[0-9]{2})")


def read_hours(text: str) -> tuple[int, int]:
    """Return first minute and end (exclusive) of `08:00-21:00` in minutes of the day, 0 to 1440.

    Raises ValueError with a sentence.
    """
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError(f'{text!r} are not hours such as "08:00-21:00"; "{ALWAYS}" is always')
    start = int(match[1]) * 60 + int(match[2])
    end = int(match[3]) * 60 + int(match[4]) if match[3] else DAY_MINUTES
    if start == end:
        raise ValueError(f'{text!r} end when they begin; "{ALWAYS}" is always')
    return start, end


def read_quiet(text: str) -> tuple[str, str]:
    """Return ISO region (empty: everywhere) and day of `sun`, `12-25`, `2026-12-24`, `holidays` or `US:07-04`.

    Raises ValueError with a sentence.
    """
    match = _QUIET.fullmatch(text)
    if match is None or not _is_day(match[2]):
        raise ValueError(
            f'{text!r} is not a quiet day; write "sun", "12-25", "2026-12-24" or "{HOLIDAYS}", '
            'with a region in front if it applies only there: "US:07-04"'
        )
    return match[1] or "", match[2]


def _is_day(text: str) -> bool:
    if text in (*WEEKDAYS, HOLIDAYS):
        return True
    try:
        date.fromisoformat(text if len(text) == 10 else f"2024-{text}")  # a leap year
    except ValueError:
        return False
    return True
