"""The lab's pure parts: apt's sources, templates, ports, the configuration that it writes, processes."""

import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from binding_ivr.lab import net
from binding_ivr.lab.asterisk import apt, engine, rootfs, sounds
from binding_ivr.lab.asterisk.ami import Ami
from binding_ivr.lab.asterisk.configure import Plan, adapt, fill, write_instance
from binding_ivr.lab.asterisk.engine import Engine
from binding_ivr.lab.asterisk.instance import Instance
from binding_ivr.lab.command import to_toml
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.process import ProcessId, end, identify

DEB822 = """\
Types: deb
# a comment
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/some.gpg
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sources.list.d/debian.sources", DEB822),
        ("sources.list", "deb http://other.example/tool stable main\ndeb http://mirror.example/debian bookworm main\n"),
        ("sources.list", "deb [signed-by=/x arch=amd64] http://mirror.example/debian/ bookworm main\n"),
        ("sources.list", DEB822),
    ],
)
def test_the_mirror_is_the_hosts_own(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert apt.debian_mirror(tmp_path) == "http://mirror.example/debian"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "deb-src http://mirror.example/debian bookworm main\n",
        "# deb http://mirror.example/debian bookworm main\n",
        "deb http://mirror.example/debian bookworm-security main\n",
        "deb http://mirror.example/ubuntu noble main\n",
        "Enabled: no\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n",
    ],
)
def test_no_mirror_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.list").write_text(text)
    with pytest.raises(LabError, match="install the package asterisk"):
        apt.debian_mirror(tmp_path)


def test_adapt_changes_the_named_settings_and_nothing_else() -> None:
    sample = "[a]\nport = 1   ; why\nhost=x\n[b]\nport = 1\n"
    assert adapt(sample, {("a", "port"): "2"}) == "[a]\nport = 2\nhost=x\n[b]\nport = 1\n"
    with pytest.raises(LabError, match="lacks the settings"):
        adapt(sample, {("c", "port"): "2"})


def test_fill_knows_every_name() -> None:
    assert fill("sip:1@@HOST@:@PORT@", {"HOST": "h", "PORT": "5"}) == "sip:1@h:5"
    with pytest.raises(LabError, match="@OTHER@"):
        fill("@OTHER@", {})


def test_ports_are_given_once_and_come_back() -> None:
    first = net.free_port("127.0.0.1")
    assert net.free_port("127.0.0.1", first) != first
    net.release_port("127.0.0.1", first)
    assert net.free_port("127.0.0.1", first) == first
    net.release_port("127.0.0.1", first)


def test_a_taken_port_is_not_given() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert net.free_port("127.0.0.1", taken) != taken


def test_blocks_differ() -> None:
    blocks = {net.free_block()[0] for _ in range(5)}
    assert len(blocks) > 1
    assert all(block.startswith("127.") for block in blocks)


def plan() -> Plan:
    return Plan("127.9.8", 5060, 8088, 5038, 5039, 4573, "ari-secret", "ami-secret", "lab-secret")


def fake_engine(folder: Path) -> Engine:
    (folder / "modules").mkdir()
    for name in ("pbx_config", "res_ari"):
        (folder / f"modules/{name}.so").touch()
    return Engine(("asterisk",), "22.0.0", folder / "modules", folder, None, None, "test", folder / "psqlodbcw.so")


def test_the_pbx_is_the_samples_with_the_labs_own_secrets(tmp_path: Path) -> None:
    folder = tmp_path / "pbx"
    write_instance(folder, "pbx", fake_engine(tmp_path), plan())
    etc = folder / "etc"
    text = {path.name: path.read_text() for path in etc.glob("*.conf")}
    assert "password = ari-secret" in text["ari.conf"]
    assert "secret = ami-secret" in text["manager.conf"]
    assert "BINDING_AGI = 127.0.0.1:4573" in text["extensions.conf"]
    assert "match = 127.9.8.2" in text["pjsip.conf"]
    assert '#include "pjsip_lab.conf"' in text["pjsip.conf"]
    assert "[binding-ivr-call]" in text["binding_ivr.conf"]
    assert (etc / "odbcinst.ini").read_text() == f"[PostgreSQL Unicode]\nDriver = {tmp_path / 'psqlodbcw.so'}\n"
    assert text["modules.conf"].splitlines() == [
        "[modules]",
        "autoload = no",
        "load = pbx_config.so",
        "load = res_ari.so",
    ]
    assert not [name for name, content in text.items() if "change-this" in content]
    assert {path.stat().st_mode & 0o777 for path in (etc / "ari.conf", etc / "manager.conf")} == {0o600}


def test_the_phone_network_has_no_ari(tmp_path: Path) -> None:
    folder = tmp_path / "carrier"
    write_instance(folder, "carrier", fake_engine(tmp_path), plan())
    assert not (folder / "etc/ari.conf").exists()
    assert "res_ari" not in (folder / "etc/modules.conf").read_text()
    assert "bind = 127.9.8.3:5060" in (folder / "etc/pjsip.conf").read_text()


def test_sounds_are_made_only_when_missing(tmp_path: Path) -> None:
    (tmp_path / "beep.gsm").touch()
    sounds.complete(tmp_path, tmp_path / "moh")
    made = {path.stem for path in tmp_path.glob("*.wav")}
    assert made == set(sounds.NEEDED) - {"beep"}
    assert (tmp_path / "moh/hold.wav").stat().st_size > 30_000


def test_the_hosts_asterisk_is_found_where_its_configuration_says(tmp_path: Path) -> None:
    program = tmp_path / "usr/sbin/asterisk"
    for path in (
        program.parent,
        tmp_path / "own/modules",
        tmp_path / "var/lib/asterisk/sounds/en",
        tmp_path / "etc/asterisk",
    ):
        path.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho Asterisk 20.5.2\n")
    program.chmod(0o755)
    (tmp_path / "var/lib/asterisk/sounds/en/beep.gsm").touch()
    with pytest.raises(LabError, match="astmoddir"):
        engine.from_host(program, tmp_path)
    (tmp_path / "etc/asterisk/asterisk.conf").write_text(f"[directories]\nastmoddir => {tmp_path}/own/modules\n")
    found = engine.from_host(program, tmp_path)
    assert found.version == "20.5.2"
    assert found.modules == tmp_path / "own/modules"
    assert found.sounds == tmp_path / "var/lib/asterisk/sounds/en"
    assert found.documentation is None
    assert found.odbc_driver is None
    driver = tmp_path / "usr/lib/some-arch/odbc/psqlodbcw.so"
    driver.parent.mkdir(parents=True)
    driver.touch()
    assert engine.from_host(program, tmp_path).odbc_driver == driver


def test_an_empty_root_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="remove it"):
        engine.from_rootfs(tmp_path)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("BINDING_IVR_CACHE", raising=False)
    assert rootfs.cache_folder() == tmp_path / "xdg/binding-ivr"
    monkeypatch.setenv("BINDING_IVR_CACHE", str(tmp_path / "own"))
    assert rootfs.cache_folder() == tmp_path / "own"
    assert rootfs.cached() is None


def test_a_failed_build_leaves_nothing_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "mmdebstrap"
    tool.write_text('#!/bin/sh\necho "E: no such suite" >&2\nexit 1\n')
    tool.chmod(0o755)
    monkeypatch.setenv("BINDING_IVR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(apt, "debian_mirror", lambda: "http://mirror.example/debian")
    with pytest.raises(LabError, match="no such suite"):
        rootfs.make()
    assert [path.name for path in (tmp_path / "cache").iterdir() if not path.name.endswith(".lock")] == []


def test_each_root_folder_has_its_recipe(tmp_path: Path) -> None:
    recipes = (rootfs.ASTERISK, rootfs.OLD_ASTERISK, rootfs.SOFTPHONE)
    assert len({recipe.name for recipe in recipes}) == len(recipes)
    words = rootfs.command("mmdebstrap", tmp_path, "http://mirror.example/debian", rootfs.OLD_ASTERISK)
    assert words[-3:] == ["bullseye", str(tmp_path), "http://mirror.example/debian"]
    with pytest.raises(LabError, match="choose forky or bullseye"):
        engine.find("woody")


@pytest.mark.parametrize("place", ["usr/lib", "lib"])
def test_a_root_folders_program_runs_by_its_own_loader(tmp_path: Path, place: str) -> None:
    loader = tmp_path / place / "x86_64-linux-gnu/ld-linux-x86-64.so.2"
    program = tmp_path / "usr/bin/baresip"
    for path in (loader, program):
        with pytest.raises(LabError, match="is not whole"):
            rootfs.program(tmp_path, "usr/bin/baresip")
        path.parent.mkdir(parents=True)
        path.touch()
    words = rootfs.program(tmp_path, "usr/bin/baresip")
    assert (words[0], words[1], words[-1]) == (str(loader), "--library-path", str(program))
    assert str(tmp_path / place / "x86_64-linux-gnu") in words[2].split(":")


def test_complaints_are_counted_from_a_mark(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    instance = Instance("pbx", tmp_path, fake_engine(tmp_path))
    assert (instance.mark(), instance.complaints()) == (0, [])
    old = "[2026-01-01 00:00:00.000] WARNING[1] pbx.c: old\n"
    instance.log_path.write_text(old)
    mark = instance.mark()
    with instance.log_path.open("a") as log:
        log.write("[2026-01-01 00:00:00.000] NOTICE[1] x.c: ERROR[1] in words\n")
        log.write("[2026-01-01 00:00:00.000] ERROR[1][C-1] y.c: new\n")
    assert instance.complaints() == [old.strip(), "[2026-01-01 00:00:00.000] ERROR[1][C-1] y.c: new"]
    assert [line[-3:] for line in instance.complaints(mark)] == ["new"]


def test_settings_become_toml() -> None:
    sections = {"ari": {"url": "http://h", "n": 1, "on": True}, "routes": [{"regions": ["*"]}, {"regions": []}]}
    assert tomllib.loads(to_toml(sections)) == sections


def test_only_the_process_that_was_meant_is_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process = identify(child.pid)
    end([ProcessId(process.pid, process.started + 1)], patience_s=0.05)
    assert process.is_alive()
    end([process])
    assert not process.is_alive()
    child.wait()
    with pytest.raises(ProcessLookupError):
        identify(child.pid)


async def test_ami_refuses_before_it_is_connected() -> None:
    with pytest.raises(LabError, match="not running"):
        await Ami("127.0.0.1", 1, "lab", "secret").put("code/1", "2")
