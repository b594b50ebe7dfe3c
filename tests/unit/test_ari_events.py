"""Decoding of recorded and hostile ARI frames, and what a call hears of them."""

import contextlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.asterisk.ari.events import (
    AriEvent,
    Channel,
    Line,
    UndecodableError,
    decode_channels,
    decode_event,
)
from binding_ivr.call.events import Answered, Ended, Event, HangupNoticed, Ringing

RECORDED = (Path(__file__).parent / "data" / "ari_events.jsonl").read_bytes().splitlines()
CALL = "binding_ivr.{0}{0}{0}{0}{0}{0}{0}{0}-{0}{0}{0}{0}-4{0}{0}{0}-8{0}{0}{0}-{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}.0"


def heard(channel_id: str) -> list[Event]:
    """What the sink of *channel_id* gets from the recording (Asterisk 22.10.1)."""
    events: list[Event] = []
    line = Line(events.append)
    for frame in RECORDED:
        event = decode_event(frame)
        if event is not None and event.channel_id == channel_id:
            events.extend(line.translate(event))
    return events


def test_every_recorded_frame_decodes_to_its_own_type_or_to_nothing() -> None:
    kinds = set()
    for frame in RECORDED:
        event = decode_event(frame)
        if event is not None:
            assert event.type == msgspec.json.decode(frame)["type"]
            kinds.add(event.type)
    assert kinds == {
        "Dial",
        "ChannelStateChange",
        "StasisStart",
        "ChannelHangupRequest",
        "ChannelDestroyed",
        "ApplicationReplaced",
    }


def test_a_busy_number_ends_without_a_notice_of_hangup() -> None:
    assert heard(CALL.format(1)) == [Ended(17, 486)]


def test_a_ring_timeout_rings_once_and_ends() -> None:
    assert heard(CALL.format(2)) == [Ringing(), Ended(19, 480)]


def test_early_media_counts_as_ringing_and_cause_0_is_unknown() -> None:
    assert heard(CALL.format(3)) == [Ringing(), Answered(), Ended(None, None)]


def test_a_hangup_of_the_far_end_is_noticed_before_the_end() -> None:
    assert heard(CALL.format(4)) == [Answered(), HangupNoticed(), Ended(16, None)]


def test_repeated_and_late_events_are_told_once() -> None:
    line = Line(lambda _event: None)
    start = AriEvent("StasisStart", channel=Channel("a.1"))
    ring = AriEvent("Dial", peer=Channel("a.1"), dialstatus="RINGING")
    end = AriEvent("ChannelDestroyed", channel=Channel("a.1"), cause=16)
    told = [line.translate(event) for event in (start, start, ring, end, end, start, ring)]
    assert told == [(Answered(),), (), (), (Ended(16),), (), (), ()]


def test_a_callee_who_hangs_up_before_the_application_has_the_channel_is_noticed() -> None:
    # Seen on Asterisk 22.10.1, one call in thirty: the request overtakes StasisStart, and even the state Up.
    line = Line(lambda _event: None)
    request = AriEvent("ChannelHangupRequest", channel=Channel("a.1"), cause=16)
    start = AriEvent("StasisStart", channel=Channel("a.1"))
    end = AriEvent("ChannelDestroyed", channel=Channel("a.1"), cause=16)
    told = [line.translate(event) for event in (request, start, request, end)]
    assert told == [(), (Answered(), HangupNoticed()), (), (Ended(16),)]


def test_dtmf_events_are_never_used() -> None:
    frames = [frame for frame in RECORDED if b"ChannelDtmfReceived" in frame]
    assert frames
    assert [decode_event(frame) for frame in frames] == [None] * len(frames)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"type":7}',
        b'{"type":"Dial","peer":3}',
        b"\xff\xfe",
        b'{"type":"Dial"',
        b"[" * 9999,
    ],
)
def test_garbage_raises_the_one_error(frame: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode_event(frame)
    with pytest.raises(UndecodableError):
        decode_channels(frame.replace(b"[]", b"[1]"))


def test_a_foreign_shape_under_an_unused_type_is_ignored() -> None:
    assert decode_event(b'{"type":"PeerStatusChange","peer":{"peer_status":"Reachable"},"channel":5}') is None


def test_events_about_no_channel_have_no_channel_id() -> None:
    event = decode_event(b'{"type":"Dial","channel":{"id":"x"}}')
    assert event is not None
    assert event.channel_id == ""


@given(
    st.one_of(
        st.binary(), st.text(), st.sampled_from(RECORDED).flatmap(lambda f: st.integers(0, len(f)).map(lambda n: f[:n]))
    )
)
def test_any_frame_decodes_or_raises_the_one_error(frame: bytes | str) -> None:
    with contextlib.suppress(UndecodableError):
        decode_event(frame)
