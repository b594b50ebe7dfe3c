"""What a callee hears at 8 kHz is understood: a speech recogniser writes down the English prompts."""

import importlib
import random
from typing import Any

import pytest

from binding_ivr.call.commands import Prompt
from binding_ivr.prompts import audio, catalogue
from binding_ivr.prompts.audio import Sound

pocketsphinx: Any = importlib.import_module("pocketsphinx")  # of the extra dev; it has no types

# Words that carry the meaning. The rest is not compared: it is a small model for wide-band speech, and the mistakes
# it makes beside them are its own.
WORDS = {
    Prompt.GREETING: {"hello", "automated", "call", "company"},
    Prompt.REASON: {"somebody", "asked", "link", "phone", "number"},
    Prompt.ASK_CODE: {"access", "code", "shown", "screen"},
    Prompt.WRONG_CODE: {"not", "correct", "try", "again"},
    Prompt.VERIFIED: {"you", "phone", "number", "verified", "goodbye"},
    Prompt.NO_MORE_TRIES: {"call", "new", "screen", "goodbye"},
    Prompt.REPORTED: {"telling", "more", "calls", "goodbye"},
}


@pytest.fixture(scope="module")
def recogniser() -> Any:
    """The recogniser with the English model that its package carries."""
    return importlib.import_module("pocketsphinx").Decoder(loglevel="FATAL", maxhmmpf=3000)


def heard(recogniser: Any, prompt: Prompt) -> set[str]:
    """Return the words that the recogniser makes of the 8 kHz file."""
    data = (catalogue.shipped_folder() / "en" / f"{prompt}.ulaw").read_bytes()
    sound = audio.resample(audio.from_ulaw(data), 16000)
    # The model never heard a band without any sound, as above 4 kHz here: a faint hiss lets it hear far better.
    chance = random.Random(1)
    sound = Sound([value + chance.gauss(0, 0.001) for value in sound.samples], sound.rate)
    recogniser.start_utt()
    recogniser.process_raw(audio.to_pcm16(sound), full_utt=True)
    recogniser.end_utt()
    found = recogniser.hyp()
    return set(found.hypstr.split()) if found else set()


@pytest.mark.parametrize("prompt", WORDS)
def test_the_words_that_matter_are_understood(recogniser: Any, prompt: Prompt) -> None:
    words = heard(recogniser, prompt)
    missed = WORDS[prompt] - words
    assert len(missed) <= 1, f"heard {' '.join(sorted(words))}, missed {missed}"
