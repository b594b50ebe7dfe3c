"""The words of notices: every notice in every language, nothing that must not be told, and templates of an operator."""

import re
import tomllib
from datetime import UTC, date, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any, get_args

import pytest

from binding_ivr.config import ACCOUNT_SECTIONS, NoticeName, OperatorNotice, load
from binding_ivr.delivery import kinds
from binding_ivr.delivery.kinds import Kind
from binding_ivr.delivery.mail import compose, domain_of, mailbox
from binding_ivr.delivery.texts import (
    FOLDER,
    LANGUAGES,
    LONGEST_SHORT,
    About,
    Texts,
    choose,
    clean,
)
from binding_ivr.errors import ConfigError
from binding_ivr.model import forms
from binding_ivr.model.rows import SuspendReason
from binding_ivr.web.page.texts import LANGUAGES as PAGE_LANGUAGES

PAGE = "https://pbx.example/binding"
ABOUT = About("Example", "pbx1", "sales", "user7", "1001", "01", "77", PAGE, date(2027, 3, 5), 24)
NUMBER, OLD = "+15551230001", "+15551230077"
EVERY = [(kind, language) for kind in Kind for language in LANGUAGES]


@pytest.fixture(scope="module")
def shipped() -> Texts:
    return Texts()


# --- words


@pytest.mark.parametrize(("kind", "language"), EVERY)
def test_every_notice_in_every_language(shipped: Texts, kind: Kind, language: str) -> None:
    words = shipped.words(kind, language, ABOUT)
    assert words.language == language
    assert words.subject == clean(words.subject)
    assert 5 < len(words.subject) <= 120
    for text in (words.text, words.html):
        assert "{" not in text.replace("{ mso", "")
        assert "None" not in text
        assert (PAGE in text) is (kind in kinds.USER_KINDS)
    if kind not in kinds.USER_KINDS:
        assert ("user7" in words.text) is (kind is Kind.OPERATOR_REPORTED)
        assert ("sales" in words.text) is (kind is not Kind.OPERATOR_SYSTEM_PAUSED)
        assert "binding-ivr attempts" in words.text
        assert words.short == ""
        return
    assert "1001" in words.text
    assert "1001" in words.short
    assert "Example" in words.short
    assert "\n" not in words.short
    assert len(words.short.encode()) <= LONGEST_SHORT
    if kind is not Kind.TEST:
        assert re.search(r"\b(01|77)\b", words.subject + words.text)


@pytest.mark.parametrize("kind", Kind)
def test_the_languages_differ(shipped: Texts, kind: Kind) -> None:
    told = [shipped.words(kind, language, ABOUT) for language in LANGUAGES]
    assert len({words.subject for words in told}) == len(LANGUAGES)
    assert len({words.text for words in told}) == len(LANGUAGES)


def test_the_languages_are_those_of_the_page_and_have_the_same_sentences() -> None:
    assert set(LANGUAGES) == set(PAGE_LANGUAGES)
    trees = {language: tomllib.loads((FOLDER / f"{language}.toml").read_text()) for language in LANGUAGES}
    shape = {
        table: {key: len(value) if isinstance(value, list) else 0 for key, value in values.items()}
        for table, values in trees["en"].items()
    }
    assert set(shape) == {"common", *(kind.value for kind in Kind)}
    for language, tree in trees.items():
        told = {
            table: {key: len(value) if isinstance(value, list) else 0 for key, value in values.items()}
            for table, values in tree.items()
        }
        assert told == shape, language
        names = {table: set(re.findall(r"\{\{ (\w+) \}\}", str(values))) for table, values in tree.items()}
        english = {table: set(re.findall(r"\{\{ (\w+) \}\}", str(values))) for table, values in trees["en"].items()}
        assert names == english, language


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "March 5, 2027"),
        ("es", "5 de marzo de 2027"),
        ("fr", "5 mars 2027"),
        ("de", "5. März 2027"),
        ("zh", "2027年3月5日"),
    ],
)
def test_the_day_as_people_write_it(shipped: Texts, language: str, told: str) -> None:
    words = shipped.words(Kind.STALE, language, ABOUT)
    assert told in words.text
    assert told in words.short
    without = shipped.words(Kind.STALE, language, About("Example", "n", "a", "u", "1001", "01"))
    assert "2027" not in without.text
    assert without.text.count("01") >= 1
    assert "  " not in without.text.replace("-- ", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_way_back(shipped: Texts, language: str) -> None:
    gone = About("Example", "n", "a", "u", "1001", "01", "77")
    back = About("Example", "n", "a", "u", "1001", "01", "77", undo=36)
    for kind in (Kind.REPLACED, Kind.ENDED, Kind.REMOVED):
        assert "36" in shipped.words(kind, language, back).text
        assert "36" not in shipped.words(kind, language, gone).text
    verified = {"previous_status": "verified"}
    assert [kind for kind in Kind if kinds.can_be_undone(kind, verified)] == [Kind.REPLACED, Kind.ENDED, Kind.REMOVED]
    assert not any(kinds.can_be_undone(kind, {"previous_status": "suspended"}) for kind in Kind)


def test_without_a_page_there_is_no_link(shipped: Texts) -> None:
    words = shipped.words(Kind.VERIFIED, "en", About("Example", "n", "a", "u", "1001", "01"))
    assert "status:" not in words.text
    assert "<a " not in words.html


def test_input_stays_text(shipped: Texts) -> None:
    evil = About("Bad\r\nBcc: x@y", "n", "a", "u", "<b>{{ 7 * 7 }}\u202e\x00\u2028", "01", "77", PAGE)
    words = shipped.words(Kind.VERIFIED, "en", evil)
    assert "{{ 7 * 7 }}" in words.text
    assert "&lt;b&gt;{{ 7 * 7 }}" in words.html
    assert not re.search("[\u202e\x00\u2028\r]", words.text + words.html + words.subject + words.short)
    long = shipped.words(Kind.TEST, "zh", About("号" * 400, "n", "a", "u", "1001"))
    assert len(long.short.encode()) <= LONGEST_SHORT
    assert long.short.endswith("号…")
    assert len(long.subject) <= 200


@pytest.mark.parametrize(
    ("wish", "language"), [("de", "de"), ("de_AT", "de"), ("ZH-hans", "zh"), ("", "fr"), ("pt", "fr"), (" es ", "es")]
)
def test_the_language_of_a_reader(wish: str, language: str) -> None:
    assert choose(wish, "fr") == language


# --- what an event is


@pytest.mark.parametrize(
    ("name", "facts", "kind", "lamp"),
    [
        ("binding.verified", {"number": NUMBER, "previous_status": "pending"}, Kind.VERIFIED, False),
        (
            "binding.verified",
            {"number": NUMBER, "previous_status": "verified", "previous_number": NUMBER},
            Kind.VERIFIED,
            False,
        ),
        (
            "binding.verified",
            {"number": NUMBER, "previous_status": "verified", "previous_number": OLD},
            Kind.REPLACED,
            False,
        ),
        (
            "binding.removed",
            {"status": "pending", "number": NUMBER, "previous_status": "verified", "previous_number": OLD},
            Kind.ENDED,
            None,
        ),
        (
            "binding.removed",
            {"status": "none", "previous_status": "verified", "previous_number": OLD},
            Kind.REMOVED,
            False,
        ),
        (
            "binding.removed",
            {"status": "none", "previous_status": "suspended", "previous_number": OLD},
            Kind.REMOVED,
            False,
        ),
        ("binding.removed", {"status": "none", "previous_status": "pending", "previous_number": OLD}, None, False),
        ("binding.stale", {"number": NUMBER}, Kind.STALE, True),
        ("attempt.ended", {"number": NUMBER, "outcome": "reported"}, Kind.REPORTED, None),
        ("attempt.ended", {"number": NUMBER, "outcome": "verified"}, None, None),
        ("something.new", {"number": NUMBER}, None, None),
    ],
)
def test_which_notice_an_event_is(name: str, facts: dict[str, Any], kind: Kind | None, lamp: bool | None) -> None:
    assert kinds.for_user(name, facts) is kind
    assert kinds.lamp(name, facts) is lamp
    if kind is not None:
        assert kinds.wish(kind) in get_args(NoticeName)
        assert name in kinds.USER_EVENTS


def test_every_reason_of_a_suspension_has_words() -> None:
    told = set()
    for reason in SuspendReason:
        kind = kinds.for_user("binding.suspended", {"number": NUMBER, "reason": reason.value})
        assert kind is not None
        assert kind.value == f"suspended_{reason.value}"
        assert kinds.wish(kind) == "suspended"
        told.add(kind)
    assert len(told) == len(SuspendReason)
    assert kinds.lamp("binding.suspended", {}) is True


@pytest.mark.parametrize(
    ("name", "facts", "kind", "word"),
    [
        ("attempt.ended", {"outcome": "reported"}, Kind.OPERATOR_REPORTED, "reported"),
        ("account.paused", {}, Kind.OPERATOR_PAUSED, "paused"),
        ("system.paused", {}, Kind.OPERATOR_SYSTEM_PAUSED, "paused"),
        ("attempt.ended", {"outcome": "busy"}, None, ""),
        ("binding.suspended", {"reason": "reported"}, None, ""),
    ],
)
def test_what_the_operator_is_told(name: str, facts: dict[str, Any], kind: Kind | None, word: str) -> None:
    assert kinds.for_operator(name, facts) is kind
    if kind is not None:
        assert kinds.wish(kind) == word
        assert word in get_args(OperatorNotice)
        assert name in kinds.OPERATOR_EVENTS
        assert kind not in kinds.USER_KINDS


def test_only_the_last_two_digits_of_a_number_go_on() -> None:
    assert kinds.numbers("binding.verified", {"number": NUMBER, "previous_number": OLD}) == ("01", "77")
    assert kinds.numbers("binding.removed", {"status": "none", "previous_number": OLD}) == ("77", "77")
    pending = {"status": "pending", "number": NUMBER, "previous_number": OLD}
    assert kinds.numbers("binding.removed", pending) == ("01", "77")
    assert kinds.numbers("attempt.ended", {}) == ("", "")


# --- the message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a.b+c@users.example", "a.b+c@users.example"),
        (" a@Users.Example ", "a@Users.Example"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@localhost", "a@localhost"),
    ],
)
def test_good_addresses(text: str, told: str) -> None:
    assert forms.read_email(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "@b.example", "a@", "a b@c.example", "a@b c.example", "a@b.example\r\nBcc: x@y", "a@b.example, c@d.e",
        "<a@b.example>", '"a b"@c.example', "ä@b.example", "a..b@c.example", ".a@b.example", "a@-b.example",
        "a@b..example", "a@b.example>", f"{'a' * 65}@b.example", f"a@{'b.' * 127}example", "a@" + "b" * 64 + ".example",
        "a\x00@b.example", "a\u2028@b.example",
    ],
)  # fmt: skip
def test_bad_addresses_are_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(not an e-mail address|an e-mail address is too long)$"):
        forms.read_email(text)


def test_senders() -> None:
    assert mailbox("numbers@pbx.example") == ("", "numbers@pbx.example")
    assert mailbox('"Example, Inc" <numbers@pbx.example>') == ("Example, Inc", "numbers@pbx.example")
    assert mailbox("Exämple\r\nX: y <numbers@pbx.example>") == ("Exämple X: y", "numbers@pbx.example")
    assert domain_of("Example <numbers@pbx.example>") == "pbx.example"
    with pytest.raises(ValueError, match="not an e-mail address"):
        mailbox("Example <numbers@pbx.example> <x@y.example>")


def test_the_same_event_makes_the_same_bytes(shipped: Texts) -> None:
    words = shipped.words(Kind.SUSPENDED_TAKEN_OVER, "zh", ABOUT)
    at = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)

    def made(identity: str) -> bytes:
        return compose(words, sender="Exämple <n@pbx.example>", to=["a@b.example"], identity=identity, time=at)

    assert made("id-1") == made("id-1")
    assert made("id-1").isascii()
    message = message_from_bytes(made("id-1"), policy=default)
    assert message.defects == []
    assert message["Subject"] == words.subject
    assert message["From"] == "Exämple <n@pbx.example>"
    assert message["Message-ID"] == "<id-1@pbx.example>"
    assert message["Date"] == "Fri, 02 Jan 2026 03:04:05 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in message.walk()] == ["multipart/alternative", "text/plain", "text/html"]


# --- an operator's templates


def test_an_operators_texts_win(tmp_path: Path) -> None:
    (tmp_path / "en.toml").write_text('[verified]\nsubject = "Done: …{{ number }} of {{ user }}"\n')
    (tmp_path / "mail.txt").write_text("{% for one in paragraphs %}* {{ one }}\n{% endfor %}")
    own = Texts(tmp_path)
    own.check()
    words = own.words(Kind.VERIFIED, "en", ABOUT)
    assert words.subject == "Done: …01 of user7"
    assert words.text.startswith("* The number ending in 01 was verified.")
    assert own.words(Kind.REMOVED, "en", ABOUT).subject == "Your number ending in 01 was removed"
    assert own.words(Kind.VERIFIED, "de", ABOUT).subject == "Ihre Nummer mit den Endziffern 01 ist bestätigt"


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("en.toml", "[verified", "en.toml is not valid TOML"),
        ("en.toml", "[verifed]\nsubject='x'", "en.toml: the table [verifed] has an unknown entry"),
        ("en.toml", "[verified]\ntitle='x'", "en.toml: the table [verified] has an unknown entry"),
        ("en.toml", "[verified]\ntext='x'", "en.toml: verified.text must be a list of strings"),
        ("en.toml", "[verified]\nsubject=1", "en.toml: verified.subject must be a string"),
        ("en.toml", "[common]\nmonths=['a']", "en.toml: common.months must have twelve entries"),
        ("en.toml", "[verified]\nsubject='{{ numbr }}'", "en.toml: verified.subject: 'numbr' is undefined"),
        ("en.toml", "[verified]\nsubject='{{ number'", "en.toml: verified.subject: "),
        ("de.toml", "[stale]\nshort='{{ 1 / 0 }}'", "de.toml: stale.short: division by zero"),
        ("mail.html", "{% for %}", "mail.html: "),
        ("mail.txt", "{{ nothing }}", "mail.txt: 'nothing' is undefined"),
        ("mail.txt", "{{ subject.__class__.__mro__ }}", "mail.txt: access to attribute '__class__'"),
    ],
)
def test_a_template_at_fault_is_named(tmp_path: Path, file: str, text: str, told: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(ConfigError) as refused:
        Texts(tmp_path).check()
    assert str(refused.value).startswith(f"notices.templates: {told}")
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^notices.templates: .*/nothing is not a folder$"):
        Texts(tmp_path / "nothing")
    (tmp_path / "en.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"en\.toml cannot be read"):
        Texts(tmp_path)


# --- configuration


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[mail]\nhost = 'a.example'", 'mail.sender: write an address, such as "Example <numbers@pbx.example>"'),
        ("[mail]\nsender = 'x'", 'mail.sender: write an address, such as "Example <numbers@pbx.example>"'),
        ("[mail]\nhost = 'a b'", "mail.host: expected `str` matching regex '^[A-Za-z0-9._:-]{0,253}$'"),
        ("[mail]\nuser = 'x'", "mail.user: needs mail.password, and mail.password needs mail.user"),
        (
            "[mail]\nhost = 'a.example'\nsender = 'a@b.example'\ntls = 'none'\nuser = 'x'\npassword = 'y'",
            'mail.tls: "none" would send the password in the clear; use "starttls" or "tls"',
        ),
        ("[notices]\nadmin = ['ops']", "notices.admin: 'ops' is not an e-mail address"),
        (
            "[notices]\nmail = ['everything']",
            "notices.mail[0]: invalid enum value 'everything'; see the sample file for what is allowed",
        ),
        (
            "[[webhooks]]\nname = 'mail'\nurl = 'https://a.example/x'\nsecret = 'aaaaaaaaaaaaaaaa'",
            "webhooks[0].name: mail is used by the notices; choose another name",
        ),
    ],
)
def test_bad_settings(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "binding-ivr.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(path, {})
    assert str(refused.value) == told


def test_the_password_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "mail.secret").write_text("hush hush\n")
    path = tmp_path / "binding-ivr.toml"
    path.write_text("[mail]\nhost = 'a.example'\nsender = 'a@b.example'\nuser = 'x'\npassword_file = 'mail.secret'\n")
    config = load(path, {})
    assert config.mail.password == "hush hush"
    assert "notices" in ACCOUNT_SECTIONS
    assert config.for_account({"notices": {"language": "de"}}).notices.language == "de"
