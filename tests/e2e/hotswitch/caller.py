"""A carrier's end of a trunk that may say anything in its headers: one INVITE, its answer, and the end of the call.

RFC 3261 as far as that needs it, from an address that the lab's PBX knows as its endpoint `signed`.
"""

import asyncio
import re
import secrets
from types import TracebackType
from typing import Self

from binding_ivr.lab import Lab
from tests.patience import SLOW

TIMEOUT_S = 10.0


class Caller(asyncio.DatagramProtocol):
    """Use it as `async with Caller(lab)`."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._address = f"{lab.plan.block}.9"
        self._pbx = (lab.plan.pbx, lab.plan.sip_port)
        self._replies: asyncio.Queue[str] = asyncio.Queue()
        self._dialog: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self._address, 0))
        self._port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._dialog:
            self._send("BYE", 2, self._dialog)
        self._transport.close()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Keep answers; say yes to whatever the PBX asks (BYE, UPDATE)."""
        text = data.decode(errors="replace")
        if text.startswith("SIP/2.0"):
            self._replies.put_nowait(text)
        elif not text.startswith("ACK"):
            kept = re.findall(r"^(?:Via|From|To|Call-ID|CSeq):.*\r\n", text, re.MULTILINE | re.IGNORECASE)
            self._transport.sendto(f"SIP/2.0 200 OK\r\n{''.join(kept)}Content-Length: 0\r\n\r\n".encode(), self._pbx)
            if text.startswith("BYE"):
                self._dialog = {}

    async def call(self, to: str, number: str, *headers: str) -> int:
        """Call *to* as *number* (`+` and digits) with more *headers*; return the final SIP status."""
        dialog = {
            "to": f"<sip:{to}@{self._pbx[0]}>",
            "from": f"<sip:{number}@{self._address}>;tag={secrets.token_hex(6)}",
            "id": secrets.token_hex(12),
            "uri": f"sip:{to}@{self._pbx[0]}:{self._pbx[1]}",
        }
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {self._address}\r\ns=-\r\nc=IN IP4 {self._address}\r\nt=0 0\r\n"
            "m=audio 30000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )
        self._send("INVITE", 1, dialog, *headers, "Content-Type: application/sdp", body=sdp)
        async with asyncio.timeout(TIMEOUT_S * SLOW):
            while True:
                reply = await self._replies.get()
                status = int(reply.split()[1])
                if status >= 200 and "INVITE" in reply:
                    break
        dialog["to"] = re.search(r"^To: *(.*)\r", reply, re.MULTILINE | re.IGNORECASE)[1]  # type: ignore[index]
        self._send("ACK", 1, dialog)
        if status == 200:
            self._dialog = dialog
        return status

    def _send(self, method: str, number: int, dialog: dict[str, str], *headers: str, body: str = "") -> None:
        lines = [
            f"{method} {dialog['uri']} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._address}:{self._port};branch=z9hG4bK{secrets.token_hex(8)}",
            "Max-Forwards: 70",
            f"From: {dialog['from']}",
            f"To: {dialog['to']}",
            f"Call-ID: {dialog['id']}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:{self._address}:{self._port}>",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        self._transport.sendto("\r\n".join([*lines, "", body]).encode(), self._pbx)
