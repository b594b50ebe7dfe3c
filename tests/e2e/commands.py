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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, BinaryIO

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
        (out, out_end), (err, err_end) = await _pipe(), await _pipe()
        process = await self._fork(words, environ, out_end, err_end)
        try:
            said, complaints = await asyncio.gather(out.read(), err.read())
            return await process.wait(), said.decode(), complaints.decode()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise

    async def start(self, words: Sequence[str], out: BinaryIO, environ: Mapping[str, str]) -> "Forked":
        """Start a command in a session of its own; all that it says goes into the file *out*."""
        ends = os.dup(out.fileno()), os.dup(out.fileno())
        return await self._fork(words, environ, *ends, session=True)

    async def _fork(
        self, words: Sequence[str], environ: Mapping[str, str], out: int, err: int, *, session: bool = False
    ) -> "Forked":
        async with self.started:
            if self.link is None:
                self.link = await self._start()
        told, end = await _pipe()
        order = json.dumps({"words": words, "environ": dict(environ), "session": session}).encode()
        try:
            socket.send_fds(self.link, [order], [out, err, end])
        finally:
            for each in (out, err, end):
                os.close(each)
        return Forked(int(await told.readline()), told)

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


class Forked:
    """A command's process, as `asyncio.subprocess.Process` is one."""

    def __init__(self, pid: int, told: asyncio.StreamReader) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._told = told
        self._ended = asyncio.create_task(self._end(), name=f"forked-{pid}")

    async def _end(self) -> int:
        self.returncode = int(await self._told.readline())
        return self.returncode

    async def wait(self) -> int:
        """Wait for its end; return its exit status, that of a signal as a negative number."""
        return await asyncio.shield(self._ended)

    def send_signal(self, signal: int) -> None:
        """Send it a signal. Raises ProcessLookupError when it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, signal)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self.send_signal(signal.SIGKILL)


async def _pipe() -> tuple[asyncio.StreamReader, int]:
    """Return what is read from a new pipe, and its other end."""
    reading, writing = os.pipe()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(reading, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader, writing


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


def _watched(order: dict[str, Any], out: int, err: int, told: int) -> int:
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
    if order["session"]:
        os.setsid()
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
