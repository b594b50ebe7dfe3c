"""Which rate holds for which route: each client may ask so much in a time. It counts nothing itself."""

from collections.abc import Mapping
from enum import Enum

from aiohttp import web


class Rate(Enum):
    """What a request is counted as; each has buckets of its own, so that one cannot use up another."""

    SIGN_IN = "sign_in"
    """By address, then by who asks; refused credentials have a slower rate. All routes but the others."""
    OPEN = "open"
    """By address: for everybody, answered from memory."""
    FILE = "file"
    """By address: a page brings several at once, and nothing is computed for them."""


FILES_PER_PAGE = 5.0
"""So many times as often as others may files be asked for."""

RATES: Mapping[str, Rate] = {
    "/health/live": Rate.OPEN,
    "/health/ready": Rate.OPEN,
    "/metrics": Rate.OPEN,
    "/openapi.json": Rate.OPEN,
    "/static/{name}": Rate.FILE,
}
"""The routes for which nobody has to sign in, by their patterns."""


def rate_of(request: web.Request) -> Rate:
    """The rate of a request; of one that has no route, that of those who have to sign in."""
    return RATES.get(route_of(request), Rate.SIGN_IN)


def route_of(request: web.Request) -> str:
    """The route's pattern: the same for all users, so that it may be a label."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"
