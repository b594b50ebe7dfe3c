"""Gathers what the lock in the dialplan is made from: every account's rules, own numbers, exceptions and ways out."""

import re
from collections.abc import Sequence

from binding_ivr.app.bindings import number_rules
from binding_ivr.config import LOCKED, Config, Route
from binding_ivr.errors import ConfigError
from binding_ivr.model.regions import calling_code
from binding_ivr.model.rows import Account, NumberException, OwnNumber
from binding_ivr.policy.lock import LockRules, Out, Timed, lock
from binding_ivr.policy.own import OwnNumbers, own_numbers
from binding_ivr.policy.ranges import Excepted
from binding_ivr.resources import data_dir
from binding_ivr.store import Store

CONTEXT = "binding-ivr-out"
FINGERPRINT = re.compile(r"exten => fingerprint_([0-9a-f]{16}),1,")


async def lock_of(config: Config, store: Store) -> str:
    """Return the dialplan of the lock as it should be now. Raises BindingError."""
    accounts = await store.directory.accounts()
    extensions = {extension for user in await store.directory.users() for extension in user.extensions}
    own = [*await store.directory.own_numbers(), *(OwnNumber("", "extension", value) for value in extensions)]
    return make_lock(config, accounts, own, await store.exceptions.all())


def make_lock(
    config: Config,
    accounts: Sequence[Account],
    own: Sequence[OwnNumber] = (),
    exceptions: Sequence[NumberException] = (),
) -> str:
    """Return the dialplan of the lock. Raises ConfigError when routes contradict each other."""
    configs = [config.for_account(account.settings) for account in accounts]
    routes = [route for one in configs for route in one.routes]
    callers = [("did", route.caller_id) for route in routes if route.caller_id]
    listed = own_numbers([(number.kind, number.value) for number in own] + callers)
    timed = [
        Timed(Excepted(row.prefix, row.whole), int(row.expires_at.timestamp())) for row in exceptions if not row.expired
    ]
    rules = LockRules(
        accounts=list({_key(one): number_rules(one) for one in configs}.values()),
        own=OwnNumbers(sorted(listed.extensions), sorted(listed.dids), sorted(listed.patterns)),
        outs=ways_out(routes, config.lock.max_channels),
        max_s=config.lock.max_s,
        exceptions=timed,
    )
    return written(rules)


def written(rules: LockRules) -> str:
    """Return the dialplan of *rules*: its text is a file next to the operator's other dialplan. Raises ConfigError."""
    try:
        return lock(rules, (data_dir("dialplan") / "binding_ivr_out.template").read_text())
    except ValueError as error:
        raise ConfigError(f"{error}; install another version of phonenumbers") from None


def ways_out(routes: Sequence[Route], max_channels: int) -> list[Out]:
    """Return one way out per context that a route goes through; without any, the way of the first route as it will be.

    Raises ConfigError when two routes share a context and not the trunk.
    """
    found: dict[str, Out] = {}
    for route in routes:
        context = locked_context(route)
        if context is None:
            continue
        code = str(calling_code(route.regions[0])) if "{national}" in route.trunk else ""
        out = Out(context, route.trunk, max_channels, len(code))
        if found.setdefault(context, out) != out:
            raise ConfigError(
                f"routes: two routes go through the context {context} to different trunks; "
                "give the second one a context of its own"
            )
    if found:
        return list(found.values())
    open_ones = [route.endpoint for route in routes if "{national}" not in route.endpoint]
    return [Out(CONTEXT, next(iter(open_ones), "PJSIP/{e164}@trunk"), max_channels)]


def locked_context(route: Route) -> str | None:
    """Return the context of the lock that a route goes through, None for a route that does not."""
    match = LOCKED.match(route.endpoint)
    return match[1] if match and route.trunk else None


def fingerprint_of(text: str) -> str:
    """Return the fingerprint in the dialplan of a lock, empty when there is none."""
    match = FINGERPRINT.search(text)
    return match[1] if match else ""


def _key(config: Config) -> str:
    return repr(config.number)
