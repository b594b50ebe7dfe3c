"""Draws the templates, and what all pages share: the reader's language, errors for people. It knows no use case."""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import jinja2
from aiohttp import hdrs, web

from binding_ivr.web.auth.origin import SignInForm
from binding_ivr.web.page import assets as page_assets
from binding_ivr.web.page.texts import LANGUAGES, Texts, choose, texts
from binding_ivr.web.page.view import grouped
from binding_ivr.web.problems import Problem
from binding_ivr.web.settings import CONFIG

LANGUAGE_FIELD = "lang"


@cache
def templates() -> jinja2.Environment:
    """Return the templates: everything is escaped, and a name that is not given is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("binding_ivr.web.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def language_of(request: web.Request, setting: str = "") -> str:
    """Return the language of the answer; *setting* is the user's own."""
    accept = request.headers.get(hdrs.ACCEPT_LANGUAGE, "")
    default = request.app[CONFIG].prompts.languages[0]
    return choose(request.query.get(LANGUAGE_FIELD, ""), setting, accept, default)


def query_of(request: web.Request) -> str:
    """Return the part of the address that our own links and forms must keep: a language that was asked for."""
    wish = request.query.get(LANGUAGE_FIELD, "")
    return "?" + urlencode({LANGUAGE_FIELD: wish}) if wish in LANGUAGES else ""


def draw(request: web.Request, template: str, t: Texts, *, status: int = 200, **values: Any) -> web.Response:
    """Return *template* as a page in the language of *t*."""
    shared = {
        "t": t,
        "languages": LANGUAGES,
        "query": query_of(request),
        "root": "../" * (request.path.count("/") - 1),
        "site": request.app[CONFIG].prompts.site_name,
        "version": page_assets.version(),
        "grouped": grouped,
        "example": "",
    }
    html = templates().get_template(template).render({**shared, **values})
    return web.Response(text=html, content_type="text/html", status=status, headers={hdrs.VARY: "Accept-Language"})


_NOTES: Mapping[int, tuple[str, str, str | None]] = {
    HTTPStatus.UNAUTHORIZED: ("signed_out", "key", None),
    HTTPStatus.FORBIDDEN: ("forbidden", "stop", "page.close"),
    HTTPStatus.NOT_FOUND: ("missing", "dash", "page.close"),
}
_BROKEN = ("broken", "warn", "broken.retry")
_BAD_LINK = ("bad_link", "key", None)


def error_page(request: web.Request, problem: Problem) -> web.StreamResponse:
    """Return *problem* as a page for people (see guard.ERROR_PAGE), with its status and headers."""
    if problem.code == "bad_link":
        response = note(request, *_BAD_LINK, status=problem.status)
    elif problem.status == HTTPStatus.UNAUTHORIZED and _is_for_keys(request):
        refused = problem.detail if request.method == hdrs.METH_POST else ""
        form = SignInForm(request)
        response = draw(
            request, "admin_signin.html", texts("en"), status=problem.status, refused=refused, csrf=form.token
        )
        form.shown(response)
    else:
        key, picture, again = _NOTES.get(problem.status, _BROKEN)
        response = note(request, key, picture, again, status=problem.status)
    for name, value in problem.response().headers.items():
        if name not in (hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH):
            response.headers[name] = value
    return response


def _is_for_keys(request: web.Request) -> bool:
    """True for the administrator's page, and for the sign-in by API key that it asks for."""
    return request.path.startswith("/admin") or (request.path == "/signin" and request.method == hdrs.METH_POST)


def link_page(request: web.Request, link: str) -> web.Response:
    """Return a page whose button sends a sign-in link back (see signin.LINK_PAGE)."""
    form = SignInForm(request)
    t = texts(language_of(request))
    return form.shown(draw(request, "signin.html", t, link=link, csrf=form.token))


def admitted_page(request: web.Request, path: str) -> web.Response:
    """Return a page that leads on to *path* by itself (see signin.ADMITTED_PAGE)."""
    return note(request, "admitted", "check", "admitted.button", onward="." + path)


def note(
    request: web.Request, key: str, picture: str, again: str | None = None, *, status: int = 200, onward: str = ""
) -> web.Response:
    """Return a page that says one thing; *again* is the key of its link to the page, or to where it leads *onward*."""
    t = texts(language_of(request))
    return draw(request, "note.html", t, status=status, key=key, picture=picture, again=again, onward=onward)
