"""Debian's Chromium for the tests, installed when it is missing and this is root, and a window as a person has it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, ViewportSize, async_playwright

from binding_ivr.lab.asterisk import apt

SHOTS = Path(__file__).resolve().parents[3] / "build" / "screenshots"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SHELL = "chromium-headless-shell"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
DESK: ViewportSize = {"width": 1200, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}
Scheme: TypeAlias = Literal["dark", "light"]
SCHEMES: tuple[Scheme, ...] = ("dark", "light")
COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules of axe on colours: all that is left to look at in the dark, where the style sheet changes nothing else."""
PATIENCE_MS = 30_000
_HARMLESS = "Failed to load resource: the server responded with a status of 4"


async def chromium() -> str:
    """Return the path of Chromium; install Debian's, and letters for Chinese, when that is possible.

    Its headless shell is the same engine without the browser's own windows, which cost as much as the pages.
    """
    if not shutil.which(SHELL) and os.getuid() == 0 and shutil.which("apt-get"):
        await asyncio.to_thread(apt.install, SHELL, "fonts-noto-cjk")
    for name in (SHELL, "chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise AssertionError(f"the browser tests need Chromium: as root, apt-get install {SHELL} fonts-noto-cjk")


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Run Chromium with a profile of its own that is thrown away."""
    path = await chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Person:
    """A person at a browser window. What the page should never do is noted, and checked by `fine`."""

    context: BrowserContext
    page: Page
    origin: str
    faults: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note the console's errors and every request that leaves for another origin."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_HARMLESS):
            self.faults.append(message.text)

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.faults.append(f"asked {parts.netloc}")

    def fine(self) -> None:
        """Assert that nothing was noted."""
        assert self.faults == [], self.faults

    async def shot(self, name: str, page: Page | None = None, *, judged: bool = False) -> None:
        """Keep a screenshot in light and dark; assert that nothing is wider than the window.

        *judged*: axe looks at it too. Only for what test_states.py, where axe sees every state, does not show.
        """
        page = page or self.page
        SHOTS.mkdir(parents=True, exist_ok=True)
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await page.screenshot(path=SHOTS / f"{name}-{scheme}.png", full_page=True)
            if judged:
                found = await violations(page, scheme)
                assert found == [], f"{name}, {scheme}: {found}"
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


async def violations(page: Page, scheme: Scheme = "light") -> list[dict[str, Any]]:
    """What axe-core has against the page as it is now, in the *scheme* that was chosen: in the dark, its colours."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(Axe().axe_script)
    wanted: Any = RULES if scheme == "light" else {"type": "rule", "values": COLOURS}
    # Without resultTypes axe works out and returns also each place where it found nothing, which takes twice as long.
    result = await page.evaluate(
        "options => axe.run(document, options)", {"runOnly": wanted, "resultTypes": ["violations"]}
    )
    return [
        {"rule": found["id"], "where": [node["target"] for node in found["nodes"]], "why": found["help"]}
        for found in result["violations"]
    ]


@asynccontextmanager
async def person(
    browser: Browser,
    origin: str,
    *,
    locale: str = "en-US",
    javascript: bool = True,
    phone: bool = False,
    ignore_https_errors: bool = False,
) -> AsyncIterator[Person]:
    """A person with a new profile; at the end nothing may have gone wrong in the window."""
    context = await browser.new_context(
        locale=locale,
        viewport=PHONE if phone else DESK,
        is_mobile=phone,
        has_touch=phone,
        java_script_enabled=javascript,
        timezone_id="America/New_York",
        ignore_https_errors=ignore_https_errors,
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    made = Person(context, page, origin)
    made.watch(page)
    try:
        yield made
        made.fine()
    finally:
        await context.close()
