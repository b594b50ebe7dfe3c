"""Turns the configuration into what one request is allowed: which limits hold for it, and for whom it counts."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from binding_ivr import config as settings
from binding_ivr.config import Config
from binding_ivr.dialing.orders import longest_s
from binding_ivr.model.actors import Actor
from binding_ivr.policy.limits import BREAKERS, SYSTEM_WIDE, WINDOWS, Limits, client_of
from binding_ivr.store import breakers

COUNTS = (*WINDOWS, "user_new_numbers_day", "system_minutes_day")


def allowed(account: Config, installation: Config) -> Limits:
    """Return the limits of a call for an account; what all accounts share is never the account's own to set."""
    most = {name: int(getattr(_of(name, account, installation).limits, name)) for name in COUNTS}
    rules = breakers.rules(account.limits), breakers.system_rules(installation.limits)
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


def limits_of(installation: Config) -> Callable[[Mapping[str, Any]], settings.Limits]:
    """Return what tells the store an account's limits from its stored settings."""
    return lambda stored: installation.for_account_or_default(stored).limits


def _of(name: str, account: Config, installation: Config) -> Config:
    return installation if name in SYSTEM_WIDE else account
