"""The page in a real browser, with real calls to the lab's phones: as a person enters a number and proves it."""

import re

import pytest
from playwright.async_api import Page, expect

from binding_ivr.model.outcome import Outcome
from tests.e2e.browser.chromium import SHOTS, person
from tests.e2e.browser.conftest import Office, enter
from tests.e2e.installation import TESTER
from tests.integration.tcp_proxy import TcpProxy

REMEMBER = """() => {
    window.told = [];
    const note = () => {
        const words = document.getElementById("words")?.textContent.trim();
        if (words && words !== window.told.at(-1)) window.told.push(words);
    };
    new MutationObserver(note).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
"""Keeps every step that the page tells, however short it shows."""


async def outcome(page: Page, wanted: Outcome) -> None:
    """Wait until the page tells this outcome."""
    await expect(page.locator("#ending")).to_have_attribute("data-outcome", wanted.value)


@pytest.mark.alone  # digits are told one by one only while the service's event loop is never late
async def test_a_number_is_proven_while_the_page_stays(office: Office) -> None:
    number = await office.phone("right", 1000, ring_ms=2500, after_ms=1500, gap_ms=1200)
    async with office.signed_in() as me:
        page = me.page
        await expect(page).to_have_title("Phone Number Binding")
        await me.shot("none")
        await page.evaluate(REMEMBER)
        await enter(page, number)
        await expect(page.locator("#code-heading")).to_have_text("Access Code")
        await expect(page.locator("#code-heading")).to_be_focused()
        code = await office.reads_code(page, number)
        await expect(page.locator("#words")).to_have_text("Ringing")
        await me.shot("ringing")
        await expect(page.locator("#words")).to_have_text("Answered")
        await expect(page.locator("#badge")).to_have_text("Verified")
        await outcome(page, Outcome.VERIFIED)
        await expect(page.locator("#announce")).to_contain_text("Verified")
        await expect(page.locator("#call")).to_have_count(0)
        told = await page.evaluate("window.told")  # gone, had the page been loaded again
        steps = ["Ringing", "Answered", *(f"{count} of 6 digits" for count in range(1, 6))]
        assert [step for step in told if step in steps] == steps
        await me.shot("verified")
        for text in (code, number):
            assert text not in office.node.log.read_text()
            assert text.removeprefix("+") not in page.url


@pytest.mark.alone
async def test_digits_show_as_filled_dots(office: Office) -> None:
    number = await office.phone("slow", 1, ring_ms=300, after_ms=300, pace_ms=5000)
    async with office.signed_in() as me:
        await enter(me.page, number)
        await office.reads_code(me.page, number)
        await expect(me.page.locator("#words")).to_have_text("3 of 6 digits")
        await me.shot("digits")
        await me.page.get_by_role("button", name="Cancel call").click()
        await outcome(me.page, Outcome.CANCELED)


@pytest.mark.parametrize(
    ("behaviour", "wanted", "says"),
    [
        ("wrong", Outcome.WRONG_CODE, "we will call again with a new code"),
        ("busy", Outcome.BUSY, "End the other call"),
        ("no_answer", Outcome.NO_ANSWER, "Keep the phone at hand"),
        ("declined", Outcome.DECLINED, "accept the call"),
        ("unallocated", Outcome.UNREACHABLE, "Check the digits"),
        ("congestion", Outcome.CONGESTION, "Wait a few minutes"),
        ("star", Outcome.REPORTED, "they did not ask for the call"),
        ("hangup_at", Outcome.HUNG_UP, "stay on the line"),
        ("silent", Outcome.NO_INPUT, "enter the new code"),
    ],
)
async def test_the_page_says_how_a_call_ended_and_what_to_do(
    office: Office, behaviour: str, wanted: Outcome, says: str
) -> None:
    number = await office.phone(behaviour, 5, **({"ring_ms": 1500} if wanted is Outcome.WRONG_CODE else {}))
    async with office.signed_in(account="brisk") as me:
        await enter(me.page, number)
        if wanted is Outcome.WRONG_CODE:
            await office.reads_code(me.page, number)
        await outcome(me.page, wanted)
        await expect(me.page.locator("#ending")).to_contain_text(re.compile(says))
        await me.shot(f"ended-{wanted.value}")


async def test_a_call_is_canceled_and_asked_for_again_with_another_code(office: Office) -> None:
    number = await office.phone("no_answer", 6)
    async with office.signed_in() as me:
        await enter(me.page, number)
        first = await office.reads_code(me.page, number)
        await me.page.get_by_role("button", name="Cancel call").click()
        await outcome(me.page, Outcome.CANCELED)
        await expect(me.page.locator("#code")).to_have_count(0)
        await me.page.get_by_role("button", name="Re-Validate").click()
        await expect(me.page.locator("#code")).to_be_visible()
        assert await office.reads_code(me.page, number) != first
        await me.page.get_by_role("button", name="Cancel call").click()
        await outcome(me.page, Outcome.CANCELED)


async def test_a_reload_in_mid_call_keeps_the_code(office: Office) -> None:
    number = await office.phone("no_answer", 7)
    async with office.signed_in() as me:
        await enter(me.page, number)
        code = await office.reads_code(me.page, number)
        await me.page.reload()
        assert await office.reads_code(me.page, number) == code
        await expect(me.page.locator("#words")).to_have_text("Ringing")
        await me.page.get_by_role("button", name="Cancel call").click()
        await outcome(me.page, Outcome.CANCELED)


async def test_two_windows_show_the_same(office: Office) -> None:
    number = await office.phone("no_answer", 8)
    async with office.signed_in() as me:
        other = await me.context.new_page()
        me.watch(other)
        await other.goto(office.origin)
        await enter(me.page, number)
        code = await office.reads_code(me.page, number)
        await expect(other.locator("#words")).to_have_text("Ringing")
        assert await office.reads_code(other, number) == code
        await expect(other.get_by_label("New Number Binding")).to_be_disabled()
        await other.get_by_role("button", name="Cancel call").click()
        await outcome(me.page, Outcome.CANCELED)
        await outcome(other, Outcome.CANCELED)


async def test_a_reached_limit_is_said_in_plain_words_and_counts_down(office: Office) -> None:
    busy, next_one = await office.phone("busy", 9), await office.phone("busy", 10)
    async with office.signed_in(account="tight") as me:
        await enter(me.page, busy)
        await outcome(me.page, Outcome.BUSY)
        await expect(me.page.get_by_role("button", name="Re-Validate")).to_be_disabled()
        note = me.page.locator("#revalidate-hindered")
        await expect(note).to_contain_text("You have reached your limit of calls per hour.")
        count = note.locator("[data-countdown]")
        await expect(count).to_have_text(re.compile(r"^(59:\d\d|1:00:00)$"))
        await enter(me.page, next_one)
        refused = me.page.locator("#number-error")
        await expect(refused).to_contain_text("You have reached your limit of calls per hour.")
        seen = await count.inner_text()
        await expect(count).not_to_have_text(seen)
        await me.shot("limit", judged=True)


async def test_a_refused_number_stays_to_be_mended(office: Office) -> None:
    user = await office.user()
    async with office.signed_in(user) as me:
        field = me.page.get_by_label("New Number Binding")
        for typed, says in (
            ("hello", "This is not a phone number."),
            ("+1 202 555", "Short numbers cannot be used."),
            ("+1 202 555 01", "There is no such phone number."),
            ("911", "Emergency numbers cannot be used."),
            (user, "belongs to this phone system"),
            ("+44 7400 123456", "Numbers in this country are not allowed"),
        ):
            await enter(me.page, typed)
            await expect(me.page.locator("#number-error")).to_contain_text(says)
            await expect(field).to_have_value(typed)
            await expect(field).to_be_focused()
            await expect(field).to_have_attribute("aria-invalid", "true")
        await me.shot("refused", judged=True)


async def test_news_do_not_wipe_a_refusal_away(office: Office) -> None:
    number = await office.phone("right", 1002)
    user = await office.user()
    async with office.signed_in(user) as me:
        badge, field = me.page.locator("#badge"), me.page.get_by_label("New Number Binding")
        await enter(me.page, number)
        await office.reads_code(me.page, number)
        await expect(badge).to_have_text("Verified")
        await enter(me.page, "911")
        refusal = me.page.locator("#number-error")
        await expect(refusal).to_contain_text("Emergency numbers cannot be used.")
        await office.node.opened.bindings.suspend("default", user, TESTER)
        await expect(badge).to_have_text("Suspended")
        await expect(refusal).to_contain_text("Emergency numbers cannot be used.")
        await expect(field).to_have_value("911")
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_have_attribute("aria-describedby", "number-hint number-error")
        await me.shot("refused-then-news", judged=True)
        await enter(me.page, "hello")
        await expect(refusal).to_contain_text("This is not a phone number.")
        await me.page.reload()
        await expect(refusal).to_have_count(0)


async def test_remove_asks_first(office: Office) -> None:
    number = await office.phone("right", 1001)
    async with office.signed_in() as me:
        await enter(me.page, number)
        await office.reads_code(me.page, number)
        await expect(me.page.locator("#badge")).to_have_text("Verified")
        await me.page.get_by_role("button", name="Remove").click()
        await expect(me.page.get_by_role("dialog", name="Remove this number?")).to_be_visible()
        await expect(me.page.get_by_role("button", name="Keep it")).to_be_focused()
        await me.shot("remove", judged=True)
        await me.page.keyboard.press("Enter")
        await expect(me.page.get_by_role("dialog")).to_have_count(0)
        await expect(me.page.locator("#badge")).to_have_text("Verified")
        await me.page.get_by_role("button", name="Remove").click()
        await me.page.get_by_role("button", name="Remove number").click()
        await expect(me.page.locator("#badge")).to_have_text("No number")


async def test_everything_works_from_the_keyboard(office: Office) -> None:
    number = await office.phone("no_answer", 11)
    async with office.signed_in() as me:
        await me.page.keyboard.press("Tab")
        await expect(me.page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await me.page.keyboard.press("Tab")
        await expect(me.page.get_by_label("New Number Binding")).to_be_focused()
        await me.page.keyboard.type(number)
        await me.page.keyboard.press("Enter")
        await expect(me.page.locator("#code-heading")).to_be_focused()
        await me.page.keyboard.press("Tab")
        await expect(me.page.get_by_role("button", name="Cancel call")).to_be_focused()
        await me.page.keyboard.press("Enter")
        await outcome(me.page, Outcome.CANCELED)
        await expect(me.page.locator("#ending-heading")).to_be_focused()


async def test_on_a_phone_in_spanish(office: Office) -> None:
    number = await office.phone("no_answer", 12)
    async with office.signed_in(locale="es-MX", phone=True) as me:
        await expect(me.page).to_have_title("Vinculación de número de teléfono")
        await me.shot("phone-none-es")
        await me.page.get_by_label("Nuevo número para vincular").fill(number)
        await me.page.get_by_role("button", name="Llámenme ahora").tap()
        await expect(me.page.locator("#words")).to_have_text("Sonando")
        await expect(me.page.get_by_role("heading", name="Código de acceso")).to_be_visible()
        await me.shot("phone-ringing-es")
        await me.page.get_by_role("button", name="Cancelar llamada").tap()
        await outcome(me.page, Outcome.CANCELED)
        await expect(me.page.locator("#ending")).to_contain_text("La llamada se canceló")


@pytest.mark.parametrize(
    ("locale", "setting", "title"),
    [
        ("fr-CA", "", "Association d’un numéro de téléphone"),
        ("zh-CN", "", "电话号码绑定"),
        ("es", "de", "Rufnummer verknüpfen"),
        ("pt", "", "Phone Number Binding"),
    ],
)
async def test_the_language_is_the_users_or_the_browsers(office: Office, locale: str, setting: str, title: str) -> None:
    async with office.signed_in(language=setting, locale=locale) as me:
        await expect(me.page).to_have_title(title)
        await me.page.get_by_role("link", name="Español").click()
        await expect(me.page).to_have_title("Vinculación de número de teléfono")
        await expect(me.page.locator("html")).to_have_attribute("lang", "es")


async def test_without_javascript_it_refreshes_while_a_call_runs(office: Office) -> None:
    number = await office.phone("right", 1002, ring_ms=1500, after_ms=1000)
    async with office.signed_in(javascript=False) as me:
        await enter(me.page, "12")
        await expect(me.page.locator("#number-error")).to_be_visible()
        await expect(me.page.get_by_label("New Number Binding")).to_be_focused()
        await enter(me.page, number)
        await office.reads_code(me.page, number)
        await me.page.screenshot(path=SHOTS / "without-javascript.png", full_page=True)
        await expect(me.page.locator("#badge")).to_have_text("Verified")
        await expect(me.page.locator("#status time").first).to_contain_text("UTC")
        await me.page.get_by_role("button", name="Remove").click()
        await me.page.get_by_role("button", name="Remove number").click()
        await expect(me.page.locator("#badge")).to_have_text("No number")


async def test_a_lost_line_is_taken_up_again_with_what_was_missed(office: Office) -> None:
    user, number = await office.user(), await office.phone("right", 1003)
    async with TcpProxy("127.0.0.1", office.node.config.web.port) as line:
        origin = f"http://127.0.0.1:{line.port}"
        async with person(office.browser, origin) as me:
            me.faults = Harmless()
            await me.page.goto((await office.link(user)).replace(office.origin, origin))
            await me.page.get_by_role("button", name="Sign in").click()
            await expect(me.page.locator("#badge")).to_have_text("No number")
            line.cut()
            shown = await office.node.bind(user, number)
            await expect(me.page.locator("#badge")).to_have_text("Verified")
            await office.node.ended(shown)


class Harmless(list[str]):
    """A line that is cut on purpose is told in the console."""

    def append(self, text: str) -> None:
        if "net::ERR" not in text:
            super().append(text)


async def test_the_contact_card_and_its_code_can_be_saved(office: Office) -> None:
    async with office.signed_in() as me:
        async with me.page.expect_download() as coming:
            await me.page.get_by_role("link", name="Save as contact").click()
        saved = await (await coming.value).path()
        assert "TEL;TYPE=WORK,VOICE:+1" in saved.read_text()
        image = me.page.get_by_role("img", name="QR code that saves our number as a contact")
        assert await image.evaluate("image => image.complete && image.naturalWidth > 0")


async def test_signed_out_means_signed_out(office: Office) -> None:
    async with office.signed_in() as me:
        link = await office.link(await office.user())
        other = await me.context.new_page()
        await other.goto(office.origin)
        await other.get_by_role("button", name="Sign out").click()
        await expect(other.get_by_role("heading", name="Please sign in")).to_be_visible()
        await me.shot("signed-out", other, judged=True)
        # and the first window shows nothing more, although nobody touches it
        await expect(me.page.get_by_role("heading", name="Please sign in")).to_be_visible()
        await other.goto(link)
        await me.shot("sign-in-link", other, judged=True)
        await other.get_by_role("button", name="Sign in").click()
        await expect(other.locator("#badge")).to_have_text("No number")
        await other.goto(link)
        await other.get_by_role("button", name="Sign in").click()
        await expect(other.get_by_role("heading", name="This link no longer works")).to_be_visible()
        await me.shot("bad-link", other, judged=True)
