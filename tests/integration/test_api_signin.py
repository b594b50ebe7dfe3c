"""Signing in: keys, tokens, links, proxies, published keys; what is refused, what works once, and who may do what."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web as aioweb
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from structlog.testing import capture_logs

from binding_ivr.app.signin import add_key, remove_key
from binding_ivr.doctor import keys
from binding_ivr.errors import ConfigError, NotFoundError, Refusal
from binding_ivr.jobs.web_upkeep import remind
from binding_ivr.node.service import Service
from binding_ivr.web.api.calls import OPERATIONS
from binding_ivr.web.auth import jwks
from binding_ivr.web.auth.access import Access
from tests.integration.api_service import (
    NUMBER,
    SECRET,
    Web,
    bearer,
    binding,
    claims,
    config_for,
    running_web,
    token,
)
from tests.patience import SLOW

RSA_KEYS = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
EC_KEY = ec.generate_private_key(ec.SECP256R1())
CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
async def web(dsn: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with running_web(config_for(dsn, tmp_path)) as it:
        await it.users("1001", "1002")
        yield it


# --- tokens


def forged(header: dict[str, Any], body: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(body).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def bad_tokens() -> dict[str, str]:
    good = token()
    rsa_token = jwt.encode(claims(), RSA_KEYS[0], algorithm="RS256")
    return {
        "expired": token(life_s=-120),
        "without exp": token(exp=None),
        "without sub": token(sub=None),
        "without account": token(account=None),
        "without aud": token(aud=None),
        "wrong audience": token(aud="somebody else"),
        "not yet": token(nbf=int(time.time()) + 600),
        "from the future": token(iat=int(time.time()) + 600),
        "for ever": token(exp=int(time.time()) + 10 * 86400),
        "endless": token(exp=10**18),
        "exp as text": token(exp="soon"),
        "sub as a number": forged({"alg": "HS256"}, claims(sub=5)),
        "account as a list": token(account=["default"]),
        "sub with a slash": token(user="a/b"),
        "other secret": jwt.encode(claims(), "another secret that is just as long!", algorithm="HS256"),
        "other hash": jwt.encode(claims(), SECRET * 2, algorithm="HS512"),
        "none": forged({"alg": "none", "typ": "JWT"}, claims()),
        "None": forged({"alg": "None"}, claims()),
        "no signature": good.rpartition(".")[0] + ".",
        "changed": good[:-3] + ("aaa" if good[-3:] != "aaa" else "bbb"),
        "public key that is not published": rsa_token,
        "alg as a list": forged({"alg": ["HS256"]}, claims()),
        "crit": jwt.encode(claims(), SECRET, algorithm="HS256", headers={"crit": ["exp2"], "exp2": 1}),
        "no token": "abc",
        "dots": "..",
        "long": "a" * 7000,
        "key of ours": "bik_0123456789ab_nothing",
        "half a key": "bik_",
        "link": "bil_nothing",
    }


@pytest.mark.parametrize("name", bad_tokens())
async def test_a_bad_token_opens_nothing(web: Web, name: str) -> None:
    text = bad_tokens()[name]
    reply = await web.get(binding(), bearer(text))
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Bearer realm="binding_ivr"')
    assert reply.problem in ("bad_token", "bad_key")
    assert text not in reply.text
    opened = await web.get("/signin", params={"token": text})  # that of a link shows a button
    assert (opened if name != "link" else await web.signs_in(link=text)).status == 401


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Token x"])
async def test_a_bad_header(web: Web, value: str) -> None:
    assert (await web.get(binding(), {"Authorization": value})).status == 401


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


async def test_a_key_in_an_address_opens_what_is_only_read(web: Web) -> None:
    """As http://lookup:KEY@host in a dialplan's CURL(), where a header would be sent to other servers, too."""
    key = (await web.key("lookup", "admin"))["Authorization"].removeprefix("Bearer ")
    question = "/v1/accounts/default/extensions/1001/trusted-number"
    for name in ("lookup", "", "x"):
        assert (await web.get(question, basic(name, key))).status == 200
    for wrong in (
        basic("lookup", key[:-1] + "_"),
        basic(key, ""),
        basic("lookup", token()),
        {"Authorization": "Basic ä"},
    ):
        assert (await web.get(question, wrong)).status == 401
    number = {"number": "+12025550123"}
    refused = await web.ask("PUT", binding(), basic("lookup", key), json=number)
    assert (refused.status, refused.problem) == (401, "bad_credential")
    assert (await web.ask("POST", "/v1/suppressions", basic("lookup", key), json=number)).status == 401


async def test_the_clock_may_differ_a_little(web: Web) -> None:
    assert (await web.get(binding(), bearer(token(life_s=-10)))).status == 200
    assert (await web.get(binding(), bearer(token(life_s=-40)))).status == 401


async def test_a_token_signs_in_once_and_never_again(web: Web) -> None:
    text = token()
    assert (await web.get(binding(), bearer(text))).status == 200
    first = await web.get("/signin", params={"token": text})
    assert first.status == 200
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert (await web.get(binding(), {"Cookie": cookie.split(";")[0]})).status == 200
    assert (await web.get("/signin", params={"token": text})).problem == "bad_token"
    assert (await web.get(binding(), bearer(text))).problem == "bad_token"
    same_id = [token(jti="one"), token(jti="one", nonce="2")]
    assert (await web.get("/signin", params={"token": same_id[0]})).status == 200
    assert (await web.get("/signin", params={"token": same_id[1]})).status == 401


async def test_two_browsers_with_one_token(web: Web) -> None:
    text = token(jti="raced")
    replies = await asyncio.gather(*(web.get("/signin", params={"token": text}) for _ in range(8)))
    assert sorted(reply.status for reply in replies) == [200] + [401] * 7


async def test_sessions_end(web: Web) -> None:
    browser = await web.cookie("1001")
    csrf = (await web.get("/v1/session", browser)).json["csrf"]
    assert (await web.ask("POST", "/signout", browser, data={"csrf": "wrong"})).status == 403
    assert (await web.ask("POST", "/signout", browser, data={"csrf": csrf})).status == 303
    assert (await web.get(binding(), browser)).problem == "not_signed_in"
    old = await web.cookie("1001")
    async with web.installation.store.db.link() as db:
        await db.execute("UPDATE binding_ivr.web_sessions SET expires_at = now() - interval '1 second'")
    assert (await web.get(binding(), old)).status == 401
    await web.installation.store.web.purge()
    gone = await web.cookie("1002")
    await web.ask("DELETE", "/v1/accounts/default/users/1002", await web.key("admin"))
    assert (await web.get(binding("1002"), gone)).status == 401


async def test_a_key_becomes_a_session_and_takes_it_along(web: Web) -> None:
    key = (await add_key(web.installation.store, "boss", ["admin"])).text
    assert (await web.signs_in(key="bik_0123456789ab_x")).status == 401
    assert (await web.ask("POST", "/signin", json={"key": key})).status == 415
    reply = await web.signs_in(key=key)
    browser = {"Cookie": reply.headers["Set-Cookie"].split(";")[0]}
    assert (await web.get("/v1/accounts", browser)).status == 200
    await remove_key(web.installation.store, "boss")
    assert (await web.get("/v1/accounts", browser)).status == 401
    assert (await web.get("/v1/accounts", bearer(key))).status == 401


async def test_a_key_comes_to_its_end(web: Web) -> None:
    store = web.installation.store
    key = (await add_key(store, "boss", ["admin"], 2)).text
    endless = (await add_key(store, "old", ["admin"], 0)).text
    browser = {"Cookie": (await web.signs_in(key=key)).headers["Set-Cookie"].split(";")[0]}
    for headers in (bearer(key), basic("x", key), browser):
        assert (await web.get("/v1/accounts", headers)).status == 200
    (row,) = [row for row in await store.web.keys() if row.name == "boss"]
    assert row.expires_at is not None
    assert timedelta(days=1.9) < row.expires_at - row.created_at < timedelta(days=2.1)
    async with store.db.link() as db:
        await db.execute("UPDATE binding_ivr.api_keys SET expires_at = now(), used_at = NULL WHERE name = 'boss'")
    for headers in (bearer(key), basic("x", key)):
        assert (await web.get("/v1/accounts", headers)).problem == "expired_key"
    assert (await web.signs_in(key=key)).problem == "expired_key"
    assert (await web.get("/v1/accounts", browser)).status == 401
    question = {"key": key, "account": "default", "extension": "1001"}
    assert (await web.form("/v1/look-ups", question)).problem == "expired_key"
    # only whoever has the whole key is told that there was one
    assert (await web.get("/v1/accounts", bearer(key[:-1] + "_"))).problem == "bad_key"
    rows = {row.name: row for row in await store.web.keys()}
    assert (rows["boss"].has_ended, rows["boss"].used_at) == (True, None)
    assert (await web.get("/v1/accounts", bearer(endless))).status == 200
    assert rows["old"].expires_at is None
    with capture_logs() as lines:
        await remind(store.web)
        await remove_key(store, "boss")
        await add_key(store, "soon", ["lookup"], 30)
        await add_key(store, "later", ["lookup"], 31)
        await remind(store.web)
    assert [(line["event"], line["key"], line.get("days")) for line in lines] == [
        ("web.key_ended", "boss", None),
        ("web.key_ends", "soon", 30),
    ]
    told = {check.detail.partition(":")[0]: check.status for check in await keys.examine(store)}
    assert told == {"API key old has no end": "warn", "API key soon ends in 30 days": "warn"}
    for days in (-1, 4000):
        with pytest.raises(Refusal):
            await add_key(store, "never", ["lookup"], days)


async def test_keys_are_named_and_scoped(web: Web) -> None:
    store = web.installation.store
    for name, scopes in (("a b", ["admin"]), ("first-run", ["admin"]), ("x", ["root"]), ("x", ["account:"])):
        with pytest.raises((Refusal, NotFoundError)):
            await add_key(store, name, scopes)
    await add_key(store, "x", ["lookup"])
    with pytest.raises(Refusal):
        await add_key(store, "x", ["lookup"])
    with pytest.raises(NotFoundError):
        await remove_key(store, "y")


# --- browsers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
        ({}, 403),
        ({"X-CSRF-Token": "0" * 32}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 404),
        ({"Origin": "here"}, 404),
        ({"X-CSRF-Token": "right"}, 404),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 403),
    ],
)
async def test_a_browser_must_say_where_it_comes_from(web: Web, headers: dict[str, str], status: int) -> None:
    browser = {"Cookie": (await web.cookie("1001"))["Cookie"]}
    if headers.get("Origin") == "here":
        headers = {**headers, "Origin": web.url}
    if headers.get("X-CSRF-Token") == "right":
        headers = {**headers, "X-CSRF-Token": (await web.get("/v1/session", browser)).json["csrf"]}
    reply = await web.ask("DELETE", binding(), {**browser, **headers})
    assert reply.status == status, reply


async def test_security_headers(web: Web) -> None:
    for path in (binding(), "/", "/health/live", "/nothing"):
        headers = (await web.get(path, bearer(token()))).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Python" not in headers.get("Server", "")


async def test_a_portal_may_embed_when_it_is_listed(dsn: str, tmp_path: Path) -> None:
    listed = {"frame_ancestors": ["https://portal.example"], "public_url": "https://pbx.example"}
    async with running_web(config_for(dsn, tmp_path, web=listed)) as web:
        headers = (await web.get("/")).headers
        assert "frame-ancestors https://portal.example" in headers["Content-Security-Policy"]
        assert "X-Frame-Options" not in headers
        await web.users("1001")
        cookie = (await web.signs_in({"Origin": "https://pbx.example"}, link=await web.link())).headers["Set-Cookie"]
        assert cookie.startswith("__Host-binding_ivr=")
        assert "Secure" in cookie
        browser = {"Cookie": cookie.split(";")[0]}
        ours = {**browser, "Origin": "https://pbx.example"}
        assert (await web.ask("DELETE", binding(), ours)).problem == "not_found"
        assert (await web.ask("DELETE", binding(), {**browser, "Origin": "https://portal.example"})).status == 403


# --- proxies

PROXY = {"trusted_proxies": ["127.0.0.0/8"], "user_header": "X-Remote-User"}
ELSEWHERE = {"trusted_proxies": ["10.0.0.0/8"], "user_header": "X-Remote-User"}


async def test_a_trusted_proxy_names_the_user(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path, web=PROXY)) as web:
        await web.users("1001", "1002")
        by = {"X-Remote-User": "1001"}
        assert (await web.get("/v1/session", by)).json["kind"] == "proxy"
        assert (await web.get(binding(), by)).status == 200
        assert (await web.get(binding(), {"X-Remote-User": "default/1001"})).status == 200
        assert (await web.get(binding("1002"), by)).status == 404
        assert (await web.ask("DELETE", binding(), by)).problem == "cross_site"
        assert (await web.ask("DELETE", binding(), {**by, "Origin": web.url})).problem == "not_found"
        # a form from elsewhere, sent by a browser that does not say from where
        form = {**by, "Content-Type": "application/x-www-form-urlencoded", "Origin": "null"}
        assert (await web.ask("POST", binding() + "/revalidate", form)).problem == "cross_site"
        csrf = (await web.get("/v1/session", by)).json["csrf"]
        assert csrf != (await web.get("/v1/session", {"X-Remote-User": "1002"})).json["csrf"]
        assert (await web.ask("POST", "/signout", form, data={"csrf": "0" * 32})).problem == "cross_site"
        assert (await web.ask("POST", "/signout", form, data={"csrf": csrf})).status == 303
        for name in ("", "a/b/c", "a b", "/1001", "default/"):
            assert (await web.get(binding(), {"X-Remote-User": name})).status == 401
        # the proxy knows better than a cookie who sits there
        cookie = await web.cookie("1002")
        assert (await web.get("/v1/session", {**cookie, **by})).json["user_id"] == "1001"
        # what a proxy adds for the client is believed from it only
        secure = (await web.get("/signin", {"X-Forwarded-Proto": "https"}, params={"token": token()})).headers
        assert "Secure" in secure["Set-Cookie"]


async def test_a_listed_user_of_the_proxy_is_an_administrator(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path, web={**PROXY, "admin_users": ["default/ops"]})) as web:
        await web.users("1001", "ops")
        user, admin = {"X-Remote-User": "1001"}, {"X-Remote-User": "ops"}
        for path in ("/v1/attempts", "/v1/accounts", "/v1/suppressions"):
            assert (await web.get(path, user)).status == 403
            assert (await web.get(path, admin)).status == 200
        assert (await web.get("/admin", user)).status == 403
        assert (await web.get("/admin", admin)).status == 200
        assert (
            await web.ask("PUT", binding(), {**user, "Origin": web.url}, json={"number": "+12025550123"})
        ).status == 202
        assert (await web.get(binding() + "/attempt", user)).json["code"]
        assert (await web.get(binding() + "/attempt", admin)).json["code"] is None
        assert (await web.ask("POST", binding() + "/suspend", admin)).problem == "cross_site"
        # the same name in another account is nobody
        assert (await web.get("/v1/attempts", {"X-Remote-User": "other/ops"})).status == 403


async def test_a_program_on_the_proxys_machine_is_no_proxy(dsn: str, tmp_path: Path) -> None:
    """It has the proxy's address, and can write any header; the proxy's secret it does not know."""
    secret = "f" * 32
    section = {**PROXY, "admin_users": ["default/ops"], "proxy_secret": secret}
    guesses = ("", "f" * 31, secret.upper(), f"{secret}, {secret}")
    async with running_web(config_for(dsn, tmp_path, web=section)) as web:
        await web.users("1001", "ops")
        with capture_logs() as logs:
            for said in [{}, *({"X-Proxy-Secret": guess} for guess in guesses)]:
                for name in ("1001", "ops"):
                    reply = await web.get("/v1/session", {"X-Remote-User": name, **said})
                    assert reply.problem == "not_signed_in"
        known = {"X-Proxy-Secret": secret}
        assert (await web.get("/v1/session", {"X-Remote-User": "1001", **known})).json["user_id"] == "1001"
        assert (await web.get("/v1/accounts", {"X-Remote-User": "ops", **known})).status == 200
    assert [row["address"] for row in logs if row["event"] == "web.unproven_proxy"] == ["127.0.0.1"]
    assert secret not in str(logs)


async def test_nobody_else_does(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path, web=ELSEWHERE)) as web:
        await web.users("1001")
        for headers in (
            {"X-Remote-User": "1001"},
            {"X-Remote-User": "1001", "X-Forwarded-For": "10.0.0.1"},
            {"X-Remote-User": "1001", "Forwarded": "for=10.0.0.1"},
        ):
            assert (await web.get(binding(), headers)).problem == "not_signed_in"
        plain = (await web.get("/signin", {"X-Forwarded-Proto": "https"}, params={"token": token()})).headers
        assert "Secure" not in plain["Set-Cookie"]


# --- published keys


class Issuer:
    """A real server of published keys that can rotate, stall and lie."""

    def __init__(self) -> None:
        self.body: Any = {"keys": []}
        self.asked = 0
        self.stalls = asyncio.Event()
        self.stalls.set()
        self.url = ""

    async def serve(self) -> aioweb.AppRunner:
        async def keys(_: aioweb.Request) -> aioweb.Response:
            self.asked += 1
            await self.stalls.wait()
            body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
            return aioweb.Response(body=body)

        app = aioweb.Application()
        app.router.add_get("/keys", keys)
        runner = aioweb.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await aioweb.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
        return runner


def published(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, **more}


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    it = Issuer()
    runner = await it.serve()
    yield it
    it.stalls.set()
    await runner.cleanup()


def signed(key: Any, kid: str | None, **more: Any) -> dict[str, str]:
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return bearer(jwt.encode(claims(**more), key, algorithm=algorithm, headers={"kid": kid} if kid else {}))


async def test_published_keys_and_their_rotation(
    dsn: str, tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = RSA_KEYS
    issuer.body = {"keys": [published(first, "1"), published(EC_KEY, "e"), {"kty": "oct", "k": "c2VjcmV0", "kid": "o"}]}
    async with running_web(config_for(dsn, tmp_path, auth={"jwt_secret": "", "jwks_url": issuer.url})) as web:
        await web.users("1001")
        for _ in range(3):
            assert (await web.get(binding(), signed(first, "1"))).status == 200
        assert (await web.get(binding(), signed(EC_KEY, "e"))).status == 200
        assert (await web.get(binding(), signed(EC_KEY, None))).status == 200
        assert issuer.asked == 1
        # the key that signs must be of the kind that the algorithm says
        public = first.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        for name, secret in (("public key as secret", public), ("published secret", b"secret" * 8)):
            confused = forged(
                {"alg": "HS256", "kid": "1"}, claims(), signature_of(secret, {"alg": "HS256", "kid": "1"})
            )
            assert (await web.get(binding(), bearer(confused))).status == 401, name
        assert (await web.get(binding(), signed(EC_KEY, "1"))).status == 401
        assert (await web.get(binding(), bearer(token()))).status == 401  # no secret is configured
        # rotation: a new key id makes us ask again, unknown ones do so at most now and then
        monkeypatch.setattr(jwks, "PAUSE_S", 1.1)
        issuer.body = {"keys": [published(first, "1"), published(second, "2")]}
        async with asyncio.timeout(10 * SLOW):
            while (await web.get(binding(), signed(second, "2"))).status != 200:
                await asyncio.sleep(0.1)
        asked = issuer.asked
        monkeypatch.setattr(jwks, "PAUSE_S", 1000.0)
        replies = await asyncio.gather(*(web.get(binding(), signed(RSA_KEYS[0], f"no{n}")) for n in range(20)))
        assert {reply.status for reply in replies} <= {401, 429}
        assert issuer.asked == asked
        # the old key is withdrawn
        issuer.body = {"keys": [published(second, "2")]}
        monkeypatch.setattr(jwks, "FRESH_S", 0.0)
        async with asyncio.timeout(10 * SLOW):
            while (await web.get(binding(), signed(first, "1"))).status != 401:
                await asyncio.sleep(0.1)
        # the issuer is out of order: what is known stays good
        for lie in (b"no json", b"[]", b'{"keys": 5}', b"x" * 300_000):
            issuer.body = lie
            assert (await web.get(binding(), signed(second, "2"))).status == 200


def signature_of(secret: bytes, header: dict[str, Any]) -> bytes:
    return hmac.new(secret, forged(header, claims()).rpartition(".")[0].encode(), hashlib.sha256).digest()


async def test_an_issuer_that_does_not_answer(
    dsn: str, tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "ANSWER_S", SLOW)
    issuer.stalls.clear()
    async with running_web(config_for(dsn, tmp_path, auth={"jwt_secret": "", "jwks_url": issuer.url})) as web:
        await web.users("1001")
        waiting = asyncio.gather(*(web.get(binding(), signed(RSA_KEYS[0], "1")) for _ in range(20)))
        assert (await web.get("/health/live")).status == 200
        assert not waiting.done()
        replies = await waiting
        assert {(reply.status, reply.problem) for reply in replies} == {(503, "no_token_keys")}
        assert issuer.asked == 1


async def test_a_signature_written_in_another_way_is_the_same_token(dsn: str, tmp_path: Path, issuer: Issuer) -> None:
    issuer.body = {"keys": [published(EC_KEY, "e")]}
    async with running_web(config_for(dsn, tmp_path, auth={"jwks_url": issuer.url})) as web:
        await web.users("1001")
        text = signed(EC_KEY, "e")["Authorization"].removeprefix("Bearer ")
        said, _, signature = text.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        r, s = int.from_bytes(raw[:32], "big"), CURVE_ORDER - int.from_bytes(raw[32:], "big")
        assert decode_dss_signature(encode_dss_signature(r, s)) == (r, s)
        twin = (
            said + "." + base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=").decode()
        )
        assert (await web.get(binding(), bearer(twin))).status == 200
        assert (await web.get("/signin", params={"token": text})).status == 200
        assert (await web.get("/signin", params={"token": twin})).status == 401
        assert (await web.get(binding(), bearer(twin))).status == 401


# --- step-up


async def test_a_verified_number_changes_only_after_a_fresh_sign_in(dsn: str, tmp_path: Path) -> None:
    async with running_web(config_for(dsn, tmp_path, auth={"step_up_minutes": 10})) as web:
        await web.users("1001")
        old = bearer(token(auth_time=int(time.time()) - 1200))
        fresh = bearer(token())
        unknown = bearer(token(iat=None))
        assert (await web.put(binding(), {"number": NUMBER}, old)).status == 202  # nothing is verified yet
        async with web.installation.store.db.link() as db:
            await db.execute("UPDATE binding_ivr.bindings SET status = 'verified', verified_at = now()")
        for stale in (old, unknown):
            assert (await web.put(binding(), {"number": NUMBER}, stale)).problem == "step_up_required"
            assert (await web.ask("DELETE", binding(), stale)).problem == "step_up_required"
            assert (await web.get(binding(), stale)).status == 200
        assert (await web.ask("DELETE", binding(), fresh)).status == 204


# --- without any sign-in configured


async def test_the_first_key(dsn: str, tmp_path: Path) -> None:
    config = config_for(dsn, tmp_path, auth={"jwt_secret": ""})
    async with running_web(config) as web:
        path = config.state_dir / "first-admin-key"
        assert path.stat().st_mode & 0o777 == 0o600
        key = path.read_text().strip()
        assert (await web.get("/v1/session", bearer(key))).json["kind"] == "first_run"
        assert (await web.get("/v1/accounts", bearer(key))).status == 200
        assert (await web.get(binding(), bearer(token()))).problem == "bad_credential"
    async with running_web(config):
        assert path.read_text().strip() == key


async def test_nothing_is_served_to_the_outside_without_a_sign_in(dsn: str, tmp_path: Path) -> None:
    config = config_for(dsn, tmp_path, auth={"jwt_secret": ""}, web={"bind": "0.0.0.0"})
    service = Service(config)
    with pytest.raises(ConfigError, match=r"jwt_secret or jwks_url.*api-key add"):
        await service.start()
    await service.stop()
    async with running_web(config_for(dsn, tmp_path, web={"bind": "0.0.0.0"})) as web:
        await add_key(web.installation.store, "boss", ["admin"])
    async with running_web(config) as web:
        assert (await web.get("/health/live")).status == 200


# --- who may do what

ROWS = ("nobody", "the user", "another user", "another account's user", "admin", "account", "other account", "lookup")
TABLE: dict[Access, tuple[int, ...]] = {
    #                  nobody user other elsewhere admin account other lookup
    Access.OWN: (401, 200, 404, 404, 200, 200, 404, 403),
    Access.ACCOUNT: (401, 403, 403, 403, 200, 200, 404, 403),
    Access.LOOKUP: (401, 403, 403, 403, 200, 200, 404, 200),
    Access.ADMIN: (401, 403, 403, 403, 200, 403, 403, 403),
    Access.SIGNED_IN: (401, 200, 200, 200, 200, 200, 200, 200),
}
"""200 stands for: let in. What the call then answers is its own matter."""
WITHOUT_ACCOUNT = {"trustedCaller", "lookUp", "listAccounts", "listAttempts", "listAudit", "listMoves"}
"""Their path names no account: a key of another account is let in and finds only its own."""


async def everybody(web: Web, how: str) -> dict[str, dict[str, str]]:
    """Return the headers of everybody in ROWS, signed in by *how*."""
    await web.installation.store.directory.add_account("branch")
    await web.users("1001", account="branch")
    users = {"the user": ("1001", "default"), "another user": ("1002", "default"), ROWS[3]: ("1001", "branch")}
    who: dict[str, dict[str, str]] = {"nobody": {}}
    for name, (user, account) in users.items():
        who[name] = bearer(token(user, account)) if how == "bearer" else await web.cookie(user, account)
    for name, scope in {
        "admin": "admin",
        "account": "account:default",
        "other account": "account:branch",
        "lookup": "lookup",
    }.items():
        headers = await web.key(scope)
        if how == "cookie":
            key = headers["Authorization"].removeprefix("Bearer ")
            reply = await web.signs_in(key=key)
            headers = {"Cookie": reply.headers["Set-Cookie"].split(";")[0], "Origin": web.url}
        who[name] = headers
    return who


@pytest.mark.parametrize("how", ["bearer", "cookie"])
async def test_every_call_with_every_kind_of_credential(web: Web, how: str) -> None:
    who = await everybody(web, how)
    names = {"account": "default", "user_id": "1001", "extension": "1001", "e164": NUMBER, "number": NUMBER}
    checked = 0
    for operation in OPERATIONS:
        for name, expected in zip(ROWS, TABLE[operation.access], strict=True):
            if name == "other account" and operation.name in WITHOUT_ACCOUNT:
                expected = 200
            if operation.name == "getEvents" and expected == 200:
                continue  # it does not end; see test_api_events
            path = operation.path.format(**names)
            # a body that is let in is refused for its form, so that nothing changes while we look
            how_ = {"json": {"unknown": 1}} if operation.body else {"params": {"unknown": "1"}}
            reply = await web.ask(operation.method, path, who[name], **how_)
            if expected == 200:
                assert reply.status in (400, 422), (operation.name, name, reply)
            else:
                assert reply.status == expected, (operation.name, name, reply)
                assert reply.problem in ("not_signed_in", "not_found", "wrong_scope")
            checked += 1
    assert checked == len(OPERATIONS) * len(ROWS) - 3


async def test_another_accounts_key_finds_nothing_of_this_one(web: Web) -> None:
    await web.installation.store.directory.add_account("branch")
    accepted = await web.put(binding(), {"number": NUMBER}, bearer(token()))
    assert accepted.status == 202
    async with web.installation.store.db.link() as db:
        await db.execute("UPDATE binding_ivr.bindings SET status = 'verified', verified_at = now()")
    for scope, status, accounts in (("account:branch", "NONE", ["branch"]), ("account:default", "FOUND", ["default"])):
        key = await web.key(scope)
        assert (await web.get(f"/v1/trusted-callers/{NUMBER}", key)).json["status"] == status
        listed = (await web.get("/v1/accounts", key)).json["accounts"]
        assert [account["account"] for account in listed] == accounts
    other = await web.key("account:branch")
    assert (await web.get("/v1/attempts", other)).json == {"attempts": []}
    assert (await web.get("/v1/attempts?account=default", other)).status == 404
    lookup = await web.key("lookup")
    assert "code" not in (await web.get(f"/v1/trusted-callers/{NUMBER}", lookup)).text


def test_the_table_has_a_row_for_every_kind_of_route() -> None:
    assert set(TABLE) == set(Access) - {Access.PUBLIC}


PAGES: dict[tuple[str, str], tuple[int, ...]] = {
    #                              nobody user other elsewhere admin account other lookup
    ("GET", "/"): (401, 200, 200, 200, 303, 303, 303, 303),  # each user's own page; keys are sent to /admin
    ("GET", "/caller.vcf"): (401, 200, 200, 200, 404, 404, 404, 404),
    ("GET", "/caller.svg"): (401, 200, 200, 200, 404, 404, 404, 404),
    ("POST", "/bind"): (401, 422, 422, 422, 404, 404, 404, 404),
    ("POST", "/revalidate"): (401, 409, 409, 409, 404, 404, 404, 404),
    ("POST", "/cancel"): (401, 404, 404, 404, 404, 404, 404, 404),
    ("POST", "/remove"): (401, 404, 404, 404, 404, 404, 404, 404),
    ("GET", "/admin"): (401, 403, 403, 403, 200, 403, 403, 403),
    ("GET", "/admin/user"): (401, 403, 403, 403, 404, 403, 403, 403),
    ("POST", "/admin/user"): (401, 403, 403, 403, 422, 403, 403, 403),
    ("POST", "/admin/suppressions"): (401, 403, 403, 403, 422, 403, 403, 403),
    ("POST", "/admin/limits"): (401, 403, 403, 403, 422, 403, 403, 403),
}
"""What the page and the admin page answer to whom, each with the form token of the own session.

The forms hold nothing useful: 422, 409 and 404 of users, and 422 of the administrator, mean that they were let in.
"""


async def test_every_page_with_every_kind_of_credential(web: Web) -> None:
    who = await everybody(web, "cookie")
    csrf = {name: (await web.get("/v1/session", headers)).json.get("csrf", "") for name, headers in who.items()}
    for (method, path), row in PAGES.items():
        for name, expected in zip(ROWS, row, strict=True):
            form = {"data": {"csrf": csrf[name], "number": "x"}} if method == "POST" else {}
            assert (await web.ask(method, path, who[name], **form)).status == expected, (method, path, name)
