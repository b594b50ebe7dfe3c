"""What every request passes: problem documents, rates, sign-in, proof of origin, headers. It serves nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from binding_ivr.config import Web
from binding_ivr.errors import BindingError, StatementRefused, UnavailableError
from binding_ivr.log import get_logger
from binding_ivr.metrics import Metrics
from binding_ivr.model.addresses import client_of
from binding_ivr.model.secrets import same
from binding_ivr.web.auth import origin
from binding_ivr.web.auth.buckets import Buckets
from binding_ivr.web.auth.identity import ADDRESS, AUTHENTICATE, IDENTITY, NOT_SIGNED_IN, Identity
from binding_ivr.web.auth.peers import peers_of
from binding_ivr.web.auth.rates import FILES_PER_PAGE, Rate, rate_of, route_of
from binding_ivr.web.auth.witness import WITNESS
from binding_ivr.web.problems import Problem, problem_of
from binding_ivr.web.settings import CONNECTIONS

log = get_logger()

LARGEST_BODY = 16 * 1024
BODY_S = 10.0
FRAMED = {"/", "/bind", "/revalidate", "/undo", "/cancel", "/remove", "/caller.vcf"}
"""What a portal may show in its frame: a user's own page. Never a page with power over others, or that signs in."""
IN_FRAME = web.RequestKey("binding_ivr.in_frame", bool)
"""Set it for an answer that a portal may show in its frame as well."""
SAFE = {hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS}
FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 20
CSRF_HEADER = "X-CSRF-Token"
FAILURES_PER_SECOND = 1.0
FAILURES_AT_ONCE = 30.0
HOLD_S = 1.0
"""So long a refusal of an address is kept back, for it costs as much as an answer: nobody asks thousands of times a
second. Its connection keeps no place meanwhile."""

ErrorPage = Callable[[web.Request, Problem], web.StreamResponse]
ERROR_PAGE: web.AppKey[ErrorPage] = web.AppKey("binding_ivr.error_page")
"""Set it to show problems to people as HTML, outside `/v1`."""


class Guard:
    """The middlewares, outermost first."""

    def __init__(self, config: Web, metrics: Metrics) -> None:
        """Rates are of this node alone; the limits of calls are counted in PostgreSQL."""
        self._peers = peers_of(config)
        self._metrics = metrics
        self._addresses = {
            Rate.SIGN_IN: Buckets(config.requests_per_second, time.monotonic),
            Rate.OPEN: Buckets(config.requests_per_second, time.monotonic),
            Rate.FILE: Buckets(config.requests_per_second * FILES_PER_PAGE, time.monotonic),
        }
        self._callers = Buckets(config.requests_per_second, time.monotonic)
        self._failures = Buckets(FAILURES_PER_SECOND, time.monotonic, FAILURES_AT_ONCE)

    @property
    def middlewares(self) -> list[Middleware]:
        """For web.Application."""
        return [self._answered, self._admitted, self._signed_in]

    @property
    def open_middlewares(self) -> list[Middleware]:
        """For an application all of whose routes are open."""
        return [self._answered, self._admitted]

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every error becomes a problem document; every answer is counted."""
        begun = time.perf_counter()
        try:
            response = await handler(request)
        except Problem as problem:
            response = shown(request, problem)
        except StatementRefused:
            response = _fault(request)
        except BindingError as error:
            if not isinstance(error, UnavailableError) and problem_of(error).status >= 500:
                log.error("web.out_of_order", reason=str(error))
            response = shown(request, problem_of(error))
        except web.HTTPException as error:
            response = _moved(error) if error.status < 400 else shown(request, of_http(error))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            response = _fault(request)
        self._metrics.requests.labels(_method(request), route_of(request), response.status).inc()
        if not isinstance(response, web.Response):
            return response  # an event stream lasts as long as somebody looks
        self._metrics.request_seconds.observe(time.perf_counter() - begun)
        return response

    @web.middleware
    async def _admitted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Rates by address, and the body within its time and size."""
        request[ADDRESS] = self._peers.client(request)
        wait_s = self._addresses[rate_of(request)].wait(_client(request))
        if wait_s > 0:
            await asyncio.sleep(min(wait_s, HOLD_S))
        too_many(wait_s)
        if request.can_read_body:
            await _read(request)
        request.app[CONNECTIONS].at_work(request)
        return await handler(request)

    @web.middleware
    async def _signed_in(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Find out who asks, and that a browser does so of its user's own will."""
        if rate_of(request) is not Rate.SIGN_IN:
            return await handler(request)
        try:
            identity = await request.app[AUTHENTICATE](request)
        except Problem as problem:
            if problem.status == 401:
                request.app[WITNESS].refused(request[ADDRESS], problem.code)
                too_many(self._failures.wait(_client(request)))
            raise
        if identity is not None:
            request[IDENTITY] = identity
            request.app[WITNESS].seen(identity, request[ADDRESS])
            too_many(self._callers.wait(identity.caller))
            if identity.ambient:
                self.check_origin(request, identity)
        try:
            return await handler(request)
        except Problem as problem:
            if problem.status == 401 and problem.code != NOT_SIGNED_IN:  # a link or key that opens no session
                request.app[WITNESS].refused(request[ADDRESS], problem.code)
            raise

    def check_origin(self, request: web.Request, identity: Identity) -> None:
        """Raise Problem 403 unless the request comes from a page of ours, or only looks.

        Who only looks may come from elsewhere by a link or a frame, but not as a part of another site's page.
        Where the browser does not say, the session's token must come with it: in the header here, or in the form's
        field, which whoever reads the form checks (`check_form`; the API takes no forms).
        """
        if request.method in SAFE:
            origin.check_not_embedded(request)
            return
        if origin.is_proven(request):
            return
        token = request.headers.get(CSRF_HEADER)
        is_form = request.content_type == FORM and not request.path.startswith("/v1/")
        if token is None and is_form:
            return
        if token is None or not same(token.encode("utf-8", "replace"), identity.csrf.encode()):
            raise origin.cross_site()


async def check_form(request: web.Request, identity: Identity) -> dict[str, str]:
    """Return the fields of a form that a page of ours sent. Raises Problem 403, 415 when it is not one."""
    fields = await form_of(request)
    token = fields.get(origin.CSRF_FIELD, "")
    if identity.ambient and not same(token.encode("utf-8", "replace"), identity.csrf.encode()):
        raise origin.cross_site()
    return fields


async def form_of(request: web.Request) -> dict[str, str]:
    """Return the text fields of a form. Raises Problem 400 and 415."""
    if request.content_type != FORM:
        raise Problem(415, "not_a_form", f"send it as {FORM}")
    return fields_of(await request.read())


def fields_of(raw: bytes) -> dict[str, str]:
    """Return the fields of a form's body, whatever it is called. Raises Problem 400."""
    try:
        fields = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Problem(400, "bad_form", f"the body is not well-formed {FORM}") from None
    if len(dict(fields)) != len(fields):
        raise Problem(400, "bad_form", "a field is given twice")
    return dict(fields)


def too_many(wait_s: float) -> None:
    """Raise Problem 429 when *wait_s* is not 0."""
    if wait_s > 0:
        raise Problem(
            429,
            "too_many_requests",
            "too many requests; slow down",
            limit="requests_per_second",
            retry_at=time.time() + wait_s,
        )


async def _read(request: web.Request) -> None:
    """Read the body; aiohttp keeps it for the handler. Whoever sends slowly holds nothing but a connection."""
    if hdrs.CONTENT_ENCODING in request.headers:
        # The library unpacks while it reads; nothing that is taken here is large enough to be packed.
        raise Problem(415, "packed", "send the body without Content-Encoding", headers={hdrs.CONNECTION: "close"})
    try:
        async with asyncio.timeout(BODY_S):
            await request.read()
    except TimeoutError:
        raise Problem(408, "too_slow", "the body did not arrive in time", headers={hdrs.CONNECTION: "close"}) from None


def shown(request: web.Request, problem: Problem) -> web.StreamResponse:
    """The response for *problem*: HTML for people outside the API, if there is a page for it."""
    page = request.app.get(ERROR_PAGE)
    wants = "text/html" in request.headers.get(hdrs.ACCEPT, "")
    if page is not None and wants and not request.path.startswith("/v1/"):
        return page(request, problem)
    return problem.response()


_WORDS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "not_json", 400: "bad_request"}


def of_http(error: web.HTTPException) -> Problem:
    """A problem for what aiohttp itself refuses."""
    sentences = {
        404: "there is nothing here, or it is not yours",
        405: "this address does not take this method",
        413: f"a body has at most {LARGEST_BODY} bytes",
    }
    allow = error.headers.get(hdrs.ALLOW)
    headers: dict[str, str] = {hdrs.ALLOW: allow} if allow else {}
    detail = sentences.get(error.status, "the request is not well-formed")
    return Problem(error.status, _WORDS.get(error.status, "refused"), detail, headers=headers)


def _client(request: web.Request) -> str:
    return client_of(request[ADDRESS]) or request[ADDRESS]


def _method(request: web.Request) -> str:
    return request.method if request.method in hdrs.METH_ALL else "other"


def secure_headers(config: Web) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return what sets the security headers of every response; a handler's own headers win."""
    policy = (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors "
    )
    portals = " ".join(config.frame_ancestors)

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        framed = portals if portals and (route_of(request) in FRAMED or request.get(IN_FRAME)) else ""
        headers.setdefault("Content-Security-Policy", policy + (framed or "'none'"))
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        if not request.path.startswith("/static/"):
            headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        if not framed:
            headers.setdefault("X-Frame-Options", "DENY")
        if headers.get(hdrs.SERVER, "").startswith("Python"):
            del headers[hdrs.SERVER]

    return add


def _fault(request: web.Request) -> web.StreamResponse:
    """Log the exception that is being handled, and answer that it is ours."""
    log.exception("web.fault", route=route_of(request))
    return shown(request, Problem(500, "fault", "the service failed; its log says more"))


def _moved(error: web.HTTPException) -> web.Response:
    """The answer that a redirect stands for: aiohttp wants exceptions raised, and ours go through as answers."""
    location = error.headers.get(hdrs.LOCATION)
    return web.Response(status=error.status, headers={hdrs.LOCATION: location} if location else None)
