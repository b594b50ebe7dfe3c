"""What strangers and other sites can send to the web: it is refused with a problem, and is never a fault of ours."""

import asyncio
import gzip
from pathlib import Path

from tests.integration.api_service import NUMBER, Web, bearer, binding, config_for, running_web, token
from tests.patience import SLOW

PROXY = {"trusted_proxies": ["127.0.0.0/8"], "user_header": "X-Remote-User"}
FORM = "Content-Type: application/x-www-form-urlencoded"
SIGN_IN = "POST /signin HTTP/1.1\r\nSec-Fetch-Site: same-origin"
JSON = f"PUT {binding()} HTTP/1.1\r\nContent-Type: application/json"
MANY_FIELDS = b"&".join(b"%d=" % n for n in range(30))

ODD: dict[str, tuple[str, bytes, int]] = {
    "unknown charset": (f"{SIGN_IN}\r\n{FORM}; charset=bogus", b"key=a", 401),
    "form that is no UTF-8": (f"{SIGN_IN}\r\n{FORM}", b"key=\xff\xfe", 400),
    "escaped form that is no UTF-8": (f"{SIGN_IN}\r\n{FORM}", b"key=%ff%fe", 400),
    "half a character": (f"{SIGN_IN}\r\n{FORM}", b"link=bil_%ed%a0%80", 400),
    "a field twice": (f"{SIGN_IN}\r\n{FORM}", b"key=a&key=b", 400),
    "many fields": (f"{SIGN_IN}\r\n{FORM}", MANY_FIELDS, 400),
    "several parts": (f"{SIGN_IN}\r\nContent-Type: multipart/form-data; boundary=x", b"--x--", 415),
    "packed": (f"{SIGN_IN}\r\n{FORM}\r\nContent-Encoding: gzip", gzip.compress(b"key=a"), 415),
    "a bomb": (f"{SIGN_IN}\r\n{FORM}\r\nContent-Encoding: gzip", gzip.compress(b"a" * 10_000_000), 415),
    "packed badly": (f"{SIGN_IN}\r\n{FORM}\r\nContent-Encoding: gzip", b"nonsense", 415),
    "too large": (f"{SIGN_IN}\r\n{FORM}", b"key=" + b"a" * 20_000, 413),
    "link that is half a character": ("GET /signin?token=bil_%ed%a0%80 HTTP/1.1", b"", 200),
    "link with quotes": ('GET /signin?token=bil_"><script>alert(1)</script> HTTP/1.1', b"", 200),
    "user id that is no UTF-8": ("GET /v1/accounts/default/users/%ff%fe/binding HTTP/1.1", b"", 404),
    "half a character in a path": ("GET /v1/accounts/default/users/%ed%a0%80/binding HTTP/1.1", b"", 404),
    "zero in a query": ("GET /admin?q=%00 HTTP/1.1", b"", 422),
    "zero in a user's name": ("GET /admin/user?account=default&user=%00 HTTP/1.1", b"", 422),
    "half a character in JSON": (JSON, b'{"number": "\\ud800"}', 400),
    "packed JSON": (f"{JSON}\r\nContent-Encoding: deflate", b"x", 415),
    "key in bytes": ("GET / HTTP/1.1\r\nAuthorization: Bearer bik_\xff23456789abc_x", b"", 401),
    "cookie in bytes": ("GET / HTTP/1.1\r\nCookie: binding_ivr=\xff\xfe", b"", 401),
    "origin that is none": (f"DELETE {binding()} HTTP/1.1\r\nX-Remote-User: 1001\r\nOrigin: http://[", b"", 403),
    "forwarded for nobody": ("GET / HTTP/1.1\r\nX-Forwarded-For: \xff, [::1", b"", 401),
    "file above the folder": ("GET /static/..%2f..%2fserver.py HTTP/1.1", b"", 404),
    "no file": ("GET /static/%00 HTTP/1.1", b"", 404),
}


async def send(web: Web, head: str, body: bytes, key: str) -> bytes:
    """The whole answer to a request of the *head*, with an administrator's key if it has no credential of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.parts.web.port)
    if not any(word in head for word in ("Authorization", "Cookie", "X-Remote-User", "/signin", "GET / ")):
        head += f"\r\nAuthorization: {key}"
    length = f"\r\nContent-Length: {len(body)}" if body else ""
    writer.write(f"{head}\r\nHost: x\r\nConnection: close{length}\r\n\r\n".encode("latin-1") + body)
    async with asyncio.timeout(10 * SLOW):
        answer = await reader.read()
    writer.close()
    return answer


async def test_whatever_is_sent_is_no_fault_of_ours(dsn: str, tmp_path: Path) -> None:
    """The service under test checks at its end that it logged no fault: strangers must not be able to fill the log."""
    async with running_web(config_for(dsn, tmp_path, web=PROXY)) as web:
        await web.users("1001")
        key = (await web.key("admin"))["Authorization"]
        for name, (head, body, status) in ODD.items():
            answer = await send(web, head, body, key)
            # What cannot be unpacked the library may refuse by itself, as it arrives.
            allowed = {status, 400} if "Content-Encoding" in head else {status}
            assert int(answer[9:12]) in allowed, (name, answer[:300])
            assert b"<script" not in answer, name


ASKED_FROM: list[tuple[dict[str, str], int]] = [
    ({}, 200),
    ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
    ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),  # a link
    ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 200),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
    ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
]


async def test_no_other_site_has_a_part_of_ours_in_its_page(dsn: str, tmp_path: Path) -> None:
    """A proxy's sign-in often has cookies that browsers send along from everywhere."""
    async with running_web(config_for(dsn, tmp_path, web=PROXY)) as web:
        await web.users("1001")
        for headers, status in ASKED_FROM:
            for path in ("/", "/caller.svg", binding()):
                assert (await web.get(path, {"X-Remote-User": "1001", **headers})).status == status, headers
            # what no browser sends by itself is the sender's own will
            assert (await web.get(binding(), {**bearer(token()), **headers})).status == 200
            assert (await web.get("/static/page.css", headers)).status == 200


KEPT = {"/openapi.json": "public, max-age=300", "/caller.svg": "private, max-age=600"}
"""The same for everybody; and a picture of our calling numbers, which the browser of whoever is signed in may keep."""


async def test_nothing_private_is_kept_by_anybody_on_the_way(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path)) as web:
        await web.users("1001")
        browser, admin = await web.cookie("1001"), await web.key("admin")
        await web.put(binding(), {"number": NUMBER}, browser)
        routes = {route.resource.canonical for route in web.parts.web._app.router.routes() if route.resource}
        values = {"account": "default", "user_id": "1001", "number": NUMBER, "e164": NUMBER, "extension": "1001"}
        for path in sorted(path for path in routes if not path.startswith("/static/")):
            for headers in ({}, browser, admin):
                asked = web.url + path.format(**values)
                async with web.http.get(asked, headers=headers, allow_redirects=False) as reply:
                    kept = KEPT.get(path, "no-store") if reply.status == 200 else "no-store"
                    assert reply.headers["Cache-Control"] == kept, path
                    assert "Access-Control-Allow-Origin" not in reply.headers, path
                    assert reply.headers["X-Content-Type-Options"] == "nosniff", path


async def test_nothing_is_changed_for_another_site(dsn: str, tmp_path: Path) -> None:
    """Every route that takes more than a look, with a session, sent by another site or by a page of it in our name."""
    async with running_web(config_for(dsn, tmp_path)) as web:
        await web.users("1001")
        key = (await web.key("admin"))["Authorization"].removeprefix("Bearer ")
        admin = (await web.signs_in(key=key)).headers["Set-Cookie"].split(";")[0]
        user = (await web.cookie("1001"))["Cookie"]
        routes = {(r.method, r.resource.canonical) for r in web.parts.web._app.router.routes() if r.resource}
        changing = sorted((method, path) for method, path in routes if method not in ("GET", "HEAD"))
        assert len(changing) > 20
        values = {"account": "default", "user_id": "1001", "number": NUMBER, "e164": NUMBER, "extension": "1001"}
        for method, path in changing:
            for cookie in (admin, user):
                for said in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
                    for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
                        headers = {"Cookie": cookie, "Content-Type": kind, **said}
                        reply = await web.ask(method, path.format(**values), headers, data="csrf=x")
                        assert (reply.status, reply.problem) == (403, "cross_site"), (method, path, headers)
