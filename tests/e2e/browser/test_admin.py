"""The administrator's page in a real browser, on the running service."""

from datetime import UTC, datetime

from playwright.async_api import expect

from binding_ivr.app.signin import add_key
from binding_ivr.model.moves import Move, MoveKind, MoveOutcome, MoveProof
from tests.e2e.browser.chromium import person
from tests.e2e.browser.conftest import Office, enter


async def test_an_administrator_sees_what_happens_and_can_act(office: Office) -> None:
    key = await add_key(office.node.opened.store, "ops", ["admin"])
    number = await office.phone("right", 1010)
    waiting = await office.phone("no_answer", 20)
    async with office.signed_in() as user, office.signed_in() as caller, person(office.browser, office.origin) as me:
        await enter(user.page, number)
        await office.reads_code(user.page, number)
        await expect(user.page.locator("#badge")).to_have_text("Verified")
        await enter(caller.page, waiting)
        await expect(caller.page.locator("#words")).to_have_text("Ringing")

        await me.page.goto(f"{office.origin}/admin")
        await me.page.get_by_label("API key with the scope admin").fill("not a key")
        await me.page.get_by_role("button", name="Sign in").click()
        await expect(me.page.get_by_role("alert")).to_contain_text("there is no such API key")
        await me.shot("admin-sign-in", judged=True)
        await me.page.get_by_label("API key with the scope admin").fill(key.text)
        await me.page.get_by_role("button", name="Sign in").click()
        await expect(me.page.get_by_role("heading", name="Calls now")).to_be_visible()
        await expect(me.page.locator("[aria-labelledby=now-heading]")).to_contain_text("ringing")
        await expect(me.page.locator("[aria-labelledby=today-heading]")).to_contain_text("verified")
        for text in (number, waiting):
            assert text not in await me.page.content()
        await me.shot("admin", judged=True)

        await me.page.get_by_label("Find a user").fill(f"{5000 + office.users - 1}")
        await me.page.get_by_role("button", name="Search").click()
        await me.page.get_by_role("region", name="Users", exact=True).get_by_role("link").click()
        await expect(me.page.get_by_role("heading", name="Binding")).to_be_visible()
        await me.shot("admin-user", judged=True)
        await me.page.get_by_label("Reason").fill("phone was stolen")
        await me.page.get_by_role("button", name="Suspend").click()
        await expect(me.page.get_by_role("button", name="Resume")).to_be_visible()
        await expect(user.page.locator("#badge")).to_have_text("Suspended")
        await expect(user.page.locator("#status")).to_contain_text("Your administrator suspended this number.")
        await user.shot("suspended-admin", user.page, judged=True)
        await me.page.get_by_label("Reason").fill("phone came back")
        await me.page.get_by_role("button", name="Resume").click()
        await expect(user.page.locator("#badge")).to_have_text("Verified")

        await me.page.goto(f"{office.origin}/admin")
        await me.page.get_by_role("textbox", name="Number").fill("+1 202 555 0177")
        await me.page.get_by_label("Reason").fill("asked by letter")
        await me.page.get_by_role("button", name="Never call").click()
        for word in ("key:ops", "asked by letter"):
            await expect(me.page.locator("#suppressions table")).to_contain_text(word)
        await caller.page.get_by_role("button", name="Cancel call").click()
        await expect(caller.page.locator("#ending")).to_be_visible()


async def test_a_move_is_seen_by_its_user_and_by_an_administrator(office: Office) -> None:
    user, now = await office.user(), datetime.now(UTC)
    store = office.node.opened.store
    move = Move("77-1", MoveKind.PULL, MoveOutcome.MOVED, MoveProof.PIN, "default", user, now, now, "call-1", "leg-2")
    assert await store.moves.keep(move, "page", 100) == "kept"
    async with office.signed_in(user) as me:
        moves = me.page.locator("#moves")
        await moves.locator("summary").click()
        await expect(moves.locator("li")).to_contain_text("Taken over by calling the access number: moved")
        await me.shot("moves", judged=True)
    key = await add_key(store, "ops-moves", ["admin"])
    async with person(office.browser, office.origin) as me:
        await me.page.goto(f"{office.origin}/admin")
        await me.page.get_by_label("API key with the scope admin").fill(key.text)
        await me.page.get_by_role("button", name="Sign in").click()
        await expect(me.page.locator("#moves")).to_contain_text("leg-2")
        await me.page.locator("#moves").get_by_role("link", name=user).click()
        await expect(me.page.locator("#moves")).to_contain_text("pull")
        await me.shot("admin-moves", judged=True)


async def test_a_user_is_no_administrator(office: Office) -> None:
    async with office.signed_in() as me:
        reply = await me.page.goto(f"{office.origin}/admin")
        assert reply is not None
        assert reply.status == 403
