"""Signing in and out by browser: a link, token or API key becomes a session cookie. It draws no page of its own."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import escape

from aiohttp import hdrs, web

from binding_ivr.config import Config
from binding_ivr.model.rows import SessionRow
from binding_ivr.model.secrets import LINK_PREFIX
from binding_ivr.web.auth.credentials import COOKIE, SECURE_COOKIE, Credentials, cookie_of
from binding_ivr.web.auth.guard import FORM, check_form, form_of
from binding_ivr.web.auth.identity import identity_or_none
from binding_ivr.web.auth.peers import Peers
from binding_ivr.web.problems import Problem
from binding_ivr.web.settings import CONFIG

AdmittedPage = Callable[[web.Request, str], web.Response]
ADMITTED_PAGE: web.AppKey[AdmittedPage] = web.AppKey("binding_ivr.admitted_page")
"""Set it to a page that leads on to the given path by itself.

It must be a page of ours and no redirection: a browser that comes from another site does not send a SameSite=Strict
cookie along a redirection, and the user would seem not to be signed in.
"""


def add_routes(app: web.Application, credentials: Credentials) -> None:
    """Add `/signin` (GET by token or link, POST by API key) and `/signout`."""
    sessions = _Sessions(app[CONFIG], credentials)
    app.router.add_get("/signin", sessions.by_token, allow_head=False)
    app.router.add_post("/signin", sessions.by_key)
    app.router.add_post("/signout", sessions.sign_out)


class _Sessions:
    """Opens and closes sessions."""

    def __init__(self, config: Config, credentials: Credentials) -> None:
        self._minutes = config.auth.session_minutes
        self._public = config.web.public_url
        self._peers = Peers(config.web.trusted_proxies)
        self._credentials = credentials

    async def by_token(self, request: web.Request) -> web.StreamResponse:
        """GET /signin?token=…: a sign-in link or a user token; works once."""
        text = request.query.get("token", "")
        if not text or len(request.query) != 1:
            raise Problem(400, "no_token", "open the sign-in link unchanged")
        if request.headers.get("Sec-Purpose", "").startswith("prefetch"):
            raise Problem(425, "prefetch", "open the sign-in link; do not fetch it ahead")
        now = datetime.now(UTC)
        stored = self._credentials.stored
        if text.startswith(LINK_PREFIX):
            user = await stored.redeem_link(text)
            if user is None:
                raise Problem(401, "bad_link", "this sign-in link has been used or has expired; ask for a new one")
            session = self._session(*user, now)
        else:
            token = await self._credentials.token(text)
            if not await stored.spend(token.digest, token.expires_at):
                raise Problem(
                    401, "bad_token", "this user token is refused: it has been used to sign in, which works only once"
                )
            session = self._session(token.account, token.user_id, token.signed_in_at or now)
        return await self._admit(request, session, None, "/")

    async def by_key(self, request: web.Request) -> web.StreamResponse:
        """POST /signin with the form field `key`: a session for the holder of an API key, such as an administrator."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Problem(403, "cross_site", "this form does not come from a page of this service")
        fields = await form_of(request)
        key = await self._credentials.key(fields.get("key", "").strip())
        now = datetime.now(UTC)
        until = now + timedelta(minutes=self._minutes)
        session = SessionRow("", "", key.name, key.scopes, now, until)
        return await self._admit(request, session, key.key_id, "/admin")

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """POST /signout: the session ends everywhere."""
        identity = identity_or_none(request)
        if identity is not None and request.content_type == FORM:
            await check_form(request, identity)
        cookie = cookie_of(request)
        if cookie:
            await self._credentials.stored.close_session(cookie)
        response = web.Response(status=303, headers={hdrs.LOCATION: "/"})
        response.del_cookie(COOKIE, path="/")
        response.del_cookie(SECURE_COOKIE, path="/", secure=True)
        return response

    def _session(self, account: str, user_id: str, signed_in_at: datetime) -> SessionRow:
        until = datetime.now(UTC) + timedelta(minutes=self._minutes)
        return SessionRow(account, user_id, "", frozenset(), signed_in_at, until)

    async def _admit(
        self, request: web.Request, session: SessionRow, key_id: str | None, path: str
    ) -> web.StreamResponse:
        """Open *session* under a fresh cookie; a session that the browser had before ends."""
        cookie = await self._credentials.stored.open_session(session, key_id)
        if before := cookie_of(request):
            await self._credentials.stored.close_session(before)
        secure = self._public.startswith("https:") or self._peers.over_tls(request)
        response = request.app.get(ADMITTED_PAGE, admitted_page)(request, path)
        response.set_cookie(
            SECURE_COOKIE if secure else COOKIE,
            cookie,
            max_age=self._minutes * 60,
            path="/",
            httponly=True,
            secure=secure,
            samesite="Strict",
        )
        return response


def admitted_page(_: web.Request, path: str) -> web.Response:
    """A page that leads on to *path* by itself."""
    target = escape(path, quote=True)
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Signed in</title>'
        f'<meta http-equiv="refresh" content="0; url={target}"></head>'
        f'<body><p><a href="{target}">Continue</a></p></body></html>'
    )
    return web.Response(text=text, content_type="text/html")
