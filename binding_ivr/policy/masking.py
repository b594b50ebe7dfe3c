"""Shortens numbers in stored facts to their last two digits and a keyed hash. It knows no key and stores nothing."""

from collections.abc import Callable, Mapping
from typing import Any

from binding_ivr.model import forms

HashOf = Callable[[str], bytes]
"""Returns the keyed hash (32 bytes) of a number in E.164."""


def short(number: str) -> str:
    """Return *number* (E.164) as it is kept after its time."""
    return f"…{number[-2:]}" if forms.fits(forms.E164, number) else number


def masked(facts: Mapping[str, Any], hash_of: HashOf) -> dict[str, Any] | None:
    """Return *facts* with each fact that is a number shortened and its hash in `<fact>_hash`; None without a number.

    The database checks the same (`binding_ivr.only_shortens`).
    """
    told = dict(facts)
    for name, value in facts.items():
        if isinstance(value, str) and forms.fits(forms.E164, value):
            told[name] = short(value)
            told[f"{name}_hash"] = hash_of(value).hex()
    return told if len(told) > len(facts) else None
