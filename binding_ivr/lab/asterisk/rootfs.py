"""Makes Debian root folders that hold Asterisk or a softphone, once, and keeps them. It runs nothing from them."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from binding_ivr.lab import own
from binding_ivr.lab.asterisk import apt
from binding_ivr.lab.errors import LabError

_BUILD_TIMEOUT_S = 1200
_LOADERS = ("usr/lib/*/ld-linux*.so.*", "lib/*/ld-linux*.so.*")
_LIBRARIES = ("usr/lib/{}", "lib/{}", "usr/lib")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a root folder is made of."""

    name: str
    """The folder's name in the cache. Its number is raised when the recipe changes, so that no older one is taken."""
    suite: str
    packages: tuple[str, ...]
    instead: str
    """What to install by hand where none can be made."""


_ASTERISK = ("asterisk", "asterisk-core-sounds-en-wav", "odbc-postgresql")
ASTERISK = Recipe("rootfs-forky-3", "forky", _ASTERISK, "the package asterisk (18 or newer)")
OLD_ASTERISK = Recipe("rootfs-bullseye-1", "bullseye", _ASTERISK, "a Debian mirror that still has bullseye")
"""Asterisk 16.28, the oldest that the dialplan is tried on."""
SOFTPHONE = Recipe("rootfs-baresip-1", "forky", ("baresip-core",), "the package baresip-core (1.1 or newer)")


def cache_folder() -> Path:
    """Return where binding_ivr keeps what can be made again."""
    if path := os.environ.get("BINDING_IVR_CACHE"):
        return Path(path)
    if path := os.environ.get("XDG_CACHE_HOME"):
        return Path(path) / "binding-ivr"
    return Path.home() / ".cache" / "binding-ivr"


def command(mmdebstrap: str, folder: Path, mirror: str, recipe: Recipe = ASTERISK) -> list[str]:
    """Return the mmdebstrap call: packages are unpacked and not configured, which needs neither root nor chroot."""
    return [
        mmdebstrap,
        "--mode=chrootless",
        "--variant=extract",
        # A mirror's Release file of a testing suite may be older than it allows itself to be.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        f"--include={','.join(recipe.packages)}",
        recipe.suite,
        str(folder),
        mirror,
    ]


def cached(recipe: Recipe = ASTERISK) -> Path | None:
    """Return the root folder if it was made before. LabError when others could have written in the cache."""
    folder = cache_folder().resolve() / recipe.name
    try:
        # Programs are run from it.
        own.check(folder.parent, or_roots=True)
        own.check(folder, or_roots=True)
    except FileNotFoundError:
        return None
    return folder


def make(recipe: Recipe = ASTERISK) -> Path:
    """Return the root folder, making it when it is not there (a quarter of a minute, 290 MB). Blocks.

    Two labs that start at once make it once. Raises LabError when it cannot be made.
    """
    folder = cache_folder().resolve() / recipe.name
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if cached(recipe) is not None:
        return folder
    with _locked(folder.with_suffix(".lock")):
        if cached(recipe) is None:
            _build(folder, recipe)
    return folder


def program(folder: Path, path: str) -> tuple[str, ...]:
    """Return how to run the program at *path* of the root folder: by the folder's own dynamic loader.

    It needs no chroot and no root, and sees the host's files. LabError when the folder is not whole.
    """
    loader = next((found for pattern in _LOADERS for found in sorted(folder.glob(pattern))), None)
    if loader is None or not (folder / path).exists():
        raise LabError(f"{folder} is not whole; remove it, the lab makes it again")
    libraries = ":".join(str(folder / pattern.format(loader.parent.name)) for pattern in _LIBRARIES)
    return str(loader), "--library-path", libraries, str(folder / path)


def _build(folder: Path, recipe: Recipe) -> None:
    mirror = apt.debian_mirror()
    mmdebstrap = _mmdebstrap(recipe)
    half = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    # mkdtemp makes it 0700; the root folder itself is a plain directory.
    half.chmod(0o755)
    try:
        result = subprocess.run(
            command(mmdebstrap, half, mirror, recipe),
            capture_output=True,
            text=True,
            timeout=_BUILD_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if result.returncode:
            words = [line for line in result.stderr.splitlines() if line.startswith("E:")] or ["no reason given"]
            raise LabError(
                f"mmdebstrap failed ({words[-1]}); see that {mirror} can be reached, or install {recipe.instead}"
            )
        half.rename(folder)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"mmdebstrap took over {_BUILD_TIMEOUT_S} s; is {mirror} reachable?") from error
    finally:
        if half.exists():
            shutil.rmtree(half, ignore_errors=True)


def _mmdebstrap(recipe: Recipe) -> str:
    path = shutil.which("mmdebstrap")
    if path is None and os.geteuid() == 0 and shutil.which("apt-get"):
        apt.install("mmdebstrap")
        path = shutil.which("mmdebstrap")
    if path is None:
        raise LabError(f"install {recipe.instead}, or mmdebstrap to let the lab make one")
    return path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "rb") as handle:
        deadline = time.monotonic() + _BUILD_TIMEOUT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LabError(f"another lab holds {path} for too long; end it") from None
                time.sleep(0.1)
        yield
