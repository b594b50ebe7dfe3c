"""Knows which recordings exist: shipped, the operator's own, and what stands in Asterisk's folder. It makes none."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from binding_ivr.call.prompts import Prompt, PromptGroup
from binding_ivr.prompts import catalogue, wav
from binding_ivr.prompts.catalogue import LANGUAGES, Catalogue
from binding_ivr.prompts.errors import PromptError

SUFFIXES = {"ulaw": 8000, "sln16": 32000}  # bytes a second of the two files that every prompt has
SOURCE_FILE = "SOURCE.toml"
MANIFEST = ".binding-ivr-prompts.json"  # in Asterisk's folder: what was put there and from what


class Source(StrEnum):
    """Where the recording that will be played comes from."""

    SHIPPED = "shipped"
    OWN = "own"  # the operator's recording
    SPOKEN = "spoken"  # synthesised on this machine, with the site's name
    STALE = "stale"  # shipped, but made from other words than the catalogue has now
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class PromptStatus:
    """One prompt in one language, as `prompts list` prints it."""

    prompt: Prompt
    language: str
    text: str
    seconds: float  # 0 when it is missing
    source: Source
    voice: str  # "" for the operator's own


@dataclass(frozen=True, slots=True)
class Built:
    """What `prompts build` put into Asterisk's folder for one prompt in one language."""

    source: Source
    made_from: str  # sha256 of the recording, or of the words, voice and model
    voice: str
    text: str
    files: Mapping[str, str]  # sha256 by suffix


def read_source(folder: Path) -> Mapping[str, Any]:
    """Return SOURCE.toml of the shipped set; empty when it is not there. Raises PromptError when it is damaged."""
    path = folder / SOURCE_FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PromptError(f"{path}: cannot be read: {error}; reinstall binding-ivr or render the set again") from error


def shipped_files(folder: Path, language: str, prompt: str) -> dict[str, Path]:
    """Return the shipped files of one prompt by suffix, as many as exist and are not empty."""
    paths = {suffix: folder / language / f"{prompt}.{suffix}" for suffix in SUFFIXES}
    return {suffix: path for suffix, path in paths.items() if path.is_file() and path.stat().st_size > 0}


def own_recording(recordings: Path | None, language: str, prompt: str) -> Path | None:
    """Return the operator's recording of one prompt in the best of its formats, None when there is none.

    A file with a suffix that cannot be read is returned too when it is the only one, so that it gets its message.
    """
    if recordings is None:
        return None
    try:
        found = [path for path in sorted((recordings / language).iterdir()) if path.stem == prompt]
    except OSError:
        return None
    order = {suffix: place for place, suffix in enumerate(wav.FORMATS)}
    found.sort(key=lambda path: order.get(path.suffix.lower().removeprefix("."), len(order)))
    return found[0] if found else None


def check_recordings(recordings: Path) -> list[str]:
    """Return one line for each thing in the operator's folder that will never be played."""
    lines = []
    try:
        entries = sorted(recordings.iterdir())
    except OSError as error:
        return [f"{recordings}: the folder of your own recordings cannot be read: {error.strerror or error}"]
    for entry in entries:
        if entry.name not in LANGUAGES:
            lines.append(f"{entry}: ignored; recordings belong in {', '.join(LANGUAGES)}")
        elif not entry.is_dir():
            lines.append(f"{entry}: ignored; it must be a folder of recordings")
        else:
            lines += _unknown_names(entry)
    return lines


def _unknown_names(folder: Path) -> list[str]:
    try:
        names = sorted(folder.iterdir())
    except OSError as error:
        return [f"{folder}: cannot be read: {error.strerror or error}"]
    return [
        f"{path}: ignored; no prompt has this name; see: binding-ivr prompts list"
        for path in names
        if path.stem not in list(Prompt) and not path.name.startswith(".")
    ]


def read_manifest(output: Path) -> dict[str, Built]:
    """Return what was built into *output* before, by `language/prompt`; empty when nothing is known."""
    try:
        raw = json.loads((output / MANIFEST).read_text(encoding="utf-8"))
        return {key: Built(**{**entry, "source": Source(entry["source"])}) for key, entry in raw.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # a lost or damaged manifest only costs a full build


def manifest_text(built: Mapping[str, Built]) -> str:
    """Return the manifest as it is written."""
    return json.dumps({key: asdict(entry) for key, entry in sorted(built.items())}, indent=1, ensure_ascii=False) + "\n"


def list_prompts(
    *,
    languages: Sequence[str] = LANGUAGES,
    recordings: Path | None = None,
    output: Path | None = None,
    path: str = "binding_ivr",
    shipped: Path | None = None,
    groups: Sequence[PromptGroup] = tuple(PromptGroup),
) -> list[PromptStatus]:
    """Return the prompts of *groups* in *languages*: what would be played, or with *output* what Asterisk has.

    Raises PromptError for a damaged catalogue or SOURCE.toml.
    """
    folder = shipped or catalogue.shipped_folder()
    texts = catalogue.load(folder / "texts.toml")
    check_languages(languages)
    wanted = [(language, prompt) for language in languages for prompt in Prompt if prompt.group in groups]
    if output is not None:
        built = read_manifest(output)
        return [_installed(texts, output, path, built, language, prompt) for language, prompt in wanted]
    source = read_source(folder)
    return [_available(texts, folder, source, recordings, language, prompt) for language, prompt in wanted]


def check_languages(languages: Sequence[str]) -> None:
    """Raise PromptError for a language that no prompt has."""
    for language in languages:
        if language not in LANGUAGES:
            raise PromptError(f"no prompts in {language!r}; the languages are {', '.join(LANGUAGES)}")


def _available(
    texts: Catalogue,
    folder: Path,
    source: Mapping[str, Any],
    recordings: Path | None,
    language: str,
    prompt: Prompt,
) -> PromptStatus:
    text = texts.text(language, prompt)
    own = own_recording(recordings, language, prompt)
    if own is not None:
        try:
            sound = wav.decode(own, wav.read_bytes(own))
        except PromptError:
            pass  # build says why; the shipped prompt is played
        else:
            return PromptStatus(prompt, language, text, round(sound.seconds, 2), Source.OWN, "")
    files = shipped_files(folder, language, prompt)
    if len(files) < len(SUFFIXES):
        return PromptStatus(prompt, language, text, 0.0, Source.MISSING, "")
    entry = source.get(language, {})
    fresh = entry.get("texts", {}).get(prompt) == catalogue.text_hash(text)
    return PromptStatus(
        prompt,
        language,
        text,
        _seconds(files["ulaw"]),
        Source.SHIPPED if fresh else Source.STALE,
        str(entry.get("voice", "")),
    )


def _installed(
    texts: Catalogue, output: Path, path: str, manifest: Mapping[str, Built], language: str, prompt: Prompt
) -> PromptStatus:
    files = installed_files(output, path, language, prompt)
    built = manifest.get(f"{language}/{prompt}")
    text = built.text if built else texts.text(language, prompt)
    if not all(file.is_file() for file in files.values()):
        return PromptStatus(prompt, language, text, 0.0, Source.MISSING, "")
    source, voice = (built.source, built.voice) if built else (Source.STALE, "")
    if source is Source.SHIPPED and text != texts.text(language, prompt):
        source = Source.STALE
    return PromptStatus(prompt, language, text, _seconds(files["ulaw"]), source, voice)


def installed_files(output: Path, path: str, language: str, prompt: str) -> dict[str, Path]:
    """Return where the files of one prompt stand below Asterisk's sounds folder *output*, by suffix."""
    return {suffix: output / language / path / f"{prompt}.{suffix}" for suffix in SUFFIXES}


def _seconds(ulaw: Path) -> float:
    return round(ulaw.stat().st_size / SUFFIXES["ulaw"], 2)
