"""Runs a program that dies with its parent, or one that outlives it. It imports nothing of the package.

`leash.py tie PARENT_PID PROGRAM ARGS...`: the kernel sends the signal when the *thread* that started this
process ends, so start it from a thread that lives as long as the program shall.
`leash.py free PROGRAM ARGS...`: leaves the program to init and prints its pid; it writes where stderr goes.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Tie or free this process, then become the program."""
    mode, *program = sys.argv[1:]
    if mode == "tie":
        parent = int(program.pop(0))
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            sys.exit("prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent:
            sys.exit("the parent is gone")
    elif pid := os.fork():
        print(pid)
        return
    else:
        os.dup2(2, 1)
    os.execv(program[0], program)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
