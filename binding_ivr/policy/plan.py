"""The world's numbering plans as exact sets of E.164 digits, by region and type, as libphonenumber decides them."""

from collections.abc import Iterable
from functools import lru_cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberDesc

from binding_ivr.model.regions import calling_code
from binding_ivr.policy.digitset import LONGEST, DigitSet, DigitSets

_FIRST_WINS = {
    "PREMIUM_RATE": "premium_rate",
    "TOLL_FREE": "toll_free",
    "SHARED_COST": "shared_cost",
    "VOIP": "voip",
    "PERSONAL_NUMBER": "personal_number",
    "PAGER": "pager",
    "UAN": "uan",
    "VOICEMAIL": "voicemail",
}
"""Types in the order in which libphonenumber asks for them (`number_type`); the first that matches is the type."""

KINDS = (*_FIRST_WINS, "FIXED_LINE_OR_MOBILE", "FIXED_LINE", "MOBILE")


class Plan:
    """Answers which numbers there are. Sets are made when they are asked for, in the *sets*."""

    def __init__(self, sets: DigitSets) -> None:
        """Make sets in *sets*. Every method raises ValueError when the library's patterns cannot be read."""
        self._sets = sets
        self._kinds: dict[str, dict[str, DigitSet]] = {}
        self._regions: dict[str, DigitSet] = {}

    def numbers(self, region: str, kinds: Iterable[str]) -> DigitSet:
        """Return the E.164 digits of every number of an ISO *region* whose type is one of *kinds*."""
        found = 0
        for kind in kinds:
            found = self._sets.union(found, self._kinds_of(region)[kind])
        return self._sets.after(str(calling_code(region)), self._sets.meet(found, self._national(region)))

    def _national(self, region: str) -> DigitSet:
        """The national numbers of *region*, among those of its country code (`region_code_for_number`)."""
        if region not in self._regions:
            taken = 0
            for other in COUNTRY_CODE_TO_REGION_CODE[calling_code(region)]:
                leading = _metadata(other).leading_digits
                claimed = self._sets.matching(leading, self._sets.tail(LONGEST)) if leading else self._any(other)
                self._regions[other] = self._sets.minus(claimed, taken)
                taken = self._sets.union(taken, claimed)
        return self._regions[region]

    def _any(self, region: str) -> DigitSet:
        found = 0
        for numbers in self._kinds_of(region).values():
            found = self._sets.union(found, numbers)
        return found

    def _kinds_of(self, region: str) -> dict[str, DigitSet]:
        """The national numbers of each type (`number_type`), region boundaries inside the country code aside."""
        if region not in self._kinds:
            metadata = _metadata(region)
            left = self._described(metadata.general_desc)
            found: dict[str, DigitSet] = {}
            for kind, name in _FIRST_WINS.items():
                found[kind] = self._sets.meet(left, self._described(getattr(metadata, name)))
                left = self._sets.minus(left, found[kind])
            fixed = self._described(metadata.fixed_line)
            mobile = fixed if metadata.same_mobile_and_fixed_line_pattern else self._described(metadata.mobile)
            found["FIXED_LINE_OR_MOBILE"] = self._sets.meet(left, self._sets.meet(fixed, mobile))
            found["FIXED_LINE"] = self._sets.meet(left, self._sets.minus(fixed, mobile))
            found["MOBILE"] = self._sets.meet(left, self._sets.minus(mobile, fixed))
            self._kinds[region] = found
        return self._kinds[region]

    def _described(self, desc: PhoneNumberDesc | None) -> DigitSet:
        if desc is None or not desc.national_number_pattern:
            return 0
        numbers = self._sets.matching(desc.national_number_pattern)
        lengths = [length for length in desc.possible_length if length > 0]
        return self._sets.meet(numbers, self._sets.of_lengths(lengths)) if lengths else numbers


@lru_cache(maxsize=256)
def holds_any(prefix: str) -> bool:
    """True when some numbering plan has a number that begins with *prefix* (E.164 with `+`); so for nobody's code."""
    digits = prefix.removeprefix("+")
    found = _plan_of(digits)
    return found is None or found[0].meet(found[1], found[0].beginning(digits)) != 0


def holds(e164: str) -> bool:
    """True when some numbering plan has the number *e164*, of whatever type; so for a country code that is nobody's."""
    digits = e164.removeprefix("+")
    found = _plan_of(digits)
    return found is None or found[0].contains(found[1], digits)


def _plan_of(digits: str) -> tuple[DigitSets, DigitSet] | None:
    """The numbers of the country code with which *digits* begin; None when no country has it."""
    for length in range(1, 4):
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:length] or 0), ())
        if regions and "001" not in regions:
            return _numbers_of(regions)
    return None


@lru_cache(maxsize=8)
def _numbers_of(regions: tuple[str, ...]) -> tuple[DigitSets, DigitSet]:
    sets = DigitSets()
    plan, found = Plan(sets), 0
    for region in regions:
        found = sets.union(found, plan.numbers(region, KINDS))
    return sets, found


def _metadata(region: str) -> PhoneMetadata:
    metadata = PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        raise ValueError(f"{region} has no numbering plan")
    return metadata
