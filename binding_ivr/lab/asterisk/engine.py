"""Finds an Asterisk to run: the host's, the distribution's package, or one in a root folder. It runs none.

An Asterisk from a root folder is started by that folder's own dynamic loader, without chroot: it needs no
root, no mounts, and sees the same paths as everybody.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from binding_ivr.lab.asterisk import apt, rootfs
from binding_ivr.lab.errors import LabError
from binding_ivr.model.versions import is_build, series_of

OLDEST = 18
_HOST_MODULES = ("usr/lib/*/asterisk/modules", "usr/lib*/asterisk/modules", "usr/local/lib*/asterisk/modules")
_HOST_DATA = ("usr/share/asterisk", "var/lib/asterisk")


@dataclass(frozen=True, slots=True)
class Engine:
    """An Asterisk that can be run."""

    program: tuple[str, ...]
    """What to execute, to be followed by Asterisk's own arguments."""
    version: str
    modules: Path
    sbin: Path
    documentation: Path | None
    """Asterisk's own XML documentation; without it some modules refuse their configuration."""
    sounds: Path | None
    """A folder with the English core sounds, None when the host has none."""
    origin: str
    odbc_driver: Path | None = None
    """PostgreSQL's ODBC driver, for func_odbc; None when the host has none."""


def find(suite: str = "") -> Engine:
    """Return an Asterisk, installing or making one when there is none. Blocks, the first time for long.

    With a *suite* (`bullseye`: Asterisk 16.28) it is that of this Debian, else the newest that can be had.
    Raises LabError, with what to do, when there is no way.
    """
    if suite:
        recipe = next((row for row in (rootfs.ASTERISK, rootfs.OLD_ASTERISK) if row.suite == suite), None)
        if recipe is None:
            raise LabError(f"the lab makes no Asterisk of {suite}: choose forky or bullseye")
        return from_rootfs(rootfs.make(recipe))
    host = _usable_host()
    if host is not None:
        return host
    if (folder := rootfs.cached()) is not None:
        return from_rootfs(folder)
    if os.geteuid() == 0 and (series_of(apt.candidate("asterisk")) or 0) >= OLDEST:
        apt.install("asterisk", "asterisk-core-sounds-en-wav", "odbc-postgresql")
        host = _usable_host()
        if host is not None:
            return host
    return from_rootfs(rootfs.make())


def from_host(program: Path, root: Path = Path("/")) -> Engine:
    """Return the host's own Asterisk at *program*; *root* is where the host's files are.

    Raises LabError when it cannot be run or its modules cannot be found.
    """
    configured = _directories(root / "etc/asterisk/asterisk.conf")
    places = [path for pattern in _HOST_MODULES for path in sorted(root.glob(pattern))]
    if "astmoddir" in configured:
        places.insert(0, Path(configured["astmoddir"]))
    modules = next((path for path in places if path.is_dir()), None)
    if modules is None:
        raise LabError(f"{program} has no modules folder; set astmoddir in /etc/asterisk/asterisk.conf")
    data = [root / path for path in _HOST_DATA]
    if "astdatadir" in configured:
        data.insert(0, Path(configured["astdatadir"]))
    return Engine(
        program=(str(program),),
        version=_version((str(program),)),
        modules=modules,
        sbin=program.parent,
        documentation=next((path for folder in data if (path := folder / "documentation").is_dir()), None),
        sounds=_core_sounds([folder / "sounds" for folder in data]),
        origin="host",
        odbc_driver=_odbc_driver(root),
    )


def _usable_host() -> Engine | None:
    # /usr/sbin is not in everybody's path.
    path = shutil.which("asterisk", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        return None
    try:
        engine = from_host(Path(path))
    except LabError:
        # Broken or half removed: another way may work.
        return None
    series = series_of(engine.version)
    usable = series >= OLDEST if series is not None else is_build(engine.version)
    return engine if usable else None


def from_rootfs(folder: Path) -> Engine:
    """Return the Asterisk inside the root folder *folder*."""
    places = ("usr/lib/*/asterisk/modules", "usr/lib/asterisk/modules")
    modules = next((path for pattern in places for path in sorted(folder.glob(pattern))), None)
    if modules is None:
        raise LabError(f"{folder} holds no Asterisk; remove it, the lab makes it again")
    program = rootfs.program(folder, "usr/sbin/asterisk")
    data = folder / "usr/share/asterisk"
    return Engine(
        program=program,
        version=_version(program),
        modules=modules,
        sbin=folder / "usr/sbin",
        documentation=data / "documentation",
        sounds=_core_sounds([data / "sounds"]),
        origin=f"root folder {folder}",
        odbc_driver=_odbc_driver(folder),
    )


def _version(program: tuple[str, ...]) -> str:
    try:
        result = subprocess.run([*program, "-V"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise LabError(f"{program[-1]} cannot be run here ({error}); install the package asterisk") from error
    return result.stdout.strip().removeprefix("Asterisk ")


def _directories(path: Path) -> dict[str, str]:
    text = path.read_text(errors="replace") if path.is_file() and os.access(path, os.R_OK) else ""
    return dict(re.findall(r"^(ast\w+dir)\s*=>?\s*(\S+)", text, re.MULTILINE))


def _odbc_driver(root: Path) -> Path | None:
    places = ("usr/lib/*/odbc/psqlodbcw.so", "usr/lib*/psqlodbcw.so")
    return next((path for pattern in places for path in sorted(root.glob(pattern))), None)


def _core_sounds(folders: list[Path]) -> Path | None:
    # In a root folder `sounds/en` is an absolute link that leads out of it, so look for the files.
    for folder in folders:
        for sounds in sorted(folder.glob("en*")):
            if any(sounds.glob("beep.*")):
                return sounds
    return None
