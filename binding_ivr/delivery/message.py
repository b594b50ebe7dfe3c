"""The body of a webhook: one event as JSON, numbers in full or masked. It knows no receiver and no code."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from binding_ivr.log import masked
from binding_ivr.model import forms

_SAID_ABOVE = ("account", "user_id")


def body(
    *,
    event_id: UUID,
    sequence: int,
    name: str,
    time: datetime,
    account: str,
    user_id: str,
    facts: Mapping[str, Any],
    full_numbers: bool,
) -> bytes:
    """Return the same bytes for the same event, whichever node sends it and however often."""
    told = {key: facts[key] for key in sorted(facts) if key not in _SAID_ABOVE}
    return msgspec.json.encode(
        {
            "id": event_id,
            "event": name,
            "time": time,
            "sequence": sequence,
            "account": account,
            "user_id": user_id,
            "facts": told if full_numbers else _masked(told),
        }
    )


def _masked(value: Any) -> Any:
    """Mask every number, whatever fact it stands in: a fact that is new tomorrow must not be the hole."""
    if isinstance(value, dict):
        return {key: _masked(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return forms.compiled(forms.E164).sub(lambda found: masked(found[0]), value) if isinstance(value, str) else value
