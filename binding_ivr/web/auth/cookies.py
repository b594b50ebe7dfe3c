"""The cookies of the service: their names, and how a browser has to keep them. It knows no session."""

from aiohttp import hdrs, web

from binding_ivr.web.auth.peers import is_https

SESSION = "binding_ivr"
"""Who is signed in."""
SIGN_IN_FORM = "binding_ivr_form"
"""That a form of a page of ours is sent back by the browser that was shown it, before anybody is signed in."""
HOST_ONLY = "__Host-"
"""Browsers take a name that begins so only over https, and only from this very host (RFC 6265bis, section 4.1.3.2)."""
LONGEST = 200


def read(request: web.Request, name: str) -> str:
    """Return the cookie *name*; empty without one, or with two.

    Under https only the one with the prefix counts: any other could have been set by a neighbour of the same domain,
    or over http. The header is read here, and strictly: a reader that is generous about quotes and blanks finds the
    name in what a browser took for another one.
    """
    wanted = _name(request, name)
    pairs = [pair.strip(" \t") for line in request.headers.getall(hdrs.COOKIE, ()) for pair in line.split(";")]
    found = [value for key, _, value in (pair.partition("=") for pair in pairs) if key == wanted]
    return found[0] if len(found) == 1 and len(found[0]) <= LONGEST else ""


def keep(request: web.Request, response: web.StreamResponse, name: str, value: str, max_age: int | None = None) -> None:
    """Let the browser that asked keep *value*, for *max_age* seconds or else until it is closed."""
    response.set_cookie(
        _name(request, name),
        value,
        max_age=max_age,
        path="/",
        httponly=True,
        secure=is_https(request),
        samesite="Strict",
    )


def forget(response: web.StreamResponse, name: str) -> None:
    """Let the browser forget the cookie *name*, in both of its forms."""
    response.del_cookie(name, path="/")
    response.del_cookie(HOST_ONLY + name, path="/", secure=True)


def _name(request: web.Request, name: str) -> str:
    return HOST_ONLY + name if is_https(request) else name
