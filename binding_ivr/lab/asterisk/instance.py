"""One running Asterisk of a lab: starts it, asks it by its console, stops it. It writes no configuration."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from binding_ivr.lab import leash
from binding_ivr.lab.asterisk import console
from binding_ivr.lab.asterisk.engine import Engine
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.process import ProcessId, end, identify

_BOOT_TIMEOUT_S = 60.0
_RX_TIMEOUT_S = 20.0
_COMPLAINT = re.compile(r"\] (?:WARNING|ERROR)\[")


class Instance:
    """An Asterisk with its own folder, addresses and database."""

    def __init__(self, name: str, folder: Path, engine: Engine) -> None:
        self.name = name
        self.folder = folder
        self.engine = engine
        self.process: ProcessId | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def version(self) -> str:
        """Asterisk's version, such as `22.10.1`."""
        return self.engine.version

    @property
    def run(self) -> Path:
        """Where it keeps its control socket."""
        return self.folder / "run"

    @staticmethod
    def configuration_in(folder: Path) -> Path:
        """Return the configuration of the instance in *folder*. Its command names it, and no other process does."""
        return folder / "etc/asterisk.conf"

    @property
    def log_path(self) -> Path:
        """Where it writes notices, warnings and errors."""
        return self.folder / "log/messages.log"

    def mark(self) -> int:
        """Return how much it has logged so far, for `complaints`."""
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def complaints(self, since: int = 0) -> list[str]:
        """Return the lines with a warning or an error that it has logged, from a `mark` on."""
        if not self.log_path.exists():
            return []
        with self.log_path.open("rb") as log:
            log.seek(since)
            lines = log.read().decode(errors="replace").splitlines()
        return [line for line in lines if _COMPLAINT.search(line)]

    def start(self, leashed: bool) -> None:
        """Start the process; *leashed* means that it dies with this one. Blocks for a moment."""
        mode = ("tie", str(os.getpid())) if leashed else ("free",)
        asterisk = (*self.engine.program, "-C", str(self.configuration_in(self.folder)), "-f")
        with (self.folder / "log/console.log").open("ab") as out:
            child = subprocess.Popen(
                (sys.executable, "-I", "-S", leash.__file__, *mode, *asterisk),
                stdin=subprocess.DEVNULL,
                stdout=out if leashed else subprocess.PIPE,
                stderr=out,
                cwd=self.folder,
                start_new_session=True,
                env={**os.environ, "ODBCSYSINI": str(self.folder / "etc")},  # its own odbc.ini and odbcinst.ini
            )
        if leashed:
            self._child = child
            self.process = identify(child.pid)
        else:
            pid, _ = child.communicate(timeout=_RX_TIMEOUT_S)
            self.process = identify(int(pid))

    async def booted(self) -> None:
        """Wait until it is fully booted; LabError with the log's last line when it dies or takes too long."""
        try:
            async with asyncio.timeout(_BOOT_TIMEOUT_S):
                while True:
                    self._must_live()
                    if (self.run / console.SOCKET).exists():
                        with contextlib.suppress(LabError):
                            if "fully booted" in (await self.rx("core waitfullybooted")).lower():
                                return
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise LabError(f"Asterisk {self.name} did not boot in {_BOOT_TIMEOUT_S:.0f} s: {self._last()}") from error

    async def rx(self, command: str) -> str:
        """Return what `asterisk -rx COMMAND` prints; LabError when the instance does not answer."""
        try:
            return await asyncio.wait_for(console.ask(self.run, command), _RX_TIMEOUT_S)
        except TimeoutError as error:
            raise LabError(f"Asterisk {self.name} did not answer `{command}`; see {self.log_path}") from error
        except OSError as error:
            raise LabError(f"Asterisk {self.name} does not run; see {self.log_path}") from error

    async def channels(self) -> int:
        """Return the number of channels that exist now."""
        match = re.search(r"(\d+) active channel", await self.rx("core show channels count"))
        if match is None:
            raise LabError(f"Asterisk {self.name} does not tell its channels; see {self.log_path}")
        return int(match[1])

    async def crash(self) -> None:
        """End the process as a crash does; its folder stays, so that `start` brings it back."""
        child, self._child = self._child, None
        if child is None:
            raise LabError(f"Asterisk {self.name} was not started by this process")
        child.kill()
        await _ended(child, 5.0)
        self.process = None

    async def stop(self, gently: bool = True) -> None:
        """End the process and remove its control socket; *gently* lets it write its database and files."""
        child, self._child = self._child, None
        if child is not None:
            # The lab's calls are worth nothing after it: even gently none is waited for.
            if child.poll() is None:
                child.send_signal(signal.SIGTERM if gently else signal.SIGKILL)
            if not await _ended(child, 5.0):
                child.kill()
                await _ended(child, 5.0)
        elif self.process is not None:
            await asyncio.to_thread(end, [self.process])
        self.process = None
        await asyncio.to_thread(shutil.rmtree, self.run, ignore_errors=True)

    def _must_live(self) -> None:
        if self.process is None or not self.process.is_alive():
            raise LabError(f"Asterisk {self.name} ended at its start: {self._last()}")

    def _last(self) -> str:
        for path in (self.log_path, self.folder / "log/console.log"):
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
            if lines:
                return f"{lines[-1].strip()} (see {path})"
        return f"see {self.folder / 'log'}"


async def _ended(child: subprocess.Popen[bytes], patience_s: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        await asyncio.to_thread(child.wait, patience_s)
    return child.returncode is not None
