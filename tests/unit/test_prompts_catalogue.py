"""The text catalogue: complete, within its rules, and every fault named with file, table and key."""

import re
from pathlib import Path

import pytest

from binding_ivr.call.prompts import Prompt
from binding_ivr.prompts import catalogue
from binding_ivr.prompts.catalogue import LANGUAGES
from binding_ivr.prompts.errors import PromptError

SHIPPED = catalogue.shipped_folder() / "texts.toml"


def edited(tmp_path: Path, old: str, new: str) -> Path:
    """Return a copy of the shipped catalogue with one text changed."""
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "texts.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_every_prompt_speaks_every_language() -> None:
    texts = catalogue.load()
    assert set(texts.texts) == {(language, prompt) for language in LANGUAGES for prompt in Prompt}


def test_no_text_holds_a_digit_or_a_sign() -> None:
    for text in catalogue.load().texts.values():
        assert not re.search(r"[0-9*#{}_/]", text), text


def test_star_is_named_where_something_is_asked() -> None:
    texts = catalogue.load()
    words = {"en": "star", "es": "asterisco", "fr": "étoile", "de": "Sterntaste", "zh": "星号键"}
    for language, word in words.items():
        for prompt in (Prompt.GATE, Prompt.ASK_CODE, Prompt.ASK_CODE_DESK):
            assert word in texts.text(language, prompt)


def test_the_desk_phones_code_is_not_looked_for_on_a_screen() -> None:
    texts = catalogue.load()
    words = {"en": "screen", "es": "pantalla", "fr": "écran", "de": "Bildschirm", "zh": "屏幕"}
    for language, word in words.items():
        on_screen = {prompt for prompt in Prompt if word in texts.text(language, prompt)}
        assert on_screen == {Prompt.ASK_CODE}, language


def test_the_named_greeting_names_the_site() -> None:
    texts = catalogue.load()
    for language in LANGUAGES:
        assert "Acme Ltd" in texts.named_greeting(language, " Acme Ltd ")


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\nb", "<b>", "{site}"])
def test_a_site_name_that_cannot_be_spoken_is_refused(name: str) -> None:
    with pytest.raises(PromptError, match="site_name"):
        catalogue.load().named_greeting("en", name)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[greeting]", "[greting]", r"\[greting\]: no such prompt"),
        ("[reason]", "[reason.x]", r"\[reason\] x: no such key"),
        ("en = ", "eng = ", r"\[greeting\] eng: no such key"),
        ('en = "Hello', '# en = "Hello', r"\[greeting\] en: a text is missing"),
        ('en = "Hello', 'en = " Hello', r"\[greeting\] en: one line"),
        ('en = "Hello', 'en = "Hello\\n', r"\[greeting\] en: one line"),
        ('en = "Hello', 'en = "' + "x" * 300, r"\[greeting\] en: one line of at most 300"),
        ('en = "Hello', 'en = "{site}', r"\[greeting\] en: only \[greeting_named\]"),
        ("of {site}.", "of {name}.", r"\[greeting_named\] en: must hold \{site\} once"),
        ("of {site}.", "of {site} {site}.", r"\[greeting_named\] en: must hold \{site\} once"),
        ('en = "Hello', "en = 5 # ", r"\[greeting\] en: a text is missing"),
        ('en = "Hello', "en = Hello", r"not valid TOML"),
    ],
)
def test_a_fault_is_named_in_one_line(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = edited(tmp_path, old, new)
    with pytest.raises(PromptError, match=complaint) as caught:
        catalogue.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "texts.toml"
    path.write_text("", encoding="utf-8")
    with pytest.raises(PromptError, match=r"\[greeting\] is missing"):
        catalogue.load(path)


def test_a_missing_and_an_undecodable_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="cannot be read"):
        catalogue.load(tmp_path / "none.toml")
    path = tmp_path / "texts.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PromptError, match="cannot be read"):
        catalogue.load(path)
