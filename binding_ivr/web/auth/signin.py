"""Signing in and out by browser: a link, token or API key becomes a session cookie. It draws no page of its own."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aiohttp import hdrs, web

from binding_ivr.config import Config
from binding_ivr.model.actors import Actor, ActorKind, Source, system
from binding_ivr.model.rows import SessionRow
from binding_ivr.model.secrets import LINK_PREFIX
from binding_ivr.web.auth import cookies
from binding_ivr.web.auth.credentials import Credentials
from binding_ivr.web.auth.guard import FORM, IN_FRAME, check_form, form_of
from binding_ivr.web.auth.identity import Identity, address_of, identity_or_none
from binding_ivr.web.auth.origin import CSRF_FIELD, check_sign_in_form
from binding_ivr.web.problems import Problem
from binding_ivr.web.settings import CONFIG

LinkPage = Callable[[web.Request, str], web.Response]
LINK_PAGE: web.AppKey[LinkPage] = web.AppKey("binding_ivr.link_page")
"""Set it to a page with a button that sends a sign-in link back (a form with the field `link`).

Whoever opens the link gets the page, whatever the link is worth: programs that look at mails open every link in them.
"""
AdmittedPage = Callable[[web.Request, str], web.Response]
ADMITTED_PAGE: web.AppKey[AdmittedPage] = web.AppKey("binding_ivr.admitted_page")
"""Set it to a page that leads on to the given path by itself.

It must be a page of ours and no redirection: a browser that comes from another site does not send a SameSite=Strict
cookie along a redirection, and the user would seem not to be signed in.
"""


def add_routes(app: web.Application, credentials: Credentials) -> None:
    """Add `/signin` (GET shows a link's button or takes a token, POST takes a link or an API key) and `/signout`."""
    sessions = _Sessions(app[CONFIG], credentials)
    app.router.add_get("/signin", sessions.opened)
    app.router.add_post("/signin", sessions.by_form)
    app.router.add_post("/signout", sessions.sign_out)


class _Sessions:
    """Opens and closes sessions."""

    def __init__(self, config: Config, credentials: Credentials) -> None:
        self._minutes = config.auth.session_minutes
        self._credentials = credentials

    async def opened(self, request: web.Request) -> web.StreamResponse:
        """GET /signin?token=…: a sign-in link shows its button; a user token signs in, once. HEAD does nothing."""
        text = request.query.get("token", "")
        if not text or len(request.query) != 1:
            raise Problem(400, "no_token", "open the sign-in link unchanged")
        if text.startswith(LINK_PREFIX):
            return request.app[LINK_PAGE](request, text)
        request[IN_FRAME] = True  # a portal that knows its users signs them in in its frame
        if request.method == hdrs.METH_HEAD:
            return web.Response()
        if request.headers.get("Sec-Purpose", "").startswith("prefetch"):
            raise Problem(425, "prefetch", "open the sign-in link; do not fetch it ahead")
        return await self._by_token(request, text)

    async def _by_token(self, request: web.Request, text: str) -> web.StreamResponse:
        token = await self._credentials.token(text)
        if not await self._credentials.stored.spend(token.digest, token.expires_at):
            raise Problem(
                401, "bad_token", "this user token is refused: it has been used to sign in, which works only once"
            )
        now = datetime.now(UTC)
        return await self._admit(
            request, self._session(token.account, token.user_id, token.signed_in_at or now), None, "/", "token"
        )

    async def by_form(self, request: web.Request) -> web.StreamResponse:
        """POST /signin with the form field `link` (the button of a sign-in link) or `key` (an API key)."""
        fields = await form_of(request)
        check_sign_in_form(request, fields.get(CSRF_FIELD, ""))
        if "link" in fields:
            return await self._by_link(request, fields["link"])
        return await self._by_key(request, fields.get("key", "").strip())

    async def _by_link(self, request: web.Request, text: str) -> web.StreamResponse:
        user = await self._credentials.stored.redeem_link(text, address_of(request))
        if user is None:
            raise Problem(401, "bad_link", "this sign-in link has been used or has expired; ask for a new one")
        return await self._admit(request, self._session(*user, datetime.now(UTC)), None, "/", "link")

    async def _by_key(self, request: web.Request, text: str) -> web.StreamResponse:
        """Open a session for the holder of an API key, such as an administrator."""
        key = await self._credentials.key(text)
        now = datetime.now(UTC)
        until = now + timedelta(minutes=self._minutes)
        session = SessionRow("", "", key.name, key.scopes, now, until)
        return await self._admit(request, session, key.key_id, "/admin", "key")

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """POST /signout: the session ends everywhere."""
        identity = identity_or_none(request)
        if identity is not None and request.content_type == FORM:
            await check_form(request, identity)
        cookie = cookies.read(request, cookies.SESSION)
        if cookie:
            await self._credentials.stored.close_session(cookie, _actor_of(identity, request))
        response = web.Response(status=303, headers={hdrs.LOCATION: "/"})
        cookies.forget(response, cookies.SESSION)
        return response

    def _session(self, account: str, user_id: str, signed_in_at: datetime) -> SessionRow:
        until = datetime.now(UTC) + timedelta(minutes=self._minutes)
        return SessionRow(account, user_id, "", frozenset(), signed_in_at, until)

    async def _admit(
        self, request: web.Request, session: SessionRow, key_id: str | None, path: str, way: str
    ) -> web.StreamResponse:
        """Open *session* under a fresh cookie; a session that the browser had before ends."""
        actor = _owner(session, address_of(request))
        cookie = await self._credentials.stored.open_session(session, key_id, replace(actor, by=way))
        if before := cookies.read(request, cookies.SESSION):
            await self._credentials.stored.close_session(before, actor)
        response = request.app[ADMITTED_PAGE](request, path)
        cookies.keep(request, response, cookies.SESSION, cookie, self._minutes * 60)
        return response


def _owner(session: SessionRow, address: str) -> Actor:
    """Who a session is of, as the one who begins it."""
    kind, name = (ActorKind.KEY, session.key_name) if session.key_name else (ActorKind.USER, session.user_id)
    return Actor(kind, name, Source.WEB, address)


def _actor_of(identity: Identity | None, request: web.Request) -> Actor:
    """Who signs out; nobody who is known, when the session has ended before."""
    address = address_of(request)
    if identity is None:
        return system(Source.WEB, address=address)
    return identity.actor(address, identity.account, identity.user_id)
