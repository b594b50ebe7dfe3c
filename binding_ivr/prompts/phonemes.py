"""Turns text into the sounds that Kokoro-82M was taught, per language. It makes no audio.

The model was taught one character per sound, diphthongs and affricates included, so espeak-ng's IPA is rewritten
after the tables of misaki (Apache-2.0), the front end the model was trained with. Chinese uses misaki itself.
"""

import importlib
import re
from typing import Any, Protocol

from binding_ivr.prompts.errors import PromptError

_ESPEAK_NAMES = {"en": "en-us", "es": "es", "fr": "fr-fr", "de": "de"}

_COMMON = (
    ("a^ɪ", "I"),
    ("a^ʊ", "W"),
    ("d^z", "ʣ"),
    ("d^ʒ", "ʤ"),
    ("e^ɪ", "A"),
    ("o^ʊ", "O"),
    ("ə^ʊ", "Q"),
    ("t^s", "ʦ"),
    ("t^ʃ", "ʧ"),
    ("ɔ^ɪ", "Y"),
)
_ENGLISH = (
    *_COMMON,
    ("ə^l", "ᵊl"),
    ("ɚ", "əɹ"),
    ("r", "ɹ"),
    ("ɐ", "ə"),
    ("ɜːɹ", "ɜɹ"),
    ("ɜː", "ɜɹ"),
    ("ɪə", "iə"),
    ("ː", ""),
    ("ɾ", "T"),
    ("ʔ", "t"),
    ("ɹɹ", "ɹ"),
)
# There is no German speaker: these bring espeak's German to the nearest sounds of the French one.
_GERMAN = (
    *_COMMON,
    ("ɔ^ø", "Y"),
    ("ɔø", "Y"),
    ("ɜ", "ɐ"),
    ("ʏ", "y"),
    ("r", "ʁ"),
    ("kˈoːt", "kˈOt"),  # Code as it is said, not the word Kot
    ("kˌoːdə", "kˌOt"),
    ("ː", ""),  # the French speaker knows no long vowels: with the sign a recogniser understood less
)
_LATIN = re.compile(r"([A-Za-z][A-Za-z .&'-]*)")
_TABLES = {"en": _ENGLISH, "es": _COMMON, "fr": _COMMON, "de": _GERMAN}
_VOCALIC_R = re.compile(r"ɾ(?=[\s,.?!]|$)|(?<=fɛ)ɾ|(?<=\bɛ)ɾ")


class Phonemiser(Protocol):
    """Text of one language in, sounds of the model out."""

    def __call__(self, text: str) -> str:
        """Return the sounds of *text*."""


def phonemiser(language: str) -> Phonemiser:
    """Return the phonemiser of *language*. Raises PromptError when its packages are not installed."""
    try:
        return _mandarin() if language == "zh" else _espeak(language)
    except ImportError as error:
        raise PromptError(f"kokoro {language}: {error.name} is missing; install binding-ivr[voice]") from error


def rewrite(language: str, ipa: str) -> str:
    """Rewrite espeak-ng's IPA (diphthongs tied with ^) into the model's sounds."""
    for old, new in _TABLES[language]:
        ipa = ipa.replace(old, new)
    if language == "de":
        ipa = _VOCALIC_R.sub("ɐ", ipa).replace("ɾ", "ʁ")
    return ipa.replace("^", "").replace("-", "").strip()


def _espeak(language: str) -> Phonemiser:
    """Return espeak-ng (the library inside the package espeakng-loader) behind the rewriting."""
    loader: Any = importlib.import_module("espeakng_loader")
    wrapper: Any = importlib.import_module("phonemizer.backend.espeak.wrapper").EspeakWrapper
    wrapper.set_library(loader.get_library_path())
    wrapper.set_data_path(loader.get_data_path())
    backend = importlib.import_module("phonemizer.backend").EspeakBackend(
        _ESPEAK_NAMES[language],
        preserve_punctuation=True,
        with_stress=True,
        tie="^",
        language_switch="remove-flags",
    )

    def sounds(text: str) -> str:
        return rewrite(language, backend.phonemize([text])[0])

    return sounds


def _mandarin() -> Phonemiser:
    """Return misaki's Mandarin front end; what is written in Latin letters (a site's name) is said as in English."""
    convert: Any = importlib.import_module("misaki.zh").ZHG2P()
    english = _espeak("en")

    def sounds(text: str) -> str:
        pieces = (piece.strip() for piece in _LATIN.split(text))
        return " ".join(english(p) if _LATIN.fullmatch(p) else str(convert(p)[0]) for p in pieces if p)

    return sounds
