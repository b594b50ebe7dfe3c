"""The use cases of sign-in: API keys, sign-in links and the first key. It checks no request."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from binding_ivr.config import Config
from binding_ivr.errors import ConfigError, NotFoundError, Refusal
from binding_ivr.log import get_logger
from binding_ivr.model import forms
from binding_ivr.model.actors import Actor
from binding_ivr.model.hosts import is_local
from binding_ivr.model.rows import KeyRow
from binding_ivr.model.scopes import ACCOUNT_SCOPE, ADMIN_SCOPE, FIRST_RUN, LOOKUP_SCOPE
from binding_ivr.model.secrets import KEY_DAYS, LINK_PREFIX, LONGEST_KEY_DAYS, digest_of, new_key, new_secret
from binding_ivr.store import Store

log = get_logger()

LINK_S = 600.0
SOON_DAYS = 30
"""So long before its end a key is called to mind."""
FIRST_KEY_FILE = "first-admin-key"


@dataclass(frozen=True, slots=True)
class ShownOnce:
    """A secret that is shown once and then only known by its digest."""

    name: str
    text: str = field(repr=False)


async def add_key(
    store: Store, name: str, scopes: Sequence[str], days: int = KEY_DAYS, actor: Actor | None = None
) -> ShownOnce:
    """Make an API key that ends in *days* (0: never).

    Raises Refusal (`exists`, `invalid`) and NotFoundError (account of a scope).
    """
    forms.check(forms.KEY_NAME, name)
    if not 0 <= days <= LONGEST_KEY_DAYS:
        raise Refusal("invalid", f"days: write 0 (no end), or 1 to {LONGEST_KEY_DAYS}")
    if name == FIRST_RUN:
        raise Refusal("invalid", f"{FIRST_RUN} is the name of the first key; choose another name")
    for scope in scopes:
        await _check_scope(store, scope)
    key = new_key()
    if not await store.web.add_key(key.key_id, name, sorted(set(scopes)), key.digest, days or None, actor=actor):
        raise Refusal(
            "exists", f"there is already an API key {name}; remove it first: binding-ivr api-key remove {name}"
        )
    return ShownOnce(name, key.text)


async def _check_scope(store: Store, scope: str) -> None:
    if scope in (ADMIN_SCOPE, LOOKUP_SCOPE):
        return
    if not scope.startswith(ACCOUNT_SCOPE):
        raise Refusal("invalid", f"{scope}: a scope is admin, account:NAME or lookup")
    await store.directory.account(scope.removeprefix(ACCOUNT_SCOPE))


def days_left(key: KeyRow, now: datetime) -> float:
    """Return how many days *key* has before its end: 0 when it has come, infinite without one."""
    if key.has_ended:
        return 0
    return math.inf if key.expires_at is None else max(1, math.ceil((key.expires_at - now) / timedelta(days=1)))


def end_of_key(key: KeyRow, now: datetime) -> str:
    """Return what an administrator should hear of the end of *key*, in one sentence; empty when that is far off."""
    left = days_left(key, now)
    renew = "make another key, let its program use that, and remove this one"
    if not left:
        return f"API key {key.name} has come to its end: {renew}"
    if key.expires_at is None:
        return f"API key {key.name} has no end: {renew}"
    return f"API key {key.name} ends in {left:g} days: {renew}" if left <= SOON_DAYS else ""


async def remove_key(store: Store, name: str, actor: Actor | None = None) -> None:
    """Remove an API key; it and its sessions end now. Raises NotFoundError."""
    if not await store.web.remove_key(name, actor):
        raise NotFoundError(f"there is no API key {name}; see: binding-ivr api-key list")


async def make_link(config: Config, store: Store, account: str, user_id: str, actor: Actor | None = None) -> str:
    """Return the address of a sign-in link: it works once, within LINK_S seconds. Raises NotFoundError."""
    secret = new_secret(LINK_PREFIX)
    if await store.web.add_link(digest_of(secret), account, user_id, LINK_S, actor) is None:
        raise NotFoundError(
            f"there is no user {user_id} in account {account}; add it with: "
            f"binding-ivr user add {user_id} --account {account}"
        )
    return f"{address_of_page(config)}/signin?token={secret}"


def address_of_page(config: Config) -> str:
    """How users reach the page: `[web] public_url`, else the address that is listened on."""
    bind = config.web.bind
    host = "127.0.0.1" if bind in ("", "0.0.0.0", "::") else f"[{bind}]" if ":" in bind else bind  # noqa: S104
    return config.web.public_url.rstrip("/") or f"http://{host}:{config.web.port}"


async def prepare_sign_in(config: Config, store: Store) -> None:
    """Before the web listens: somebody must be able to sign in, and nobody else.

    Without any configured sign-in an administrator's key is made once and written to a private file; and only the
    loopback address may be listened on. Raises ConfigError that says what to do.
    """
    configured = config.auth.jwt_secret or config.auth.jwks_url or config.web.user_header
    if configured or await store.web.any_key():
        return
    if not is_local(config.web.bind):
        raise ConfigError(
            f"web.bind: {config.web.bind} can be reached from outside, and no sign-in is configured; set [auth] "
            "jwt_secret or jwks_url, or [web] trusted_proxies and user_header; or make an API key: "
            "binding-ivr api-key add NAME --scope admin"
        )
    key = new_key()
    path = config.state_dir / FIRST_KEY_FILE
    if not await store.web.add_key(key.key_id, FIRST_RUN, [ADMIN_SCOPE], key.digest, KEY_DAYS, only_first=True):
        return  # another node was first
    try:
        _write_private(path, key.text)
    except ConfigError:
        await store.web.remove_key(FIRST_RUN)
        raise
    log.info("web.first_key", file=str(path))


def _write_private(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text + "\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}; check [service] state_dir") from None
