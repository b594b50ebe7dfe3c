"""Errors as RFC 9457 problem documents: which status each error of the package has. It logs nothing."""

import math
import time
from datetime import UTC, datetime
from http import HTTPStatus

import msgspec
from aiohttp import web

from binding_ivr.errors import BindingError, NotFoundError, Refusal, UnavailableError

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:binding-ivr:problem:"
RETRY_S = 5
"""What Retry-After says when PostgreSQL is away."""

_CONFLICTS = {
    "call_in_progress",
    "suspended",
    "no_number",
    "no_undo",
    "outside_hours",
    "exists",
    "extension_taken",
    "in_progress",
}
_BUSY = {"try_later", "limit_reached", "queue_full"}


class ProblemDocument(msgspec.Struct, omit_defaults=True):
    """RFC 9457. `type` ends in a stable word; `limit` and `retry_at` (ISO 8601 UTC) where they apply."""

    type: str
    title: str
    status: int
    detail: str
    limit: str | None = None
    retry_at: str | None = None


class Problem(Exception):
    """A request is answered with a problem document. *code* is the stable word, *detail* one line for a person."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        limit: str | None = None,
        retry_at: float | None = None,
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """*retry_at* is POSIX time; *retry_after* seconds, when there is no such time."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.limit = limit
        self.retry_at = retry_at
        self.retry_after = retry_after
        self.headers = headers or {}

    def document(self) -> ProblemDocument:
        """The document to send."""
        return ProblemDocument(
            type=TYPE_PREFIX + self.code,
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            limit=self.limit,
            retry_at=iso_of(self.retry_at) if self.retry_at is not None else None,
        )

    def response(self) -> web.Response:
        """The response to send."""
        headers = dict(self.headers)
        if self.retry_at is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_at - time.time())))
        elif self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Bearer realm="binding_ivr"'
        return web.Response(
            status=self.status, body=msgspec.json.encode(self.document()), headers=headers, content_type=CONTENT_TYPE
        )


def problem_of(error: BindingError) -> Problem:
    """Return the problem for an error of the package."""
    if isinstance(error, Refusal):
        return Problem(_status_of(error), error.code, str(error), limit=error.limit, retry_at=error.retry_at)
    if isinstance(error, NotFoundError):
        # The error's own sentence may name a command or another user; outside, only that it is not there is said.
        return Problem(404, "not_found", "there is nothing here, or it is not yours")
    if isinstance(error, UnavailableError):
        return unavailable()
    return Problem(503, "out_of_order", "the service is not set up correctly; its log says what to do", retry_after=60)


def unavailable() -> Problem:
    """The database is away."""
    return Problem(503, "unavailable", "the service cannot reach its database now; try again soon", retry_after=RETRY_S)


def _status_of(refusal: Refusal) -> int:
    if refusal.code in _CONFLICTS:
        return 409
    if refusal.code in _BUSY or refusal.limit is not None or refusal.retry_at is not None:
        return 429
    return 422


def iso_of(posix: float) -> str:
    """Write POSIX time as ISO 8601 in UTC; a part of a second counts up, so that it is never too early."""
    return datetime.fromtimestamp(math.ceil(posix), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
