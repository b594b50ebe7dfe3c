"""Whether a request comes from a page of ours, and not from another site by its visitors' browsers."""

from urllib.parse import urlsplit

from aiohttp import hdrs, web

from binding_ivr.model.secrets import csrf_of, new_secret, same
from binding_ivr.web.auth import cookies
from binding_ivr.web.auth.peers import is_https
from binding_ivr.web.problems import Problem
from binding_ivr.web.settings import CONFIG

CSRF_FIELD = "csrf"


def is_proven(request: web.Request) -> bool:
    """Return whether the browser says that a page of ours sent *request*; False when it says nothing.

    Sec-Fetch-Site and Origin decide where the browser sends them. It may send neither: the first goes to https and
    loopback only, and the second is `null` for a form of a page with Referrer-Policy no-referrer. Then a token must
    come with the request. Raises Problem 403 when it comes from elsewhere.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get(hdrs.ORIGIN)
    if site is not None and site != "same-origin":
        raise cross_site()
    if origin is None or origin == "null":
        return site == "same-origin"
    if not _is_ours(request, origin):
        raise cross_site()
    return True


def check_not_embedded(request: web.Request) -> None:
    """Raise Problem 403 for what another site's page asks for as its picture, script, stream or the like.

    It could not read the answer, but would learn from its size, time or failure, and could use up somebody's streams.
    """
    if request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none"):
        return
    if request.headers.get("Sec-Fetch-Mode") != "navigate":
        raise cross_site()


def _is_ours(request: web.Request, origin: str) -> bool:
    try:
        asked = urlsplit(origin)
    except ValueError:
        return False
    if public_url := request.app[CONFIG].web.public_url:
        public = urlsplit(public_url)
        if (asked.scheme, asked.netloc) == (public.scheme, public.netloc):
            return True
    # What was shown over http may come from anybody on the way, so it is not ours where users have https.
    schemes = ("https",) if is_https(request) else ("http", "https")
    return asked.scheme in schemes and asked.netloc == request.host


def cross_site() -> Problem:
    """A request that another site may have sent."""
    return Problem(403, "cross_site", "this request does not come from a page of this service")


class SignInForm:
    """A form that is shown before anybody is signed in: its token, and the cookie that the token belongs to.

    A site that makes its visitors send the form, to sign them in as somebody else, can neither read nor set the cookie.
    """

    def __init__(self, request: web.Request) -> None:
        """Keep the cookie that the browser has; several of its tabs may show the form."""
        self._request = request
        self._cookie = cookies.read(request, cookies.SIGN_IN_FORM) or new_secret()
        self.token = csrf_of(self._cookie)

    def shown(self, response: web.Response) -> web.Response:
        """Return *response*, which shows the form, with the cookie."""
        cookies.keep(self._request, response, cookies.SIGN_IN_FORM, self._cookie)
        return response


def check_sign_in_form(request: web.Request, token: str) -> None:
    """Raise Problem 403 unless a page of ours sent the form; *token* is what came in its field CSRF_FIELD."""
    if is_proven(request):
        return
    cookie = cookies.read(request, cookies.SIGN_IN_FORM)
    if not cookie or not same(token.encode("utf-8", "replace"), csrf_of(cookie).encode()):
        raise cross_site()
