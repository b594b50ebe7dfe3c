"""Keeps the published keys of a token issuer (JWKS, RFC 7517), and renews them. It checks no token."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import jwt
import msgspec

from binding_ivr.log import get_logger
from binding_ivr.web.problems import Problem

log = get_logger()

FRESH_S = 300.0
"""Keys are asked for again after this time."""
KEPT_S = 24 * 3600.0
"""So long the keys of the last good answer are used when the issuer does not answer."""
PAUSE_S = 10.0
"""An unknown key id makes us ask again at most this often, so that bad tokens cannot make us a nuisance."""
ANSWER_S = 3.0
LARGEST = 256 * 1024
MOST_KEYS = 50
SHORTEST_RSA = 2048
"""Bits (RFC 7518, section 3.3)."""
KINDS = {"RS256": "RSA", "ES256": "EC"}


class KeySet:
    """The keys at one URL. Use it between `start` and `stop`."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is asked for before the first `key`."""
        self._url = url
        self._clock = clock
        self._keys: list[jwt.PyJWK] = []
        self._asked_at = -KEPT_S
        self._ended_at = -KEPT_S
        self._good_at = -KEPT_S
        self._asking = asyncio.Lock()
        self._http: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Open the HTTP client."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S), trust_env=True)

    async def stop(self) -> None:
        """Close it."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def key(self, algorithm: str, kid: str | None) -> jwt.PyJWK | None:
        """Return the key *kid* for *algorithm*; without an id, the only one of its kind. None when there is none.

        Raises Problem 503 when the keys were never had and cannot be had now.
        """
        if self._age(self._good_at) > FRESH_S:
            await self._renew()
        found = self._find(algorithm, kid)
        if found is None and self._age(self._asked_at) > PAUSE_S:
            await self._renew()
            found = self._find(algorithm, kid)
        if found is None and self._age(self._good_at) > KEPT_S:
            raise Problem(
                503, "no_token_keys", "the keys for user tokens cannot be fetched now; try again soon", retry_after=5
            )
        return found

    def _age(self, at: float) -> float:
        return self._clock() - at

    def _find(self, algorithm: str, kid: str | None) -> jwt.PyJWK | None:
        if self._age(self._good_at) > KEPT_S:
            return None
        fit = [key for key in self._keys if key.algorithm_name == algorithm and (kid is None or key.key_id == kid)]
        return fit[0] if len(fit) == 1 or (fit and kid is not None) else None

    async def _renew(self) -> None:
        ended = self._ended_at
        async with self._asking:
            # The end counts: who came while somebody asked in vain would ask a silent issuer once more.
            if self._ended_at != ended or self._age(ended) <= 1.0:
                return
            self._asked_at = self._clock()
            try:
                self._keys = read_keys(await self._fetch())
                self._good_at = self._clock()
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                log.warning("web.jwks_failed", reason=type(error).__name__)
            finally:
                self._ended_at = self._clock()

    async def _fetch(self) -> bytes:
        assert self._http is not None
        async with self._http.get(self._url, allow_redirects=False) as reply:
            reply.raise_for_status()
            if reply.status != 200:
                raise ValueError("no key set there")
            body = await reply.content.read(LARGEST + 1)
            while len(body) <= LARGEST and (more := await reply.content.read(LARGEST)):
                body += more
            if len(body) > LARGEST:
                raise ValueError("larger than a key set")
            return body


def read_keys(body: bytes) -> list[jwt.PyJWK]:
    """Return the usable keys of a key set; others are left out. Raises ValueError when it is no key set."""
    try:
        tree = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise ValueError("no key set") from None
    listed = tree.get("keys")
    if not isinstance(listed, list):
        raise ValueError("no key set")
    keys = [_usable(entry) for entry in listed[:MOST_KEYS] if isinstance(entry, dict)]
    return [key for key in keys if key is not None]


def _usable(entry: dict[str, Any]) -> jwt.PyJWK | None:
    """A public signing key of a kind that is taken here, else None (symmetric keys among them: they are no secret)."""
    if entry.get("use", "sig") != "sig" or entry.get("kty") not in KINDS.values():
        return None
    named = entry.get("alg") or ("RS256" if entry["kty"] == "RSA" else "ES256")
    if KINDS.get(named) != entry["kty"] or (entry["kty"] == "EC" and entry.get("crv") != "P-256"):
        return None
    try:
        public = {name: value for name, value in entry.items() if name in ("kty", "kid", "n", "e", "crv", "x", "y")}
        key = jwt.PyJWK(public, named)
        return key if key.key_type != "RSA" or key.key.key_size >= SHORTEST_RSA else None
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
