"""One installation with the page, and one Chromium, for all browser tests."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from binding_ivr.app.signin import make_link
from binding_ivr.lab import Lab
from binding_ivr.lab.net import free_port
from binding_ivr.model.rows import User
from tests.e2e.browser.chromium import PATIENCE_MS, Person, person, running_browser
from tests.e2e.installation import Installation, installed

SITE = "Acme Telecom"
SECRET = "a secret that only the tests' portal knows"
PROXY_ADDRESS = "127.0.0.2"
"""From which a reverse proxy comes, and nobody else."""
PATIENT_CALL = {"delay_s": 0, "first_digit_s": 15, "loops": 1, "next_digit_s": 6, "ring_s": 60, "max_s": 60}
BRISK = {"call": {"ring_s": 3, "first_digit_s": 2, "loops": 1, "next_digit_s": 2, "max_s": 20}}
"""The account whose calls end soon."""
TIGHT = {"limits": {"user_hour": 1}}
"""The account with one call an hour."""

expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Office:
    """The installation with its page, and the people who use it."""

    node: Installation
    browser: Browser
    portal_port: int
    users: int = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.node.config.web.port}"

    async def user(self, account: str = "default", language: str = "") -> str:
        self.users += 1
        user = f"{5000 + self.users}"
        await self.node.opened.store.directory.import_users([User(account, user, (user,), language, "")])
        return user

    async def link(self, user: str, account: str = "default") -> str:
        return await make_link(self.node.config, self.node.opened.store, account, user)

    @asynccontextmanager
    async def signed_in(
        self, user: str = "", account: str = "default", language: str = "", **how: Any
    ) -> AsyncIterator[Person]:
        """A person who opened the sign-in link, pressed its button and sees the page."""
        user = user or await self.user(account, language)
        async with person(self.browser, self.origin, **how) as made:
            await made.page.goto(await self.link(user, account))
            await made.page.locator("main button").click()
            await expect(made.page.locator("#status")).to_be_visible()
            yield made

    async def phone(self, behaviour: str, index: int, **params: Any) -> str:
        """A number whose phone behaves so."""
        number = self.node.lab.number(behaviour, index)
        if params:
            await self.node.lab.set_script(number, behaviour, **params)
        return number

    async def reads_code(self, page: Page, number: str) -> str:
        """The person with the phone reads the code from the screen, to key it."""
        code = (await page.locator("#code > [aria-hidden]").inner_text()).replace(" ", "").replace("\xa0", "")
        assert len(code) == 6
        assert code.isdigit()
        await self.node.lab.set_code(number, code)
        return code


async def enter(page: Page, number: str) -> None:
    """Type a number and press the button."""
    await page.get_by_label("New Number Binding").fill(number)
    await page.get_by_role("button", name="Call me now").click()


@pytest.fixture(scope="session")
async def office(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    folder: Path = tmp_path_factory.mktemp("page")
    web_port, portal_port = free_port("127.0.0.1"), free_port("127.0.0.1")
    sections: dict[str, dict[str, Any]] = {
        "call": PATIENT_CALL,
        "prompts": {"site_name": SITE},
        "auth": {"jwt_secret": SECRET},
        "web": {
            "port": web_port,
            "frame_ancestors": [f"http://127.0.0.1:{portal_port}"],
            "requests_per_second": 200,
            "trusted_proxies": [PROXY_ADDRESS],
            "user_header": "X-Remote-User",
        },
    }
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(installed(lab, folder, node="page", app="page", sections=sections))
        for account, settings in {"brisk": BRISK, "tight": {**BRISK, **TIGHT}}.items():
            await made.opened.store.directory.add_account(account, settings)
        await made.serve()
        browser = await stack.enter_async_context(running_browser())
        yield Office(made, browser, portal_port)
