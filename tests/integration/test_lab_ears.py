"""The ears and voices of the lab's phones, spoken to over a real socket as the phone network does."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from binding_ivr.lab.phones.ears import Ears
from binding_ivr.lab.phones.hearing import Hearing, Packet, tone_packet
from binding_ivr.lab.phones.relay import Relay
from tests.patience import SLOW


@pytest.fixture
def ears() -> Iterator[Ears]:
    made = Ears()
    made.start()
    yield made
    made.stop()
    made.stop()


class Network:
    """A line of the phone network: an RTP socket."""

    def __init__(self, ears: Ears) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        host, port = ears.address.split(":")
        self.ears = (host, int(port))
        self.sequence = 0

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def say(self, audio: bytes, kind: int = 0) -> None:
        self.sequence += 1
        header = struct.pack("!BBHII", 0x80, kind, self.sequence, self.sequence * 160, 7)
        self.socket.sendto(header + audio, self.ears)

    def read(self) -> list[bytes]:
        found: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.socket.recv(2048))
        return found


@pytest.fixture
def network(ears: Ears) -> Iterator[Network]:
    made = Network(ears)
    yield made
    made.socket.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10 * SLOW):
        while not condition():
            await asyncio.sleep(0.005)


async def test_it_hears_with_the_kernels_clock_and_speaks_in_time(ears: Ears, network: Network) -> None:
    hearing = Hearing()
    before = time.time()
    line = ears.open(network.port, hearing, tone_packet(2200))
    network.say(tone_packet(2300))
    network.say(b"\x05\x0a\x00\xa0", kind=101)  # a key is no sound
    network.say(tone_packet(2400))
    await until(lambda: len(hearing.packets) == 2)
    assert [packet.tones()[0] for packet in hearing.packets] == [{2300}, {2400}]
    assert all(before <= packet.at <= time.time() for packet in hearing.packets)
    said: list[bytes] = []

    def ten_said() -> bool:
        said.extend(network.read())
        return len(said) >= 10

    await until(ten_said)
    assert {Packet(0.0, packet[12:]).tones()[0] for packet in said} == {frozenset({2200})}
    stamps = [struct.unpack("!HI", packet[2:8]) for packet in said]
    assert all(
        (other[0] - one[0] & 0xFFFF, other[1] - one[1] & 0xFFFFFFFF) == (1, 160) for one, other in pairwise(stamps)
    )
    line.voice = None
    network.read()
    await until(lambda: line.rtp(time.time()) is None)


async def test_what_comes_before_the_line_is_known_is_not_lost(ears: Ears, network: Network) -> None:
    other, elsewhere = Hearing(), Network(ears)
    ears.open(elsewhere.port, other, None)
    network.say(tone_packet(2300))
    elsewhere.say(tone_packet(2400))
    # Packets are heard in the order in which they come, so the first has been heard as well.
    await until(lambda: other.packets)
    hearing = Hearing()
    ears.open(network.port, hearing, None)
    assert [packet.tones()[0] for packet in hearing.packets] == [{2300}]
    ears.close(network.port)
    network.say(tone_packet(2500))
    elsewhere.say(tone_packet(2400))
    await until(lambda: len(other.packets) == 2)
    assert len(hearing.packets) == 1
    elsewhere.socket.close()


OFFER = (
    "INVITE sip:1005@127.9.9.7:{sip} SIP/2.0\r\nVia: SIP/2.0/UDP 127.9.9.1:{sip}\r\nCall-ID: one@127.9.9.1\r\n"
    "Contact: <sip:127.9.9.1:{sip}>\r\n\r\nv=0\r\no=- 1 1 IN IP4 127.9.9.1\r\nc=IN IP4 127.9.9.1\r\n"
    "m=audio {port} RTP/AVP 0\r\n"
)
ANSWER = (
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.9.9.7:{sip}\r\ni: one@127.9.9.7\r\n"
    "Contact: <sip:1005@127.9.9.8:{sip}>\r\nX: 127.9.9.80 1127.9.9.8\r\n\r\n"
    "c=IN IP4 127.9.9.8\r\nm=audio {port} RTP/AVP 0\r\n"
)


def bound(address: str, port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(5)
    while True:
        made.bind((address, port))
        if made.getsockname()[1] >= 10_000 or port:
            return made
        made.close()
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def audio_port(message: bytes) -> int:
    return int(message.split(b"m=audio ")[1].split(b" ")[0])


def test_the_relay_is_the_phone_to_the_pbx_and_the_pbx_to_the_phone() -> None:
    pbx = bound("127.9.9.1")
    sip = pbx.getsockname()[1]
    phone = bound("127.9.9.8", sip)
    pbx_rtp, phone_rtp = bound("127.9.9.1"), bound("127.9.9.8")
    relay = Relay("127.9.9.1", "127.9.9.7", "127.9.9.8", sip)
    relay.start()
    try:
        offer = OFFER.format(sip=sip, port=pbx_rtp.getsockname()[1]).encode()
        pbx.sendto(offer, ("127.9.9.7", sip))
        got, source = phone.recvfrom(4096)
        assert source == ("127.9.9.7", sip)
        assert len(got) == len(offer)
        to_pbx = audio_port(got)
        assert b"Via: SIP/2.0/UDP 127.9.9.7:" in got
        assert b"INVITE sip:1005@127.9.9.8:" in got
        assert b"127.9.9.1" not in got
        answer = ANSWER.format(sip=sip, port=phone_rtp.getsockname()[1]).encode()
        phone.sendto(answer, ("127.9.9.7", sip))
        got, _ = pbx.recvfrom(4096)
        to_phone = audio_port(got)
        # Only whole addresses are changed, and the Call-ID is the PBX's own again.
        assert b"X: 127.9.9.80 1127.9.9.8\r\n" in got
        assert b"i: one@127.9.9.1\r\n" in got
        assert b"Contact: <sip:1005@127.9.9.7:" in got
        assert len(got) == len(answer)
        packet = struct.pack("!BBHII", 0x80, 0, 1, 160, 7) + tone_packet(2300)
        pbx_rtp.sendto(packet, ("127.9.9.7", to_phone))
        assert phone_rtp.recv(4096) == packet
        phone_rtp.sendto(packet, ("127.9.9.7", to_pbx))
        assert pbx_rtp.recv(4096) == packet
        heard = relay.hearing("one@127.9.9.7").packets
        assert [packet.tones()[0] for packet in heard] == [{2300}]
    finally:
        relay.stop()
        relay.stop()
        for one in (pbx, phone, pbx_rtp, phone_rtp):
            one.close()
