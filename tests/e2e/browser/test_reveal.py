"""The page with `reveal = "on_answer"`: dots and a sentence until the phone is picked up, then the code, by itself."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from binding_ivr.app.live import grouped
from binding_ivr.call.prompts import Prompt
from binding_ivr.lab import Lab
from binding_ivr.lab.net import free_port
from binding_ivr.model.outcome import AttemptState
from tests.e2e.browser.conftest import PATIENT_CALL, Office, enter
from tests.e2e.installation import installed
from tests.e2e.overheard import hears
from tests.e2e.rig import phones_of


@pytest.fixture
async def hardened(lab: Lab, office: Office, tmp_path: Path) -> AsyncIterator[Office]:
    """Another installation, looked at with the same browser."""
    sections: dict[str, dict[str, Any]] = {
        "call": {**PATIENT_CALL, "ring_s": 60},
        "code": {"reveal": "on_answer"},
        "web": {"port": free_port("127.0.0.1")},
    }
    async with installed(lab, tmp_path, node="reveal", app="reveal", sections=sections) as made:
        await made.serve()
        yield Office(made, office.browser, 0)


async def test_the_page_has_the_code_only_after_the_answer(hardened: Office) -> None:
    node = hardened.node
    async with phones_of(node.lab) as take, hardened.signed_in() as me:
        page = me.page
        cell = await take("+12025550164", answers=False)
        await page.evaluate("window.stayed = true")
        await enter(page, cell.number)
        await cell.rings()
        await expect(page.locator("#words")).to_have_text("Ringing")
        last = (await node.opened.store.attempts.attempts(limit=1))[0]
        attempt = await node.state(last.attempt_id, AttemptState.RINGING)
        code = node.opened.codes.of_attempt(attempt.attempt_id, attempt.key_id)
        forms = (code, grouped(code), grouped(code).replace(" ", "\xa0"), " ".join(code))
        hidden = (await page.content()).replace(str(attempt.attempt_id), "")
        assert not [form for form in forms if form in hidden]
        await expect(page.locator("#code")).to_contain_text("•••")
        await expect(page.locator(".code-note")).to_have_text(
            "The access code appears here as soon as you answer the call."
        )
        await me.shot("on-answer")
        call = await cell.answer()
        await expect(page.locator("#words")).to_have_text("Answered")
        shown = await page.locator("#code > [aria-hidden]").inner_text()
        assert "".join(filter(str.isdigit, shown)) == code
        assert await page.evaluate("window.stayed")  # gone, had the page been loaded again
        await hears(call, Prompt.ASK_CODE)
        await cell.press(code)
        await expect(page.locator("#badge")).to_have_text("Verified")
        await call.over()
