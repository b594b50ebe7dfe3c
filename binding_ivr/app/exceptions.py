"""Exceptions from the number policy: what an administrator may allow for a time, and for how long."""

from datetime import datetime, timedelta

from binding_ivr.config import Config
from binding_ivr.errors import Refusal
from binding_ivr.model import forms
from binding_ivr.model.actors import Actor
from binding_ivr.policy.numbers import exceptable
from binding_ivr.policy.ranges import Excepted
from binding_ivr.store import Store

LONGEST = timedelta(days=366)
"""An exception that nobody looks at again once a year has become a rule; rules stand in the configuration."""


async def add_exception(
    config: Config, store: Store, account: str, text: str, reason: str, until: datetime | timedelta, actor: Actor,
    *, prefix: bool = False,
) -> tuple[Excepted, datetime]:  # fmt: skip
    """Allow a number (any writing), or with *prefix* all that begins so, until a time or for a while.

    An empty *account* means all. Raises NotFoundError (account) and Refusal: for what no exception lifts, a reason of
    fewer than 3 or more than 200 characters, an end that has passed or is more than 366 days ahead.
    """
    excepted = exceptable(text, await _region(config, store, account), whole=not prefix)
    said = forms.check_reason(reason)
    now = (await store.clock.read()).now
    end = now + until if isinstance(until, timedelta) else until
    if not now < end <= now + LONGEST:
        raise Refusal("invalid", f"an exception must end in the future, within {LONGEST.days} days")
    await store.exceptions.put(account, excepted.prefix, said, end, actor, whole=excepted.whole)
    return excepted, end


async def remove_exception(
    config: Config, store: Store, account: str, text: str, actor: Actor, *, prefix: bool = False
) -> Excepted:
    """End an exception now. Raises NotFoundError and Refusal."""
    excepted = exceptable(text, await _region(config, store, account), whole=not prefix)
    await store.exceptions.remove(account, excepted.prefix, actor, whole=excepted.whole)
    return excepted


async def _region(config: Config, store: Store, account: str) -> str:
    """The region of national writing."""
    settings = (await store.directory.account(account)).settings if account else {}
    return config.for_account_or_default(settings).number.default_region
