"""ISO 3166-1 regions that have phone numbers, and the words that name several of them at once. It knows no number."""

from collections.abc import Iterable

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS, country_code_for_region

ANY = "*"

EU = frozenset(
    (
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU"),
        *("IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
    )
)
EEA = EU | {"IS", "LI", "NO"}
NANP = frozenset(COUNTRY_CODE_TO_REGION_CODE[1])
"""The regions that share +1, by the table: to ask each region for its code would load the data of all."""

GROUPS = {ANY: frozenset(SUPPORTED_REGIONS), "EU": EU, "EEA": EEA, "NANP": NANP}
_USUAL_MISTAKES = {"UK": "GB", "EL": "GR"}


def expand(words: Iterable[str]) -> frozenset[str]:
    """Return the regions that *words* name: an ISO code, `*` (all), `EU`, `EEA` or `NANP`, each with `-` to take away.

    What is taken away stays away, wherever it stands. Raises ValueError for a word that names no region with numbers.
    """
    named: set[str] = set()
    taken: set[str] = set()
    for word in words:
        (taken if word.startswith("-") else named).update(_regions_of(word.removeprefix("-")))
    return frozenset(named - taken)


def calling_code(region: str) -> int:
    """Return the country calling code of an ISO region, 0 for any other word."""
    return country_code_for_region(region)


def _regions_of(word: str) -> frozenset[str]:
    if word in GROUPS:
        return GROUPS[word]
    if word in SUPPORTED_REGIONS:
        return frozenset((word,))
    meant = _USUAL_MISTAKES.get(word.upper(), word.upper())
    hint = meant if meant in SUPPORTED_REGIONS else "an ISO 3166-1 code such as US, or *, EU, EEA, NANP"
    raise ValueError(f"{word!r} is not a region with phone numbers; write {hint}")
