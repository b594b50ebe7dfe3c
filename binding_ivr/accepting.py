"""How many connections a listener takes in one turn of the event loop, and how many wait for it. It accepts none."""

import asyncio
import os
import socket

AT_ONCE = 32
"""For asyncio's *backlog*: so many are taken in a turn, and between two turns others are served. By default it would be
as many as may wait, and a crowd that connects again and again would hold up every call."""


def let_wait(server: asyncio.Server, most: int) -> None:
    """Let *most* connections wait for *server*, which listens: asyncio lets only as many wait as it takes at once."""
    for each in server.sockets:
        with socket.socket(fileno=os.dup(each.fileno())) as same:
            same.listen(most)
