"""Puts the prompts where Asterisk plays them, and renders the shipped set. It decides, `audio` and `voices` work."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from binding_ivr.call.prompts import Prompt
from binding_ivr.prompts import audio, catalogue, library, voices, wav
from binding_ivr.prompts.audio import Sound
from binding_ivr.prompts.catalogue import LANGUAGES, Catalogue
from binding_ivr.prompts.errors import PromptError
from binding_ivr.prompts.library import Built, Source
from binding_ivr.prompts.voices import Synthesiser

_CONVERTER = "1"  # raise it when the same recording is to give other files, so that all are made again


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What `prompts build` was asked to do."""

    output: Path | None = None  # Asterisk's sounds folder, e.g. /usr/share/asterisk/sounds
    path: str = "binding_ivr"  # the folder below each language, as in [prompts] path
    languages: tuple[str, ...] = LANGUAGES
    site_name: str = ""  # empty: the generic greeting
    recordings: Path | None = None
    synthesiser: str = "auto"  # auto, kokoro, espeak-ng, none
    voices: Path | None = None  # the speakers' files of Kokoro
    render: bool = False  # maintainers: render the shipped set again, into its own folder
    force: bool = False  # with render: also what is up to date
    shipped: Path | None = None  # default: the set that travels with the package


@dataclass(slots=True)
class BuildReport:
    """What was done."""

    written: int = 0
    unchanged: int = 0
    notices: list[str] = field(default_factory=list)  # one line each: what was not used and what to do


def build(options: BuildOptions, say: Callable[[str], None] = print) -> int:
    """Do what `prompts build` was asked and say it line by line; return the exit status.

    0 also when a recording could not be used and the shipped prompt is kept (said in a line). Raises PromptError.
    """
    report = render(options, say) if options.render else install(options)
    for notice in report.notices:
        print(notice, file=sys.stderr)
    say(f"{report.written} prompts written, {report.unchanged} unchanged")
    return 0


def install(options: BuildOptions) -> BuildReport:
    """Put the shipped prompts, over them the operator's recordings and the named greeting, into Asterisk's folder.

    Only what changed is written. Raises PromptError when the folder cannot be written or the shipped set is broken.
    """
    if options.output is None:
        raise PromptError("prompts build: name Asterisk's sounds folder with --output")
    library.check_languages(options.languages)
    shipped = options.shipped or catalogue.shipped_folder()
    source = library.read_source(shipped)
    installer = _Installer(
        options,
        options.output,
        shipped,
        catalogue.load(shipped / "texts.toml"),
        library.read_manifest(options.output),
        voices_of={language: str(entry.get("voice", "")) for language, entry in source.items()},
    )
    if options.recordings is not None:
        installer.report.notices += library.check_recordings(options.recordings)
    try:
        for language in options.languages:
            for prompt in Prompt:
                installer.place(language, prompt)
        write(options.output / library.MANIFEST, library.manifest_text(installer.built).encode())
    except OSError as error:
        raise PromptError(
            f"{error.filename or options.output}: cannot be written: {error.strerror or error}"
        ) from error
    return installer.report


@dataclass(slots=True)
class _Installer:
    """One run of `install`."""

    options: BuildOptions
    output: Path
    shipped: Path
    texts: Catalogue
    built: dict[str, Built]
    report: BuildReport = field(default_factory=BuildReport)
    voices_of: Mapping[str, str] = field(default_factory=dict)  # who speaks each language of the shipped set
    _synthesiser: Synthesiser | None = None
    _silent: bool = False  # a notice about the missing synthesiser was given

    def place(self, language: str, prompt: Prompt) -> None:
        """Put one prompt in place from the best source there is: own, spoken here, shipped."""
        own = library.own_recording(self.options.recordings, language, prompt)
        if own is not None:
            try:
                self._place_own(language, prompt, own)
            except PromptError as error:
                self.report.notices.append(f"{error}; the shipped prompt is used")
            else:
                return
        if prompt is Prompt.GREETING and self.options.site_name.strip() and self._place_greeting(language):
            return
        self._place_shipped(language, prompt)

    def _place_own(self, language: str, prompt: Prompt, path: Path) -> None:
        data = wav.read_bytes(path)
        made_from = _digest(_CONVERTER, path.suffix.lower(), data)
        text = self.texts.text(language, prompt)
        self._put(language, prompt, Source.OWN, made_from, "", text, lambda: convert(path, data))

    def _place_greeting(self, language: str) -> bool:
        """Speak the greeting with the site's name; return False when the generic one must do."""
        text = self.texts.named_greeting(language, self.options.site_name)
        synthesiser = self._find_synthesiser()
        if synthesiser is None:
            return False
        voice = f"{synthesiser.name} {synthesiser.voice(language)}"

        def spoken() -> dict[str, bytes]:
            return encode(*audio.for_telephone(synthesiser.speak(language, text)))

        try:
            self._put(language, Prompt.GREETING, Source.SPOKEN, _digest(_CONVERTER, voice, text), voice, text, spoken)
        except PromptError as error:
            self.report.notices.append(f"{error}; the {language} greeting does not say the site's name")
            return False
        return True

    def _find_synthesiser(self) -> Synthesiser | None:
        if self._synthesiser is None and not self._silent:
            self._synthesiser = voices.find(self.options.synthesiser, self.options.voices)
            self._silent = self._synthesiser is None
            if self._silent:
                self.report.notices.append(
                    "no synthesiser: the generic greeting is used; install binding-ivr[voice] or Debian's espeak-ng,"
                    " or record greeting.wav yourself"
                )
            elif isinstance(self._synthesiser, voices.EspeakNg):
                self.report.notices.append(
                    "the greeting is spoken by espeak-ng, a robotic voice; install binding-ivr[voice] for the voice"
                    " of the other prompts"
                )
        return self._synthesiser

    def _place_shipped(self, language: str, prompt: Prompt) -> None:
        files = library.shipped_files(self.shipped, language, prompt)
        if len(files) < len(library.SUFFIXES):
            raise PromptError(
                f"{self.shipped}/{language}/{prompt}: the shipped recording is missing; reinstall binding-ivr"
            )
        content = {suffix: path.read_bytes() for suffix, path in files.items()}
        voice = self.voices_of.get(language, "")
        made_from = _digest(*content.values())
        text = self.texts.text(language, prompt)
        self._put(language, prompt, Source.SHIPPED, made_from, voice, text, lambda: content)

    def _put(
        self,
        language: str,
        prompt: Prompt,
        source: Source,
        made_from: str,
        voice: str,
        text: str,
        make: Callable[[], Mapping[str, bytes]],
    ) -> None:
        """Make and write the files of one prompt, unless they already stand there as they were made from the same."""
        key = f"{language}/{prompt}"
        before = self.built.get(key)
        targets = library.installed_files(self.output, self.options.path, language, prompt)
        if (
            before is not None
            and (before.source, before.made_from) == (source, made_from)
            and {suffix: _file_digest(path) for suffix, path in targets.items()} == before.files
        ):
            self.report.unchanged += 1
            return
        content = make()
        for suffix, path in targets.items():
            write(path, content[suffix])
        files = {suffix: _digest(data) for suffix, data in content.items()}
        self.built[key] = Built(source, made_from, voice, text, files)
        self.report.written += 1


def convert(path: Path, data: bytes) -> dict[str, bytes]:
    """Return both files of the operator's recording *path*, whose bytes are *data*.

    A WAV is trimmed and levelled like the shipped prompts. What is already in Asterisk's format is kept as it is
    for its rate. Raises PromptError.
    """
    sound = wav.decode(path, data)
    suffix = path.suffix.lower().removeprefix(".")
    if suffix == "wav":
        return encode(*audio.for_telephone(sound))
    files = encode(audio.resample(sound, 8000), audio.resample(sound, 16000))
    if suffix in files:
        files[suffix] = data
    return files


def encode(narrow: Sound, wide: Sound) -> dict[str, bytes]:
    """Return the two files of a prompt from its sound at 8000 and at 16000 hertz."""
    return {"ulaw": audio.to_ulaw(narrow), "sln16": audio.to_pcm16(wide)}


def render(options: BuildOptions, say: Callable[[str], None] = print) -> BuildReport:
    """Render what is out of date of the shipped set, into the folder of the catalogue. Raises PromptError."""
    library.check_languages(options.languages)
    folder = options.shipped or catalogue.shipped_folder()
    texts = catalogue.load(folder / "texts.toml")
    synthesiser = voices.find("kokoro" if options.synthesiser == "auto" else options.synthesiser, options.voices)
    if synthesiser is None:
        raise PromptError("prompts build --render: needs a synthesiser")
    report = BuildReport()
    source = {language: dict(entry) for language, entry in library.read_source(folder).items()}
    for language in options.languages:
        entry = voices.describe(synthesiser, language)
        before = source.get(language, {})
        same_voice = {key: before.get(key) for key in entry} == entry
        hashes = dict(before.get("texts", {})) if same_voice else {}
        for prompt in Prompt:
            text = texts.text(language, prompt)
            current = hashes.get(prompt) == catalogue.text_hash(text)
            if current and not options.force and len(library.shipped_files(folder, language, prompt)) == 2:
                report.unchanged += 1
                continue
            sound = audio.for_telephone(synthesiser.speak(language, text))
            for suffix, data in encode(*sound).items():
                write(folder / language / f"{prompt}.{suffix}", data)
            hashes[prompt] = catalogue.text_hash(text)
            report.written += 1
            say(f"{language} {prompt}: {sound[0].seconds:.1f} s")
        source[language] = {**entry, "texts": {prompt: hashes[prompt] for prompt in Prompt}}
        write(folder / library.SOURCE_FILE, source_text(source).encode())
    return report


def source_text(source: Mapping[str, Mapping[str, object]]) -> str:
    """Return SOURCE.toml: who speaks each language, from which packages, and the words of each recording."""
    lines = [
        "# Where the recordings in this folder come from. Written by `binding-ivr prompts build --render`.",
        "# texts: sha256 of the words that were spoken; `prompts list` compares them with texts.toml.",
    ]
    for language in (name for name in LANGUAGES if name in source):
        lines += ["", f"[{language}]"]
        tables = {}
        for key, value in source[language].items():
            if isinstance(value, Mapping):
                tables[key] = value
            else:
                lines.append(f"{key} = {_toml(value)}")
        for key, table in tables.items():
            lines.append(f"[{language}.{key}]")
            lines += [f"{name} = {_toml(value)}" for name, value in table.items()]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, float | int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def write(path: Path, data: bytes) -> None:
    """Write *data* to *path* in one step, so that a call that plays it never hears half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)  # Asterisk runs as another user
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _digest(*parts: str | bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return total.hexdigest()


def _file_digest(path: Path) -> str:
    try:
        return _digest(path.read_bytes())
    except OSError:
        return ""
