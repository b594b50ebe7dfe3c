"""Names a process so that no other is taken for it, and ends it. It starts none."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process: its pid and its start time in clock ticks since the boot (proc(5), field 22)."""

    pid: int
    started: int

    def is_alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return start_time(self.pid) == self.started

    def is_running(self, argument: str) -> bool:
        """Whether this very process runs, is the caller's own, and was started with *argument*."""
        proc = Path(f"/proc/{self.pid}")
        try:
            uid = re.search(r"^Uid:\t(\d+)", (proc / "status").read_text(), re.MULTILINE)
            arguments = (proc / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        mine = uid is not None and int(uid[1]) == os.getuid()
        return mine and os.fsencode(argument) in arguments and self.is_alive()

    def signal(self, number: int) -> None:
        """Send it a signal, if it still is what it was."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start_time(pid: int) -> int | None:
    """Return the start time of process *pid* in clock ticks, None when there is none or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in parentheses, which may hold blanks and parentheses.
    after_name = stat.rpartition(")")[2].split()
    return None if after_name[0] in {"Z", "X"} else int(after_name[19])


def identify(pid: int) -> ProcessId:
    """Return the process *pid*; ProcessLookupError when there is none."""
    started = start_time(pid)
    if started is None:
        raise ProcessLookupError(pid)
    return ProcessId(pid, started)


def end(processes: Iterable[ProcessId], patience_s: float = 5.0) -> None:
    """Ask the processes to end, wait up to *patience_s*, then kill what is left. Blocks."""
    left = list(processes)
    for number, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 2.0)):
        for process in left:
            process.signal(number)
        deadline = time.monotonic() + wait_s
        while (left := [process for process in left if process.is_alive()]) and time.monotonic() < deadline:
            time.sleep(0.02)
