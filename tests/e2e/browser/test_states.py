"""Every state of the page, also those that no call of the lab brings about, in a real browser: axe finds nothing."""

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from playwright.async_api import expect

from binding_ivr.web.auth.guard import secure_headers
from binding_ivr.web.auth.identity import ADDRESS, IDENTITY
from binding_ivr.web.settings import CONFIG
from tests.e2e.browser.chromium import SHOTS, Scheme, person, violations
from tests.e2e.browser.conftest import Office
from tests.unit.page_fakes import ADMIN, USER, FakeInstallation, application
from tests.unit.test_page_html import STATES


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[tuple[FakeInstallation, str]]:
    """The pages alone, with the headers of the service, on a made-up installation."""
    fake = FakeInstallation()
    app = application(fake)
    app.on_response_prepare.append(secure_headers(app[CONFIG].web))

    @web.middleware
    async def signed_in(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[IDENTITY] = ADMIN if request.path.startswith("/admin") else USER
        request[ADDRESS] = "127.0.0.1"
        return await handler(request)

    async def no_events(_: web.Request) -> web.Response:
        return web.Response(status=204)

    app.middlewares.append(signed_in)
    app.router.add_get("/v1/{rest:.*}", no_events)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        await web.SockSite(runner, listening).start()
        yield fake, f"http://127.0.0.1:{listening.getsockname()[1]}"
        await runner.cleanup()


@pytest.mark.parametrize(("language", "scheme"), [("en", "dark"), ("de", "light")])
async def test_axe_finds_nothing_in_any_state_and_nothing_is_too_wide(
    office: Office, stage: tuple[FakeInstallation, str], language: str, scheme: Scheme
) -> None:
    """Once at a desk, in the dark, and once on a phone, in the light; each time by all rules."""
    fake, origin = stage
    SHOTS.mkdir(parents=True, exist_ok=True)
    async with person(office.browser, origin, locale=language, phone=language != "en") as me:
        await me.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for name, view in STATES.items():
            fake.now = view
            await me.page.goto(origin)
            await expect(me.page.locator("#status")).to_be_visible()
            await me.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            found = await violations(me.page)
            assert found == [], f"{name}, {scheme}: {found}"
            await me.page.screenshot(path=SHOTS / f"state-{name.replace(' ', '-')}-{language}.png", full_page=True)
            assert await me.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
