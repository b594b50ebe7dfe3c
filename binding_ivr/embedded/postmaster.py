"""Starts and stops one PostgreSQL server on a data folder. It does not know who else uses it: see embedded.

The server and initdb get the data folder as their working folder and know it as /proc/self/cwd: so they need no right
to pass through its parent folders (as root they run as another user), and the path of the socket is short for them.
"""

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import rmtree

from binding_ivr.embedded.system_user import RunAs, run_as
from binding_ivr.errors import ConfigError, UnavailableError
from binding_ivr.log import get_logger

log = get_logger()

START_S = 60.0
STOP_S = 20.0
SUPERUSER = "binding_ivr"
_HERE = "/proc/self/cwd"
_SOCKET_NAME = ".s.PGSQL.5432"
_LONGEST_SOCKET = 107
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "cluster_name": "binding_ivr",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    # PostgreSQL's own log must not quote the numbers of a row or a statement.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


class Postmaster:
    """A PostgreSQL server under *base* (`data`, `server.log`), made at its first start. Its socket is in `data`.

    All methods block and are meant for a thread. The caller makes sure that only one process at a time calls them.
    """

    def __init__(self, base: Path, binaries: Path, settings: Mapping[str, str] | None = None) -> None:
        """Use the server programs in *binaries*; *settings* are added to those of a small server."""
        self.base = base.resolve()
        self.data = self.base / "data"
        self.log_file = self.base / "server.log"
        self._binaries = binaries
        self._settings = {**SETTINGS, **(settings or {})}

    def ensure_running(self) -> Path:
        """Start the server if it does not run yet; return its socket's folder. Raises ConfigError, UnavailableError."""
        who = run_as(self.data)
        if self._wait_settled():
            return self._socket_dir()
        who.let_pass(self._binaries)
        if not (self.data / "PG_VERSION").exists():
            self._init(who)
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # nobody runs: it is stale, and its pid may be reused
        self._start(who)
        return self._socket_dir()

    def stop(self) -> None:
        """Stop the server and wait for its end. Does nothing when it does not run."""
        if not self._is_short():
            self._short_link().unlink(missing_ok=True)
        pid = self.pid()
        if pid is None:
            return
        for number, seconds in ((signal.SIGINT, STOP_S), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            # The process outlives its pid file by a moment.
            if _wait(lambda: not _is_server_of(pid, self.data), seconds):
                return
        log.error("postgresql.does_not_end", data=str(self.data))

    def pid(self) -> int | None:
        """Return the server's process id, None when none runs on this data folder."""
        try:
            pid = int(self._pid_lines()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if _is_server_of(pid, self.data) else None

    def _pid_lines(self) -> list[str]:
        return (self.data / "postmaster.pid").read_text().splitlines()

    def _is_ready(self) -> bool:
        try:
            lines = self._pid_lines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _wait_settled(self) -> bool:
        """Wait while a server that somebody left behind is starting or stopping; True when one is ready."""
        settled = _wait(lambda: self.pid() is None or self._is_ready(), START_S)
        if not settled:
            raise UnavailableError(f"the embedded PostgreSQL neither starts nor stops; see {self.log_file}")
        return self.pid() is not None

    def _init(self, who: RunAs) -> None:
        """Make the data folder next to its place and move it there when complete: a crash leaves nothing half made."""
        new = self.base / "data.new"
        rmtree(new, ignore_errors=True)
        new.mkdir()
        who.own(new)
        if self.data.exists():
            self.data.rmdir()  # fails when it holds anything: somebody's data is not ours to replace
        options = ["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        try:
            self._make_cluster(new, who, "-D", _HERE, *options)
        except (OSError, subprocess.SubprocessError) as error:
            raise UnavailableError(
                f"the embedded PostgreSQL could not be created in {self.base}: {_why(error)}"
            ) from None
        new.rename(self.data)
        # Writing it all to the disk takes a second, which the first start need not wait for.
        threading.Thread(target=os.sync, name="sync", daemon=True).start()

    def _make_cluster(self, folder: Path, who: RunAs, *options: str) -> None:
        subprocess.run(
            [str(self._binaries / "initdb"), *options],
            check=True,
            capture_output=True,
            text=True,
            timeout=START_S,
            cwd=folder,
            env=_environment(),
            user=who.uid,
            group=who.gid,
            extra_groups=None if who.uid is None else [],
        )

    def _start(self, who: RunAs) -> None:
        arguments = ["-D", _HERE, "-k", _HERE, "-c", _mark(self.data)]
        for key, value in self._settings.items():
            arguments += ["-c", f"{key}={value}"]
        self.log_file.unlink(missing_ok=True)
        with open(os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
            try:
                # A session of its own: Ctrl-C at the terminal is for us, not for the server that others may use.
                process = subprocess.Popen(
                    [str(self._binaries / "postgres"), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.data,
                    env=_environment(),
                    user=who.uid,
                    group=who.gid,
                    extra_groups=None if who.uid is None else [],
                    start_new_session=True,
                )
            except OSError as error:
                raise ConfigError(f"the embedded PostgreSQL cannot be run: {_why(error)}") from None
        # Whoever stops the server, its parent must take note of the end, or a zombie stays.
        threading.Thread(target=process.wait, name="postmaster", daemon=True).start()
        _wait(lambda: process.returncode is not None or (self.pid() == process.pid and self._is_ready()), START_S)
        if process.returncode is not None or self.pid() is None:
            raise UnavailableError(f"the embedded PostgreSQL did not start: {self._complaint()}; see {self.log_file}")

    def _complaint(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()
        fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
        text = fatal[-1] if fatal else (lines[-1] if lines else "it gave no reason")
        version = self.data / "PG_VERSION"
        if "incompatible" in text and version.exists():
            text += f" (the data is of version {version.read_text().strip()}: dump them with it and load them again)"
        return text

    def _socket_dir(self) -> Path:
        """Return how clients reach the socket's folder: the data folder, or a short link to it if that is too long."""
        if self._is_short():
            return self.data
        link = self._short_link()
        if not os.path.lexists(link):
            link.symlink_to(self.data)
        # In a place that others can write to, the name may have been taken by somebody else.
        if link.lstat().st_uid != os.geteuid() or link.resolve() != self.data:
            raise ConfigError(f"{link} does not belong to binding_ivr; remove it, or use a shorter [service] state_dir")
        return link

    def _is_short(self) -> bool:
        path = str(self.data / _SOCKET_NAME)
        return len(path.encode()) <= _LONGEST_SOCKET and _PLAIN.fullmatch(path) is not None

    def _short_link(self) -> Path:
        return _short_place() / ("binding-ivr-" + hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12])


def _short_place() -> Path:
    candidates = ["/run"] if os.geteuid() == 0 else [os.environ.get("XDG_RUNTIME_DIR", "")]
    for candidate in (*candidates, tempfile.gettempdir(), "/tmp"):  # noqa: S108 (the folder made in it is checked)
        if (
            _PLAIN.fullmatch(candidate)
            and len(candidate) < 60
            and os.path.isdir(candidate)
            and os.access(candidate, os.W_OK | os.X_OK)
        ):
            return Path(candidate)
    raise ConfigError("no short folder for PostgreSQL's socket was found; use a shorter [service] state_dir")


def _is_server_of(pid: int, data: Path) -> bool:
    """Return whether *pid* is a PostgreSQL server on *data*, by its command and user; a reused process id is not."""
    try:
        # PostgreSQL runs only as the owner of its data. Anybody can put our mark into a command of their own.
        mine = f"\nUid:\t{data.stat().st_uid}\t" in Path(f"/proc/{pid}/status").read_text()
        return mine and os.fsencode(_mark(data)) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _mark(data: Path) -> str:
    """Return the setting by which the server of this data folder is known among all processes."""
    return f"binding_ivr.data={data}"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or error.stdout or "").strip().splitlines()
        return lines[-1] if lines else f"exit status {error.returncode}"
    return str(error)
