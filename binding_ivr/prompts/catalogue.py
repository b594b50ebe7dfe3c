"""The text catalogue: reads and checks `dialplan/prompts/texts.toml`. It knows no sound."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from binding_ivr import resources
from binding_ivr.call.prompts import Prompt
from binding_ivr.prompts.errors import PromptError

LANGUAGES = ("en", "es", "fr", "de", "zh")
NAMED_GREETING = "greeting_named"
SITE = "{site}"
MAX_TEXT = 300  # characters; a prompt that is longer is not listened to
MAX_SITE_NAME = 60


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every prompt's words in every language."""

    texts: Mapping[tuple[str, Prompt], str]  # by language and prompt
    named_greetings: Mapping[str, str]  # by language, with SITE in it

    def text(self, language: str, prompt: Prompt) -> str:
        """Return what *prompt* says in *language*."""
        return self.texts[language, prompt]

    def named_greeting(self, language: str, site_name: str) -> str:
        """Return the greeting that names *site_name*. Raises PromptError for a name that cannot be spoken."""
        return self.named_greetings[language].replace(SITE, check_site_name(site_name))


def text_hash(text: str) -> str:
    """Return the sha256 of *text*, by which a recording knows the words it was made from."""
    return hashlib.sha256(text.encode()).hexdigest()


def check_site_name(name: str) -> str:
    """Return *name* without spaces at either end. Raises PromptError when it is empty, too long or holds markup."""
    name = name.strip()
    if not 1 <= len(name) <= MAX_SITE_NAME or not name.isprintable() or set(name) & set("<>{}[]|\\"):
        raise PromptError(f"prompts.site_name: 1 to {MAX_SITE_NAME} characters as they are spoken, without <>{{}}[]|\\")
    return name


def shipped_folder() -> Path:
    """Return the folder of the catalogue and of the recordings that travel with the package."""
    return resources.data_dir("dialplan") / "prompts"


def load(path: Path | None = None) -> Catalogue:
    """Read the catalogue at *path* (default: the shipped one).

    Raises PromptError that names file, table and key of the first fault.
    """
    path = path or shipped_folder() / "texts.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise PromptError(f"{path}: not valid TOML: {error}") from error
    known = [*Prompt, NAMED_GREETING]
    for name in tables:
        if name not in known:
            raise PromptError(f"{path}: [{name}]: no such prompt; the names are those of binding_ivr/call/prompts.py")
    texts = {}
    for prompt in Prompt:
        for language, text in _table(path, tables, prompt).items():
            if "{" in text or "}" in text:
                raise PromptError(f"{path}: [{prompt}] {language}: only [{NAMED_GREETING}] may hold a placeholder")
            texts[language, prompt] = text
    named = _table(path, tables, NAMED_GREETING)
    for language, text in named.items():
        if text.count(SITE) != 1 or text.count("{") != 1 or text.count("}") != 1:
            raise PromptError(f"{path}: [{NAMED_GREETING}] {language}: must hold {SITE} once")
    return Catalogue(texts, named)


def _table(path: Path, tables: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return the texts of table *name* by language, checked."""
    table = tables.get(name)
    if not isinstance(table, dict):
        raise PromptError(f"{path}: [{name}] is missing")
    for key in table:
        if key != "comment" and key not in LANGUAGES:
            raise PromptError(f"{path}: [{name}] {key}: no such key; use comment, {', '.join(LANGUAGES)}")
    for key in ("comment", *LANGUAGES):
        text = table.get(key)
        if not isinstance(text, str) or not text.strip():
            raise PromptError(f"{path}: [{name}] {key}: a text is missing")
        if key != "comment" and (len(text) > MAX_TEXT or not text.isprintable() or text != text.strip()):
            raise PromptError(
                f"{path}: [{name}] {key}: one line of at most {MAX_TEXT} characters, without spaces at either end"
            )
    return {language: table[language] for language in LANGUAGES}
