"""Random secrets of the web and their digests: how API keys, links and cookies look. It stores nothing."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

KEY_PREFIX = "bik_"
LINK_PREFIX = "bil_"
KEY_DAYS = 365
"""So long an API key is good if nobody says otherwise."""
LONGEST_KEY_DAYS = 3650
_ID_LENGTH = 12
_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh API key: `text` is shown once, `key_id` and `digest` are stored."""

    key_id: str
    text: str = field(repr=False)
    digest: bytes = field(repr=False)


def new_key() -> NewKey:
    """Make an API key `bik_ID_SECRET`; ID may be seen by anybody, SECRET has 256 random bits."""
    key_id = secrets.token_hex(_ID_LENGTH // 2)
    secret = secrets.token_urlsafe(_BYTES)
    return NewKey(key_id, f"{KEY_PREFIX}{key_id}_{secret}", digest_of(secret))


def split_key(text: str) -> tuple[str, bytes] | None:
    """Return the visible id and the digest of an API key's text, None when it does not look like one."""
    if not text.startswith(KEY_PREFIX):
        return None
    key_id, _, secret = text.removeprefix(KEY_PREFIX).partition("_")
    if len(key_id) != _ID_LENGTH or not key_id.isalnum() or not key_id.isascii() or not secret:
        return None
    return key_id, digest_of(secret)


def new_secret(prefix: str = "") -> str:
    """Return a secret of 256 random bits."""
    return prefix + secrets.token_urlsafe(_BYTES)


def digest_of(secret: str) -> bytes:
    """The SHA-256 digest under which a secret is stored; enough, since secrets are random and long."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def same(one: bytes, other: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one, other)


def csrf_of(cookie: str) -> str:
    """The form token of a session: whoever reads it in a page cannot get back to the cookie."""
    return hashlib.sha256(b"csrf\0" + cookie.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def keyed_csrf(secret: bytes, user: str) -> str:
    """The form token of a user without a session; nobody can tell it from the user's name."""
    return hmac.new(secret, b"csrf\0" + user.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]
