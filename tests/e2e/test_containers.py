"""The container's start without a container: its script and files, a real Asterisk, and the service beside it."""

import asyncio
import base64
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from binding_ivr.config import load
from binding_ivr.lab import net
from binding_ivr.lab.asterisk import engine
from binding_ivr.lab.asterisk.ami import Ami
from binding_ivr.node.demo import running_service
from tests.patience import SLOW
from tests.unit.test_containers import ROOT, environment, of_stage

BLOCK = f"127.73.{os.getpid() % 250 + 1}"  # two runs at once do not meet
CONTROL, TRUNK = f"{BLOCK}.20", f"{BLOCK}.40"
"""Stand for our addresses on the networks of docker-compose.yml."""


def laid_out(folder: Path) -> None:
    """Do the COPY lines of the image: the script's samples."""
    for rest in of_stage("asterisk", "COPY"):
        *sources, target = rest.split()
        if not target.startswith("/usr/share/binding-ivr/"):
            continue
        for pattern in sources:
            for source in ROOT.glob(pattern):
                shutil.copyfile(source, folder / (Path(target).name if not target.endswith("/") else source.name))


class Booted:
    """An Asterisk that the entry point started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = engine.find()
        self.env = environment("asterisk") | {
            "PATH": os.environ["PATH"],
            "CONTROL_ADDRESS": CONTROL,
            "CONTROL_NETWORK": "127.0.0.0/8",
            "TRUNK_ADDRESS": TRUNK,
            "TRUNK_NETWORK": f"{BLOCK}.0/24",
            "SITE": str(folder / "site"),
            "ASTERISK_MODULES": str(self.engine.modules),
            **{f"ASTERISK_{name.upper()}": str(folder / name) for name in ("data", "state", "spool", "run", "log")},
        }
        for name in ("samples", "data", "state", "spool", "run", "log"):
            (folder / name).mkdir()
        if self.engine.documentation:
            (folder / "data/documentation").symlink_to(self.engine.documentation)
        laid_out(folder / "samples")
        self.asterisk = [*self.engine.program, "-C", str(folder / "etc/asterisk.conf")]
        self.err = folder / "err"

    def start(self) -> subprocess.Popen[bytes]:
        script = ROOT / "dialplan/samples/render-config.sh"
        with self.err.open("wb") as err:
            return subprocess.Popen(
                [script, self.folder / "samples", self.folder / "etc", *self.asterisk, "-f"],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
            )

    async def rx(self, command: str) -> str:
        """What the image's health check runs."""
        run = await asyncio.to_thread(
            subprocess.run, [*self.asterisk, "-rx", command], capture_output=True, text=True, timeout=20
        )
        return str(run.stdout)


@pytest.fixture(scope="module")
async def booted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Booted]:
    pbx = await asyncio.to_thread(Booted, tmp_path_factory.mktemp("asterisk"))
    process = pbx.start()
    try:
        async with asyncio.timeout(60 * SLOW):
            while "fully booted" not in (await pbx.rx("core waitfullybooted")).lower():
                assert process.poll() is None, pbx.err.read_text()
                await asyncio.sleep(0.05)
        yield pbx
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 10)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


async def test_it_boots_with_our_dialplan_and_without_an_error(booted: Booted) -> None:
    assert "AGIEXITONHANGUP=yes" in await booted.rx("dialplan show binding-ivr-call")
    assert "172.28.73.10:4573" in await booted.rx("dialplan show globals")
    assert "external_media_address      : 192.0.2.10" in await booted.rx("pjsip show transport transport-udp")
    endpoint = await booted.rx("pjsip show endpoint trunk")
    assert re.search(rf"media_address +: {re.escape(TRUNK)}", endpoint)
    assert "192.0.2.20" in endpoint
    log = await asyncio.to_thread(booted.err.read_text)
    assert "Asterisk" in log  # the log goes where the container's log is
    assert " ERROR[" not in log


async def test_only_the_control_address_answers_and_only_with_the_secrets(booted: Booted) -> None:
    async with aiohttp.ClientSession() as http:
        for password, status in ((booted.env["ARI_PASSWORD"], 200), ("change-this-password", 401)):
            headers = {"Authorization": "Basic " + base64.b64encode(f"binding_ivr:{password}".encode()).decode()}
            async with http.get(f"http://{CONTROL}:8088/ari/asterisk/info", headers=headers) as reply:
                assert reply.status == status
    for address, port in ((TRUNK, 8088), (TRUNK, 5038)):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(address, port)
    ami = Ami(CONTROL, 5038, "binding_ivr", booted.env["AMI_SECRET"])
    await ami.connect()
    ami.close()
    environ = await asyncio.to_thread(Path(f"/proc/{await pid(booted)}/environ").read_bytes)
    assert b"SECRET" not in environ
    assert b"PASSWORD" not in environ


async def pid(booted: Booted) -> int:
    return int(await asyncio.to_thread((booted.folder / "run/asterisk.pid").read_text))


async def test_the_service_is_ready_with_the_environment_of_compose(
    booted: Booted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = environment("binding_ivr") | {
        "BINDING_IVR__DATABASE__DSN": "",  # the embedded one stands in for the container beside it
        "BINDING_IVR__SERVICE__STATE_DIR": str(tmp_path / "state"),
        "BINDING_IVR__ARI__URL": f"http://{CONTROL}:8088",
        "BINDING_IVR__AMI__HOST": CONTROL,
        "BINDING_IVR__AGI__BIND": "127.0.0.1",
        "BINDING_IVR__AGI__PORT": "0",
        "BINDING_IVR__AGI__ADVERTISE": "",
        "BINDING_IVR__WEB__BIND": "127.0.0.1",
        "BINDING_IVR__WEB__PORT": str(net.free_port("127.0.0.1")),
        "BINDING_IVR__METRICS__BIND": "127.0.0.1",
        "BINDING_IVR__METRICS__PORT": "0",
    }
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "empty.toml"
    path.write_text("")
    config = load(path)
    async with running_service(path, config, tmp_path / "service.log"):
        assert "binding_ivr" in await booted.rx("ari show apps")
