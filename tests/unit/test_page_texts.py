"""Every word that a user can be told has a sentence in every language, and each reader gets the right one."""

import ast
import re
import string
from functools import cache
from pathlib import Path

import pytest

import binding_ivr
from binding_ivr.model.audit import AuditKind
from binding_ivr.model.moves import MoveKind, MoveOutcome
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.model.rows import BindingStatus, SuspendReason
from binding_ivr.policy.limits import BREAKERS, SENTENCES
from binding_ivr.web.page.texts import FOLDER, LANGUAGES, choose, texts

SOURCES = sorted(Path(binding_ivr.__file__).parent.rglob("*.py"))
TEMPLATES = sorted((FOLDER.parent / "templates").glob("*.html"))
ACCESS_CODE = {"en": "access code", "es": "código de acceso", "fr": "code d’accès", "de": "zugangscode", "zh": "验证码"}


@cache
def refusals() -> frozenset[str]:
    """The codes of all refusals in the code base."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refusal" and node.args:
                code = node.args[0]
                assert isinstance(code, ast.Constant), f"{path}:{node.lineno}: a refusal's code is written out"
                found.add(str(code.value))
    return frozenset(found)


@cache
def limits() -> frozenset[str]:
    """The names of all limits by which a call can be refused: the counted ones, and those that the code names."""
    found = set(SENTENCES)
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refusal":
                named = [word.value for word in node.keywords if word.arg == "limit"]
                found |= {str(value.value) for value in named if isinstance(value, ast.Constant) and value.value}
    return frozenset(found)


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_the_scan_finds_what_is_known() -> None:
    assert {"own_number", "call_in_progress", "limit_reached", "not_a_number", "no_route"} <= refusals()
    assert {"number_hour", "user_hour"} <= limits()


def test_all_languages_have_files_and_no_file_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_the_same_sentences_with_the_same_fields(language: str) -> None:
    here, english = texts(language).sentences, texts("en").sentences
    assert list(here) == list(english)
    assert {key for key in here if fields(here[key]) != fields(english[key])} == set()
    assert [key for key, sentence in here.items() if not sentence.strip() or sentence != sentence.strip()] == []


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_nothing_was_left_in_english(language: str) -> None:
    english = texts("en").sentences
    same = {key for key, sentence in texts(language).sentences.items() if sentence == english[key]}
    assert same <= {"page.time_utc", "limits.minutes"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_ours_has_its_sentence(language: str) -> None:
    wanted = {f"outcome.{outcome.value}.{part}" for outcome in Outcome for part in ("title", "text", "next")}
    wanted |= {f"refusal.{code}" for code in refusals()}
    wanted |= {f"{table}.{name}" for name in limits() for table in ("limit", "rule")}
    wanted -= {f"rule.{name}" for name in BREAKERS}  # nothing that a user would count by
    wanted |= {f"reason.{reason.value}" for reason in SuspendReason}
    wanted |= {f"status.{status.value}" for status in BindingStatus}
    wanted |= {f"status.{status.value}_text" for status in BindingStatus}
    wanted |= {f"live.{state.value}" for state in AttemptState if state is not AttemptState.ENDED}
    wanted |= {"live.waiting"}
    wanted |= {f"audit.{kind.value}" for kind in AuditKind}
    wanted |= {f"moves.{word.value}" for word in (*MoveKind, *MoveOutcome)}
    assert wanted - set(texts(language).sentences) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_says_something_of_its_own(language: str) -> None:
    """No code or limit falls back to the general sentence, and two that mean different things are not said alike."""
    t = texts(language)
    general = {t("refusal.other"), t("limit.other")}
    said = {code: t(f"refusal.{code}", example="1") for code in refusals()}
    assert not general & set(said.values()) - {said["limit_reached"]}
    assert len(set(said.values())) == len(said)
    assert not general & {t(f"limit.{name}") for name in limits()}


def test_every_sentence_that_the_templates_name_is_there_and_every_one_there_is_used() -> None:
    html = "\n".join(path.read_text() for path in TEMPLATES)
    python = "\n".join(path.read_text() for path in SOURCES if "web" in path.parts)
    named = set(re.findall(r"\bt(?:\.either)?\(\"([a-z_]+(?:\.[a-z_]+)+)\"[,)]", html))
    sentences = set(texts("en").sentences)
    assert named - sentences == set()
    built = re.compile(
        r"^(undo\.by_\w+|audit|outcome|refusal|limit|rule|reason|status|live|moves|help|form\.replace_\w+|signed_out|bad_link|admitted|broken|missing|unknown|forbidden)\b"
    )
    assert {key for key in sentences - named if not built.match(key) and f'"{key}"' not in python} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_access_code_is_called_as_in_the_call(language: str) -> None:
    t = texts(language)
    word = ACCESS_CODE[language]
    assert str(t("code.heading")).lower() == word
    for key in ("page.intro", "code.on_answer", "code.gone"):
        assert word in str(t(key, site="Acme")).lower()


def test_what_is_filled_in_is_escaped() -> None:
    assert str(texts("en")("live.to", number="<b>")) == "Call to &lt;b&gt;"
    assert str(texts("fr")("live.to", number="1")) == "Appel vers 1"


def test_a_word_without_a_sentence_gets_the_general_one() -> None:
    t = texts("en")
    assert t.either("refusal.brand_new", "refusal.other") == t("refusal.other")
    assert t.either("refusal.queue_full", "refusal.other") == t("refusal.queue_full")


@pytest.mark.parametrize(
    ("wish", "setting", "accept", "language"),
    [
        ("", "", "", "en"),
        ("", "", "es-MX,es;q=0.9,en;q=0.8", "es"),
        ("", "", "pt-BR,fr;q=0.5,de;q=0.7", "de"),
        ("", "", "de;q=0,fr;q=0.1", "fr"),
        ("", "", "zh-Hant-TW", "zh"),
        ("", "", "*;q=0.5,xx", "en"),
        ("", "", "de;q=much", "en"),
        ("", "", "," * 100_000, "en"),
        ("", "de_AT", "es", "de"),
        ("fr", "de", "es", "fr"),
        ("klingon", "de", "es", "de"),
        ("", "pt", "es", "es"),
    ],
)
def test_a_reader_gets_the_wish_then_the_setting_then_the_browsers_language(
    wish: str, setting: str, accept: str, language: str
) -> None:
    assert choose(wish, setting, accept) == language


def test_the_installations_language_is_the_last_resort() -> None:
    assert choose("", "", "pt", "de") == "de"
