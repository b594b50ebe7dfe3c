"""How caller IDs are written where a PBX stands: the region's country code and prefixes. It reads no caller ID."""

from dataclasses import dataclass

from phonenumbers import PhoneMetadata


@dataclass(frozen=True, slots=True)
class CallerPlan:
    """What may stand before a number: digits each, `national` and `international` empty when there is no such prefix.

    The rule itself must run where the questions are asked: `caller_writings` in sql/migrations/0012_lookups.sql and
    the extension `writing` of dialplan/binding_ivr.conf. A caller ID with `+` is that number. Without it, it may be
    E.164 without the plus, or: behind the international prefix, E.164; behind the national prefix, or without any, a
    national number. If two users could be meant, it is nobody's.
    """

    country: str
    national: str = ""
    international: str = ""

    def __str__(self) -> str:
        """Return the form that AstDB holds: `1/1/011`."""
        return f"{self.country}/{self.national}/{self.international}"


E164_ONLY = CallerPlan("")
"""Nothing is known of the region: only E.164, with or without `+`."""


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
