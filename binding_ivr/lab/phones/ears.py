"""The ears and voices of a lab's phones: one UDP socket that speaks RTP, with a thread that keeps its time.

It hears only what the phone network sends it, and knows nothing of calls: a line is a port of the phone network.
"""

import contextlib
import secrets
import struct
import threading
import time

from binding_ivr.lab.phones.hearing import PACKET_MS, RATE_HZ, Hearing, Packet, Span
from binding_ivr.lab.phones.relay import receive, udp_socket, ulaw_of

_ULAW = 0  # RTP payload type (RFC 3551)
_STRAY_S = 1.0
_LATE_S = 0.035


class Line:
    """One call's audio: what it hears, and the packet of 20 ms that it says over and over (None: nothing)."""

    def __init__(self, hearing: Hearing, voice: bytes | None) -> None:
        self.hearing = hearing
        self.voice = voice
        self.source = secrets.randbits(32)
        self.sequence = secrets.randbits(15)
        self.stamp = secrets.randbits(31)
        self.late: list[Span] = []
        """When the machine was too busy to say anything in time."""
        self._said_at = 0.0

    def rtp(self, now: float) -> bytes | None:
        """Return the next packet (RFC 3550), None in a silence. *now* is in seconds since the epoch."""
        if self._said_at and now - self._said_at > _LATE_S:
            self.late.append(Span(self._said_at + PACKET_MS / 1000, now))
        self._said_at = now
        self.sequence = self.sequence + 1 & 0xFFFF
        self.stamp = self.stamp + RATE_HZ * PACKET_MS // 1000 & 0xFFFFFFFF
        if self.voice is None:
            return None
        return struct.pack("!BBHII", 0x80, _ULAW, self.sequence, self.stamp, self.source) + self.voice


class Ears:
    """All lines of one lab. The thread lives from `start` to `stop`."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._socket = udp_socket(address)
        self._peer = address
        self._lines: dict[int, Line] = {}
        self._strays: dict[int, list[Packet]] = {}
        self._lock = threading.Lock()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="lab-ears", daemon=True)

    @property
    def address(self) -> str:
        """Host and port that the phone network sends to."""
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def start(self) -> None:
        """Begin to hear and to sound."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; harmless when done twice."""
        self._ending = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def open(self, port: int, hearing: Hearing, voice: bytes | None) -> Line:
        """Let what comes from *port* be heard, and say *voice* to it."""
        line = Line(hearing, voice)
        with self._lock:
            fresh = time.time() - _STRAY_S
            hearing.packets += [packet for packet in self._strays.pop(port, []) if packet.at > fresh]
            self._lines[port] = line
        return line

    def close(self, port: int) -> None:
        """Neither hear nor say anything on *port* any more."""
        with self._lock:
            self._lines.pop(port, None)

    def _run(self) -> None:
        tick = time.monotonic()
        while not self._ending:
            wait = tick - time.monotonic()
            if wait <= 0:
                self._say()
                # After a standstill of the machine nobody wants to hear what was not said.
                tick = max(tick + PACKET_MS / 1000, time.monotonic() - 0.2)
                continue
            self._socket.settimeout(wait)
            with contextlib.suppress(TimeoutError, ConnectionError):
                self._hear()

    def _say(self) -> None:
        now = time.time()
        with self._lock:
            packets = [(port, line.rtp(now)) for port, line in self._lines.items()]
        for port, packet in packets:
            if packet is not None:
                # A phone that has just hung up refuses it.
                with contextlib.suppress(OSError):
                    self._socket.sendto(packet, (self._peer, port))

    def _hear(self) -> None:
        data, source, at = receive(self._socket)
        if (audio := ulaw_of(data)) is None:
            return
        packet = Packet(at, audio)
        with self._lock:
            line = self._lines.get(source[1])
            if line is not None:
                line.hearing.packets.append(packet)
            else:
                self._strays.setdefault(source[1], []).append(packet)
                if len(self._strays[source[1]]) > 50:
                    del self._strays[source[1]][:25]
