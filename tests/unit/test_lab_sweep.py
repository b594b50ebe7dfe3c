"""What the lab clears away, and what it does not believe: a temporary folder is everybody's."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from binding_ivr.lab import Lab, LabError, command, own, sweep
from binding_ivr.lab.asterisk import rootfs
from binding_ivr.lab.asterisk.configure import Plan
from binding_ivr.lab.process import ProcessId, identify
from binding_ivr.lab.state import STATE, read_state

STRANGER = 65534
SLEEP = "import os, time; os.setuid({uid}); print('up', flush=True); time.sleep(60)"
PLAN = asdict(Plan("127.9.8", 5060, 8088, 5038, 5039, 4573, "ari-secret", "ami-secret", "lab-secret"))
Foreign = Callable[[Path], None]


@pytest.fixture(autouse=True)
def tmp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The temporary folder that everybody shares."""
    shared = tmp_path / "tmp"
    shared.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(shared))
    return shared


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """What must never be touched."""
    folder = tmp_path / "victim"
    (folder / "run").mkdir(parents=True)
    (folder / "run/precious").write_text("precious")
    (folder / "precious").write_text("precious")
    return folder


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Foreign:
    """Make what is given somebody else's; who may not give anything away becomes somebody else."""

    def give(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, STRANGER, STRANGER)
        else:
            monkeypatch.setattr("os.geteuid", lambda: STRANGER)

    return give


@pytest.fixture
def processes() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes that wait, with arguments that tell whose they claim to be."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, uid: int = os.getuid()) -> subprocess.Popen[str]:
        words = (sys.executable, "-c", SLEEP.format(uid=uid), *arguments)
        child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def dead() -> dict[str, int]:
    """An owner that is no more: this process, had it begun a tick later."""
    return {"pid": os.getpid(), "started": identify(os.getpid()).started + 1}


def instance(process: ProcessId | None = None, **more: Any) -> dict[str, Any]:
    """The row of an instance, which does not run unless it is *process*."""
    of = asdict(process) if process is not None else dead()
    return {**of, "version": "22.0.0", "origin": "test", "program": ["/bin/false"], **more}


def lab_in(folder: Path, *, pbx: dict[str, Any] | None = None, **more: Any) -> Path:
    """Plant a lab whose owner is dead in *folder*."""
    folder.mkdir(mode=0o700)
    instances = {"pbx": pbx or instance(), "carrier": instance()}
    state = {"owner": dead(), "instances": instances, "plan": PLAN, "settings": {}, **more}
    (folder / STATE).write_text(json.dumps(state))
    (folder / STATE).chmod(0o600)
    return folder


def untouched(victim: Path) -> bool:
    return {path.name for path in victim.rglob("*")} == {"run", "precious"} and (victim / "run/precious").exists()


def test_the_folder_of_a_dead_owner_is_swept_with_its_process(
    tmp: Path, processes: Callable[..., subprocess.Popen[str]]
) -> None:
    folder = tmp / f"{sweep.PREFIX}dead"
    child = processes("-C", str(folder / "pbx/etc/asterisk.conf"))
    lab_in(folder, pbx=instance(identify(child.pid)))
    (folder / "pbx/run").mkdir(parents=True)
    (folder / "pbx/run/asterisk.ctl").touch()
    assert sweep.sweep() == [folder]
    assert list(tmp.iterdir()) == []
    assert child.wait() < 0


def test_the_folder_of_a_stranger_is_not_believed(
    tmp: Path, victim: Path, foreign: Foreign, processes: Callable[..., subprocess.Popen[str]]
) -> None:
    folder = tmp / f"{sweep.PREFIX}planted"
    child = processes("-C", str(folder / "pbx/etc/asterisk.conf"))
    lab_in(folder, pbx=instance(identify(child.pid), run=str(victim)))
    foreign(folder)
    assert sweep.sweep() == []
    assert (folder / STATE).exists()
    assert untouched(victim)
    assert child.poll() is None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o1777])
def test_a_folder_that_others_can_write_to_is_not_believed(tmp: Path, victim: Path, mode: int) -> None:
    folder = lab_in(tmp / f"{sweep.PREFIX}open", pbx=instance(run=str(victim)))
    folder.chmod(mode)
    assert sweep.sweep() == []
    assert (folder / STATE).exists()
    assert untouched(victim)


def test_a_state_file_of_somebody_else_is_not_believed(tmp: Path, victim: Path, foreign: Foreign) -> None:
    folder = lab_in(tmp / f"{sweep.PREFIX}planted", pbx=instance(run=str(victim)))
    foreign(folder / STATE)
    assert sweep.sweep() == []
    assert (folder / STATE).exists()
    assert untouched(victim)


def test_a_state_file_that_others_can_write_to_is_not_believed(tmp: Path) -> None:
    folder = lab_in(tmp / f"{sweep.PREFIX}planted")
    (folder / STATE).chmod(0o666)
    assert sweep.sweep() == []
    assert (folder / STATE).exists()


def test_a_link_is_no_folder(tmp: Path, tmp_path: Path) -> None:
    real = lab_in(tmp_path / "real")
    (tmp / f"{sweep.PREFIX}link").symlink_to(real)
    assert sweep.sweep() == []
    assert (real / STATE).exists()


def test_a_link_is_no_state_file(tmp: Path, tmp_path: Path, victim: Path) -> None:
    real = lab_in(tmp_path / "real", pbx=instance(run=str(victim)))
    folder = tmp / f"{sweep.PREFIX}planted"
    folder.mkdir(mode=0o700)
    (folder / STATE).symlink_to(real / STATE)
    assert sweep.sweep() == []
    assert (real / STATE).exists()
    assert untouched(victim)


def test_a_pipe_as_state_file_holds_nobody_up(tmp: Path) -> None:
    folder = tmp / f"{sweep.PREFIX}planted"
    folder.mkdir(mode=0o700)
    os.mkfifo(folder / STATE, 0o600)
    assert sweep.sweep() == []
    assert (folder / STATE).exists()


@pytest.mark.parametrize("run", ["{victim}", "{folder}/pbx/../../../victim"])
def test_no_path_of_the_state_file_is_removed(tmp: Path, victim: Path, run: str) -> None:
    folder = tmp / f"{sweep.PREFIX}own"
    lab_in(folder, pbx=instance(run=run.format(victim=victim, folder=folder)))
    assert sweep.sweep() == [folder]
    assert untouched(victim)


def test_no_name_of_the_state_file_leads_out_of_the_folder(tmp: Path, victim: Path) -> None:
    folder = lab_in(tmp / f"{sweep.PREFIX}own", instances={"../../victim": instance(), "pbx": instance()})
    assert sweep.sweep() == []
    assert (read_state(folder), untouched(victim)) == (None, True)


def test_links_in_a_folder_go_and_what_they_name_stays(tmp: Path, victim: Path) -> None:
    folder = lab_in(tmp / f"{sweep.PREFIX}own")
    (folder / "pbx").mkdir()
    (folder / "pbx/run").symlink_to(victim)
    (folder / "link").symlink_to(victim)
    state = read_state(folder)
    assert state is not None
    sweep.clear(folder, state)
    assert untouched(victim)
    assert sweep.sweep() == [folder]
    assert untouched(victim)


def test_a_folder_that_is_changed_under_the_sweep_leads_nowhere(
    tmp: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lab_in(tmp / f"{sweep.PREFIX}own")

    def swap(*_: Any) -> None:
        folder.rename(tmp / "away")
        folder.symlink_to(victim)

    monkeypatch.setattr(sweep, "end", swap)
    assert sweep.sweep() == []
    assert untouched(victim)
    assert list((tmp / "away").iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "\xff", '{"owner": 3}', '{"owner": {"pid": "x", "started": 1}, "instances": {"pbx": 5}}', "null"],
)
def test_a_state_file_without_sense_stops_nobody(tmp: Path, text: str) -> None:
    folder = tmp / f"{sweep.PREFIX}odd"
    folder.mkdir(mode=0o700)
    (folder / STATE).write_bytes(text.encode("latin-1"))
    (folder / STATE).chmod(0o600)
    assert sweep.sweep() == []
    assert read_state(folder) is None


def test_the_lab_of_a_living_owner_stays(tmp: Path) -> None:
    folder = lab_in(tmp / f"{sweep.PREFIX}alive", owner=asdict(identify(os.getpid())))
    (tmp / f"{sweep.PREFIX}young").mkdir()
    assert sweep.sweep() == []
    assert (folder / STATE).exists()


def test_a_process_that_took_the_number_is_not_ended(
    tmp: Path, processes: Callable[..., subprocess.Popen[str]]
) -> None:
    folder = tmp / f"{sweep.PREFIX}own"
    other = processes("-C", str(tmp / "other/pbx/etc/asterisk.conf"))
    lab_in(folder, pbx=instance(identify(other.pid)))
    assert sweep.sweep() == [folder]
    assert other.poll() is None


def test_a_process_of_somebody_else_is_not_ended(
    tmp: Path, processes: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp / f"{sweep.PREFIX}own"
    configuration = str(folder / "pbx/etc/asterisk.conf")
    if os.getuid() == 0:
        child = processes("-C", configuration, uid=STRANGER)
    else:
        child = processes("-C", configuration)
        monkeypatch.setattr("os.getuid", lambda: STRANGER)
    lab_in(folder, pbx=instance(identify(child.pid)))
    assert sweep.sweep() == [folder]
    assert child.poll() is None


async def test_no_command_believes_the_folder_of_a_stranger(tmp: Path, victim: Path, foreign: Foreign) -> None:
    program = tmp / "planted"
    program.write_text(f"#!/bin/sh\ntouch {victim}/run/ran\n")
    program.chmod(0o755)
    me = instance(identify(os.getpid()), run=str(victim), log="x", program=[str(program)])
    folder = lab_in(tmp / "lab", pbx=me, sip={"pbx": "x", "carrier": "x"})
    foreign(folder)
    for act in (command.status, command.down, command.up):
        if act is command.up:
            assert await act(folder) == 1
        else:
            with pytest.raises(LabError, match="yours alone"):
                await act(folder)
    with pytest.raises(LabError, match="yours alone"):
        await Lab(folder).attach()
    assert untouched(victim)
    assert (folder / STATE).exists()


@pytest.mark.parametrize("place", ["cache", "cache/rootfs-forky-3"])
def test_no_asterisk_is_run_from_a_cache_that_others_can_write_to(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, foreign: Foreign, place: str
) -> None:
    monkeypatch.setenv("BINDING_IVR_CACHE", str(tmp / "cache"))
    (tmp / "cache/rootfs-forky-3").mkdir(parents=True)
    assert rootfs.cached() == rootfs.make() == tmp / "cache/rootfs-forky-3"
    (tmp / "cache/precious").write_text("precious")
    (tmp / "cache/rootfs-forky-3.lock").symlink_to(tmp / "cache/precious")
    foreign(tmp / place)
    for find in (rootfs.cached, rootfs.make):
        with pytest.raises(LabError, match="yours alone"):
            find()
    assert (tmp / "cache/precious").read_text() == "precious"


async def test_a_lab_needs_a_folder(tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp / "file").touch()
    for place in ("file", "file/lab"):
        assert await command.up(tmp / place) == 1
        assert f"{tmp / place} cannot be made" in capsys.readouterr().err.splitlines()[-1]


def test_what_is_read_is_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    with own.opened(tmp_path) as handle:
        assert own.read(handle, "file") == b"text"
        with pytest.raises(IsADirectoryError):
            own.read(handle, "folder")
        with pytest.raises(FileNotFoundError):
            own.read(handle, "none")
    with pytest.raises(FileNotFoundError):
        own.check(tmp_path / "none")
    with pytest.raises(LabError, match="yours alone"):
        own.check(tmp_path / "file")


def test_what_is_roots_is_trusted_only_where_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(own, "ROOT", os.geteuid())
    monkeypatch.setattr("os.geteuid", lambda: STRANGER)
    own.check(tmp_path, or_roots=True)
    with pytest.raises(LabError, match="yours alone"):
        own.check(tmp_path)
