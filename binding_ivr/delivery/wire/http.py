"""The HTTP client for webhooks: one signed POST, one result. It tries nothing again and reads no reply."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import aiohttp

from binding_ivr import __version__
from binding_ivr.delivery.wire.reply import Reply, Result
from binding_ivr.delivery.wire.signature import sign

USER_AGENT = f"binding-ivr/{__version__}"
LONGEST_RETRY_AFTER_S = 21_600.0
MOST_IGNORED = 64 * 1024
"""A reply of up to so many bytes is read (and thrown away), so that the connection can be used again."""

_REFUSES_THIS = frozenset({400, 409, 413, 422})
"""The receiver works, but does not take this one message."""


@dataclass(frozen=True, slots=True)
class HttpTimes:
    """Limits of one try in seconds: `connect_s` for the connection (TLS included), `total_s` for all of it."""

    connect_s: float = 5.0
    total_s: float = 10.0


class WebhookClient:
    """Posts messages; a context manager that owns the connections."""

    def __init__(self, now: Callable[[], float], times: HttpTimes | None = None) -> None:
        """Prepare; *now* returns POSIX seconds, for the signed time and Retry-After dates."""
        self._now = now
        self._times = times or HttpTimes()
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool of connections."""
        times = self._times
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64, limit_per_host=16, keepalive_timeout=15),
            timeout=aiohttp.ClientTimeout(total=times.total_s, connect=times.connect_s, sock_connect=times.connect_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def post(self, url: str, secret: str, *, event: str, delivery: str, body: bytes) -> Reply:
        """Send *body*, signed now; never raises but for cancellation."""
        assert self._http is not None, "the client is not open"
        timestamp = int(self._now())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "identity",
            "Binding-Event": event,
            "Binding-Delivery": delivery,
            "Binding-Timestamp": str(timestamp),
            "Binding-Signature": sign(secret, timestamp, body),
        }
        try:
            async with self._http.post(url, data=body, headers=headers, allow_redirects=False) as response:
                reply = self._judged(response.status, response.headers.get("Retry-After", ""))
                await _ignore(response)
                return reply
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Reply(Result.UNREACHABLE, _why(error))

    def _judged(self, status: int, retry_after: str) -> Reply:
        detail = f"HTTP {status}"
        if 200 <= status < 300:
            return Reply(Result.DELIVERED)
        if status == 410:
            return Reply(Result.GONE, detail)
        if status in _REFUSES_THIS:
            return Reply(Result.REFUSED, detail)
        if status in (429, 503):
            return Reply(Result.UNAVAILABLE, detail, self._seconds(retry_after))
        if 300 <= status < 400:
            detail += ", a redirect; they are not followed"
        return Reply(Result.UNAVAILABLE, detail)

    def _seconds(self, text: str) -> float:
        """Return Retry-After (RFC 9110, 10.2.3: seconds or a date) in seconds, 0 when it says nothing sensible."""
        text = text.strip()
        if text.isascii() and text.isdigit():
            return min(float(text[:9]), LONGEST_RETRY_AFTER_S)
        try:
            at = parsedate_to_datetime(text)
            until = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.fromtimestamp(self._now(), UTC)
        except (ValueError, TypeError, OverflowError):
            return 0.0
        return min(max(until.total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


async def _ignore(response: aiohttp.ClientResponse) -> None:
    """Read a short reply away; a long, slow or broken one closes the connection. The status has been told by then."""
    left = MOST_IGNORED
    try:
        async with asyncio.timeout(1.0):
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        left = 0
    if left <= 0:
        response.close()


def _why(error: BaseException) -> str:
    """One line about a failed try, from a closed set of words: library texts quote the address."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return "its TLS certificate was not accepted"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no TLS connection"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    if isinstance(error, TimeoutError):
        return "no reply in time"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    if isinstance(error, ConnectionRefusedError) or isinstance(
        getattr(error, "os_error", None), ConnectionRefusedError
    ):
        return "connection refused"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    if isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError):
        return "the connection was cut"
    return f"no HTTP reply ({type(error).__name__})"
