"""The page as users have it: over https, through a proxy that says so; and over http from another host."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.async_api import expect

from tests.e2e.browser.chromium import person
from tests.e2e.browser.conftest import PROXY_ADDRESS, Office
from tests.e2e.installation import TESTER


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate that it has signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "tls.pem"
    path.write_bytes(private + signed.public_bytes(pem))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path)
    return made


@asynccontextmanager
async def tls_proxy(office: Office, folder: Path) -> AsyncIterator[str]:
    """Run a reverse proxy, the first of two in a chain by what it says; yield its origin."""
    connector = aiohttp.TCPConnector(local_addr=(PROXY_ADDRESS, 0))
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as out:

        async def forward(request: web.Request) -> web.StreamResponse:
            kept = {name: value for name, value in request.headers.items() if name.lower() != "x-forwarded-proto"}
            said = {**kept, "X-Forwarded-Proto": "https,http", "X-Forwarded-For": request.remote or ""}
            async with out.request(
                request.method,
                office.origin + request.raw_path,
                headers=said,
                data=await request.read() or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as answer:
                response = web.StreamResponse(status=answer.status)
                for name, value in answer.headers.items():
                    if name not in ("Transfer-Encoding", "Connection"):
                        response.headers.add(name, value)
                await response.prepare(request)
                async for part in answer.content.iter_any():
                    await response.write(part)
                return response

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate(folder)).start()
            yield f"https://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def test_signed_in_over_https_until_signed_out_elsewhere(office: Office, tmp_path: Path) -> None:
    user = await office.user()
    async with tls_proxy(office, tmp_path) as origin, person(office.browser, origin, ignore_https_errors=True) as me:
        for name in ("binding_ivr", "binding_ivr_form"):
            await me.context.add_cookies([{"name": name, "value": "planted", "domain": "127.0.0.1", "path": "/"}])
        link = (await office.link(user)).replace(office.origin, origin)
        await me.page.goto(link)
        await me.page.goto(link)  # as often as somebody looks
        await me.page.get_by_role("button", name="Sign in").click()
        await expect(me.page.locator("#badge")).to_have_text("No number")
        kept = {cookie["name"]: cookie for cookie in await me.context.cookies()}
        for name in ("__Host-binding_ivr", "__Host-binding_ivr_form"):
            cookie = kept.pop(name)
            assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (
                True,
                True,
                "Strict",
                "/",
            )
        assert {cookie["value"] for cookie in kept.values()} == {"planted"}
        shown = await office.node.bind(user, await office.phone("no_answer", 23))
        await expect(me.page.locator("#words")).to_have_text("Ringing")  # by the stream, through the proxy
        async with office.node.opened.store.db.link() as db:  # signed out on another node
            await db.execute("DELETE FROM binding_ivr.web_sessions WHERE user_id = $1", user)
        await expect(me.page.get_by_role("heading", name="Please sign in")).to_be_visible(timeout=10_000)
        await office.node.opened.bindings.cancel("default", user, TESTER)
        await office.node.ended(shown)


async def test_signed_in_over_http_in_an_office(office: Office) -> None:
    """Where browsers send no Sec-Fetch-Site, and `Origin: null`, the form's own token lets people in."""
    origin = office.origin.replace("127.0.0.1", "pbx.test")
    async with person(office.browser, origin, javascript=False) as me:
        sent: list[dict[str, str]] = []
        me.page.on("request", lambda request: sent.append(request.headers) if request.method == "POST" else None)
        await me.page.goto((await office.link(await office.user())).replace(office.origin, origin))
        await me.page.get_by_role("button", name="Sign in").click()
        await expect(me.page.locator("#badge")).to_have_text("No number")
        assert [(headers.get("origin"), headers.get("sec-fetch-site")) for headers in sent] == [("null", None)]
        assert {cookie["name"] for cookie in await me.context.cookies()} == {"binding_ivr", "binding_ivr_form"}
        await me.page.get_by_role("button", name="Sign out").click()
        await expect(me.page.get_by_role("heading", name="Please sign in")).to_be_visible()
        # of all our headers it is the only one that browsers ignore there, and say so
        me.faults = [fault for fault in me.faults if "Cross-Origin-Opener-Policy" not in fault]
