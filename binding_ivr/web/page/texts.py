"""What the page says, in five languages, and which of them a reader gets. It renders nothing."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

LANGUAGES: Mapping[str, str] = {"en": "English", "es": "Español", "fr": "Français", "de": "Deutsch", "zh": "中文"}
"""Every language of the page with its own name."""

FOLDER = Path(__file__).with_name("texts")


@dataclass(frozen=True, slots=True)
class Texts:
    """The sentences of one language, by dotted key such as `outcome.busy.title`."""

    language: str
    sentences: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> Markup:
        """Return the sentence *key* as HTML, with *values* filled in and escaped. Raises KeyError for no such key."""
        return escape(self.sentences[key]).format(**values)

    def either(self, key: str, other: str, **values: object) -> Markup:
        """Return the sentence *key*, or *other* when there is none: a word that is newer than the texts."""
        return self(key if key in self.sentences else other, **values)

    def plain(self, key: str, **values: object) -> str:
        """Return the sentence *key* as plain text, for what is not HTML."""
        return self.sentences[key].format(**values)


@cache
def texts(language: str) -> Texts:
    """Return the sentences of *language*, one of LANGUAGES."""
    with (FOLDER / f"{language}.toml").open("rb") as file:
        return Texts(language, dict(_flat(tomllib.load(file))))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in tree.items():
        found += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


def choose(wish: str, setting: str, accept: str, default: str = "en") -> str:
    """Return the language for a reader: the *wish* in the address, else the user's *setting*, else the browser's.

    *setting* is an Asterisk language code, *accept* an Accept-Language header (RFC 9110 section 12.5.4).
    """
    for tag in (wish, setting, *_preferred(accept), default):
        language = _base(tag)
        if language in LANGUAGES:
            return language
    return "en"


def _base(tag: str) -> str:
    return tag.strip().lower().replace("_", "-").partition("-")[0]


def _preferred(accept: str) -> list[str]:
    """The tags of an Accept-Language header, the most wanted first."""
    weighted: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept[:500].split(",")):
        tag, _, parameter = part.partition(";")
        weighted.append((-_weight(parameter), place, tag))
    return [tag for weight, _, tag in sorted(weighted) if weight < 0]


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
