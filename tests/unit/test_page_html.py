"""The page and the administrator's page as HTML: every state in every language, forms, errors; no network."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from aiohttp.test_utils import make_mocked_request

from binding_ivr.app.view import View
from binding_ivr.config import Auth, Config
from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.model.moves import MoveKind, MoveOutcome, MoveProof, MoveRow
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.model.secrets import csrf_of
from binding_ivr.policy.lifecycle import Life
from binding_ivr.policy.limit_state import Paused
from binding_ivr.web.page.assets import assets, version
from binding_ivr.web.page.render import error_page, link_page
from binding_ivr.web.page.texts import LANGUAGES, texts
from binding_ivr.web.problems import Problem
from tests.unit.page_fakes import (
    ADMIN,
    CODE,
    NOW,
    NUMBER,
    FakeInstallation,
    application,
    ask,
    attempt,
    changed,
    live,
    view,
)

LIMITED = Refusal("limit_reached", "said", limit="number_hour", retry_at=NOW.timestamp() + 2400)
STATES: dict[str, View] = {
    "none": view(),
    "pending": view("pending"),
    "verified": view("verified"),
    "replacement": view("verified", pending="+12125550150"),
    "limited": view("pending", bind=LIMITED, revalidate=LIMITED),
    "to be renewed": view("verified", life=Life(NOW + timedelta(days=100))),
    "stale": view("verified", stale=True, life=Life(NOW + timedelta(days=29))),
    "stale for ever": view("verified", stale=True),
    "changed": view("pending", life=changed()),
    "removed": view("none", life=changed("administrator")),
    "changed and limited": view("verified", bind=LIMITED, life=changed("system")),
    "no caller": view(caller_ids=()),
    **{
        reason: view("suspended", reason=reason)
        for reason in ("reported", "taken_over", "aged", "admin", "own_number", "suppressed")
    },
    **{f"ended {o.value}": view("pending", attempt(outcome=o)) for o in Outcome},
    **{state.value: live(state) for state in AttemptState if state is not AttemptState.ENDED},
    "waiting": live(AttemptState.QUEUED, due_s=-10),
    "digits": live(AttemptState.ANSWERED, 3),
    "no code": live(AttemptState.RINGING, code=None),
}
VOID = {"meta", "link", "input", "img"}


class Checker(HTMLParser):
    """Notes ids, what points to them, and what a strict content security policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.pointers: list[str] = []
        self.forbidden: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            self._attribute(tag, name, value or "")

    def _attribute(self, tag: str, name: str, value: str) -> None:
        if name == "id":
            self.ids.append(value)
        if name in ("for", "aria-labelledby", "aria-describedby", "popovertarget"):
            self.pointers += value.split()
        if name == "style" or name.startswith("on") or re.match(r"(https?:)?//|javascript:", value):
            self.forbidden.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style") and data.strip():
            self.forbidden.append(f"inline {self.open[-1]}")


def checked(html: str | None) -> str:
    assert html is not None
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    assert checker.forbidden == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert set(checker.pointers) <= set(checker.ids)
    return html


@pytest.mark.parametrize("language", LANGUAGES)
async def test_only_a_call_that_waits_is_said_to_wait_for_a_free_line(language: str) -> None:
    words = texts(language)
    fakes = [FakeInstallation(STATES[state]) for state in ("queued", "waiting")]
    starting, waiting = [(await ask(fake, accept=language)).text or "" for fake in fakes]
    assert words.plain("live.queued") in starting
    assert words.plain("live.waiting") not in starting
    assert words.plain("live.waiting") in waiting
    assert words.plain("live.queued") not in waiting


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", STATES)
async def test_every_state_is_whole_html_in_every_language(state: str, language: str) -> None:
    response = await ask(FakeInstallation(STATES[state]), accept=language)
    html = checked(response.text)
    assert f'<html lang="{language}">' in html
    assert str(texts(language)("page.title")) in html


async def test_the_words_of_the_feature_are_on_the_page() -> None:
    html = checked((await ask(FakeInstallation(STATES["pending"]))).text)
    for words in ("<title>Phone Number Binding</title>", ">New Number Binding<", "Re-Validate", "Remove"):
        assert words in html
    assert ">Access Code<" in checked((await ask(FakeInstallation(STATES["ringing"]))).text)


async def test_the_code_is_there_for_the_eye_and_for_the_ear_and_only_in_a_call() -> None:
    html = checked((await ask(FakeInstallation(STATES["digits"]))).text)
    assert f"{CODE[:3]} {CODE[3:]}" in html
    assert " ".join(CODE) in html
    assert html.count('class="dot filled"') == 3
    assert html.count('class="dot"') == 3
    assert 'http-equiv="refresh"' in html
    assert 'http-equiv="refresh"' not in checked((await ask(FakeInstallation(STATES["pending"]))).text)


async def test_a_proof_that_grows_old_asks_for_a_new_one() -> None:
    html = checked((await ask(FakeInstallation(STATES["stale"]))).text)
    assert 'id="stale"' in html
    assert (NOW + timedelta(days=29)).strftime("%Y-%m-%dT%H:%M:%SZ") in html
    assert re.search(r'id="do-revalidate" class="button main"', html)
    later = checked((await ask(FakeInstallation(STATES["to be renewed"]))).text)
    assert 'id="verify-by"' in later
    assert 'id="stale"' not in later


async def test_a_change_is_told_with_the_way_back_but_not_during_a_call() -> None:
    html = checked((await ask(FakeInstallation(STATES["removed"]))).text)
    assert "Your administrator changed your number" in html
    assert 'action="undo"' in html
    assert "+1 212-555-0177" in html
    assert re.search(
        r'id="do-undo"[^>]*disabled', checked((await ask(FakeInstallation(STATES["changed and limited"]))).text)
    )
    assert "212-555-0177" not in checked((await ask(FakeInstallation(STATES["ringing"]))).text)


async def test_names_are_escaped() -> None:
    html = checked((await ask(FakeInstallation(STATES["none"]))).text)
    assert "Acme &amp; Sons" in html
    refused = await ask(FakeInstallation(refuse=Refusal("not_a_number", "no")), "/bind", {"number": '"><script>x'})
    assert "<script>x" not in checked(refused.text)


async def test_a_form_acts_and_leads_back_to_the_page_in_the_language_that_was_asked_for() -> None:
    fake = FakeInstallation()
    response = await ask(fake, "/bind?lang=fr", {"number": NUMBER})
    assert (response.status, response.headers["Location"]) == (303, "./?lang=fr")
    for name in ("revalidate", "undo", "cancel", "remove"):
        assert (await ask(fake, f"/{name}", {})).headers["Location"] == "./"
    assert [asked[0] for asked in fake.asked] == ["bind", "revalidate", "undo", "cancel", "remove"]
    assert fake.asked[0] == ("bind", "1001", NUMBER, "user:1001")
    assert (await ask(fake, "/bind?lang=<x>")).headers["Location"] == "./"


@pytest.mark.parametrize(
    ("code", "status"), [("not_a_number", 422), ("call_in_progress", 409), ("try_later", 429), ("brand_new", 422)]
)
async def test_a_refused_number_stays_in_its_field_with_the_reason(code: str, status: int) -> None:
    fake = FakeInstallation(refuse=Refusal(code, "said to programs"))
    response = await ask(fake, "/bind", {"number": "12x"})
    html = checked(response.text)
    assert response.status == status
    t = texts("en")
    assert str(t.either(f"refusal.{code}", "refusal.other", example="+1 201-555-0123")) in html
    assert "said to programs" not in html
    assert 'value="12x"' in html
    assert 'aria-invalid="true"' in html


async def test_a_reached_limit_says_when_it_lifts() -> None:
    lifts = Refusal("limit_reached", "x", limit="user_hour", retry_at=NOW.timestamp() + 600)
    response = await ask(FakeInstallation(view("pending"), refuse=lifts), "/revalidate", {})
    html = checked(response.text)
    assert response.status == 429
    assert str(texts("en")("limit.user_hour")) in html
    assert "data-countdown" in html


@pytest.mark.parametrize("form", ["bind", "revalidate", "undo"])
async def test_at_night_the_page_offers_to_call_all_the_same(form: str) -> None:
    night = Refusal("outside_hours", "x", retry_at=NOW.timestamp() + 3600)
    response = await ask(FakeInstallation(view("pending"), refuse=night), f"/{form}", {"number": "202 555 0150"})
    html = checked(response.text)
    assert response.status == 409
    assert str(texts("en")("refusal.outside_hours")) in html
    assert "data-countdown" in html
    button = re.search(rf'<form id="{form}-now".*?</form>', html, re.DOTALL)
    assert button
    assert f'action="./{form}"' in button[0] or f'action="{form}"' in button[0]
    assert ('name="number" value="202 555 0150"' in button[0]) == (form == "bind")
    fake = FakeInstallation()
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', button[0]))
    await ask(fake, f"/{form}", fields)
    assert fake.asked[0][0] == form
    assert fake.asked[0][-1] == "now"


async def test_what_is_known_of_the_hour_is_said_before_the_button_is_pressed() -> None:
    night = Refusal("outside_hours", "x", retry_at=NOW.timestamp() + 3600)
    html = checked((await ask(FakeInstallation(replace(view("verified"), revalidate=night)), "/")).text)
    assert 'id="revalidate-now"' in html
    assert 'id="bind-now"' not in html
    other = checked((await ask(FakeInstallation(view("verified")), "/")).text)
    assert "-now" not in other.replace("number-now", "")


async def test_a_call_that_had_gone_is_said_so() -> None:
    response = await ask(FakeInstallation(view("pending"), refuse=NotFoundError("x")), "/cancel", {})
    assert response.status == 404
    assert str(texts("en")("refusal.not_found")) in checked(response.text)


async def test_a_form_of_another_site_is_refused() -> None:
    fake = FakeInstallation()
    with pytest.raises(Problem, match="does not come from a page"):
        await ask(fake, "/bind", {"csrf": "guessed", "number": NUMBER})
    assert fake.asked == []


async def test_a_verified_number_changes_only_after_a_fresh_sign_in_where_that_is_asked() -> None:
    config = Config(auth=Auth(step_up_minutes=5))
    verified, pending = FakeInstallation(view("verified")), FakeInstallation(view("pending"))
    refused = await ask(verified, "/remove", {}, config=config)
    assert str(texts("en")("refusal.step_up_required")) in checked(refused.text)
    assert verified.asked == []
    await ask(pending, "/remove", {}, config=config)
    assert pending.asked == [("remove", "1001", "user:1001")]


async def test_the_contact_card_and_its_code_are_of_the_numbers_that_call() -> None:
    card = await ask(FakeInstallation(), "/caller.vcf")
    assert card.content_type == "text/vcard"
    assert card.text is not None
    assert "TEL;TYPE=WORK,VOICE:+12025550100\r\n" in card.text
    assert "FN:Acme & Sons (Phone Number Binding)\r\n" in card.text
    assert (await ask(FakeInstallation(), "/caller.svg")).content_type == "image/svg+xml"


async def test_somebody_whom_nobody_knows_is_told_so() -> None:
    from dataclasses import replace

    from tests.unit.page_fakes import USER

    response = await ask(FakeInstallation(), identity=replace(USER, user_id="nobody"))
    assert response.status == 404
    assert str(texts("en")("unknown.title")) in checked(response.text)


async def test_nobody_is_asked_to_sign_in_and_an_administrator_led_to_the_own_page() -> None:
    with pytest.raises(Problem) as raised:
        await ask(FakeInstallation(), identity=None)
    assert raised.value.status == 401
    assert (await ask(FakeInstallation(), identity=ADMIN)).headers["Location"] == "admin"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 500, 503])
@pytest.mark.parametrize("path", ["/", "/admin", "/admin/user"])
async def test_errors_are_pages_for_people(status: int, path: str) -> None:
    request = make_mocked_request("GET", path, {"Accept-Language": "de"}, app=application(FakeInstallation()))
    response = error_page(request, Problem(status, "word", "detail", retry_after=7))
    assert response.status == status
    assert response.content_type == "text/html"
    assert response.headers["Retry-After"] == "7"
    assert checked(getattr(response, "text", None))


async def test_files_are_served_for_ever_under_their_version_and_no_other_file_is() -> None:
    for name, asset in assets().items():
        response = await ask(FakeInstallation(), f"/static/{name}?{version()}")
        assert response.body == asset.body
        assert "immutable" in response.headers["Cache-Control"]
        assert "immutable" not in (await ask(FakeInstallation(), f"/static/{name}")).headers["Cache-Control"]
    from aiohttp import web

    with pytest.raises(web.HTTPNotFound):
        await ask(FakeInstallation(), "/static/..%2fpage.py")


def test_the_script_writes_no_html_and_names_no_other_host() -> None:
    script = assets()["page.js"].body.decode()
    assert len(script.splitlines()) < 300
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?://", script)


# --- the administrator's page


async def test_the_overview_counts_lists_and_shortens_numbers() -> None:
    rows = [attempt(AttemptState.RINGING), attempt(outcome=Outcome.BUSY), attempt(outcome=Outcome.BUSY)]
    html = checked(
        (await ask(FakeInstallation(view("pending", revalidate=LIMITED), rows=rows), "/admin", identity=ADMIN)).text
    )
    assert "<strong>2</strong> busy" in html
    assert "ringing" in html
    assert "number_hour" in html
    assert NUMBER not in html
    assert "default/" not in html


async def test_users_are_found() -> None:
    found = await ask(FakeInstallation(), "/admin?q=100", identity=ADMIN)
    assert "admin/user?account=default&amp;user=1001" in checked(found.text)
    assert "No user matches" in checked((await ask(FakeInstallation(), "/admin?q=%3Cx%3E", identity=ADMIN)).text)


@pytest.mark.parametrize("path", ["/admin", "/admin/user?account=default&user=1001"])
async def test_only_administrators_see_it(path: str) -> None:
    with pytest.raises(Problem) as raised:
        await ask(FakeInstallation(), path)
    assert raised.value.status == 403
    assert (await ask(FakeInstallation(), path, identity=ADMIN)).status == 200


async def test_an_act_needs_a_reason_which_the_audit_keeps() -> None:
    fake = FakeInstallation(view("verified"))
    form = {"account": "default", "user": "1001", "do": "suspend"}
    refused = await ask(fake, "/admin/user", form, identity=ADMIN)
    assert refused.status == 422
    assert "give a reason" in checked(refused.text)
    done = await ask(fake, "/admin/user", {**form, "reason": " phone  lost "}, identity=ADMIN)
    assert done.headers["Location"] == "user?account=default&user=1001"
    assert fake.asked == [("suspend", "1001", "key:ops", "phone lost")]
    with pytest.raises(Problem):
        await ask(fake, "/admin/user", {**form, "do": "format", "reason": "no such act"}, identity=ADMIN)


async def test_a_users_page_tells_who_did_what_and_why_and_until_when_it_is_trusted() -> None:
    fake = FakeInstallation(view("verified", stale=True, life=Life(NOW + timedelta(days=29))))
    html = checked((await ask(fake, "/admin/user?account=default&user=1001", identity=ADMIN)).text)
    for words in ("phone lost", "192.0.2.1", "stale: trusted until", (NOW + timedelta(days=29)).strftime("%Y-%m-%d")):
        assert words in html
    assert NUMBER not in html


async def test_paused_calls_are_seen_and_let_go_with_a_reason() -> None:
    until = NOW + timedelta(hours=1)
    assert "Paused calls" not in checked((await ask(FakeInstallation(), "/admin", identity=ADMIN)).text)
    fake = FakeInstallation(paused=[Paused("", until, True, 1, 1, 60, 3), Paused("sales", until, False, 2, 0, 20, 1)])
    html = checked((await ask(fake, "/admin", identity=ADMIN)).text)
    for words in ("All calls come back one at a time", "Calls of account sales are paused until", "1 of the last 20"):
        assert words in html
    form = {"account": "sales", "do": "resume"}
    assert (await ask(fake, "/admin/limits", form, identity=ADMIN)).status == 422
    done = await ask(fake, "/admin/limits", {**form, "reason": "a drill"}, identity=ADMIN)
    assert done.headers["Location"] == "../admin#limits"
    await ask(fake, "/admin/limits", {"number": NUMBER, "do": "reset", "reason": "called us"}, identity=ADMIN)
    unlock = {"account": "default", "user": "1001", "do": "unlock", "reason": "called us"}
    await ask(fake, "/admin/user", unlock, identity=ADMIN)
    assert fake.asked == [
        ("resume_calls", "sales", "a drill"),
        ("reset_number", NUMBER, "called us"),
        ("reset_user", "default", "1001", "called us"),
    ]
    with pytest.raises(Problem):
        await ask(fake, "/admin/limits", {**form, "do": "format", "reason": "a drill"}, identity=ADMIN)
    fake.refuse = NotFoundError("x")
    missing = await ask(fake, "/admin/limits", {**form, "reason": "a drill"}, identity=ADMIN)
    assert missing.status == 404
    assert "not paused" in checked(missing.text)


async def test_numbers_are_suppressed_and_allowed_again() -> None:
    fake = FakeInstallation()
    form = {"number": NUMBER, "reason": "asked by letter"}
    await ask(fake, "/admin/suppressions", {**form, "do": "suppress"}, identity=ADMIN)
    await ask(fake, "/admin/suppressions", {**form, "do": "allow"}, identity=ADMIN)
    listed = "ab" * 32
    await ask(fake, "/admin/suppressions", {"number": "", "reason": "asked again", "hash": listed}, identity=ADMIN)
    assert fake.asked == [("suppress", NUMBER, "key:ops"), ("unsuppress", NUMBER), ("unsuppress", listed)]
    unsaid = await ask(fake, "/admin/suppressions", {"number": "", "hash": listed}, identity=ADMIN)
    assert unsaid.status == 422
    fake.refuse = NotFoundError("x")
    missing = await ask(fake, "/admin/suppressions", {**form, "do": "allow"}, identity=ADMIN)
    assert missing.status == 404
    assert "not suppressed" in checked(missing.text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sign_in_link_has_its_button_in_every_language(language: str) -> None:
    headers = {"Accept-Language": language, "Cookie": "binding_ivr_form=kept"}
    request = make_mocked_request("GET", "/signin?token=x", headers, app=application(FakeInstallation()))
    answer = link_page(request, '"><script>bil_')
    assert answer.text is not None
    assert texts(language).plain("signin.button") in answer.text
    assert 'value="&#34;&gt;&lt;script&gt;bil_"' in answer.text
    assert f'value="{csrf_of("kept")}"' in answer.text
    assert "<script" not in answer.text
    assert answer.cookies["binding_ivr_form"].value == "kept"


async def test_the_page_says_whose_it_is() -> None:
    """Whoever was signed in by somebody else's link must not prove a number there unawares."""
    answer = await ask(FakeInstallation(), accept="de")
    assert "Nebenstelle 1001" in checked(answer.text)


MOVED = [
    MoveRow("2-1", "default", "1001", "1001", kind, outcome, proof, "call-7", "leg-9", "pbx1", NOW, NOW)
    for kind, outcome, proof in (
        (MoveKind.PULL, MoveOutcome.WRONG_PIN, MoveProof.PIN),
        (MoveKind.TO_CELL, MoveOutcome.MOVED, MoveProof.EMPTY),
    )
]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_user_sees_which_calls_were_moved(language: str) -> None:
    html = checked((await ask(FakeInstallation(moved=MOVED), f"/?lang={language}")).text)
    t = texts(language)
    for key in ("moves.heading", "moves.pull", "moves.wrong_pin", "moves.to_cell", "moves.moved"):
        assert t(key) in html
    assert "leg-9" not in html
    assert 'id="moves"' not in checked((await ask(FakeInstallation(), f"/?lang={language}")).text)


@pytest.mark.parametrize("path", ["/admin", "/admin/user?account=default&user=1001"])
async def test_an_administrator_sees_which_calls_were_moved(path: str) -> None:
    html = checked((await ask(FakeInstallation(moved=MOVED), path, identity=ADMIN)).text)
    for words in ("pull", "wrong_pin", "to_cell", "leg-9"):
        assert words in html
