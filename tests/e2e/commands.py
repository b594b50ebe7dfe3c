"""Runs `binding-ivr` commands as processes of their own, forked from one that has imported the package already.

A command spends nine tenths of its time on its imports, and the tests run hundreds of them. What such a process cannot
show, that a command finds its imports and is quick, tests/unit/test_cli.py and test_wheel.py show with new processes.
"""

import asyncio
import contextlib
import gc
import json
import os
import pkgutil
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module

import binding_ivr
from binding_ivr.cli import main

LARGEST = 262_144
"""Bytes of an order at the most: its words and its environment."""


@dataclass
class Commands:
    """The process that the commands are forked from. It is started with the first one, and ends with its orders."""

    link: socket.socket | None = None
    process: asyncio.subprocess.Process | None = None
    started: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, *words: str, environ: Mapping[str, str]) -> tuple[int, str, str]:
        """Run a command with that environment; return exit status, output and errors. Canceled, it is killed."""
        async with self.started:
            if self.link is None:
                self.link = await self._start()
        theirs, ours = [], []
        for reading, writing in (os.pipe() for _ in range(3)):
            ours.append(reading)
            theirs.append(writing)
        readers = [await _reader(end) for end in ours]
        order = json.dumps({"words": words, "environ": dict(environ)}).encode()
        try:
            socket.send_fds(self.link, [order], theirs)
        finally:
            for end in theirs:
                os.close(end)
        out, err, told = readers
        pid = int(await told.readline())
        try:
            outs = [part.decode() for part in await asyncio.gather(out.read(), err.read())]
            return int(await told.readline()), outs[0], outs[1]
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise

    async def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", __spec__.name, str(theirs.fileno()), pass_fds=[theirs.fileno()]
            )
        return ours

    async def stop(self) -> None:
        """End the process, if it was started."""
        if self.link is not None and self.process is not None:
            self.link.close()
            await self.process.wait()


async def _reader(end: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(end, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


# --- in the process that forks


def take_orders(link: socket.socket) -> int | None:
    """Fork for each order until whoever gives them is gone. Returns in each command's process, with its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        order, ends, _, _ = socket.recv_fds(link, LARGEST, 3)
        if not order:
            return None
        if os.fork() == 0:
            link.close()
            return _watched(json.loads(order), *ends)
        for end in ends:
            os.close(end)


def _watched(order: dict[str, Mapping[str, str]], out: int, err: int, told: int) -> int:
    """Run the command in a child of this process, which tells its id and its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if child := os.fork():
        os.close(out)
        os.close(err)
        os.write(told, f"{child}\n".encode())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(told, f"{status}\n".encode())
        os._exit(0)
    os.close(told)
    for end, standard in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(end, standard)
        os.close(end)
    os.environ.clear()
    os.environ.update(order["environ"])
    sys.argv[1:] = order["words"]
    return main()


def import_all() -> None:
    """Import every module of the package, but those that are programs."""
    for module in pkgutil.walk_packages(binding_ivr.__path__, f"{binding_ivr.__name__}."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


if __name__ == "__main__":
    import_all()
    gc.collect()
    gc.freeze()  # the children's collections would copy every page
    sys.exit(take_orders(socket.socket(fileno=int(sys.argv[1]))))
