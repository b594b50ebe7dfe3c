"""The words of notices in five languages, from templates that an operator may replace. It sends nothing.

The templates are files: `LANGUAGE.toml` with the sentences of each notice, `mail.txt` and `mail.html` around them. A
folder of the operator's own holds any of these files; a sentence that is not in its `LANGUAGE.toml` stays the shipped
one.
"""

import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from binding_ivr.delivery.kinds import USER_KINDS, Kind
from binding_ivr.errors import ConfigError

LANGUAGES = ("en", "es", "fr", "de", "zh")
FOLDER = Path(__file__).with_name("templates")
LONGEST_SUBJECT = 200
LONGEST_SHORT = 700
"""Octets in UTF-8: with Asterisk's headers it still fits one datagram (RFC 3428, section 8: 1300)."""
_LAYOUTS = ("mail.txt", "mail.html")
_COMMON = {"greeting", "page", "alarm", "way_back", "footer", "operator_footer", "date", "months"}
_NOTICE = {"subject", "text", "short"}


@dataclass(frozen=True, slots=True)
class About:
    """What a notice may name. `number` and `old` are the last two digits of a number, never more of it.

    `page` is the address of the user's page or empty, `until` the day by which something must be done, `undo` for how
    many hours the user may go back (0: not).
    """

    site: str
    node: str
    account: str
    user: str
    extension: str
    number: str = ""
    old: str = ""
    page: str = ""
    until: date | None = None
    undo: int = 0


@dataclass(frozen=True, slots=True)
class Words:
    """A notice in one language: for an e-mail (`subject`, `text`, `html`) and, in one line, for a phone (`short`)."""

    language: str
    subject: str
    text: str
    html: str
    short: str


def clean(text: str) -> str:
    """Return *text* on one line, without control characters and marks that turn the direction of writing."""
    spaced = "".join(" " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign for sign in text)
    return " ".join("".join(sign for sign in spaced if unicodedata.category(sign) not in ("Cf", "Cs")).split())


def choose(wish: str, default: str) -> str:
    """Return the language of a notice: the user's *wish* (an Asterisk language code, `de_AT`), else *default*."""
    base = wish.strip().lower().replace("_", "-").partition("-")[0]
    return base if base in LANGUAGES else default


class Texts:
    """The templates, shipped ones and those of one folder."""

    def __init__(self, folder: Path | None = None) -> None:
        """Read them; *folder* holds those that an operator has replaced. Raises ConfigError, naming file and key."""
        self._folder = folder
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"notices.templates: {folder} is not a folder")
        self._sentences = {language: self._read(language) for language in LANGUAGES}
        self._layouts = {name: self._layout(name) for name in _LAYOUTS}
        self._compiled: dict[str, jinja2.Template] = {}

    def words(self, kind: Kind, language: str, about: About) -> Words:
        """Return the notice *kind* in *language*. Raises ConfigError when a template of the operator's is at fault."""
        common, notice = self._sentences[language]["common"], self._sentences[language][kind.value]
        values = {name: clean(str(value)) for name, value in _values(about).items()}
        values["date"] = self._date(common, about.until, language)

        def said(where: str, template: str) -> str:
            return clean(self._filled(f"{language}.toml: {where}", template, values))

        values["alarm"] = said("common.alarm", common["alarm"])
        values["way_back"] = said("common.way_back", common["way_back"]) if about.undo else ""
        footer = "footer" if kind in USER_KINDS else "operator_footer"
        link = values["page"] if kind in USER_KINDS else ""
        paragraphs = [said(f"{kind}.text", paragraph) for paragraph in notice["text"]]
        parts: dict[str, Any] = {
            "language": language,
            "subject": said(f"{kind}.subject", notice["subject"])[:LONGEST_SUBJECT],
            "greeting": said("common.greeting", common["greeting"]),
            "paragraphs": [paragraph for paragraph in paragraphs if paragraph],
            "page": said("common.page", common["page"]) if link else "",
            "link": link,
            "footer": said(f"common.{footer}", common[footer]),
        }
        return Words(
            language,
            parts["subject"],
            self._laid_out("mail.txt", parts),
            self._laid_out("mail.html", parts),
            _cut(said(f"{kind}.short", notice["short"]), LONGEST_SHORT),
        )

    def check(self) -> None:
        """Fill every template once. Raises ConfigError for the first that is at fault."""
        about = About(
            "Site", "node", "default", "1001", "1001", "01", "02", "https://pbx.example", date(2026, 1, 1), 24
        )
        for language in LANGUAGES:
            for kind in Kind:
                self.words(kind, language, about)

    # --- files

    def _read(self, language: str) -> dict[str, dict[str, Any]]:
        name = f"{language}.toml"
        sentences: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / name).read_text())
        own = self._own(name)
        if own is None:
            return sentences
        try:
            changes = tomllib.loads(own)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"notices.templates: {name} is not valid TOML: {error}") from None
        for table, values in changes.items():
            known = _COMMON if table == "common" else _NOTICE
            if table not in sentences or not isinstance(values, dict) or set(values) - known:
                raise ConfigError(f"notices.templates: {name}: the table [{table}] has an unknown entry")
            sentences[table] |= values
        _check_types(name, sentences)
        return sentences

    def _own(self, name: str) -> str | None:
        path = None if self._folder is None else self._folder / name
        if path is None or not path.exists():
            return None
        try:
            return path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"notices.templates: {name} cannot be read ({type(error).__name__})") from None

    def _layout(self, name: str) -> jinja2.Template:
        own = self._own(name)
        source = (FOLDER / name).read_text() if own is None else own
        try:
            return _environment(name.endswith(".html")).from_string(source)
        except jinja2.TemplateError as error:
            raise ConfigError(f"notices.templates: {name}: {error.message}") from None

    # --- filling

    def _filled(self, where: str, template: str, values: Mapping[str, str]) -> str:
        try:
            if template not in self._compiled:
                self._compiled[template] = _environment(False).from_string(template)
            return self._compiled[template].render(values)
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise ConfigError(f"notices.templates: {where}: {clean(str(error))}") from None

    def _laid_out(self, name: str, parts: Mapping[str, Any]) -> str:
        try:
            return self._layouts[name].render(parts)
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise ConfigError(f"notices.templates: {name}: {clean(str(error))}") from None

    def _date(self, common: Mapping[str, Any], day: date | None, language: str) -> str:
        if day is None:
            return ""
        values = {"day": str(day.day), "month": str(common["months"][day.month - 1]), "year": str(day.year)}
        return clean(self._filled(f"{language}.toml: common.date", common["date"], values))


@cache
def texts(folder: str) -> Texts:
    """Return the texts of *folder* (empty: the shipped ones), read once. Raises ConfigError."""
    return Texts(Path(folder).expanduser() if folder else None)


def _values(about: About) -> dict[str, str]:
    names = ("site", "node", "account", "user", "extension", "number", "old", "page", "undo")
    return {name: getattr(about, name) for name in names}


def _check_types(name: str, sentences: Mapping[str, Mapping[str, Any]]) -> None:
    for table, values in sentences.items():
        for key, value in values.items():
            wanted = list if key in ("text", "months") else str
            if not isinstance(value, wanted) or (wanted is list and not all(isinstance(one, str) for one in value)):
                raise ConfigError(f"notices.templates: {name}: {table}.{key} must be {_NAMES[wanted]}")
    if len(sentences["common"]["months"]) != 12:
        raise ConfigError(f"notices.templates: {name}: common.months must have twelve entries")


_NAMES: Mapping[type, str] = {list: "a list of strings", str: "a string"}


@cache
def _environment(is_html: bool) -> jinja2.Environment:
    return ImmutableSandboxedEnvironment(
        autoescape=is_html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _cut(text: str, most: int) -> str:
    """Return *text* with at most *most* octets in UTF-8, without half a character at the end."""
    encoded = text.encode()
    return text if len(encoded) <= most else encoded[: most - 3].decode(errors="ignore") + "…"
