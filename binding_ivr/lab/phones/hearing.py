"""What a phone heard, as a timeline of tones: who was heard when, and how long nobody was. Pure: no I/O, no clock.

Every phone sounds a tone of its own. Each is a multiple of 100 Hz, so that a frame of 10 ms holds whole periods
of every one and none leaks into another (Goertzel's condition); none is near a DTMF or call progress tone.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import mul

RATE_HZ = 8000
FRAME_MS = 10
PACKET_MS = 20
TONES_HZ = (2200, 2300, 2400, 2500, 2600, 2700, 2800, 2900, 3000, 3100, 3200, 3300, 1900, 2000)
"""The tones of the phones. At most as many phones of one lab can be told apart."""
SOUNDS_HZ = {"hold": (350,), "ringing": (440, 480), "busy": (480, 620)}
"""Sounds of the PBX that can be told apart too: music on hold is a tone of 350 Hz in the lab."""
HOLE_MS = 45.0
"""A tone that is away for longer than this has a hole. Two packets that come late together are none."""
LATE_MS = 200.0
"""Audio that comes at most so much late is heard, as with a jitter buffer. What a bridge drops never comes."""

_FRAME = RATE_HZ * FRAME_MS // 1000
_LOUD = 300.0
"""A tone with a smaller amplitude (of 32,767) is not heard."""
_SHARE = 0.12
"""... nor one that has a smaller part of the frame's energy: three at once have a third each."""


def ulaw_encode(sample: int) -> int:
    """Return a 16-bit sample as one byte of G.711 u-law."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32_635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | (magnitude >> (exponent + 3)) & 0x0F) & 0xFF


def _ulaw_decode(byte: int) -> int:
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + 132 << (byte >> 4 & 0x07)) - 132
    return -magnitude if byte & 0x80 else magnitude


_LINEAR = tuple(_ulaw_decode(byte) for byte in range(256))


def tone_packet(hertz: int, amplitude: float = 8000.0) -> bytes:
    """Return 20 ms of a tone as u-law. *hertz* is a multiple of 50, so that packets join without a click."""
    step = 2 * math.pi * hertz / RATE_HZ
    return bytes(ulaw_encode(round(amplitude * math.sin(step * i))) for i in range(RATE_HZ * PACKET_MS // 1000))


def decode(audio: bytes) -> list[int]:
    """Return u-law as 16-bit samples."""
    return [_LINEAR[byte] for byte in audio]


class _Ear:
    """The two waves that a frequency is correlated with."""

    def __init__(self, hertz: int, samples: int) -> None:
        step = 2 * math.pi * hertz / RATE_HZ
        self.cos = tuple(math.cos(step * i) for i in range(samples))
        self.sin = tuple(math.sin(step * i) for i in range(samples))

    def energy(self, frame: Sequence[int]) -> float:
        """Return the energy that the frequency has in *frame*, in the unit of the sum of squares."""
        real: float = sum(map(mul, frame, self.cos))
        imaginary: float = sum(map(mul, frame, self.sin))
        return 2 * (real * real + imaginary * imaginary) / len(frame)


_EARS = {hertz: _Ear(hertz, _FRAME) for hertz in TONES_HZ}


def tones_in(frame: Sequence[int]) -> frozenset[int]:
    """Return which phones' tones sound in *frame* of 10 ms (80 samples)."""
    total = sum(map(mul, frame, frame))
    least = max(_LOUD * _LOUD / 2 * len(frame), _SHARE * total)
    if total < least:
        return frozenset()
    return frozenset(hertz for hertz, ear in _EARS.items() if ear.energy(frame) >= least)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds since the epoch."""

    start: float
    end: float

    @property
    def ms(self) -> float:
        """Its length in milliseconds."""
        return (self.end - self.start) * 1000

    def wider(self, seconds: float) -> "Span":
        """Return it with so many seconds more at either end."""
        return Span(self.start - seconds, self.end + seconds)

    def without(self, others: Sequence["Span"]) -> list["Span"]:
        """Return what is left of it where none of *others* is."""
        left = [self]
        for other in others:
            before = [Span(span.start, min(span.end, other.start)) for span in left]
            after = [Span(max(span.start, other.end), span.end) for span in left]
            left = [part for part in (*before, *after) if part.start < part.end]
        return sorted(left, key=lambda part: part.start)


@dataclass(slots=True)
class Packet:
    """20 ms of u-law and when it came, in seconds since the epoch."""

    at: float
    audio: bytes
    _tones: tuple[frozenset[int], ...] | None = None

    def tones(self) -> tuple[frozenset[int], ...]:
        """Return the phones' tones in each of its frames of 10 ms."""
        if self._tones is None:
            samples = decode(self.audio)
            self._tones = tuple(tones_in(samples[i : i + _FRAME]) for i in range(0, len(samples) - _FRAME + 1, _FRAME))
        return self._tones


class Hearing:
    """All that came to a phone in one call. It grows while the call lasts.

    A packet counts as heard from the moment it came, for its 20 ms. Times are the kernel's, so a busy reader
    does not blur them; what was never sent is silence.
    """

    def __init__(self) -> None:
        self.packets: list[Packet] = []

    def now(self, now: float, window_ms: float = 200.0) -> frozenset[int]:
        """Return the tones that sounded all through the last *window_ms* (with one frame in four missing at most).

        A silent or mixed time has none or several of them; see `quiet`.
        """
        counts: dict[int, int] = {}
        for packet in self._since(now - window_ms / 1000):
            for tones in packet.tones():
                for hertz in tones:
                    counts[hertz] = counts.get(hertz, 0) + 1
        return frozenset(hertz for hertz, count in counts.items() if count * FRAME_MS >= 0.75 * window_ms)

    def traces(self, now: float, window_ms: float = 200.0) -> frozenset[int]:
        """Return the tones that sounded at all in the last *window_ms*."""
        return frozenset(
            hertz for packet in self._since(now - window_ms / 1000) for tones in packet.tones() for hertz in tones
        )

    def sounds(self, now: float, window_ms: float = 200.0) -> frozenset[str]:
        """Return the names in SOUNDS_HZ that sounded all through the last *window_ms*."""
        samples = [sample for packet in self._since(now - window_ms / 1000) for sample in decode(packet.audio)]
        if len(samples) < 0.75 * window_ms * RATE_HZ / 1000:
            return frozenset()
        total = sum(map(mul, samples, samples))
        if total < _LOUD * _LOUD / 2 * len(samples):
            return frozenset()
        heard = {
            hertz: _Ear(hertz, len(samples)).energy(samples) >= _SHARE * total
            for hertz in {hertz for row in SOUNDS_HZ.values() for hertz in row}
        }
        return frozenset(name for name, row in SOUNDS_HZ.items() if all(heard[hertz] for hertz in row))

    def spans(self, hertz: int, since: float = 0.0, until: float = math.inf, hole_ms: float = HOLE_MS) -> list[Span]:
        """Return when the tone was heard; stretches less than *hole_ms* apart are one."""
        found: list[Span] = []
        for packet in self._since(since):
            if packet.at >= until:
                break
            for index, tones in enumerate(packet.tones()):
                if hertz not in tones:
                    continue
                start = packet.at + index * FRAME_MS / 1000
                end = start + FRAME_MS / 1000
                if found and start - found[-1].end < hole_ms / 1000:
                    found[-1] = Span(found[-1].start, max(end, found[-1].end))
                else:
                    found.append(Span(start, end))
        return found

    def holes(self, hertz: int, since: float = 0.0, until: float = math.inf, hole_ms: float = HOLE_MS) -> list[Span]:
        """Return when the tone was away between two times that it was heard.

        What comes at most LATE_MS late is not away: after a machine stood still all of it comes at once.
        """
        spans = self.spans(hertz, since, until, hole_ms)
        away = [Span(one.end, other.start) for one, other in pairwise(spans)]
        return [hole for hole in away if self._lost_ms(hertz, hole) >= hole_ms]

    def gap_ms(self, before: int, after: int, since: float = 0.0) -> float | None:
        """Return how long neither was heard when tone *after* followed on tone *before*; None when it did not.

        Negative: so long were both heard. It is the time from the last packet of the one to the first of
        the other, the first time that *after* began for at least 60 ms, after *since* and after *before* was heard.
        """
        earlier = self.spans(before)
        for span in self.spans(after):
            ends = [other.end for other in earlier if other.start < span.start]
            if span.start >= since and ends and self._audio_ms(after, span) >= 60:
                return (span.start - ends[-1]) * 1000
        return None

    def _lost_ms(self, hertz: int, hole: Span) -> float:
        """Return how much of the tone has come neither in its place nor late."""
        lost, came = hole.ms, 0
        for packet in self._since(hole.end):
            if packet.at > hole.end + LATE_MS / 1000:
                break
            came += FRAME_MS * sum(hertz in tones for tones in packet.tones())
            lost = min(lost, (packet.at - hole.start) * 1000 + PACKET_MS - came)
        return lost

    def _audio_ms(self, hertz: int, span: Span) -> int:
        """Return how much of the tone came within *span*: more than its length when packets came in bursts."""
        return FRAME_MS * sum(
            hertz in tones for packet in self._since(span.start) if packet.at < span.end for tones in packet.tones()
        )

    def linear(self) -> bytes:
        """Return everything as 16-bit little-endian samples at 8 kHz, with silence where nothing came."""
        if not self.packets:
            return b""
        first = self.packets[0].at
        samples: list[int] = []
        for packet in self.packets:
            place = round((packet.at - first) * RATE_HZ)
            if place - len(samples) > RATE_HZ * HOLE_MS / 1000:
                samples += [0] * (place - len(samples))
            samples += decode(packet.audio)
        return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)

    def _since(self, since: float) -> list[Packet]:
        packets = self.packets
        return packets[bisect_left(packets, since - PACKET_MS / 1000, key=lambda packet: packet.at) :]
