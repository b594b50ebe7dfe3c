"""The sound work: what it keeps, what it cuts, and its agreement with G.711."""

import math
import random

import pytest

from binding_ivr.prompts import audio
from binding_ivr.prompts.audio import Sound


def tone(hertz: float, rate: int, seconds: float = 0.5, loud: float = 0.5) -> Sound:
    """Return a sine."""
    return Sound([loud * math.sin(2 * math.pi * hertz * n / rate) for n in range(round(rate * seconds))], rate)


def middle(sound: Sound) -> Sound:
    """Return *sound* without its edges, where a filter settles."""
    edge = len(sound.samples) // 5
    return Sound(sound.samples[edge:-edge], sound.rate)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("target", [8000, 16000])
def test_resampling_keeps_what_a_telephone_carries(rate: int, target: int) -> None:
    changed = audio.resample(tone(1000, rate, seconds=0.05), target)
    assert changed.rate == target
    assert changed.seconds == pytest.approx(0.05, abs=0.001)
    assert audio.peak(middle(changed)) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("hertz", [4200, 6000, 9000])
def test_resampling_removes_what_would_fold_back(hertz: int) -> None:
    changed = middle(audio.resample(tone(hertz, 24000, seconds=0.1), 8000))
    assert audio.decibels(audio.peak(changed)) < -50


def test_pcm_survives_the_way_there_and_back() -> None:
    sound = Sound([-1.0, -0.5, 0.0, 0.25, 0.999969482421875], 16000)
    assert audio.from_pcm16(audio.to_pcm16(sound), 16000) == sound
    assert audio.to_pcm16(Sound([2.0, -2.0], 16000)) == b"\xff\x7f\x00\x80"


def test_mu_law_has_the_values_of_g711() -> None:
    """The end points and the two zeros of ITU-T G.711, table 2."""
    assert [round(value * 32768) for value in audio.from_ulaw(bytes([0x00, 0x80, 0x7F, 0xFF])).samples] == [
        -32124,
        32124,
        0,
        0,
    ]
    every = bytes(range(256))
    back = audio.to_ulaw(audio.from_ulaw(every))
    assert [a for a, b in zip(every, back, strict=True) if a != b] == [0x7F]  # minus zero


def test_a_law_has_the_values_of_g711() -> None:
    assert [round(value * 32768) for value in audio.from_alaw(bytes([0xD5, 0x55, 0xAA, 0x2A])).samples] == [
        8,
        -8,
        32256,
        -32256,
    ]


def test_mu_law_noise_is_far_below_speech() -> None:
    sound = tone(700, 8000, loud=0.3)
    back = audio.from_ulaw(audio.to_ulaw(sound))
    error = Sound([a - b for a, b in zip(sound.samples, back.samples, strict=True)], 8000)
    assert audio.decibels(audio.speech_level(error)) < audio.decibels(audio.speech_level(sound)) - 30


def test_trim_leaves_a_short_lead_and_tail() -> None:
    quiet = [0.0] * 8000
    cut = audio.trim(Sound(quiet + tone(500, 8000).samples + quiet, 8000))
    bounds = audio.speech_bounds(cut)
    assert bounds is not None
    assert bounds[0] == pytest.approx(audio.LEAD_S, abs=0.02)
    assert cut.seconds - bounds[1] == pytest.approx(audio.TAIL_S, abs=0.02)


def test_silence_has_no_bounds_and_no_level() -> None:
    silence = Sound([0.0] * 800, 8000)
    assert audio.speech_bounds(silence) is None
    assert audio.trim(silence).samples == []
    assert audio.level(silence) == silence
    assert audio.speech_bounds(Sound([], 8000)) is None


@pytest.mark.parametrize("loud", [0.001, 0.02, 0.9])
def test_level_is_the_same_for_soft_and_loud(loud: float) -> None:
    done = audio.level(tone(500, 8000, loud=loud))
    assert audio.decibels(audio.speech_level(done)) == pytest.approx(audio.SPEECH_DBFS, abs=0.2)


def test_limit_holds_peaks_and_leaves_the_rest() -> None:
    chance = random.Random(7)
    sound = Sound([chance.gauss(0, 0.1) for _ in range(8000)], 8000)
    sound.samples[4000] = 1.5
    held = audio.limit(sound, -3.0)
    assert audio.decibels(audio.peak(held)) <= -2.99
    assert held.samples[:3800] == sound.samples[:3800]


def test_a_start_that_a_telephone_does_not_carry_is_shortened() -> None:
    hiss = tone(6500, 24000, seconds=0.3, loud=0.2)
    narrow, wide = audio.for_telephone(Sound(hiss.samples + tone(500, 24000).samples, 24000))
    bounds = audio.speech_bounds(narrow)
    assert bounds is not None
    assert bounds[0] <= 0.09
    assert narrow.seconds == pytest.approx(wide.seconds, abs=0.001)
