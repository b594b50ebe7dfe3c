"""Browsers: sign-in links and their button, cookies under https, other sites' forms, and who may frame what."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from binding_ivr.app.signin import add_key
from binding_ivr.errors import NotFoundError
from binding_ivr.web.auth.cookies import HOST_ONLY, SESSION, SIGN_IN_FORM
from tests.integration.api_service import NUMBER, Web, binding, config_for, running_web, token

PROXY = {"trusted_proxies": ["127.0.0.0/8"], "user_header": "X-Remote-User"}


@pytest.fixture
async def web(dsn: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with running_web(config_for(dsn, tmp_path)) as it:
        await it.users("1001", "1002")
        yield it


# --- links


async def test_a_link_works_once_and_only_in_time(web: Web) -> None:
    link = await web.link()
    assert (await web.signs_in(link=link)).status == 200
    assert (await web.signs_in(link=link)).problem == "bad_link"
    late = await web.link()
    async with web.installation.store.db.link() as db:
        await db.execute("UPDATE binding_ivr.signin_links SET expires_at = now() - interval '1 second'")
    assert (await web.signs_in(link=late)).problem == "bad_link"
    with pytest.raises(NotFoundError):
        await web.link("nobody")


async def test_two_browsers_with_one_link(web: Web) -> None:
    link = await web.link()
    replies = await asyncio.gather(*(web.signs_in(link=link) for _ in range(8)))
    assert sorted(reply.status for reply in replies) == [200] + [401] * 7


async def test_who_only_looks_at_a_link_neither_uses_it_up_nor_learns_anything(web: Web) -> None:
    """Programs that look at mails open every link in them, some of them with a browser that runs scripts."""
    link, used = await web.link(), await web.link()
    assert (await web.signs_in(link=used)).status == 200
    shown = {
        text: await web.get(
            "/signin", {"Cookie": f"{SIGN_IN_FORM}=same", "Accept-Language": "de"}, params={"token": text}
        )
        for text in (link, used, "bil_nothing")
    }
    assert {(reply.status, reply.text.replace(text, "LINK")) for text, reply in shown.items()} == {
        (200, shown[link].text.replace(link, "LINK"))
    }
    page = shown[link]
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert (re.findall(r"<script|http-equiv|https?://", page.text), "Anmelden" in page.text) == ([], True)
    for how in ("HEAD", "GET", "HEAD"):
        assert (await web.ask(how, "/signin", params={"token": link})).status == 200
    assert (await web.ask("OPTIONS", "/signin", params={"token": link})).status == 405
    assert (await web.get("/signin", {"Sec-Purpose": "prefetch"}, params={"token": link})).status == 200
    # a user token in an address is for portals' frames, which nobody looks at before
    assert (await web.ask("HEAD", "/signin", params={"token": token(jti="head")})).status == 200
    assert (await web.get("/signin", params={"token": token(jti="head")})).status == 200
    assert (await web.signs_in(link=link)).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
        ({"Origin": "null", "csrf": "of another browser"}, 403),
        ({"Origin": "null", "csrf": "right"}, 200),
        ({"csrf": "right"}, 200),
        ({"Origin": "http://evil.example", "csrf": "right"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "csrf": "right"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
@pytest.mark.parametrize("what", ["link", "key"])
async def test_nobody_is_signed_in_by_another_site(web: Web, what: str, headers: dict[str, str], status: int) -> None:
    """Neither as somebody else: whoever binds a number then would bind it to the attacker's user."""
    if what == "link":
        fields = {"link": await web.link()}
        page = await web.get("/signin", params={"token": fields["link"]})
    else:
        fields = {"key": (await add_key(web.installation.store, "boss", ["admin"])).text}
        page = await web.get("/admin", {"Accept": "text/html"})
    headers = dict(headers)
    cookie, csrf = page.headers["Set-Cookie"].split(";")[0], re.search(r'name="csrf" value="(\w+)"', page.text)
    assert csrf is not None
    if which := headers.pop("csrf", ""):
        cookie = cookie if which == "right" else f"{SIGN_IN_FORM}=another"
        headers, fields = {**headers, "Cookie": cookie}, {**fields, "csrf": csrf[1]}
    reply = await web.ask("POST", "/signin", headers, data=fields)
    assert reply.status == status, reply
    assert ("Set-Cookie" in reply.headers) is (status == 200)


# --- frames


MAY_BE_FRAMED = {
    "/health/live": False, "/health/ready": False, "/metrics": False, "/openapi.json": False,
    "/": True, "/bind": True, "/revalidate": True, "/undo": True, "/cancel": True, "/remove": True,
    "/caller.vcf": True, "/caller.svg": False, "/static/{name}": False,
    "/signin": False, "/signout": False,
    "/admin": False, "/admin/user": False, "/admin/suppressions": False, "/admin/limits": False,
}  # fmt: skip
"""What a portal that is listed may show in its frame; nothing of the API (`/v1/…`)."""


async def test_a_portal_frames_the_users_page_and_nothing_else(dsn: str, tmp_path: Path) -> None:
    portal = "https://portal.example"
    async with running_web(config_for(dsn, tmp_path, web={"frame_ancestors": [portal]})) as web:
        await web.users("1001")
        routes = {
            (route.method, route.resource.canonical) for route in web.parts.web._app.router.routes() if route.resource
        }
        assert {path for _, path in routes if not path.startswith("/v1/")} == set(MAY_BE_FRAMED)
        who = {"nobody": {}, "user": await web.cookie("1001"), "admin": await web.key("admin")}
        values = {"account": "default", "user_id": "1001", "name": "page.css", "number": NUMBER, "e164": NUMBER}
        values |= {"extension": "1001", "region": "US", "attempt": "x"}
        for method, path in sorted(routes):
            for name, headers in who.items():
                asked = web.url + path.format(**values)
                async with web.http.request(
                    method, asked, headers={"Accept": "text/html", **headers}, allow_redirects=False
                ) as reply:
                    policy, framed = reply.headers["Content-Security-Policy"], MAY_BE_FRAMED.get(path, False)
                    assert policy.endswith(f"frame-ancestors {portal if framed else chr(39) + 'none' + chr(39)}"), (
                        name,
                        path,
                    )
                    assert ("X-Frame-Options" in reply.headers) is not framed, (name, path)
        link = await web.get("/signin", params={"token": "bil_x"})
        assert "frame-ancestors 'none'" in link.headers["Content-Security-Policy"]
        for _ in range(2):  # the second time the token was used
            admitted = await web.get("/signin", params={"token": token(jti="framed")})
            assert f"frame-ancestors {portal}" in admitted.headers["Content-Security-Policy"]


# --- cookies under https


@pytest.mark.parametrize(
    ("public_url", "proto", "https"),
    [
        ("", None, False),
        ("", "http", False),
        ("", "https", True),
        ("", "HTTPS", True),
        ("", "https,http", True),
        ("", "https , http", True),
        ("", "http,https", False),
        ("", "httpsx", False),
        ("https://pbx.example", None, True),
        ("https://pbx.example", "http", True),
        ("HTTPS://pbx.example", None, True),
    ],
)
async def test_under_https_only_cookies_of_this_very_host_count(
    dsn: str, tmp_path: Path, public_url: str, proto: str | None, https: bool
) -> None:
    """A neighbour of the same domain, or whoever answers over http, can set any cookie but one with the prefix."""
    settings = {**PROXY, "public_url": public_url}
    async with running_web(config_for(dsn, tmp_path, web=settings)) as web:
        await web.users("1001", "1002")
        said = {"Origin": public_url.lower() or web.url.replace("http:", "https:" if https else "http:")}
        if proto is not None:
            said["X-Forwarded-Proto"] = proto
        prefix = HOST_ONLY if https else ""
        link = await web.link()
        page = await web.get("/signin", said, params={"token": link})
        mine = await web.signs_in(said, link=link)
        for reply, name in ((page, SIGN_IN_FORM), (mine, SESSION)):
            cookie = reply.headers["Set-Cookie"]
            assert cookie.startswith(f"{prefix}{name}=")
            assert ("Secure" in cookie, "Path=/" in cookie, "Domain" in cookie) == (https, True, False)
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
        value = mine.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
        others = (await web.signs_in(said, link=await web.link("1002"))).headers["Set-Cookie"].split(";")[0]
        planted = others.partition("=")[2]
        for name in (SESSION, HOST_ONLY + SESSION):
            good = name == prefix + SESSION
            assert (await web.get("/v1/session", {**said, "Cookie": f"{name}={value}"})).status == (
                200 if good else 401
            )
        # what was planted beside the right one changes nothing
        for beside in (f"{SESSION}={planted}", f'x="; {SESSION}={planted}', f"\u2000{HOST_ONLY}{SESSION}={planted}"):
            if not https and not beside.startswith("\u2000"):
                continue
            for both in (f"{beside}; {prefix}{SESSION}={value}", f"{prefix}{SESSION}={value}; {beside}"):
                reply = await web.get("/v1/session", {**said, "Cookie": both})
                assert reply.json["user_id"] == "1001", both
        # and whoever is shown two of one name believes none
        twice = f"{prefix}{SESSION}={value}; {prefix}{SESSION}={planted}"
        assert (await web.get("/v1/session", {**said, "Cookie": twice})).status == 401


async def test_a_page_over_http_is_not_ours_where_users_have_https(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path, web=PROXY)) as web:
        await web.users("1001")
        by = {"X-Remote-User": "1001", "X-Forwarded-Proto": "https"}
        for origin, problem in ((web.url, "cross_site"), (web.url.replace("http:", "https:"), "not_found")):
            assert (await web.ask("DELETE", binding(), {**by, "Origin": origin})).problem == problem
