"""Checks user tokens (JWT, RFC 7519): signature, times, audience, and which key may sign how. It signs nobody in."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from binding_ivr.config import Auth
from binding_ivr.model import forms
from binding_ivr.web.auth.jwks import KeySet
from binding_ivr.web.problems import Problem

LONGEST_TOKEN = 6000
LONGEST_LIFE = timedelta(days=1)
REQUIRED = ["sub", "account", "exp", "aud"]
_TIMES = "its times are wrong: exp, iat, nbf and auth_time are numbers of seconds since 1970"
SHARED = "HS256"
PUBLISHED = ("RS256", "ES256")


@dataclass(frozen=True, slots=True)
class UserToken:
    """A good token. `digest` names it for single use: by `jti`, else by what was signed.

    Not by the whole text: a signature can be written in more than one way.
    """

    account: str
    user_id: str
    expires_at: datetime
    signed_in_at: datetime | None
    digest: bytes = field(repr=False)


class Tokens:
    """Checks tokens by the configured secret (HS256 only) or the published keys (RS256 and ES256 only)."""

    def __init__(self, auth: Auth, keys: KeySet | None) -> None:
        """*keys* is None when no `jwks_url` is set."""
        self._auth = auth
        self._keys = keys
        shared = (SHARED,) if auth.jwt_secret else ()
        self._algorithms: tuple[str, ...] = shared + (PUBLISHED if keys is not None else ())

    @property
    def accepted(self) -> bool:
        """True when tokens are configured at all."""
        return bool(self._algorithms)

    async def check(self, text: str) -> UserToken:
        """Return what a token proves. Raises Problem 401; 503 when the published keys cannot be had."""
        if len(text) > LONGEST_TOKEN:
            raise refused("it is too long")
        try:
            header = jwt.get_unverified_header(text)
            algorithm = header.get("alg")
            key = await self._key(algorithm, header.get("kid"))
            claims = jwt.decode(
                text,
                key,
                algorithms=[str(algorithm)],  # the one that _key took this key for
                audience=self._auth.audience,
                issuer=self._auth.issuer or None,
                leeway=self._auth.leeway_s,
                # Versions of the library differ in what they want of these two; `_user_token` looks at them.
                options={"require": REQUIRED, "verify_sub": False, "verify_jti": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise refused(self._reason(error)) from None
        return _user_token(text, claims, self._auth.leeway_s)

    def _reason(self, error: Exception) -> str:
        """Why a token is not taken. What its claims should be is said only of one whose signature is good."""
        match error:
            case jwt.ExpiredSignatureError():
                return "it has expired"
            case jwt.ImmatureSignatureError():
                return (
                    f"its iat or nbf is more than {self._auth.leeway_s} s ahead of the clock here; "
                    "compare this machine's clock with that of whoever signs"
                )
            case jwt.InvalidAudienceError():
                return f"its aud must be {self._auth.audience}"
            case jwt.InvalidIssuerError():
                return f"its iss must be {self._auth.issuer}"
            case jwt.MissingRequiredClaimError():
                return f"it lacks {error.claim}"
            case jwt.InvalidSignatureError():
                return "its signature is wrong: it was signed with another key, or changed"
            case jwt.InvalidIssuedAtError():
                return _TIMES
            case _:
                return "its form is wrong: it is no JWT, or a time in it is no number"

    async def _key(self, algorithm: object, kid: object) -> Any:
        """Return the key for *algorithm*; the algorithm decides the kind of key, never the other way round."""
        if algorithm not in self._algorithms:
            raise refused(f"it must be signed with {' or '.join(self._algorithms)}")
        if algorithm == SHARED:
            return self._auth.jwt_secret
        assert self._keys is not None
        key = await self._keys.key(str(algorithm), kid if isinstance(kid, str) else None)
        if key is None and kid is None:
            raise refused("it has no kid, and not just one key of its kind is published at [auth] jwks_url")
        if key is None:
            raise refused("no key of its kind with its kid is published at [auth] jwks_url")
        return key


def _user_token(text: str, claims: dict[str, Any], leeway_s: int) -> UserToken:
    account, user_id, jti = claims["account"], claims["sub"], claims.get("jti")
    if not isinstance(user_id, str) or not isinstance(account, str):
        raise refused("its sub and account must be text in quotes, not numbers or lists")
    if not forms.fits(forms.ACCOUNT, account) or not forms.fits(forms.USER, user_id):
        raise refused("its sub or account does not name a user here")
    now = datetime.now(UTC)
    try:
        expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
        signed_in_at = _time(claims.get("auth_time", claims.get("iat")))
    except (ValueError, TypeError, OverflowError, OSError):
        raise refused(_TIMES) from None
    if expires_at - now > LONGEST_LIFE:
        raise refused("it is valid for longer than a day")
    named = f"jti\0{jti}" if isinstance(jti, str) and jti else text.rpartition(".")[0]
    digest = hashlib.sha256(named.encode("utf-8", "surrogatepass")).digest()
    return UserToken(account, user_id, expires_at + timedelta(seconds=leeway_s), signed_in_at, digest)


def _time(value: object) -> datetime | None:
    return datetime.fromtimestamp(float(value), UTC) if isinstance(value, int | float) else None


def refused(why: str) -> Problem:
    """A token that is not taken; *why* completes a sentence and quotes nothing of it."""
    return Problem(401, "bad_token", f"this user token is refused: {why}")
