"""Installing prompts: the operator's recordings win, bad ones are named and never played, nothing is made twice."""

import math
import struct
from pathlib import Path

import pytest

from binding_ivr.call.prompts import Prompt, PromptGroup
from binding_ivr.prompts import audio, build, catalogue, library, phonemes, voices, wav
from binding_ivr.prompts.audio import Sound
from binding_ivr.prompts.build import BuildOptions
from binding_ivr.prompts.errors import PromptError
from binding_ivr.prompts.library import Source

TONE = [0.3 * math.sin(n / 7) for n in range(4000)]
SHIPPED_COUNT = len(Prompt)
ENCODED = build.encode(Sound(TONE, 8000), Sound(TONE * 2, 16000))


def riff(
    *, rate: int = 8000, channels: int = 1, code: int = 1, bits: int = 16, body: bytes | None = None, form: bytes = b""
) -> bytes:
    """Return a WAV file of half a second of a tone, or of *body*."""
    if body is None:
        body = audio.to_pcm16(Sound([value for value in TONE for _ in range(channels)], rate))
    size = channels * bits // 8
    form = struct.pack("<HHIIHH", code, channels, rate, rate * size % 2**32, size, bits) + form
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"LIST\x03\x00\x00\x00abc\x00"
    chunks += b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A small shipped set in one language."""
    folder = tmp_path / "shipped"
    (folder / "en").mkdir(parents=True)
    (folder / "texts.toml").write_bytes((catalogue.shipped_folder() / "texts.toml").read_bytes())
    texts = catalogue.load()
    for prompt in Prompt:
        for suffix, data in ENCODED.items():
            (folder / "en" / f"{prompt}.{suffix}").write_bytes(data)
    hashes = {prompt: catalogue.text_hash(texts.text("en", prompt)) for prompt in Prompt}
    source = {"en": {"voice": "somebody", "texts": hashes}}
    (folder / library.SOURCE_FILE).write_text(build.source_text(source), encoding="utf-8")
    return folder


@pytest.fixture
def options(tmp_path: Path, shipped: Path) -> BuildOptions:
    return options_for(tmp_path, shipped)


def options_for(tmp_path: Path, shipped: Path, **changes: object) -> BuildOptions:
    """Return options that build English from *shipped* with recordings in tmp_path/own."""
    (tmp_path / "own" / "en").mkdir(parents=True, exist_ok=True)
    values = {
        "output": tmp_path / "sounds",
        "languages": ("en",),
        "recordings": tmp_path / "own",
        "synthesiser": "none",
        "shipped": shipped,
        **changes,
    }
    return BuildOptions(**values)  # type: ignore[arg-type]


def status(options: BuildOptions, prompt: Prompt) -> library.PromptStatus:
    """Return what stands in Asterisk's folder for *prompt*."""
    found = library.list_prompts(languages=("en",), output=options.output, shipped=options.shipped)
    return next(entry for entry in found if entry.prompt == prompt)


def test_the_shipped_set_is_put_where_asterisk_looks(options: BuildOptions, shipped: Path) -> None:
    assert options.output
    report = build.install(options)
    assert (report.written, report.notices) == (SHIPPED_COUNT, [])
    for suffix in ("ulaw", "sln16"):
        placed = options.output / "en" / "binding_ivr" / f"greeting.{suffix}"
        assert placed.read_bytes() == (shipped / "en" / f"greeting.{suffix}").read_bytes()
        assert placed.stat().st_mode & 0o777 == 0o644
    assert status(options, Prompt.GREETING).source is Source.SHIPPED


def test_a_second_build_writes_nothing(options: BuildOptions) -> None:
    build.install(options)
    report = build.install(options)
    assert (report.written, report.unchanged) == (0, SHIPPED_COUNT)


def test_a_damaged_file_is_put_back(options: BuildOptions) -> None:
    build.install(options)
    assert options.output
    (options.output / "en" / "binding_ivr" / "reason.ulaw").write_bytes(b"x")
    assert build.install(options).written == 1
    (options.output / library.MANIFEST).write_text("{")
    assert build.install(options).written == SHIPPED_COUNT


def test_the_operators_recording_wins_and_going_away_gives_the_shipped_one_back(
    options: BuildOptions, tmp_path: Path, shipped: Path
) -> None:
    own = tmp_path / "own" / "en" / "reason.wav"
    own.write_bytes(riff(rate=44100, channels=2, body=audio.to_pcm16(Sound(TONE * 22, 44100))))
    assert build.install(options).notices == []
    found = status(options, Prompt.REASON)
    assert found.source is Source.OWN
    assert found.seconds == pytest.approx(1.0, abs=0.2)
    assert options.output
    assert build.install(options).written == 0
    own.unlink()
    assert build.install(options).written == 1
    placed = options.output / "en" / "binding_ivr" / "reason.ulaw"
    assert placed.read_bytes() == (shipped / "en" / "reason.ulaw").read_bytes()


def test_a_file_in_asterisks_format_is_kept_byte_for_byte(options: BuildOptions, tmp_path: Path) -> None:
    data = audio.to_ulaw(Sound(TONE * 2, 8000))
    (tmp_path / "own" / "en" / "reason.ulaw").write_bytes(data)
    build.install(options)
    assert options.output
    folder = options.output / "en" / "binding_ivr"
    assert (folder / "reason.ulaw").read_bytes() == data
    assert (folder / "reason.sln16").stat().st_size == len(data) * 4


def test_the_best_of_several_formats_is_taken(tmp_path: Path, options: BuildOptions) -> None:
    folder = tmp_path / "own" / "en"
    for name in ("reason.ulaw", "reason.mp3", "reason.wav", "reason.sln16"):
        (folder / name).write_bytes(b"")
    assert library.own_recording(options.recordings, "en", "reason") == folder / "reason.wav"
    assert library.own_recording(None, "en", "reason") is None
    assert library.own_recording(options.recordings, "fr", "reason") is None


EXTENSIBLE = struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
WELL_FORMED = {
    "16 bit": riff(),
    "16 bit, 48 kHz": riff(rate=48000, body=audio.to_pcm16(Sound(TONE * 8, 48000))),
    "stereo": riff(channels=2),
    "8 bit": riff(bits=8, body=bytes(round(value * 128 + 128) for value in TONE)),
    "24 bit": riff(bits=24, body=b"".join(round(v * 2**23).to_bytes(3, "little", signed=True) for v in TONE)),
    "32 bit": riff(bits=32, body=b"".join(struct.pack("<i", round(v * 2**31)) for v in TONE)),
    "float": riff(code=3, bits=32, body=b"".join(struct.pack("<f", v) for v in [*TONE, math.nan, math.inf])),
    "mu-law": riff(code=7, bits=8, body=audio.to_ulaw(Sound(TONE, 8000))),
    "extensible": riff(code=0xFFFE, form=EXTENSIBLE),
    "cut off": riff()[:-400],
}


@pytest.mark.parametrize("data", WELL_FORMED.values(), ids=WELL_FORMED.keys())
def test_common_kinds_of_wav_are_read(data: bytes) -> None:
    sound = wav.decode(Path("reason.wav"), data)
    assert sound.seconds == pytest.approx(0.5, abs=0.2)
    assert audio.peak(Sound(sound.samples[:3500], sound.rate)) == pytest.approx(0.3, abs=0.02)


BAD = {
    "empty": (b"", "the file is empty"),
    "text": (b"hello " * 100, "not a WAV file"),
    "only a header": (riff()[:20], "damaged WAV"),
    "no sound": (riff(body=b""), "damaged WAV"),
    "5.1": (riff(channels=6), "6 channels"),
    "odd rate": (riff(rate=12345), "12345 samples a second"),
    "rate 0": (riff(rate=0), "0 samples a second"),
    "rate 4 GHz": (riff(rate=0xFFFFFFFF), "samples a second"),
    "MP3 inside": (riff(code=0x55), "unusual kind of WAV"),
    "64 bit": (riff(code=3, bits=64), "unusual kind of WAV"),
    "0 bit": (riff(bits=0), "unusual kind of WAV"),
    "silence": (riff(body=bytes(16000)), "only silence"),
    "a click": (riff(body=b"\x00\x40" * 100), "lasts 0.0 s"),
    "too long": (riff(body=bytes(16000 * 31)), "longer than 30 s"),
}


@pytest.mark.parametrize(("data", "complaint"), BAD.values(), ids=BAD.keys())
def test_a_bad_recording_is_named_and_the_shipped_prompt_kept(
    options: BuildOptions, tmp_path: Path, shipped: Path, data: bytes, complaint: str
) -> None:
    own = tmp_path / "own" / "en" / "reason.wav"
    own.write_bytes(data)
    (notice,) = build.install(options).notices
    assert complaint in notice
    assert str(own) in notice
    assert notice.endswith("the shipped prompt is used")
    assert "\n" not in notice
    assert options.output
    placed = options.output / "en" / "binding_ivr" / "reason.ulaw"
    assert placed.read_bytes() == (shipped / "en" / "reason.ulaw").read_bytes()
    listed = library.list_prompts(languages=("en",), recordings=options.recordings, shipped=shipped)
    assert {entry.source for entry in listed} == {Source.SHIPPED}


def test_a_huge_file_is_not_even_read(options: BuildOptions, tmp_path: Path) -> None:
    with (tmp_path / "own" / "en" / "reason.wav").open("wb") as file:
        file.truncate(200_000_000)
    (notice,) = build.install(options).notices
    assert "200 MB is too large" in notice


def test_a_folder_a_dead_link_and_an_unsupported_format_are_named(options: BuildOptions, tmp_path: Path) -> None:
    folder = tmp_path / "own" / "en"
    (folder / "reason.wav").mkdir()
    (folder / "verified.wav").symlink_to(tmp_path / "nowhere.wav")
    (folder / "problem.mp3").write_bytes(b"ID3")
    notices = "\n".join(build.install(options).notices)
    assert "reason.wav: not a regular file" in notices
    assert "verified.wav: not a regular file" in notices
    assert "problem.mp3: .mp3 is not supported" in notices


def test_names_that_are_never_played_are_named(options: BuildOptions, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "en" / "greetings.wav").write_bytes(riff())
    (own / "english").mkdir()
    (own / "fr").write_bytes(b"")
    notices = "\n".join(build.install(options).notices)
    assert "greetings.wav: ignored; no prompt has this name" in notices
    assert "english: ignored" in notices
    assert "fr: ignored; it must be a folder" in notices


def test_a_missing_folder_of_recordings_is_named(tmp_path: Path, shipped: Path) -> None:
    report = build.install(options_for(tmp_path, shipped, recordings=tmp_path / "none"))
    assert "cannot be read" in report.notices[0]
    assert report.written == SHIPPED_COUNT


def test_without_a_synthesiser_the_generic_greeting_is_used_and_said_once(tmp_path: Path, shipped: Path) -> None:
    asked = options_for(tmp_path, shipped, site_name="Acme")
    report = build.install(asked)
    assert ["generic greeting" in notice for notice in report.notices] == [True]
    assert status(asked, Prompt.GREETING).source is Source.SHIPPED


class Speaker:
    """A synthesiser that hums."""

    name = "hum"

    def __init__(self) -> None:
        self.spoken: list[str] = []

    def voice(self, language: str) -> str:
        return language

    def speak(self, language: str, text: str) -> Sound:
        self.spoken.append(text)
        if "Quiet" in text:
            raise PromptError("hum: out of breath")
        return Sound(TONE * 2, 8000)


def test_the_sites_name_is_spoken_once_and_again_when_it_changes(
    tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = Speaker()
    monkeypatch.setattr(voices, "find", lambda *_: speaker)
    asked = options_for(tmp_path, shipped, site_name="Acme")
    build.install(asked)
    build.install(asked)
    assert len(speaker.spoken) == 1
    found = status(asked, Prompt.GREETING)
    assert (found.source, found.voice) == (Source.SPOKEN, "hum en")
    assert "Acme" in found.text
    build.install(options_for(tmp_path, shipped, site_name="Other"))
    assert len(speaker.spoken) == 2
    report = build.install(options_for(tmp_path, shipped, site_name="Quiet"))
    assert "out of breath" in report.notices[0]
    assert status(asked, Prompt.GREETING).source is Source.SHIPPED


def test_an_own_greeting_wins_over_the_sites_name(
    tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices, "find", lambda *_: Speaker())
    asked = options_for(tmp_path, shipped, site_name="Acme")
    (tmp_path / "own" / "en" / "greeting.wav").write_bytes(riff())
    build.install(asked)
    assert status(asked, Prompt.GREETING).source is Source.OWN


def test_render_makes_only_what_is_out_of_date(tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speaker = Speaker()
    monkeypatch.setattr(voices, "find", lambda *_: speaker)
    asked = BuildOptions(render=True, languages=("en",), shipped=shipped)
    assert build.build(asked, lambda _: None) == 0
    assert len(speaker.spoken) == SHIPPED_COUNT  # another voice than before
    assert build.render(asked, lambda _: None).unchanged == SHIPPED_COUNT
    texts = shipped / "texts.toml"
    texts.write_text(texts.read_text(encoding="utf-8").replace('en = "Somebody', 'en = "Someone'), encoding="utf-8")
    (stale,) = [
        entry for entry in library.list_prompts(languages=("en",), shipped=shipped) if entry.source is Source.STALE
    ]
    assert stale.prompt == Prompt.REASON
    assert build.render(asked, lambda _: None).written == 1


def test_a_missing_shipped_file_is_listed_and_refused(options: BuildOptions, shipped: Path) -> None:
    (shipped / "en" / "reason.ulaw").unlink()
    listed = library.list_prompts(languages=("en",), shipped=shipped)
    assert [entry.prompt for entry in listed if entry.source is Source.MISSING] == [Prompt.REASON]
    with pytest.raises(PromptError, match="reason: the shipped recording is missing"):
        build.install(options)


def test_what_cannot_be_done_is_said(tmp_path: Path, shipped: Path) -> None:
    with pytest.raises(PromptError, match="--output"):
        build.install(BuildOptions())
    with pytest.raises(PromptError, match="no prompts in 'xx'"):
        build.install(options_for(tmp_path, shipped, languages=("xx",)))
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(PromptError, match="cannot be written"):
        build.install(options_for(tmp_path, shipped, output=blocked))
    (shipped / library.SOURCE_FILE).write_text("[", encoding="utf-8")
    with pytest.raises(PromptError, match=r"SOURCE\.toml: cannot be read"):
        library.list_prompts(shipped=shipped)


def test_the_synthesiser_is_chosen_by_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(voices, "missing_packages", list)
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/espeak-ng")
    assert isinstance(voices.find(), voices.EspeakNg)
    with pytest.raises(PromptError, match="no speakers"):
        voices.find("kokoro")
    (tmp_path / "af_heart.bin").write_bytes(b"short")
    found = voices.find("kokoro", tmp_path)
    assert isinstance(found, voices.Kokoro)
    with pytest.raises(PromptError, match="5 bytes"):
        found.speaker_hash("af_heart")
    with pytest.raises(PromptError, match="no such speaker"):
        found.speaker_hash("nobody")
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(voices, "missing_packages", lambda: ["misaki"])
    assert voices.find("auto", tmp_path) is None
    assert voices.find("none") is None
    with pytest.raises(PromptError, match="missing: misaki"):
        voices.find("kokoro", tmp_path)
    with pytest.raises(PromptError, match="package espeak-ng"):
        voices.find("espeak-ng")
    with pytest.raises(PromptError, match="no synthesiser siri"):
        voices.find("siri")


@pytest.mark.parametrize(
    ("language", "ipa", "sounds"),
    [
        ("en", "ɡʊdbˈa^ɪ", "ɡʊdbˈI"),
        ("en", "nˈʌmbɚ ɹˈe^ɪt", "nˈʌmbəɹ ɹˈAt"),
        ("es", "ˌa^ʊtomˈatika", "ˌWtomˈatika"),
        ("de", "vˈiːdɜ fɛɾzˈuːx dˈoːɾt kˈoːt", "vˈidɐ fɛɐzˈux dˈoʁt kˈOt"),
        ("fr", "ʒ-lə", "ʒlə"),
    ],
)
def test_espeaks_sounds_become_the_models(language: str, ipa: str, sounds: str) -> None:
    assert phonemes.rewrite(language, ipa) == sounds


def test_every_prompt_belongs_to_who_plays_it() -> None:
    groups = {group: {prompt for prompt in Prompt if prompt.group is group} for group in PromptGroup}
    assert all(groups.values())
    assert Prompt.GREETING in groups[PromptGroup.CALL]
    assert {prompt.value for prompt in groups[PromptGroup.DIGITS]} == {f"digit_{sign}" for sign in [*range(10), "plus"]}
    assert all(prompt.startswith("hs_") for prompt in groups[PromptGroup.HOTSWITCH])


def test_one_group_can_be_listed(options: BuildOptions, shipped: Path) -> None:
    listed = library.list_prompts(languages=("en",), shipped=shipped, groups=[PromptGroup.CALL])
    assert [entry.prompt for entry in listed] == [prompt for prompt in Prompt if prompt.group is PromptGroup.CALL]
    build.install(options)
    listed = library.list_prompts(
        languages=("en",), output=options.output, shipped=shipped, groups=[PromptGroup.DIGITS]
    )
    assert {entry.prompt.group for entry in listed} == {PromptGroup.DIGITS}
    assert {entry.source for entry in listed} == {Source.SHIPPED}
