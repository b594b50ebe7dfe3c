"""The recordings that are shipped: all there, made from today's words, level and without a pause at the start."""

from pathlib import Path

import pytest

from binding_ivr.call.prompts import Prompt, PromptGroup
from binding_ivr.prompts import audio, catalogue, library
from binding_ivr.prompts.audio import Sound
from binding_ivr.prompts.catalogue import LANGUAGES
from binding_ivr.prompts.library import Source

FOLDER = catalogue.shipped_folder()


def narrow(language: str, prompt: Prompt) -> Sound:
    """Return the 8 kHz file as the telephone plays it."""
    return audio.from_ulaw((FOLDER / language / f"{prompt}.ulaw").read_bytes())


def test_every_prompt_is_recorded_in_every_language_from_todays_words() -> None:
    listed = library.list_prompts()
    assert len(listed) == len(LANGUAGES) * len(Prompt)
    assert {entry.source for entry in listed} == {Source.SHIPPED}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_prompt_lasts_as_long_as_its_words_take(language: str) -> None:
    slow, fast = (3, 7) if language == "zh" else (11, 24)
    for entry in library.list_prompts(languages=(language,)):
        if len(entry.text) < (
            5 if language == "zh" else 30
        ):  # a word or two: its beginning and its end take longer than what is between
            assert 0.3 <= entry.seconds <= 2.7, entry
        else:
            assert 0.8 <= entry.seconds <= 14, entry
            assert slow <= len(entry.text) / entry.seconds <= fast, entry


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_number_is_read_out_without_haste_and_without_waiting(language: str) -> None:
    digits = library.list_prompts(languages=(language,), groups=[PromptGroup.DIGITS])
    assert len(digits) == 11
    assert all(0.3 <= entry.seconds <= 0.95 for entry in digits), digits


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_files_last_equally_long(language: str) -> None:
    for prompt in Prompt:
        ulaw = (FOLDER / language / f"{prompt}.ulaw").stat().st_size
        sln16 = (FOLDER / language / f"{prompt}.sln16").stat().st_size
        assert abs(sln16 - 4 * ulaw) <= 8


@pytest.mark.parametrize("language", LANGUAGES)
def test_speech_begins_at_once_and_is_level(language: str) -> None:
    for prompt in Prompt:
        sound = narrow(language, prompt)
        bounds = audio.speech_bounds(sound)
        assert bounds is not None
        assert bounds[0] <= 0.1, (language, prompt)
        assert 0.05 <= sound.seconds - bounds[1] <= 0.35, (language, prompt)
        assert -12 <= audio.decibels(audio.peak(sound)) <= -2.5, (language, prompt)
        assert audio.decibels(audio.speech_level(sound)) == pytest.approx(audio.SPEECH_DBFS, abs=0.7)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_wide_file_is_as_loud_and_has_no_clipped_sample(language: str) -> None:
    prompt = Prompt.ASK_CODE
    sound = audio.from_pcm16((FOLDER / language / f"{prompt}.sln16").read_bytes(), 16000)
    assert audio.decibels(audio.peak(sound)) <= -2.5
    assert audio.decibels(audio.speech_level(sound)) == pytest.approx(audio.SPEECH_DBFS, abs=0.7)


def test_the_set_is_small_and_only_what_belongs_there() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 50_000_000
    recordings = {Path(language, f"{p}.{s}") for language in LANGUAGES for p in Prompt for s in library.SUFFIXES}
    texts = {Path("texts.toml"), Path(library.SOURCE_FILE), Path("LICENSES.md")}
    assert {path.relative_to(FOLDER) for path in files} == recordings | texts


def test_the_source_names_voice_licence_and_packages() -> None:
    source = library.read_source(FOLDER)
    assert set(source) == set(LANGUAGES)
    for entry in source.values():
        assert entry["licence"] == "Apache-2.0"
        assert entry["voice"]
        assert any(package.startswith("kokoro-onnx ") for package in entry["packages"])
