"""Runs a program that dies with its parent, or one that outlives it. It imports nothing of the package.

`leash.py tie PARENT_PID PROGRAM ARGS...`: the kernel sends the signal when the *thread* that started this
process ends, so start it from a thread that lives as long as the program shall.
`leash.py free PID_FILE PROGRAM ARGS...`: leaves the program to init and its pid in the file.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Tie or free this process, then become the program."""
    mode, where, *program = sys.argv[1:]
    if mode == "tie":
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            sys.exit("prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != int(where):
            sys.exit("the parent is gone")
    elif pid := os.fork():
        Path(where).write_text(str(pid))
        return
    os.execv(program[0], program)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
