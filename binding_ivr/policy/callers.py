"""How caller IDs are written where a PBX stands, and which numbers one may mean.

The rule runs where the questions are asked: in the SQL function `caller_writings` (sql/migrations) and in the context
`binding-ivr-door-astdb` of dialplan/binding_ivr.conf. `meanings` is the same rule, by which both are tested.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from phonenumbers import PhoneMetadata

from binding_ivr.model import forms
from binding_ivr.policy.reading import HABITS
from binding_ivr.policy.renumbered import current


@dataclass(frozen=True, slots=True)
class CallerPlan:
    """What may stand before a number: digits each, `national` and `international` empty when there is no such prefix.

    A caller ID with `+` is that number. Without it, it may be E.164 without the plus, or: behind an international
    prefix (that of the plan, 00, 011), E.164; behind the national prefix, or without any, a national number. Each of
    them may be an old writing (policy.renumbered). If two users could be meant, it is nobody's.
    """

    country: str
    national: str = ""
    international: str = ""

    def __str__(self) -> str:
        """Return the form that AstDB holds: `1/1/011`."""
        return f"{self.country}/{self.national}/{self.international}"


E164_ONLY = CallerPlan("")
"""Nothing is known of the region: only E.164, with or without `+`, and behind 00 or 011."""


def caller_plan(region: str) -> CallerPlan:
    """Return the plan of an ISO region. Raises ValueError for a region without phone numbers.

    An international prefix that differs by carrier (as in Brazil, 0015 or 0021) is left out: trunks send + there.
    """
    metadata = PhoneMetadata.metadata_for_region(region, None)
    if metadata is None:
        raise ValueError(f"{region!r} is not a region with phone numbers")
    international = (metadata.preferred_international_prefix or metadata.international_prefix or "").replace("~", "")
    national = metadata.national_prefix or ""
    return CallerPlan(
        str(metadata.country_code),
        national if national.isdigit() else "",
        international if international.isdigit() else "",
    )


def meanings(caller: str, plan: CallerPlan) -> set[str]:
    """Return what a caller ID may mean, as E.164; nothing for what is no caller ID."""
    if not forms.fits(forms.CALLER, caller):
        return set()
    digits = re.sub(r"[^0-9]", "", caller)
    found = {digits, *(() if "+" in caller else _without_plus(digits, plan))}
    return {f"+{number}" for number in (*found, *map(current, found)) if number}


def _without_plus(digits: str, plan: CallerPlan) -> Iterator[str]:
    for prefix in HABITS:
        if digits.startswith(prefix):
            yield digits.removeprefix(prefix)
    if not plan.country:
        return
    if plan.international and digits.startswith(plan.international):
        yield digits.removeprefix(plan.international)
    else:
        yield plan.country + digits.removeprefix(plan.national)
