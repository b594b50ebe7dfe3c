"""Who is heard when: tones told apart, gaps and holes measured, in audio that is made here."""

import math
from itertools import combinations

import pytest

from binding_ivr.lab.phones.hearing import (
    FRAME_MS,
    RATE_HZ,
    SOUNDS_HZ,
    TONES_HZ,
    Hearing,
    Packet,
    Span,
    decode,
    tone_packet,
    tones_in,
    ulaw_encode,
)

SAMPLES = RATE_HZ * FRAME_MS // 1000
PROGRESS_HZ = (350, 440, 480, 620, 697, 770, 852, 941, 950, 1100, 1209, 1336, 1400, 1477, 1633, 1800, 2100)


def mixed(*tones: int, amplitude: float = 4000.0, samples: int = 160, phase: float = 0.3) -> bytes:
    """One packet in which all *tones* sound at once."""
    return bytes(
        ulaw_encode(round(sum(amplitude * math.sin(2 * math.pi * hertz * i / RATE_HZ + phase) for hertz in tones)))
        for i in range(samples)
    )


def heard(*parts: tuple[float, bytes]) -> Hearing:
    hearing = Hearing()
    hearing.packets += [Packet(at, audio) for at, audio in parts]
    return hearing


def stream(start: float, hertz: int, packets: int) -> list[tuple[float, bytes]]:
    return [(start + i * 0.02, tone_packet(hertz)) for i in range(packets)]


def test_ulaw_is_g711() -> None:
    # Values of ITU-T G.711.
    assert [ulaw_encode(sample) for sample in (0, -1, 1000, -1000, 32_767, -32_768)] == [255, 127, 206, 78, 128, 0]
    for byte in set(range(256)) - {0x7F}:
        assert ulaw_encode(decode(bytes([byte]))[0]) == byte


@pytest.mark.parametrize("hertz", TONES_HZ)
def test_each_tone_is_heard_alone(hertz: int) -> None:
    assert Packet(0.0, tone_packet(hertz)).tones() == (frozenset({hertz}), frozenset({hertz}))
    # At any phase, and quietly too.
    for phase in (0.0, 0.7, 2.1):
        assert tones_in(decode(mixed(hertz, amplitude=600, samples=80, phase=phase))) == {hertz}


def test_two_and_three_at_once_are_told_apart() -> None:
    for pair in combinations(TONES_HZ, 2):
        assert tones_in(decode(mixed(*pair, samples=80))) == set(pair)
    assert tones_in(decode(mixed(*TONES_HZ[:3], samples=80))) == set(TONES_HZ[:3])


def test_keys_and_call_progress_are_nobody() -> None:
    for low, high in combinations(PROGRESS_HZ, 2):
        assert tones_in(decode(mixed(low, high, samples=80))) == frozenset()
    assert tones_in([0] * SAMPLES) == frozenset()
    assert tones_in(decode(mixed(TONES_HZ[0], amplitude=100, samples=80))) == frozenset()


def test_who_is_heard_now() -> None:
    hearing = heard(*stream(100.0, 2200, 50))
    assert hearing.now(101.0) == {2200}
    assert hearing.now(101.5) == frozenset()
    # One packet lost is nothing; a change in the middle is neither.
    del hearing.packets[45]
    assert hearing.now(101.0) == {2200}
    changed = heard(*stream(100.0, 2200, 45), *stream(100.9, 2300, 5))
    assert changed.now(101.0) == frozenset()
    assert changed.traces(101.0) == {2200, 2300}


@pytest.mark.parametrize("name", SOUNDS_HZ)
def test_sounds_of_the_pbx_have_names(name: str) -> None:
    whole = mixed(*SOUNDS_HZ[name], samples=1600)
    hearing = heard(*((100.0 + i * 0.02, whole[160 * i : 160 * i + 160]) for i in range(10)))
    assert hearing.sounds(100.2) == {name}
    assert hearing.now(100.2) == frozenset()


@pytest.mark.parametrize("gap_ms", [-40, 0, 3, 37, 250])
def test_the_gap_of_a_move(gap_ms: int) -> None:
    parts = stream(100.0, 2200, 50) + stream(101.0 + gap_ms / 1000, 2300, 50)
    hearing = heard(*sorted(parts, key=lambda part: part[0]))
    assert hearing.gap_ms(2200, 2300) == pytest.approx(gap_ms, abs=0.01)
    assert hearing.gap_ms(2300, 2200) is None
    assert hearing.gap_ms(2200, 2400) is None


def test_the_gap_of_a_move_on_a_machine_that_stands_still_again_and_again() -> None:
    # Four packets at once every 80 ms: all of the tone comes, and none of its stretches is longer than a packet.
    bursts = [(100.3 + burst * 0.08 + i * 0.0001, tone_packet(2300)) for burst in range(10) for i in range(4)]
    hearing = heard(*stream(100.0, 2200, 10), *bursts)
    assert hearing.now(101.1) == {2300}
    assert hearing.gap_ms(2200, 2300) == pytest.approx(100, abs=0.01)
    two = heard(*stream(100.0, 2200, 10), *stream(100.25, 2300, 2), *stream(100.5, 2300, 3))
    assert two.gap_ms(2200, 2300) == pytest.approx(300, abs=0.01)


def test_a_gap_counts_from_a_moment_on() -> None:
    hearing = heard(*stream(100.0, 2200, 10), *stream(100.25, 2300, 10), *stream(100.5, 2200, 10))
    assert hearing.gap_ms(2300, 2200) == pytest.approx(50, abs=0.01)
    assert hearing.gap_ms(2200, 2300) == pytest.approx(50, abs=0.01)
    assert hearing.gap_ms(2300, 2200, since=100.46) == pytest.approx(50, abs=0.01)
    assert hearing.gap_ms(2200, 2300, since=100.3) is None


def test_holes_and_spans() -> None:
    hearing = heard(*stream(100.0, 2200, 10), *stream(100.3, 2200, 10), *stream(100.53, 2200, 2))
    assert [round(span.ms) for span in hearing.spans(2200)] == [200, 270]
    assert [round(hole.ms) for hole in hearing.holes(2200)] == [100]
    assert [round(hole.ms) for hole in hearing.holes(2200, hole_ms=20)] == [100, 30]


def test_a_span_without_others() -> None:
    span = Span(10.0, 20.0)
    assert span.wider(0.5) == Span(9.5, 20.5)
    assert span.without([]) == [span]
    assert span.without([Span(0, 10), Span(20, 30)]) == [span]
    assert span.without([Span(18, 25), Span(14, 15), Span(12, 13), Span(5, 11)]) == [
        Span(11, 12),
        Span(13, 14),
        Span(15, 18),
    ]
    assert span.without([Span(9, 15), Span(14, 21)]) == []


def test_what_comes_late_is_no_hole() -> None:
    # The machine stands still for 100 ms: what was sent meanwhile comes at once, and then one packet after another.
    before, burst, after = stream(100.0, 2200, 10), [(100.3, tone_packet(2200))] * 6, stream(100.32, 2200, 10)
    assert heard(*before, *burst, *after).holes(2200) == []
    # ... or it stands still again and again, and the last of it comes after 200 ms.
    bursts = [
        (at, tone_packet(2200)) for at, packets in ((100.28, 2), (100.36, 4), (100.42, 6)) for _ in range(packets)
    ]
    assert heard(*before, *bursts, *stream(100.44, 2200, 10)).holes(2200) == []
    lost = heard(*before, *burst[:2], *after)
    assert [round(hole.ms) for hole in lost.holes(2200)] == [100]


def test_what_was_heard_becomes_samples_with_its_silence() -> None:
    hearing = heard(*stream(100.0, 2200, 10), *stream(100.3, 2300, 10))
    samples = memoryview(hearing.linear()).cast("h")
    assert len(samples) == RATE_HZ // 2
    assert not any(samples[1600:2400])
    assert tones_in(list(samples[:SAMPLES])) == {2200}
    assert tones_in(list(samples[2400 : 2400 + SAMPLES])) == {2300}
    assert Hearing().linear() == b""
