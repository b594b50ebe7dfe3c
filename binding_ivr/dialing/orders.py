"""Turns a claimed attempt into call orders, one per route that serves the number. It places nothing."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from binding_ivr.config import Config
from binding_ivr.policy.routes import dial_string, serving, stored
from binding_ivr.ports import CallOrder, ClaimedAttempt

TAIL_S = 30
"""Seconds that the channel's own absolute limit lies above ours: it is the net for a stuck or dead service."""


@dataclass(frozen=True, slots=True)
class RoutedOrder:
    """A call order and the route that it takes."""

    route: str
    max_channels: int
    order: CallOrder


def channel_id(app: str, attempt_id: UUID, route: int) -> str:
    """Return our id of the channel for the *route*-th try of an attempt."""
    return f"{app}.{attempt_id}.{route}"


def attempt_of(channel: str, app: str) -> UUID | None:
    """Return the attempt that *channel* belongs to, None when the id is not one of ours."""
    parts = channel.split(".")
    if len(parts) != 3 or parts[0] != app:
        return None
    try:
        return UUID(parts[1])
    except ValueError:
        return None


def spoken(wanted: str, installed: Sequence[str]) -> str:
    """Return the installed prompt language nearest to *wanted* (`es-MX` is served by `es`), else the first."""
    for language in (wanted, re.split(r"[-_]", wanted)[0].lower()):
        if language in installed:
            return language
    return installed[0]


def longest_s(config: Config) -> int:
    """Return the absolute limit of a channel in seconds, ringing included: no call can stand longer."""
    return math.ceil(config.call.ring_s) + math.ceil(config.call.max_s) + TAIL_S


def orders(attempt: ClaimedAttempt, config: Config, agi_address: str) -> list[RoutedOrder]:
    """Return the orders in the routes' sequence; empty when no route serves the number's region.

    *config* is the account's. Raises Refusal when the stored number is no longer valid.
    """
    number = stored(attempt.number)
    ring_s = math.ceil(config.call.ring_s)
    return [
        RoutedOrder(
            route.name,
            route.max_channels,
            CallOrder(
                channel_id=channel_id(config.ari.app, attempt.attempt_id, at),
                endpoint=dial_string(route.endpoint, number),
                caller_id=route.caller_id,
                ring_s=ring_s,
                max_s=longest_s(config),
                language=spoken(attempt.language, config.prompts.languages),
                variables={"BINDING_AGI": agi_address, "BINDING_ATTEMPT": str(attempt.attempt_id)},
            ),
        )
        for at, route in enumerate(serving(config.routes, number.region))
    ]
