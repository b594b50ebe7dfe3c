"""Makes a Debian root folder that holds Asterisk, once, and keeps it. It runs nothing from it."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from binding_ivr.lab import apt
from binding_ivr.lab.errors import LabError

SUITE = "forky"
RECIPE = "3"
"""Raise it when the recipe changes, so that an older root folder is not taken."""
_PACKAGES = ("asterisk", "asterisk-core-sounds-en-wav", "odbc-postgresql")
_BUILD_TIMEOUT_S = 1200


def cache_folder() -> Path:
    """Return where binding_ivr keeps what can be made again."""
    if path := os.environ.get("BINDING_IVR_CACHE"):
        return Path(path)
    if path := os.environ.get("XDG_CACHE_HOME"):
        return Path(path) / "binding-ivr"
    return Path.home() / ".cache" / "binding-ivr"


def command(mmdebstrap: str, folder: Path, mirror: str) -> list[str]:
    """Return the mmdebstrap call: packages are unpacked and not configured, which needs neither root nor chroot."""
    return [
        mmdebstrap,
        "--mode=chrootless",
        "--variant=extract",
        # A mirror's Release file of a testing suite may be older than it allows itself to be.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        f"--include={','.join(_PACKAGES)}",
        SUITE,
        str(folder),
        mirror,
    ]


def cached() -> Path | None:
    """Return the root folder if it was made before."""
    folder = _place()
    return folder if folder.is_dir() else None


def make() -> Path:
    """Return the root folder, making it when it is not there (a quarter of a minute, 290 MB). Blocks.

    Two labs that start at once make it once. Raises LabError when it cannot be made.
    """
    folder = _place()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _build(folder)
    return folder


def _place() -> Path:
    return cache_folder() / f"rootfs-{SUITE}-{RECIPE}"


def _build(folder: Path) -> None:
    mirror = apt.debian_mirror()
    mmdebstrap = _mmdebstrap()
    half = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    # mkdtemp makes it 0700; the root folder itself is a plain directory.
    half.chmod(0o755)
    try:
        result = subprocess.run(
            command(mmdebstrap, half, mirror),
            capture_output=True,
            text=True,
            timeout=_BUILD_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if result.returncode:
            words = [line for line in result.stderr.splitlines() if line.startswith("E:")] or ["no reason given"]
            raise LabError(
                f"mmdebstrap failed ({words[-1]}); see that {mirror} can be reached, "
                "or install the package asterisk (18 or newer)"
            )
        half.rename(folder)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"mmdebstrap took over {_BUILD_TIMEOUT_S} s; is {mirror} reachable?") from error
    finally:
        if half.exists():
            shutil.rmtree(half, ignore_errors=True)


def _mmdebstrap() -> str:
    path = shutil.which("mmdebstrap")
    if path is None and os.geteuid() == 0 and shutil.which("apt-get"):
        apt.install("mmdebstrap")
        path = shutil.which("mmdebstrap")
    if path is None:
        raise LabError("install the package asterisk (18 or newer), or mmdebstrap to let the lab make one")
    return path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
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
