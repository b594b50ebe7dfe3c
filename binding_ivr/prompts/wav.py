"""Reads an operator's recording, whatever common form it has, into a Sound. It never trusts the file's own sizes."""

import math
import struct
from pathlib import Path

from binding_ivr.prompts import audio
from binding_ivr.prompts.audio import Sound
from binding_ivr.prompts.errors import PromptError

MAX_BYTES = 20_000_000
MIN_SECONDS, MAX_SECONDS = 0.3, 30.0
MIN_RATE, MAX_RATE = 8000, 192_000
FORMATS = ("wav", "sln16", "sln", "ulaw", "alaw")  # the best first
ASTERISK_RATES = {"sln16": 16000, "sln": 8000, "ulaw": 8000, "alaw": 8000}

_EXTENSIBLE = 0xFFFE


def read_bytes(path: Path) -> bytes:
    """Return the bytes of the recording *path*. Raises PromptError when it is no file, too large or unreadable."""
    try:
        if not path.is_file():
            raise PromptError(f"{path}: not a regular file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise PromptError(
                f"{path}: {size / 1e6:.0f} MB is too large for a prompt (at most {MAX_BYTES / 1e6:.0f} MB)"
            )
        data = path.read_bytes()
    except OSError as error:
        raise PromptError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not data:
        raise PromptError(f"{path}: the file is empty")
    return data


def decode(path: Path, data: bytes) -> Sound:
    """Decode *data*, the bytes of *path*, by its suffix. Raises PromptError that names the file and the fault."""
    match path.suffix.lower().removeprefix("."):
        case "wav":
            sound = _decode_wav(path, data)
        case "sln16" | "sln" as raw:
            sound = audio.from_pcm16(data, ASTERISK_RATES[raw])
        case "ulaw":
            sound = audio.from_ulaw(data)
        case "alaw":
            sound = audio.from_alaw(data)
        case other:
            raise PromptError(f"{path}: .{other} is not supported; save it as .wav (or .{', .'.join(FORMATS[1:])})")
    if not MIN_SECONDS <= sound.seconds <= MAX_SECONDS:
        raise PromptError(f"{path}: lasts {sound.seconds:.1f} s; a prompt lasts {MIN_SECONDS} to {MAX_SECONDS:.0f} s")
    if audio.speech_bounds(sound) is None:
        raise PromptError(f"{path}: it holds only silence")
    return sound


def _decode_wav(path: Path, data: bytes) -> Sound:
    """Decode RIFF WAVE: PCM of 8 to 32 bits, float, A-law or mu-law, one or two channels."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise PromptError(f"{path}: not a WAV file, whatever its name says; save it as WAV (PCM, 16 bit)")
    form, body = _chunks(path, data)
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if code == _EXTENSIBLE and len(form) >= 26:
        code = struct.unpack_from("<H", form, 24)[0]
    if channels not in (1, 2):
        raise PromptError(f"{path}: {channels} channels; save it with one")
    if not MIN_RATE <= rate <= MAX_RATE or math.gcd(rate, 8000) < 25:
        raise PromptError(f"{path}: {rate} samples a second; save it with 8000, 16000, 44100 or 48000")
    if len(body) / (rate * channels * max(1, bits // 8)) > MAX_SECONDS:
        raise PromptError(f"{path}: longer than {MAX_SECONDS:.0f} s")
    values = _values(path, code, bits, body)
    if channels == 2:
        values = [(left + right) / 2 for left, right in zip(values[::2], values[1::2], strict=False)]
    return Sound(values, rate)


def _chunks(path: Path, data: bytes) -> tuple[bytes, bytes]:
    """Return the format chunk and the sound of a WAV file; a cut-off last chunk counts as far as it goes."""
    form = body = None
    position = 12
    while position + 8 <= len(data) and (form is None or body is None):
        name, size = struct.unpack_from("<4sI", data, position)
        chunk = data[position + 8 : position + 8 + size]
        if name == b"fmt " and len(chunk) >= 16:
            form = chunk
        elif name == b"data":
            body = chunk
        position += 8 + size + size % 2
    if form is None or not body:
        raise PromptError(f"{path}: a damaged WAV file (no {'format' if form is None else 'sound'} in it)")
    return form, body


def _values(path: Path, code: int, bits: int, body: bytes) -> list[float]:
    """Return the samples of all channels, from -1 to 1."""
    match code, bits:
        case (1, 8):
            return [(byte - 128) / 128 for byte in body]
        case (1, 16):
            return audio.from_pcm16(body, 8000).samples
        case (1, 24):
            packed = (body[index : index + 3] for index in range(0, len(body) - 2, 3))
            return [int.from_bytes(three, "little", signed=True) / 2**23 for three in packed]
        case (1, 32):
            return [value / 2**31 for (value,) in struct.iter_unpack("<i", body[: len(body) // 4 * 4])]
        case (3, 32):
            floats = (value for (value,) in struct.iter_unpack("<f", body[: len(body) // 4 * 4]))
            return [max(-1.0, min(1.0, value)) if math.isfinite(value) else 0.0 for value in floats]
        case (6, 8):
            return audio.from_alaw(body).samples
        case (7, 8):
            return audio.from_ulaw(body).samples
        case _:
            raise PromptError(f"{path}: an unusual kind of WAV (code {code}, {bits} bit); save it as PCM, 16 bit")
