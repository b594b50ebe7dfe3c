"""What doctor looks at of the API keys: their end."""

from datetime import UTC, datetime

from binding_ivr.app.signin import SOON_DAYS, end_of_key
from binding_ivr.doctor.checks import Check, ok, warn
from binding_ivr.store import Store

KEYS = "api keys"


async def examine(store: Store) -> list[Check]:
    """Check the keys in the migrated *store*: a line for each that has no end, or soon comes to it."""
    keys = await store.web.keys()
    now = datetime.now(UTC)
    told = [warn(KEYS, sentence) for sentence in (end_of_key(key, now) for key in keys) if sentence]
    return told or [ok(KEYS, f"{len(keys)}, none of them ends within {SOON_DAYS} days")]
