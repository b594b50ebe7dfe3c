"""The examples of docs/embedding.md, run as they stand there: the page in a portal's frame, and the API."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import expect

from binding_ivr.app.signin import add_key
from binding_ivr.lab.net import free_port
from binding_ivr.model.rows import User
from tests.e2e.browser.chromium import SHOTS, person
from tests.e2e.browser.conftest import SECRET, Office
from tests.patience import SLOW

DOC = Path(__file__).resolve().parents[3] / "docs" / "embedding.md"


def example(name: str) -> str:
    """The example of the page that begins with its file's name."""
    found = re.search(rf"```python\n(# {re.escape(name)}.*?)```", DOC.read_text(), re.DOTALL)
    assert found, f"docs/embedding.md lacks {name}"
    return found[1]


@asynccontextmanager
async def running(program: str, *words: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *words, env={**os.environ, **environ}, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def listening(port: int) -> None:
    async with asyncio.timeout(20 * SLOW):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return


async def test_a_listed_portal_frames_the_page_and_a_number_is_proven_in_it(office: Office) -> None:
    await office.node.opened.store.directory.import_users([User("default", "1001", ("1001",), "", "")])
    number = await office.phone("right", 1020, ring_ms=1500)
    port = office.portal_port
    environ = {"BINDING_PAGE": office.origin, "BINDING_SECRET": SECRET, "PORTAL_PORT": str(port)}
    async with running(example("portal.py"), **environ), person(office.browser, office.origin) as me:
        await listening(port)
        await me.page.goto(f"http://127.0.0.1:{port}/my-phone")
        frame = me.page.frame_locator("iframe[title='Phone Number Binding']")
        await frame.get_by_label("New Number Binding").fill(number)
        await frame.get_by_role("button", name="Call me now").click()
        code = (await frame.locator("#code > [aria-hidden]").inner_text()).replace(" ", "")
        await office.node.lab.set_code(number, code)
        await expect(frame.locator("#badge")).to_have_text("Verified")
        await me.page.screenshot(path=SHOTS / "embedded.png", full_page=True)
        me.faults = [fault for fault in me.faults if fault != f"asked 127.0.0.1:{port}"]  # the portal itself


async def test_an_origin_that_is_not_listed_gets_no_frame(office: Office) -> None:
    port = free_port("127.0.0.1")
    environ = {"BINDING_PAGE": office.origin, "BINDING_SECRET": SECRET, "PORTAL_PORT": str(port)}
    async with running(example("portal.py"), **environ), person(office.browser, office.origin) as me:
        await listening(port)
        async with me.page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            await me.page.goto(f"http://127.0.0.1:{port}/my-phone")
        await expect(me.page.frame_locator("iframe").get_by_label("New Number Binding")).to_have_count(0)
        me.faults.clear()


async def test_a_portal_follows_a_call_by_the_api(office: Office) -> None:
    user, number = await office.user(), await office.phone("right", 1021, ring_ms=2000)
    key = await add_key(office.node.opened.store, "portal", ["account:default"])
    environ = {"BINDING_PAGE": office.origin, "BINDING_KEY": key.text}
    async with running(example("bind.py"), user, number, **environ) as program:
        assert program.stdout is not None
        first = (await program.stdout.readline()).decode()
        await office.node.lab.set_code(number, first.removeprefix("access code:").strip())
        rest = (await program.stdout.read()).decode().split("\n")
        assert await program.wait() == 0
    assert rest[-2] == "verified"
    assert "ringing 0" in rest
