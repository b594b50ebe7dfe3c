"""Asks an Asterisk by its control socket, as `asterisk -rx` does, but without a process for each question."""

import asyncio
import os
import socket
from pathlib import Path

SOCKET = "asterisk.ctl"
_PART = 65_536
_AGAIN_S = 0.01


async def ask(run: Path, command: str) -> str:
    """Return what the Asterisk with its socket in *run* prints at *command*; OSError when none listens there."""
    loop = asyncio.get_running_loop()
    said = bytearray()
    folder = os.open(run, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.setblocking(False)
            await _connect(link, f"/proc/self/fd/{folder}/{SOCKET}")  # its whole path may be too long for a socket
            # A command ends with a zero byte; with these words before it Asterisk closes the connection after it.
            await loop.sock_sendall(link, f"cli quit after {command}\0".encode())
            while part := await loop.sock_recv(link, _PART):
                said += part
    finally:
        os.close(folder)
    _greeting, is_there, lines = said.partition(b"\n")
    if not is_there:
        raise ConnectionResetError("it ended before it said who it is")
    # A line that is for verbose consoles alone begins with a byte that says how verbose; no other one does.
    answer = b"".join(line for line in lines.splitlines(keepends=True) if line[0] < 0x80)
    return answer.decode(errors="replace")


async def _connect(link: socket.socket, path: str) -> None:
    """Connect at once, or as soon as one of the few who may wait there has gone."""
    while True:
        try:
            return link.connect(path)
        except BlockingIOError:
            await asyncio.sleep(_AGAIN_S)
