"""The page *Phone Number Binding*: draws it and takes its forms. What may be done is decided behind the to."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

from aiohttp import hdrs, web

from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.model.actors import Actor
from binding_ivr.model.rows import BindingStatus, User
from binding_ivr.policy.numbers import example_of
from binding_ivr.web.auth.credentials import is_fresh
from binding_ivr.web.auth.guard import ERROR_PAGE, check_form
from binding_ivr.web.auth.identity import Identity, address_of, identity_of
from binding_ivr.web.auth.signin import ADMITTED_PAGE, LINK_PAGE
from binding_ivr.web.page import assets as page_assets
from binding_ivr.web.page.qr import picture, vcard
from binding_ivr.web.page.render import (
    admitted_page,
    draw,
    error_page,
    language_of,
    link_page,
    note,
    query_of,
)
from binding_ivr.web.page.texts import texts
from binding_ivr.web.page.view import Hindrance, hindrance, move_lines, rules, shows
from binding_ivr.web.problems import problem_of
from binding_ivr.web.rendering import Rendering
from binding_ivr.web.settings import CONFIG, INSTALLATION

LONGEST_TYPED = 200
MOST_MOVES = 10
CARD_FILE = "phone-number-binding.vcf"
A_WHILE = "private, max-age=600"
"""So long a browser shows the picture of our numbers without asking again."""
GONE = "not_found"
"""The word for a call or number that had gone when the reader pressed the button."""

Act = Callable[[web.Request, Identity, dict[str, str]], Awaitable[object]]


def add_routes(app: web.Application) -> None:
    """Add the page's routes."""
    app[ERROR_PAGE] = error_page
    app[ADMITTED_PAGE] = admitted_page
    app[LINK_PAGE] = link_page
    app.router.add_get("/", show)
    app.router.add_get("/static/{name}", page_assets.serve)
    app.router.add_get("/caller.vcf", caller_card)
    app.router.add_get("/caller.svg", caller_code)
    for name, act in {
        "bind": _bind,
        "revalidate": _revalidate,
        "undo": _undo,
        "cancel": _cancel,
        "remove": _remove,
    }.items():
        app.router.add_post(f"/{name}", _form(name, act))
        app.router.add_get(f"/{name}", back)


async def show(request: web.Request) -> web.Response:
    """The page, for the user who asks; administrators have one of their own."""
    identity = identity_of(request)
    if not identity.is_user:
        raise web.HTTPSeeOther("admin")
    return await _page(request, identity)


async def back(request: web.Request) -> web.Response:
    """The address of a form, opened or reloaded: the page itself."""
    raise web.HTTPSeeOther(f"./{query_of(request)}")


async def caller_card(request: web.Request) -> web.Response:
    """Our calling numbers as a vCard."""
    card = await _card(request)
    return web.Response(
        text=card,
        content_type="text/vcard",
        headers={hdrs.CONTENT_DISPOSITION: f'attachment; filename="{CARD_FILE}"'},
    )


async def caller_code(request: web.Request) -> web.Response:
    """The same as a QR code."""
    drawn = Rendering(await picture(await _card(request)), "image/svg+xml")
    response = drawn.tagged(request, A_WHILE)
    response.headers[hdrs.VARY] = "Cookie, Authorization, Accept-Language"
    return response


async def _card(request: web.Request) -> str:
    identity = identity_of(request)
    to = request.app[INSTALLATION]
    view = await to.bindings.view(identity.account, identity.user_id, _actor(request))
    user = await to.store.directory.user(identity.account, identity.user_id)
    if not view.caller_ids:
        raise web.HTTPNotFound
    t = texts(language_of(request, user.language))
    return vcard(t.plain("caller.contact", site=request.app[CONFIG].prompts.site_name), view.caller_ids)


def _form(name: str, act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler of the form *name*: it acts and shows the page, or says why it was refused."""

    async def handle(request: web.Request) -> web.Response:
        identity = identity_of(request)
        fields = await check_form(request, identity)
        try:
            await act(request, identity, fields)
        except Refusal as refusal:
            now = datetime.now(UTC)
            refused = hindrance(refusal, now)
            status = problem_of(refusal).status
            return await _page(request, identity, name, refused, fields.get("number", ""), status)
        except NotFoundError:
            return await _page(request, identity, name, Hindrance(f"refusal.{GONE}"), status=404)
        raise web.HTTPSeeOther(f"./{query_of(request)}")

    return handle


async def _bind(request: web.Request, identity: Identity, fields: dict[str, str]) -> object:
    await _check_fresh(request, identity)
    account, user_id, number = identity.account, identity.user_id, fields.get("number", "")
    return await request.app[INSTALLATION].bindings.bind(
        account, user_id, number, _actor(request), now=_said_now(fields)
    )


async def _revalidate(request: web.Request, identity: Identity, fields: dict[str, str]) -> object:
    account, user_id = identity.account, identity.user_id
    return await request.app[INSTALLATION].bindings.revalidate(account, user_id, _actor(request), now=_said_now(fields))


async def _undo(request: web.Request, identity: Identity, fields: dict[str, str]) -> object:
    await _check_fresh(request, identity)
    account, user_id = identity.account, identity.user_id
    return await request.app[INSTALLATION].bindings.undo(account, user_id, _actor(request), now=_said_now(fields))


def _said_now(fields: dict[str, str]) -> bool:
    """True when the user wants to be called although it is not an hour for calls."""
    return fields.get("now") == "1"


async def _cancel(request: web.Request, identity: Identity, _: dict[str, str]) -> None:
    await request.app[INSTALLATION].bindings.cancel(identity.account, identity.user_id, _actor(request))


async def _remove(request: web.Request, identity: Identity, _: dict[str, str]) -> None:
    await _check_fresh(request, identity)
    await request.app[INSTALLATION].bindings.remove(identity.account, identity.user_id, _actor(request))


async def _check_fresh(request: web.Request, identity: Identity) -> None:
    """Raise Refusal when a verified number would change after a sign-in that is older than the operator allows."""
    minutes = request.app[CONFIG].auth.step_up_minutes
    if is_fresh(identity, minutes):
        return
    view = await request.app[INSTALLATION].bindings.view(identity.account, identity.user_id, _actor(request))
    if view.binding.status is BindingStatus.VERIFIED:
        raise Refusal("step_up_required", f"sign in again: this needs a sign-in from the last {minutes} minutes")


async def _page(
    request: web.Request,
    identity: Identity,
    refused_at: str = "",
    refused: Hindrance | None = None,
    typed: str = "",
    status: int = 200,
) -> web.Response:
    """Draw the page; with what was *refused* at the form *refused_at*, and what had been *typed* there."""
    to, config = request.app[INSTALLATION], request.app[CONFIG]
    account, user_id = identity.account, identity.user_id
    user = await _user(request, account, user_id)
    if user is None:
        return note(request, "unknown", "dash", status=404)
    view = await to.bindings.view(account, user_id, _actor(request))
    own = await to.accounts.config_of(account)
    t = texts(language_of(request, user.language))
    now = datetime.now(UTC)
    moves = await to.store.moves.moves(account=account, user_id=user_id, limit=MOST_MOVES)
    shown = replace(shows(view, config.code.length, config.code.reveal, now), moves=move_lines(moves, now))
    if refused_at == "revalidate" and shown.revalidate is not None:
        shown = replace(shown, revalidate=None)  # it is said once, as the refusal
    return draw(
        request,
        "page.html",
        t,
        status=status,
        shows=shown,
        csrf=identity.csrf,
        whose=", ".join(user.extensions) or user_id,
        refused=refused,
        refused_at=refused_at,
        typed=typed[:LONGEST_TYPED],
        replace=own.binding.replace,
        rules=rules(await to.accounts.limits(account), t.sentences),
        example=example_of(own.number.default_region),
        events=f"./v1/accounts/{quote(account, safe='')}/users/{quote(user_id, safe='')}/binding/events",
        card=CARD_FILE,
        can_sign_out=identity.kind == "user",
    )


async def _user(request: web.Request, account: str, user_id: str) -> User | None:
    try:
        return await request.app[INSTALLATION].store.directory.user(account, user_id)
    except NotFoundError:
        return None


def _actor(request: web.Request) -> Actor:
    identity = identity_of(request)
    return identity.actor(address_of(request), identity.account, identity.user_id)
