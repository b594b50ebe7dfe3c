"""Turns a claimed attempt into call orders, one per route that serves the number. It places nothing."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from binding_ivr.config import Config
from binding_ivr.model.channels import new_name
from binding_ivr.model.secrets import new_secret
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

    *config* is the account's. Raises Refusal when the stored number is none.
    """
    number = stored(attempt.number)
    return [
        RoutedOrder(
            route.name,
            route.max_channels,
            _order(attempt, config, agi_address, dial_string(route.endpoint, number), route.caller_id),
        )
        for route in serving(config.routes, number.region)
    ]


def _order(attempt: ClaimedAttempt, config: Config, agi_address: str, endpoint: str, caller_id: str) -> CallOrder:
    secret = new_secret()
    return CallOrder(
        channel_id=new_name(config.ari.app),
        secret=secret,
        endpoint=endpoint,
        caller_id=caller_id,
        ring_s=math.ceil(config.call.ring_s),
        max_s=longest_s(config),
        language=spoken(attempt.language, config.prompts.languages),
        # The dialplan makes the FastAGI address of it, so the session brings the secret along.
        variables={"BINDING_AGI": agi_address, "BINDING_ATTEMPT": f"{attempt.attempt_id}/{secret}"},
    )
