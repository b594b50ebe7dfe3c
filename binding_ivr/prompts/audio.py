"""Sound as plain numbers: level, trim, resample and encode speech for a telephone. It reads and writes no files.

Only the standard library is used: a prompt is a few seconds long, an operator's machine should not need numpy to
convert a recording, and `audioop` is gone from Python 3.13.
"""

import math
import sys
from array import array
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import mul

FULL_SCALE = 32768.0
SPEECH_DBFS = -20.0  # RMS of the frames in which somebody speaks
PEAK_DBFS = -3.0
LEAD_S = 0.04  # quiet kept before the first sound, so that a soft onset survives
LATEST_ONSET_S = 0.07
TAIL_S = 0.15  # quiet after the last sound
FRAME_S = 0.01

_ONSET_BELOW_LOUDEST_DB = 40.0
_ACTIVE_BELOW_LOUDEST_DB = 30.0
_SILENCE_DBFS = -60.0
_ZERO_CROSSINGS = 24  # half the length of the low-pass filter, in periods of the lower rate
_KAISER_BETA = 8.0  # about 80 dB of stop band
_PASS_BAND = 0.92  # where the filter begins to fall, as a part of half the lower rate


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono samples from -1 to 1 at *rate* hertz."""

    samples: list[float]
    rate: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate


def decibels(value: float) -> float:
    """Return *value* (1 is full scale) in dBFS, at least -120."""
    return 20 * math.log10(max(value, 1e-6))


def peak(sound: Sound) -> float:
    """Return the largest magnitude."""
    return max((abs(value) for value in sound.samples), default=0.0)


def frame_levels(sound: Sound) -> list[float]:
    """Return the RMS of each frame of 10 ms."""
    size = max(1, round(sound.rate * FRAME_S))
    frames = (sound.samples[start : start + size] for start in range(0, len(sound.samples), size))
    return [math.sqrt(sum(map(mul, frame, frame)) / len(frame)) for frame in frames]


def speech_level(sound: Sound) -> float:
    """Return the RMS of the active frames: those at most 30 dB below the loudest. 0 for silence."""
    levels = frame_levels(sound)
    floor = max(levels, default=0.0) * _ratio(-_ACTIVE_BELOW_LOUDEST_DB)
    active = [level * level for level in levels if level >= floor and level > 0]
    return math.sqrt(sum(active) / len(active)) if active else 0.0


def speech_bounds(sound: Sound) -> tuple[float, float] | None:
    """Return the seconds at which the first sound begins and the last one ends; None when nothing is heard."""
    levels = frame_levels(sound)
    loudest = max(levels, default=0.0)
    if decibels(loudest) < _SILENCE_DBFS:
        return None
    floor = loudest * _ratio(-_ONSET_BELOW_LOUDEST_DB)
    heard = [index for index, level in enumerate(levels) if level >= floor]
    return heard[0] * FRAME_S, min((heard[-1] + 1) * FRAME_S, sound.seconds)


def trim(sound: Sound) -> Sound:
    """Cut the quiet at both ends to LEAD_S and TAIL_S and fade the cuts, so that nothing clicks."""
    bounds = speech_bounds(sound)
    if bounds is None:
        return Sound([], sound.rate)
    start = max(0, round((bounds[0] - LEAD_S) * sound.rate))
    end = round((bounds[1] + TAIL_S) * sound.rate)
    faded = fade(Sound(sound.samples[start:end], sound.rate), 0.01, 0.05)
    return Sound(faded.samples + [0.0] * (end - start - len(faded.samples)), sound.rate)


def fade(sound: Sound, in_s: float, out_s: float) -> Sound:
    """Let the first *in_s* seconds come and the last *out_s* go."""
    samples = list(sound.samples)
    fade_in, fade_out = round(in_s * sound.rate), round(out_s * sound.rate)
    for index in range(min(fade_in, len(samples))):
        samples[index] *= index / fade_in
    for index in range(1, min(fade_out, len(samples)) + 1):
        samples[-index] *= (index - 1) / fade_out
    return Sound(samples, sound.rate)


def level(sound: Sound, speech_dbfs: float = SPEECH_DBFS, peak_dbfs: float = PEAK_DBFS) -> Sound:
    """Bring the speech to *speech_dbfs* and hold its peaks under *peak_dbfs*."""
    current = speech_level(sound)
    if current == 0.0:
        return sound
    gain = _ratio(speech_dbfs) / current
    return limit(Sound([value * gain for value in sound.samples], sound.rate), peak_dbfs)


def limit(sound: Sound, peak_dbfs: float) -> Sound:
    """Hold every sample under *peak_dbfs* with a gain that moves over 10 ms, before the peak as well as after it."""
    ceiling = _ratio(peak_dbfs)
    size = max(1, sound.rate // 1000)
    peaks = [max(map(abs, sound.samples[start : start + size])) for start in range(0, len(sound.samples), size)]
    wanted = [min(1.0, ceiling / value) if value > 0 else 1.0 for value in peaks]
    if min(wanted, default=1.0) == 1.0:
        return sound
    reach = 5
    held = [min(wanted[max(0, i - 2 * reach) : i + 2 * reach + 1]) for i in range(len(wanted))]
    sums = [0.0, *accumulate(held)]
    gains = []
    for i in range(len(held)):
        first, last = max(0, i - reach), min(len(held), i + reach + 1)
        gains.append((sums[last] - sums[first]) / (last - first))
    gains.append(gains[-1])
    samples = []
    for index, value in enumerate(sound.samples):
        block, offset = divmod(index, size)
        share = offset / size
        samples.append(value * (gains[block] * (1 - share) + gains[block + 1] * share))
    return Sound(samples, sound.rate)


def resample(sound: Sound, rate: int) -> Sound:
    """Return *sound* at *rate* hertz, low-passed below half the lower of the two rates first."""
    if rate == sound.rate:
        return sound
    divisor = math.gcd(rate, sound.rate)
    up, down = rate // divisor, sound.rate // divisor
    phases = _filter_bank(up, down)
    taps = len(phases[0])
    half = taps // 2
    padded = [0.0] * half + sound.samples + [0.0] * (half + 1)
    samples = []
    for index in range(math.ceil(len(sound.samples) * up / down)):
        position, phase = divmod(index * down, up)
        samples.append(sum(map(mul, padded[position + 1 : position + 1 + taps], phases[phase])))
    return Sound(samples, rate)


@lru_cache(maxsize=8)
def _filter_bank(up: int, down: int) -> list[list[float]]:
    """Return the low-pass filter for up/down, one list of taps per fraction of an input sample."""
    slower = min(1.0, up / down)
    cutoff = slower * (1 + _PASS_BAND) / 2
    half = math.ceil(_ZERO_CROSSINGS / slower)
    bank = []
    for phase in range(up):
        taps = []
        for k in range(-half + 1, half + 1):
            distance = k - phase / up
            taps.append(cutoff * _sinc(cutoff * distance) * _kaiser(distance / half))
        scale = 1 / sum(taps)
        bank.append([tap * scale for tap in taps])
    return bank


def _sinc(x: float) -> float:
    return 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)


def _kaiser(x: float) -> float:
    """The Kaiser window at *x* from -1 to 1."""
    return _bessel(_KAISER_BETA * math.sqrt(max(0.0, 1 - x * x))) / _KAISER_PEAK


def _bessel(x: float) -> float:
    """The modified Bessel function I0, by its series."""
    term = total = 1.0
    k = 1
    while term > 1e-9 * total:
        term *= (x / (2 * k)) ** 2
        total += term
        k += 1
    return total


_KAISER_PEAK = _bessel(_KAISER_BETA)


def _ratio(db: float) -> float:
    return float(10 ** (db / 20))


def to_pcm16(sound: Sound) -> bytes:
    """Encode as 16-bit signed linear, little endian: Asterisk's .sln16 when the rate is 16000."""
    values = array("h", (max(-32768, min(32767, round(value * FULL_SCALE))) for value in sound.samples))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def from_pcm16(data: bytes, rate: int) -> Sound:
    """Decode 16-bit signed linear, little endian."""
    values = array("h", data[: len(data) // 2 * 2])
    if sys.byteorder == "big":
        values.byteswap()
    return Sound([value / FULL_SCALE for value in values], rate)


def to_ulaw(sound: Sound) -> bytes:
    """Encode as G.711 mu-law: Asterisk's .ulaw when the rate is 8000."""
    return bytes(_ulaw_byte(max(-32635, min(32635, round(value * FULL_SCALE)))) for value in sound.samples)


def from_ulaw(data: bytes, rate: int = 8000) -> Sound:
    """Decode G.711 mu-law."""
    return Sound([_ULAW[byte] for byte in data], rate)


def from_alaw(data: bytes, rate: int = 8000) -> Sound:
    """Decode G.711 A-law."""
    return Sound([_ALAW[byte] for byte in data], rate)


@lru_cache(maxsize=65536)
def _ulaw_byte(value: int) -> int:
    sign = 0x80 if value < 0 else 0
    magnitude = abs(value) + 132
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | (exponent << 4) | mantissa) & 0xFF


def _ulaw_value(byte: int) -> float:
    byte = ~byte & 0xFF
    magnitude = ((((byte & 0x0F) << 3) + 132) << ((byte & 0x70) >> 4)) - 132
    return (-magnitude if byte & 0x80 else magnitude) / FULL_SCALE


def _alaw_value(byte: int) -> float:
    byte ^= 0x55
    exponent, mantissa = (byte & 0x70) >> 4, (byte & 0x0F) << 4
    magnitude = mantissa + 8 if exponent == 0 else (mantissa + 0x108) << (exponent - 1)
    return (magnitude if byte & 0x80 else -magnitude) / FULL_SCALE


_ULAW = [_ulaw_value(byte) for byte in range(256)]
_ALAW = [_alaw_value(byte) for byte in range(256)]


def for_telephone(sound: Sound) -> tuple[Sound, Sound]:
    """Return *sound* trimmed and levelled at 8000 and at 16000 hertz, both equally long.

    A first sound that 8000 hertz hardly carries (an "s") is shortened, so that the caller hears something at once.
    """
    wide = trim(sound)
    narrow = resample(wide, 8000)
    bounds = speech_bounds(narrow)
    if bounds is not None and bounds[0] > LATEST_ONSET_S:
        wide = fade(Sound(wide.samples[round((bounds[0] - LATEST_ONSET_S) * wide.rate) :], wide.rate), 0.01, 0.0)
        narrow = resample(wide, 8000)
    return level(narrow), level(resample(wide, 16000))
