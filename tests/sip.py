"""What a phone without manners sends to the PBX of a lab. It holds no tests."""

import asyncio
import secrets
import socket
from collections.abc import Sequence

from binding_ivr.lab import Lab
from tests.patience import SLOW

DROPPED = 0


async def register(lab: Lab, extension: str, *contacts: str) -> int:
    """Register *extension* at these places and nowhere else (RFC 3261, section 10); return the SIP status.

    It is DROPPED when the registrar did not even answer: what was sent after it was answered, in order.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sip:
        sip.setblocking(False)
        sip.bind((f"{lab.plan.block}.10", 0))
        call, tag = secrets.token_hex(8), secrets.token_hex(4)
        requests: list[tuple[Sequence[str], int]] = [(["*"], 0), ([f"<{place}>" for place in contacts], 300), ([], 300)]
        for number, (places, expires_s) in enumerate(requests, 1):
            host, port = sip.getsockname()
            lines = [
                f"REGISTER sip:{lab.plan.pbx} SIP/2.0",
                f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{secrets.token_hex(8)}",
                "Max-Forwards: 70",
                f"From: <sip:{extension}@{lab.plan.pbx}>;tag={tag}",
                f"To: <sip:{extension}@{lab.plan.pbx}>",
                f"Call-ID: {call}",
                f"CSeq: {number} REGISTER",
                *(f"Contact: {place}" for place in places),
                f"Expires: {expires_s}",
                "Content-Length: 0",
            ]
            await loop.sock_sendto(sip, "\r\n".join([*lines, "", ""]).encode(), (lab.plan.pbx, lab.plan.sip_port))
        statuses: dict[int, int] = {}
        async with asyncio.timeout(10 * SLOW):
            while len(requests) not in statuses:
                reply = (await loop.sock_recv(sip, 65_536)).decode()
                number = int(reply.split("CSeq: ")[1].split()[0])
                statuses[number] = int(reply.split()[1])
    return statuses.get(2, DROPPED)


def endpoint(extension: str) -> str:
    """Return the sections of pjsip.conf that let anybody register *extension*, who knows its name."""
    return f"""
[{extension}]
type = endpoint
context = from-desks
disallow = all
allow = ulaw
aors = {extension}

[{extension}]
type = aor
max_contacts = 5
"""
