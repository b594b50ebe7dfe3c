"""Opens folders and files that only the caller can have written, and refuses all others. It follows no link."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from binding_ivr.lab.errors import LabError

ROOT = 0
_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe in its place must not hold us


@contextlib.contextmanager
def opened(folder: Path, *, or_roots: bool = False) -> Iterator[int]:
    """Open *folder* for the time of the context: no renaming leads what is done by the handle elsewhere.

    With *or_roots* a folder of root's is as good as one's own. Raises FileNotFoundError when there is none, and
    LabError when it is a link, or belongs to another user, or others can write in it.
    """
    try:
        handle = os.open(folder, _FOLDER)
    except FileNotFoundError:
        raise
    except OSError:
        raise _refusal(folder) from None
    try:
        if not _is_own(os.fstat(handle), or_roots):
            raise _refusal(folder)
        yield handle
    finally:
        os.close(handle)


def check(folder: Path, *, or_roots: bool = False) -> None:
    """Raise LabError unless *folder* is one's own; see `opened`."""
    with opened(folder, or_roots=or_roots):
        pass


def read(handle: int, name: str) -> bytes:
    """Return what the file *name* in the open folder holds. OSError when it cannot be read or is not one's own."""
    with open(os.open(name, _FILE, dir_fd=handle), "rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode) or not _is_own(info):
            raise PermissionError(f"{name} may have been written by others")
        return file.read()


def remove(folder: Path, handle: int) -> None:
    """Remove *folder*, which *handle* is open on, with all that is in it. Links in it go, what they name stays."""
    with os.scandir(handle) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.name, ignore_errors=True, dir_fd=handle)
            else:
                os.unlink(entry.name, dir_fd=handle)
    # Whatever the name stands for by now, only an empty folder goes.
    folder.rmdir()


def _is_own(info: os.stat_result, or_roots: bool = False) -> bool:
    owners = {os.geteuid(), ROOT} if or_roots else {os.geteuid()}
    return info.st_uid in owners and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _refusal(folder: Path) -> LabError:
    return LabError(f"others can write in {folder}, or it is a link: choose a folder that is yours alone")
