"""Finds the system user that an embedded PostgreSQL runs as when we are root. It starts nothing."""

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from binding_ivr.errors import ConfigError
from binding_ivr.log import get_logger

log = get_logger()

PREFERRED = ("binding-ivr", "postgres")


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user and group that own the data; both None when it is simply ourselves."""

    uid: int | None = None
    gid: int | None = None

    def own(self, folder: Path) -> None:
        """Give *folder* to this user, for this user alone. OSError when it is a link, which might name anything."""
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if self.uid is not None and self.gid is not None:
                os.fchown(handle, self.uid, self.gid)
            os.fchmod(handle, 0o700)
        finally:
            os.close(handle)

    def let_pass(self, folder: Path) -> None:
        """Make *folder* reachable: give the right to pass through (not to read) to those parents that deny it."""
        if self.uid is None:
            return
        for parent in (folder, *folder.parents):
            info = parent.stat()
            owned = info.st_uid == self.uid and info.st_mode & stat.S_IXUSR
            if not owned and not info.st_mode & stat.S_IXOTH:
                parent.chmod(stat.S_IMODE(info.st_mode) | stat.S_IXOTH)
                log.warning("postgresql.folder_opened", folder=str(parent), why="embedded PostgreSQL")


def run_as(data: Path) -> RunAs:
    """Return who shall run PostgreSQL on the folder *data*, which need not exist.

    PostgreSQL refuses to run as root. Raises ConfigError when the data belongs to somebody else, or when there is no
    ordinary user to be.
    """
    me = os.geteuid()
    owner = data.stat().st_uid if data.exists() else None
    if me != 0:
        if owner is not None and owner != me:
            raise ConfigError(f"{data} belongs to another user; run as that user, or set [database] dsn")
        return RunAs()
    if owner:
        return RunAs(owner, data.stat().st_gid)
    entry = _find() or _make()
    return RunAs(entry.pw_uid, entry.pw_gid)


def _find() -> pwd.struct_passwd | None:
    for name in PREFERRED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _make() -> pwd.struct_passwd:
    name = PREFERRED[0]
    try:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name],
            check=True,
            capture_output=True,
            timeout=30,
        )
        log.info("postgresql.user_made", user=name)
        return pwd.getpwnam(name)
    except (OSError, subprocess.SubprocessError, KeyError):
        raise ConfigError(
            f"PostgreSQL does not run as root and the system user {name} could not be made; "
            f"make it (useradd --system {name}), run as an ordinary user, or set [database] dsn"
        ) from None
