"""What the embedded PostgreSQL does not believe of a folder in which others could have planted something."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from binding_ivr.embedded.postmaster import Postmaster
from binding_ivr.embedded.server import EmbeddedPostgres
from binding_ivr.embedded.system_user import RunAs
from binding_ivr.errors import ConfigError

STRANGER = 65534
WAIT = "import os, time; os.setuid({uid}); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def claiming() -> Iterator[Callable[[Path, int], int]]:
    """Start a process that claims to be the server of a data folder, as a user; return its pid."""
    started: list[subprocess.Popen[str]] = []

    def start(data: Path, uid: int) -> int:
        words = (sys.executable, "-c", WAIT.format(uid=uid), "-c", f"binding_ivr.data={data}")
        child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        return child.pid

    yield start
    for child in started:
        child.kill()
        child.communicate()


def test_a_process_is_the_server_by_its_command(tmp_path: Path, claiming: Callable[[Path, int], int]) -> None:
    server = Postmaster(tmp_path, Path())
    server.data.mkdir()
    file = server.data / "postmaster.pid"
    for data, known in ((server.data, True), (tmp_path / "other", False)):
        pid = claiming(data, os.getuid())
        file.write_text(f"{pid}\n")
        assert server.pid() == (pid if known else None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_process_of_another_user_is_not_the_server(tmp_path: Path, claiming: Callable[[Path, int], int]) -> None:
    server = Postmaster(tmp_path, Path())
    server.data.mkdir()
    pid = claiming(server.data, STRANGER)
    (server.data / "postmaster.pid").write_text(f"{pid}\n")
    assert server.pid() is None
    server.stop()
    os.kill(pid, 0)  # it goes on
    os.chown(server.data, STRANGER, STRANGER)
    assert server.pid() == pid


def test_what_a_link_names_is_not_given_away(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(precious)
    who = RunAs(STRANGER, STRANGER) if os.geteuid() == 0 else RunAs()
    with pytest.raises(OSError, match="link") as caught:
        who.own(tmp_path / "link")
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
    info = precious.stat()
    assert (info.st_uid, info.st_mode & 0o777) == (os.geteuid(), 0o755)
    who.own(precious)
    assert precious.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["lock", "users"])
def test_a_lock_is_not_taken_through_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="cannot use"):
        EmbeddedPostgres(Postmaster(tmp_path, Path("/none"))).open()
    assert not (tmp_path / "elsewhere").exists()
