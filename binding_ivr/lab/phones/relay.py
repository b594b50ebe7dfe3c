"""A relay between the PBX and a softphone that hears what the phone hears. It changes nothing but addresses and ports.

To the PBX it is the phone, to the phone it is the PBX: addresses of one length take each other's place in every SIP
message (RFC 3261), as do the ports of the audio in the SDP, and RTP passes between them. RTCP does not.
"""

import contextlib
import re
import selectors
import socket
import struct
import threading
import time

from binding_ivr.lab.phones.hearing import Hearing, Packet

_TIMESTAMPS = 35  # SO_TIMESTAMPNS (socket(7)), which the module socket does not name
_CALL_ID = re.compile(rb"^(?:Call-ID|i)[ \t]*:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
_AUDIO = re.compile(rb"^m=audio (\d+) ", re.MULTILINE)
_HEADER = 12


def receive(sock: socket.socket) -> tuple[bytes, tuple[str, int], float]:
    """Return a datagram, whence it came, and when the kernel had it, in seconds since the epoch.

    The socket was made by `udp_socket`.
    """
    data, ancillary, _, source = sock.recvmsg(65_536, 64)
    at = time.time()
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMPS:
            seconds, nanoseconds = struct.unpack("@ll", value[: struct.calcsize("@ll")])
            at = seconds + nanoseconds / 1e9
    return data, source, at


def udp_socket(address: str, port: int = 0) -> socket.socket:
    """Return a bound UDP socket whose datagrams carry the time at which the kernel had them."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    made.bind((address, port))
    return made


def ulaw_of(data: bytes) -> bytes | None:
    """Return the audio of an RTP packet with u-law (RFC 3550, RFC 3551: payload type 0), None for any other."""
    if len(data) <= _HEADER or data[0] >> 6 != 2 or data[1] & 0x7F != 0:
        return None
    return data[_HEADER + 4 * (data[0] & 0x0F) :]


class _Call:
    """One call's audio: a socket towards each end, and the end's own port."""

    def __init__(self) -> None:
        self.hearing = Hearing()
        self.to_pbx: socket.socket | None = None
        self.to_phone: socket.socket | None = None
        self.pbx_port = 0
        self.phone_port = 0


class Relay:
    """Stands at *outside* for the phone at *inside* and for the PBX at *pbx*, all with one SIP port."""

    def __init__(self, pbx: str, outside: str, inside: str, sip_port: int) -> None:
        self.outside, self.inside, self.sip_port = outside, inside, sip_port
        self._pbx = pbx
        self._for_phone = {pbx.encode(): outside.encode(), outside.encode(): inside.encode()}
        self._for_pbx = {inside.encode(): outside.encode(), outside.encode(): pbx.encode()}
        # Whole addresses only: 127.1.1.1 is not the beginning of 127.1.1.10.
        names = b"|".join(re.escape(name.encode()) for name in (pbx, outside, inside))
        self._names = re.compile(rb"(?<![\d.])(?:" + names + rb")(?!\d)")
        self._calls: dict[str, _Call] = {}
        self._by_socket: dict[socket.socket, _Call] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._sip = udp_socket(outside, sip_port)
        self._selector.register(self._sip, selectors.EVENT_READ)
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="lab-relay", daemon=True)

    def start(self) -> None:
        """Begin to relay."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; harmless when done twice."""
        self._ending = True
        if self._thread.is_alive():
            self._thread.join()
        for one in (self._sip, *self._by_socket):
            one.close()
        self._selector.close()

    def hearing(self, call_id: str) -> Hearing:
        """Return what the phone hears in the call that it knows by this Call-ID; empty before the first packet."""
        return self._call(call_id).hearing

    def _call(self, call_id: str) -> _Call:
        with self._lock:
            return self._calls.setdefault(call_id, _Call())

    def _run(self) -> None:
        while not self._ending:
            for key, _ in self._selector.select(0.2):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                # What cannot be delivered is lost, as on any network.
                with contextlib.suppress(OSError):
                    if sock is self._sip:
                        self._message(*receive(sock)[:2])
                    else:
                        self._audio(sock, *receive(sock))

    def _message(self, data: bytes, source: tuple[str, int]) -> None:
        from_phone = source[0] == self.inside
        table = self._for_pbx if from_phone else self._for_phone
        changed = self._names.sub(lambda match: table.get(match[0], match[0]), data)
        # As the phone knows it: the PBX's may hold an address.
        call_id = _CALL_ID.search(data if from_phone else changed)
        if call_id is not None:
            call = self._call(call_id[1].decode())
            changed = _AUDIO.sub(lambda match: b"m=audio %d " % self._port(call, int(match[1]), from_phone), changed)
        self._sip.sendto(changed, (self._pbx if from_phone else self.inside, self.sip_port))

    def _port(self, call: _Call, port: int, from_phone: bool) -> int:
        """Take note of an end's *port* and return the one that the other end shall send to, as long in digits."""
        if call.to_pbx is None or call.to_phone is None:
            call.to_pbx, call.to_phone = self._open(call), self._open(call)
        if from_phone:
            call.phone_port = port
            return int(call.to_pbx.getsockname()[1])
        call.pbx_port = port
        return int(call.to_phone.getsockname()[1])

    def _open(self, call: _Call) -> socket.socket:
        made = udp_socket(self.outside)
        while made.getsockname()[1] < 10_000:
            # Five digits, as all ports of both ends have, so that no message changes its length.
            made.close()
            made = udp_socket(self.outside)
        self._by_socket[made] = call
        self._selector.register(made, selectors.EVENT_READ)
        return made

    def _audio(self, sock: socket.socket, data: bytes, _source: tuple[str, int], at: float) -> None:
        call = self._by_socket[sock]
        if sock is call.to_phone and call.to_pbx is not None:
            call.to_pbx.sendto(data, (self._pbx, call.pbx_port))
        elif call.to_phone is not None:
            if (audio := ulaw_of(data)) is not None:
                call.hearing.packets.append(Packet(at, audio))
            call.to_phone.sendto(data, (self.inside, call.phone_port))
