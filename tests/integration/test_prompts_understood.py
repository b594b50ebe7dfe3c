"""What a callee hears at 8 kHz is understood: a speech recogniser writes down the English prompts."""

import importlib
import random
from typing import Any

import pytest

from binding_ivr.call.prompts import Prompt
from binding_ivr.prompts import audio, catalogue
from binding_ivr.prompts.audio import Sound

pocketsphinx: Any = importlib.import_module("pocketsphinx")  # of the extra dev; it has no types

# Words that carry the meaning. The rest is not compared: it is a small model for wide-band speech, and the mistakes
# it makes beside them are its own.
WORDS = {
    Prompt.GREETING: {"hello", "automated", "call", "company"},
    Prompt.REASON: {"somebody", "asked", "link", "phone", "number"},
    Prompt.GATE: {"not", "you", "press", "please"},
    Prompt.ASK_CODE: {"access", "code", "shown", "screen"},
    Prompt.WRONG_CODE: {"not", "correct", "try", "again"},
    Prompt.VERIFIED: {"you", "phone", "number", "verified", "goodbye"},
    Prompt.NO_MORE_TRIES: {"last", "call", "new", "goodbye"},
    Prompt.REPORTED: {"telling", "more", "calls", "goodbye"},
    Prompt.HS_NO_NUMBER: {"you", "have", "phone", "number"},
    Prompt.HS_SUSPENDED: {"cell", "phone", "number", "must", "verified", "again"},
    Prompt.HS_FAILED: {"call", "could", "not", "moved", "still", "connected"},
    Prompt.HS_NO_CALL: {"there", "no", "call", "can", "moved"},
    Prompt.HS_CALL_BACK: {"please", "hang", "call", "phone", "back", "press", "one"},
    Prompt.HS_CONFIRM_PULL: {"press", "take", "phone"},
    Prompt.HS_PIN_LOCKED: {"too", "many", "wrong", "later"},
    Prompt.HS_UNKNOWN_PARTY: {"unknown", "number"},
    Prompt.HS_PIN_MISMATCH: {"entries", "not", "same"},
    Prompt.ASK_CODE_DESK: {"access", "code", "desk", "phone"},
    Prompt.ENROL_CODE: {"your", "access", "code", "is"},
    Prompt.ENROL_ANSWER_FIRST: {"calling", "please", "answer", "hear", "code", "phone"},
    Prompt.ENROL_NOT_REACHED: {"phone", "not", "reached", "check", "number", "later"},
    Prompt.ENROL_NOT_A_NUMBER: {"not", "valid", "telephone", "number"},
    Prompt.ENROL_LIMIT: {"too", "many", "calls", "later"},
    Prompt.ENROL_PROBLEM: {"sorry", "technical", "problem"},
}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="module")
def recogniser() -> Any:
    """The recogniser with the English model that its package carries."""
    return importlib.import_module("pocketsphinx").Decoder(loglevel="FATAL", maxhmmpf=3000)


@pytest.fixture(scope="module")
def digit_recogniser() -> Any:
    """The same, which expects one digit."""
    decoder = importlib.import_module("pocketsphinx").Decoder(loglevel="FATAL", lm=None, maxhmmpf=3000)
    decoder.add_jsgf_string("digit", f"#JSGF V1.0;\ngrammar digit;\npublic <digit> = {' | '.join(DIGITS)};\n")
    decoder.activate_search("digit")
    return decoder


def heard(recogniser: Any, prompt: Prompt) -> list[str]:
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
    return found.hypstr.split() if found else []


@pytest.mark.parametrize("prompt", WORDS)
def test_the_words_that_matter_are_understood(recogniser: Any, prompt: Prompt) -> None:
    words = set(heard(recogniser, prompt))
    missed = WORDS[prompt] - words
    assert len(missed) <= 1, f"heard {' '.join(sorted(words))}, missed {missed}"


def test_digits_are_understood(digit_recogniser: Any) -> None:
    """One by one, without a word around it, and at 8 kHz, where "six" has lost its sharp sounds."""
    words = [heard(digit_recogniser, Prompt(f"digit_{digit}")) for digit in range(10)]
    missed = [digit for digit, word in zip(DIGITS, words, strict=True) if word != [digit]]
    assert len(missed) <= 2, words
