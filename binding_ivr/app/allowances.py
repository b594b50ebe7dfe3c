"""Turns the configuration into what one request is allowed: which limits hold for it, and for whom it counts."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from msgspec import structs

from binding_ivr import config as settings
from binding_ivr.config import Config
from binding_ivr.dialing.orders import longest_s
from binding_ivr.model.actors import Actor
from binding_ivr.model.addresses import client_of
from binding_ivr.policy.breaker import Rules
from binding_ivr.policy.limits import BREAKERS, MAY_BE_OFF, SYSTEM_WIDE, WINDOWS, Consequences, Limits

COUNTS = (*WINDOWS, "user_new_numbers_day", "system_minutes_day")


def allowed(account: Config, installation: Config) -> Limits:
    """Return the limits of a call for an account; what all accounts share is never the account's own to set."""
    most = {name: int(getattr(_of(name, account, installation).limits, name)) for name in COUNTS}
    most = {name: count for name, count in most.items() if count or name not in MAY_BE_OFF}
    most["user_failed_stop"] = account.limits.user_failed_stop
    rules = _breaker(account.limits), _system_breaker(installation.limits)
    return Limits(most, account.limits.number_wait_s, longest_s(account), dict(zip(BREAKERS, rules, strict=True)))


def in_force(account: Config, installation: Config) -> settings.Limits:
    """Return `[limits]` as it holds for an account."""
    shared = {name: getattr(installation.limits, name) for name in (*SYSTEM_WIDE, "system_breaker_calls")}
    return structs.replace(account.limits, **shared)


def client(actor: Actor) -> str | None:
    """Return what `address_hour` counts a request of *actor* by.

    None for all but people on the web: a portal asks with its API key for many users from one address, and commands and
    desk phones have none; the limits of the user hold for them too.
    """
    return client_of(actor.address) if actor.is_person_on_the_web else None


def limits_of(installation: Config) -> Callable[[Mapping[str, Any]], Consequences]:
    """Return what the store asks, with an account's stored settings, for what follows from a verdict."""
    return lambda stored: consequences(installation.for_account_or_default(stored).limits, installation.limits)


def consequences(account: settings.Limits, installation: settings.Limits) -> Consequences:
    """Return what calls of an account that prove nothing bring about."""
    return Consequences(
        account.user_failed_tries,
        account.user_failed_stop,
        account.user_lock_s,
        account.user_lock_again_s,
        account.number_unproven,
        account.number_unproven_days,
        _breaker(account),
        _system_breaker(installation),
    )


def _breaker(limits: settings.Limits) -> Rules:
    return Rules(
        limits.breaker_calls,
        limits.breaker_percent,
        limits.breaker_pause_s,
        limits.breaker_longest_s,
        limits.breaker_probes,
    )


def _system_breaker(limits: settings.Limits) -> Rules:
    return replace(_breaker(limits), calls=limits.system_breaker_calls)


def _of(name: str, account: Config, installation: Config) -> Config:
    return installation if name in SYSTEM_WIDE else account
