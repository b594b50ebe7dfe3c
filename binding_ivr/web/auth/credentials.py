"""Finds out who sent a request: API key, user token, session cookie or trusted proxy header. It opens no session."""

import base64
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from aiohttp import hdrs, web

from binding_ivr.app.credentials import StoredCredentials
from binding_ivr.config import Config
from binding_ivr.log import get_logger
from binding_ivr.model import forms
from binding_ivr.model.rows import Credential, KeyRow
from binding_ivr.model.scopes import ADMIN_SCOPE, FIRST_RUN
from binding_ivr.model.secrets import KEY_PREFIX, csrf_of, digest_of, keyed_csrf
from binding_ivr.web.auth import cookies
from binding_ivr.web.auth.buckets import Buckets
from binding_ivr.web.auth.guard import fields_of
from binding_ivr.web.auth.identity import Identity
from binding_ivr.web.auth.jwks import KeySet
from binding_ivr.web.auth.peers import PROOF, peers_of
from binding_ivr.web.auth.tokens import Tokens, UserToken, refused
from binding_ivr.web.problems import Problem

log = get_logger()

LOOK_UPS = "/v1/look-ups"
"""The one address that takes an API key in its body: func_curl can keep no header to one request."""
DEFAULT_ACCOUNT = "default"
REFUSALS_S = 60.0
"""So often a reason for which tokens are refused is logged: strangers can send as many as they like."""
_MOST_TOLD = 100
_READING = (hdrs.METH_GET, hdrs.METH_HEAD)
"""Methods for which an API key may come by HTTP Basic, as from an address http://name:KEY@host of a CURL().

For no other: a browser that once was given such an address would send it with foreign forms, too.
"""


class Credentials:
    """Checks what a request carries."""

    def __init__(self, config: Config, stored: StoredCredentials, secret: bytes) -> None:
        """Use the keys and proxies of *config*, and the *stored* credentials.

        *secret* keys the form tokens of a proxy's users, who have no session; it is the same on all nodes.
        """
        self._secret = secret
        self._config = config
        self.stored = stored
        self._peers = peers_of(config.web)
        self._keys = KeySet(config.auth.jwks_url) if config.auth.jwks_url else None
        self.tokens = Tokens(config.auth, self._keys)
        self._told: set[str] = set()
        self._refusals = Buckets(1 / REFUSALS_S, time.monotonic, burst=1)

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """Keep the client of the published keys open while the application runs."""
        if self._keys is not None:
            self._keys.start()
        yield
        if self._keys is not None:
            await self._keys.stop()

    async def identity(self, request: web.Request) -> Identity | None:
        """Return who sent *request*, None when it carries no (living) credential. Raises Problem 400 and 401.

        `Authorization` comes first and must be good: Problem 401. Then a session of an API key, then the proxy's
        header, then a session of a user: the proxy knows better than an old cookie who sits there.
        """
        if hdrs.AUTHORIZATION in request.headers:
            return await self._bearer(request)
        is_form = request.method == hdrs.METH_POST and request.path == LOOK_UPS
        if is_form and (key := fields_of(await request.read()).get("key")):
            return key_identity(await self.key(key))
        session = await self._session(request)
        if session is not None and not session.is_user:
            return session
        return self._proxy(request) or session

    async def _bearer(self, request: web.Request) -> Identity:
        values = request.headers.getall(hdrs.AUTHORIZATION)
        scheme, _, text = values[0].partition(" ")
        if scheme.lower() == "basic" and request.method in _READING:
            scheme, text = "bearer", _password(text)
        if len(values) != 1 or scheme.lower() != "bearer" or not text.strip():
            raise Problem(401, "bad_credential", "send one header Authorization: Bearer KEY-OR-TOKEN")
        text = text.strip()
        if text.startswith(KEY_PREFIX):
            return key_identity(await self.key(text))
        return token_identity(await self.token(text))

    async def key(self, text: str) -> KeyRow:
        """Return the API key *text*. Raises Problem 401."""
        row = await self.stored.key(text)
        if row is None:
            raise Problem(401, "bad_key", "there is no such API key; see: binding-ivr api-key list")
        if row.has_ended:
            raise Problem(
                401, "expired_key", "this API key has come to its end; make a new one: binding-ivr api-key add"
            )
        return row

    async def token(self, text: str) -> UserToken:
        """Return a good user token that was not used up. Raises Problem 401."""
        if not self.tokens.accepted:
            raise Problem(401, "bad_credential", "user tokens are not accepted here; send an API key")
        try:
            token = await self.tokens.check(text)
            if await self.stored.spent(token.digest):
                raise refused("it has been used to sign in, which works only once")
        except Problem as problem:
            if problem.status == 401 and not self._refusals.wait(problem.detail):
                log.warning("web.token_refused", reason=problem.detail)
            raise
        return token

    async def _session(self, request: web.Request) -> Identity | None:
        cookie = cookies.read(request, cookies.SESSION)
        row = await self.stored.session(cookie) if cookie else None
        if row is None:
            return None
        return Identity(
            kind="key" if row.key_name else "user",
            account=row.account,
            user_id=row.user_id,
            scopes=row.scopes,
            name=row.key_name,
            signed_in_at=row.signed_in_at,
            expires_at=row.expires_at,
            ambient=True,
            credential=Credential(session=digest_of(cookie)),
            csrf=csrf_of(cookie),
        )

    def _proxy(self, request: web.Request) -> Identity | None:
        name = self._config.web.user_header
        if not name or name not in request.headers:
            return None
        peer = request.remote or ""
        if not self._peers.trusts(request):
            self._tell_once(peer, listed=self._peers.lists(peer))
            return None
        values = request.headers.getall(name)
        account, slash, user_id = values[0].partition("/")
        if not slash:
            account, user_id = DEFAULT_ACCOUNT, account
        if len(values) != 1 or not forms.fits(forms.ACCOUNT, account) or not forms.fits(forms.USER, user_id):
            return None
        person = f"{account}/{user_id}"
        csrf = keyed_csrf(self._secret, person)
        scopes = frozenset({ADMIN_SCOPE}) if person in self._config.web.admin_users else frozenset()
        return Identity(
            kind="proxy", account=account, user_id=user_id, scopes=scopes, name=user_id, ambient=True, csrf=csrf
        )

    def _tell_once(self, peer: str, *, listed: bool) -> None:
        if peer in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add(peer)
        if listed:
            log.warning("web.unproven_proxy", address=peer, header=PROOF)
        else:
            log.warning("web.unlisted_proxy", address=peer, header=self._config.web.user_header)


def key_identity(key: KeyRow) -> Identity:
    """The identity of an API key."""
    first = key.name == FIRST_RUN and ADMIN_SCOPE in key.scopes
    return Identity(
        kind="first_run" if first else "key",
        scopes=key.scopes,
        name=key.name,
        expires_at=key.expires_at,
        credential=Credential(key_id=key.key_id),
    )


def token_identity(token: UserToken) -> Identity:
    """The identity of a user token."""
    return Identity(
        kind="user",
        account=token.account,
        user_id=token.user_id,
        signed_in_at=token.signed_in_at,
        expires_at=token.expires_at,
        credential=Credential(token=token.digest),
    )


def is_fresh(identity: Identity, minutes: int) -> bool:
    """Return whether the sign-in is younger than *minutes* (0: no matter). API keys are no person and always fresh."""
    if not minutes or not identity.is_user:
        return True
    at = identity.signed_in_at
    return at is not None and (datetime.now(UTC) - at).total_seconds() < minutes * 60


def _password(text: str) -> str:
    """Return an API key that was sent as the password of HTTP Basic (RFC 7617), empty for anything else."""
    try:
        password = base64.b64decode(text.strip(), validate=True).decode("ascii").partition(":")[2]
    except ValueError:
        return ""
    return password if password.startswith(KEY_PREFIX) else ""
