"""Which routes serve a number, and the dial string on each. It knows nothing of channels."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import phonenumbers
from phonenumbers import NumberParseException

from binding_ivr.errors import Refusal
from binding_ivr.model import forms
from binding_ivr.policy.numbers import PhoneNumber, described

ANY_REGION = "*"


class HasRegions(Protocol):
    """What is needed of a `[[routes]]` table: the policy knows no configuration."""

    @property
    def regions(self) -> Sequence[str]:
        """ISO regions served, or `*`."""


R = TypeVar("R", bound=HasRegions)


def serving(routes: Sequence[R], region: str) -> list[R]:
    """Return the routes for *region* in their configured order."""
    return [route for route in routes if ANY_REGION in route.regions or region in route.regions]


def dial_string(template: str, number: PhoneNumber) -> str:
    """Fill `{e164}`, `{digits}` and `{national}` of *template* from a validated number.

    Raises ValueError when the number is not E.164, so that nothing else can ever be dialled.
    """
    if not forms.fits(forms.CALLABLE, number.e164) or not number.national.isascii() or not number.national.isdigit():
        raise ValueError("only a validated E.164 number is dialled")
    return (
        template.replace("{e164}", number.e164)
        .replace("{digits}", number.digits)
        .replace("{national}", number.national)
    )


def stored(e164: str) -> PhoneNumber:
    """Return a number that was accepted before, exactly as it is.

    Its plan may not hold it, or not any more. Raises Refusal for what is no E.164 number of a country.
    """
    if not forms.fits(forms.CALLABLE, e164):
        raise Refusal("not_a_number", "this is not a phone number in E.164")
    try:
        number = described(phonenumbers.parse(e164))
    except NumberParseException:
        number = None
    if number is None or number.e164 != e164:
        raise Refusal("not_valid", "there is no such phone number")
    return number
