"""What a callee hears at 8 kHz is understood: a speech recogniser writes down the English prompts."""

import importlib
from typing import Any

import pytest

from binding_ivr.call.commands import Prompt
from binding_ivr.prompts import audio, catalogue

pocketsphinx: Any = pytest.importorskip("pocketsphinx", reason="the extra dev brings the recogniser")

# Words that carry the meaning and that the recogniser's general model knows. The rest is not compared: it is a
# small model for reading aloud at 16 kHz, and the mistakes it makes beside them are its own.
WORDS = {
    Prompt.GREETING: {"hello", "automated", "call", "company", "telephone", "system"},
    Prompt.REASON: {"somebody", "asked", "link", "phone", "number", "extension"},
    Prompt.ASK_CODE: {"enter", "access", "code", "screen", "press", "star"},
    Prompt.WRONG_CODE: {"code", "not", "correct", "try", "again"},
    Prompt.INCOMPLETE: {"not", "whole", "code", "try", "again"},
    Prompt.VERIFIED: {"thank", "you", "phone", "number", "verified"},
    Prompt.NO_MORE_TRIES: {"last", "try", "new", "call", "screen"},
    Prompt.NO_INPUT: {"not", "receive", "code", "new", "call", "screen"},
    Prompt.REPORTED: {"thank", "you", "not", "more", "calls"},
    Prompt.PROBLEM: {"technical", "problem", "look", "screen", "result"},
}


@pytest.fixture(scope="module")
def recogniser() -> Any:
    """The recogniser with the English model that its package carries."""
    return importlib.import_module("pocketsphinx").Decoder(loglevel="FATAL")


def heard(recogniser: Any, prompt: Prompt) -> set[str]:
    """Return the words that the recogniser makes of the 8 kHz file."""
    data = (catalogue.shipped_folder() / "en" / f"{prompt}.ulaw").read_bytes()
    sound = audio.resample(audio.from_ulaw(data), 16000)
    recogniser.start_utt()
    recogniser.process_raw(audio.to_pcm16(sound), full_utt=True)
    recogniser.end_utt()
    found = recogniser.hyp()
    return set(found.hypstr.split()) if found else set()


@pytest.mark.parametrize("prompt", Prompt)
def test_the_words_that_matter_are_understood(recogniser: Any, prompt: Prompt) -> None:
    words = heard(recogniser, prompt)
    missed = WORDS[prompt] - words
    assert len(missed) <= len(WORDS[prompt]) // 3, f"heard {' '.join(sorted(words))}, missed {missed}"
