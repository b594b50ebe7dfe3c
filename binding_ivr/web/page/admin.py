"""The administrator's page: attempts, bindings, limits, suppressed numbers, one user. For API keys of scope `admin`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from aiohttp import hdrs, web

from binding_ivr.app.installation import Installation
from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.model import forms
from binding_ivr.model.actors import Actor
from binding_ivr.model.audit import AuditKind
from binding_ivr.web.auth.access import Access, authorize
from binding_ivr.web.auth.guard import check_form
from binding_ivr.web.auth.identity import Identity, address_of, identity_of
from binding_ivr.web.page.admin_view import (
    Held,
    done,
    held,
    line,
    moved,
    stamp,
    statuses,
    today,
)
from binding_ivr.web.page.render import LANGUAGE_FIELD, draw
from binding_ivr.web.page.texts import Texts, choose, texts
from binding_ivr.web.problems import Problem
from binding_ivr.web.settings import INSTALLATION, READINESS

MOST_ATTEMPTS = 1000
MOST_LINES = 25
MOST_USERS = 1000
MOST_FOUND = 50
MOST_ASKED = 50
"""Of so many users who were called today the page finds out whether a limit holds them."""

Act = Callable[[Installation, str, str, Actor], Awaitable[object]]


def add_routes(app: web.Application) -> None:
    """Add the page's routes."""
    app.router.add_get("/admin", overview)
    app.router.add_get("/admin/user", one_user)
    app.router.add_post("/admin/user", act_on_user)
    app.router.add_post("/admin/suppressions", act_on_number)
    app.router.add_post("/admin/limits", act_on_limits)


def _admin(request: web.Request) -> Identity:
    identity = identity_of(request)
    authorize(identity, Access.ADMIN, None, None)
    return identity


async def overview(request: web.Request) -> web.Response:
    """Everything at a glance, or the users that were searched for."""
    identity = _admin(request)
    return await _overview(request, identity)


async def _overview(request: web.Request, identity: Identity, refused: str = "", status: int = 200) -> web.Response:
    to = request.app[INSTALLATION]
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    day = today(
        await to.store.attempts.attempts(account=None, user_id=None, since=midnight, limit=MOST_ATTEMPTS), MOST_LINES
    )
    users = await to.store.web.search_users(None, "", "", MOST_USERS)
    text = request.query.get("q", "").strip()
    accounts = [account.account for account in await to.store.directory.accounts()]
    return draw(
        request,
        "admin.html",
        texts("en"),
        status=status,
        csrf=identity.csrf,
        day=day,
        most=MOST_ATTEMPTS,
        statuses=statuses(users),
        many_users=len(users) >= MOST_USERS,
        text=text,
        found=await to.store.web.search_users(None, text, "", MOST_FOUND) if text else None,
        held=await _held(to, day.people),
        limits={account: await to.accounts.limits(account) for account in accounts},
        state=(state := await to.store.limits.state()),
        paused=[(row, stamp(row.until)) for row in state.paused],
        suppressions=[(row, stamp(row.created_at)) for row in await to.store.suppressions.list()],
        words=_words(request),
        kinds=[kind.value for kind in AuditKind],
        kind_asked=(kind := _listed(request.query.get("audit", ""), [kind.value for kind in AuditKind])),
        account_asked=(account := _listed(request.query.get("account", ""), accounts)),
        audit=[
            done(row)
            for row in await to.store.personal.audit(account=account or None, action=kind or None, limit=MOST_LINES)
        ],
        moves=[moved(row) for row in await to.store.moves.moves(since=midnight, limit=MOST_LINES)],
        health=await request.app[READINESS](),
        refused=refused,
        name=identity.name,
        now=stamp(datetime.now(UTC)),
    )


async def _held(to: Installation, people: Sequence[tuple[str, str]]) -> list[Held]:
    found: list[Held] = []
    for account, user_id in people[:MOST_ASKED]:
        try:
            row = held(await to.bindings.view(account, user_id))
        except NotFoundError:  # removed since
            continue
        if row is not None:
            found.append(row)
    return found


async def one_user(request: web.Request) -> web.Response:
    """One user: binding, attempts, and what can be done."""
    identity = _admin(request)
    return await _one_user(request, identity, request.query.get("account", ""), request.query.get("user", ""))


async def _one_user(
    request: web.Request, identity: Identity, account: str, user_id: str, refused: str = "", status: int = 200
) -> web.Response:
    to = request.app[INSTALLATION]
    view = await to.bindings.view(account, user_id)
    attempts = await to.store.attempts.attempts(account=account, user_id=user_id, since=None, limit=MOST_LINES)
    audit = await to.store.personal.audit(account=account, user_id=user_id, since=None, limit=MOST_LINES)
    return draw(
        request,
        "admin_user.html",
        texts("en"),
        status=status,
        csrf=identity.csrf,
        user=await to.store.directory.user(account, user_id),
        view=view,
        since=stamp(view.binding.since),
        held=held(view),
        lines_of=[line(attempt) for attempt in attempts],
        verify_by=stamp(view.life.verify_by),
        stale=view.binding.stale_at is not None,
        audit=[done(row) for row in audit],
        words=_words(request),
        moves=[moved(row) for row in await to.store.moves.moves(account=account, user_id=user_id, limit=MOST_LINES)],
        refused=refused,
    )


def _words(request: web.Request) -> Texts:
    """The sentences that say in the reader's language what was done; the rest of the page is English."""
    return texts(choose(request.query.get(LANGUAGE_FIELD, ""), "", request.headers.get(hdrs.ACCEPT_LANGUAGE, "")))


def _listed(asked: str, known: Sequence[str]) -> str:
    return asked if asked in known else ""


ACTS: Mapping[str, Act] = {
    "suspend": lambda to, account, user_id, actor: to.bindings.suspend(account, user_id, actor),
    "resume": lambda to, account, user_id, actor: to.bindings.resume(account, user_id, actor),
    "remove": lambda to, account, user_id, actor: to.bindings.remove(account, user_id, actor),
    "unlock": lambda to, account, user_id, actor: to.store.limits.reset_user(account, user_id, actor),
    "cancel": lambda to, account, user_id, actor: to.bindings.cancel(account, user_id, actor),
}
"""What an administrator may do to a user's binding."""


async def act_on_user(request: web.Request) -> web.Response:
    """Carry out a form of the user's page; the reason goes into the audit next to the name of the key."""
    identity = _admin(request)
    fields = await check_form(request, identity)
    account, user_id = fields.get("account", ""), fields.get("user", "")
    act = ACTS.get(fields.get("do", ""))
    if act is None:
        raise Problem(422, "invalid", "there is no such action")
    try:
        await act(request.app[INSTALLATION], account, user_id, _actor(request, identity, fields, account, user_id))
    except Refusal as refusal:
        return await _one_user(request, identity, account, user_id, str(refusal), 422)
    except NotFoundError:
        return await _one_user(request, identity, account, user_id, "there was nothing to do that to", 404)
    raise web.HTTPSeeOther("user?" + urlencode({"account": account, "user": user_id}))


async def act_on_number(request: web.Request) -> web.Response:
    """Suppress a number, or allow it again."""
    identity = _admin(request)
    fields = await check_form(request, identity)
    numbers, number = request.app[INSTALLATION].numbers, fields.get("number", "")
    try:
        actor = _actor(request, identity, fields)
        if fields.get("hash"):
            await numbers.unsuppress(fields["hash"], actor)
        elif fields.get("do") == "allow":
            await numbers.unsuppress(number, actor)
        else:
            await numbers.suppress(number, actor)
    except Refusal as refusal:
        return await _overview(request, identity, str(refusal), 422)
    except NotFoundError:
        return await _overview(request, identity, "this number is not suppressed", 404)
    raise web.HTTPSeeOther("../admin#suppressions")


async def act_on_limits(request: web.Request) -> web.Response:
    """Let paused calls leave again, or the calls to a number count no more."""
    identity = _admin(request)
    fields = await check_form(request, identity)
    to = request.app[INSTALLATION]
    try:
        actor = _actor(request, identity, fields)
        match fields.get("do"):
            case "resume":
                await to.store.limits.resume(fields.get("account", ""), actor)
            case "reset":
                await to.numbers.reset(fields.get("number", ""), actor)
            case _:
                raise Problem(422, "invalid", "there is no such action")
    except Refusal as refusal:
        return await _overview(request, identity, str(refusal), 422)
    except NotFoundError:
        return await _overview(request, identity, "these calls are not paused", 404)
    raise web.HTTPSeeOther("../admin#limits")


def _actor(
    request: web.Request, identity: Identity, fields: Mapping[str, str], account: str = "", user_id: str = ""
) -> Actor:
    """The administrator, acting on a user if one is named, with the reason. Raises Refusal without a reason."""
    reason = forms.check_reason(fields.get("reason", ""))
    return replace(identity.actor(address_of(request), account, user_id), reason=reason)
