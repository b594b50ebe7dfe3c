"""Limits that tests of other things never reach: they call few numbers again and again, and fail on purpose."""

from collections.abc import Callable
from typing import Any

import msgspec

from binding_ivr.app.allowances import consequences
from binding_ivr.config import Limits
from binding_ivr.policy.limits import Consequences

GENEROUS: dict[str, Any] = {
    "number_wait_s": [],
    "number_hour": 100_000,
    "number_day": 100_000,
    "number_unproven": 0,
    "prefix_hour": 100_000,
    "user_hour": 100_000,
    "user_day": 100_000,
    "user_new_numbers_day": 100_000,
    "user_uncalled_hour": 100_000,
    "user_uncalled_day": 100_000,
    "user_failed_tries": 0,
    "user_failed_stop": 0,
    "address_hour": 100_000,
    "account_hour": 100_000,
    "account_day": 100_000,
    "system_hour": 100_000,
    "system_day": 100_000,
    "system_prefix_hour": 100_000,
    "system_minutes_day": 1_000_000,
    "breaker_calls": 0,
    "system_breaker_calls": 0,
    "queue_length": 1000,
}


def follows(limits: Limits) -> Callable[[object], Consequences]:
    """For the store's `limits_of`: what follows from a verdict by *limits*, which are those of all."""
    return lambda _: consequences(limits, limits)


def nothing_follows(_: object) -> Consequences:
    """For the store's `limits_of`: no verdict locks or pauses anything."""
    return follows(msgspec.convert(GENEROUS, Limits))(_)
