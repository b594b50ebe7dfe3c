"""Writes an instance's Asterisk configuration: the project's samples, adapted, and the lab's own overlay.

The samples are valid files without placeholders, so adapting means giving a named setting another value:
`adapt` fails when a sample no longer has that setting. The overlay in `etc/` has `@NAME@` placeholders.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from binding_ivr.lab.asterisk.console import SOCKET
from binding_ivr.lab.asterisk.engine import Engine
from binding_ivr.lab.asterisk.sounds import complete
from binding_ivr.lab.behaviours import dialplan_globals
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.net import open_files_limit
from binding_ivr.resources import data_dir

_OVERLAY = Path(__file__).resolve().parent / "etc"
_LONGEST_SOCKET = 100  # sun_path holds 108 bytes
_AUDIO = (".ulaw", ".alaw", ".sln", ".sln16", ".wav", ".wav16", ".gsm", ".g722")

_EMPTY = (
    "acl",
    "ccss",
    "cdr",
    "cel",
    "features",
    "pjproject",
    "pjsip_notify",
    "queuerules",
    "stasis",
    "udptl",
    "websocket_client",
)
"""Files that Asterisk complains about when they are missing, unless a sample or an overlay brings one."""


DESKS = ("1001", "1002", "1003", "1004")
"""The desk phones that the phone network plays."""
SOFTPHONE = "1005"
"""The desk phone that is a program of its own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All addresses, ports and secrets of one lab."""

    block: str
    """First three parts of the lab's loopback network."""
    sip_port: int
    http_port: int
    ami_port: int
    carrier_ami_port: int
    agi_port: int
    ari_password: str
    ami_secret: str
    lab_secret: str

    @property
    def pbx(self) -> str:
        """The PBX's address."""
        return f"{self.block}.1"

    @property
    def carrier(self) -> str:
        """The phone network's address."""
        return f"{self.block}.2"

    def desk(self, index: int) -> str:
        """The address of the desk phone 1000 + *index*."""
        return f"{self.block}.{2 + index}"

    @property
    def softphone(self) -> str:
        """The address of the program behind the softphone's desk."""
        return f"{self.block}.8"


def adapt(sample: str, values: dict[tuple[str, str], str]) -> str:
    """Return *sample* with settings changed; *values* maps (section, key) to the new value.

    A section that occurs more than once (as in pjsip.conf) is changed where it has the key.
    Raises LabError when a setting is not there: the sample and the lab have parted.
    """
    section = ""
    missing = set(values)
    lines: list[str] = []
    for line in sample.splitlines():
        if header := re.match(r"\[([^\]]+)\]", line):
            section = header[1]
        setting = re.match(r"([A-Za-z_]+)(\s*=>?\s*)([^;]*)", line)
        if setting and (section, setting[1]) in values:
            missing.discard((section, setting[1]))
            line = f"{setting[1]}{setting[2]}{values[section, setting[1]]}"
        lines.append(line)
    if missing:
        raise LabError(f"a sample file lacks the settings {sorted(missing)}; reinstall the package binding-ivr")
    return "\n".join(lines) + "\n"


def fill(template: str, values: dict[str, str]) -> str:
    """Return *template* with each `@NAME@` replaced. Raises LabError for a name without a value."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise LabError(f"an overlay file names @{match[1]}@, which the lab does not know")
        return values[match[1]]

    return re.sub(r"@([A-Z][A-Z0-9_]*)@", value, template)


def write_instance(folder: Path, name: str, engine: Engine, plan: Plan) -> None:
    """Write everything that the instance *name* (`pbx` or `carrier`) needs under *folder*. Blocks."""
    for part in (
        "etc",
        "cache",
        "data/sounds",
        "data/agi-bin",
        "data/keys/stir_shaken/cache",
        "log/cdr-csv",
        "log/cel-custom",
        "run",
        "spool/heard",
        "spool/monitor",
        "spool/tmp",
    ):
        (folder / part).mkdir(parents=True, exist_ok=True)
    values = _values(folder, name, engine, plan)
    for empty in _EMPTY:
        _write(folder / f"etc/{empty}.conf", "; The defaults are right for the lab.\n")
    for source in sorted((_OVERLAY / "common").glob("*.conf")) + sorted((_OVERLAY / name).glob("*.conf")):
        _write(folder / "etc" / source.name, fill(source.read_text(), values))
    _write(folder / "etc/modules.conf", _modules(engine, name))
    if name == "pbx":
        _write_pbx(folder / "etc", plan)
        if engine.odbc_driver is not None:
            _write(folder / "etc/odbcinst.ini", f"[PostgreSQL Unicode]\nDriver = {engine.odbc_driver}\n")
    _link_data(folder / "data", engine, name)


def _values(folder: Path, name: str, engine: Engine, plan: Plan) -> dict[str, str]:
    run = folder / "run"
    if len(os.fsencode(run / SOCKET)) > _LONGEST_SOCKET:
        # Asterisk and its console work in *folder*; so the socket need not stand anywhere else.
        run = Path("/proc/self/cwd/run")
    return {
        "FOLDER": str(folder),
        "RUN": str(run),
        "NAME": name,
        "MODULES": str(engine.modules),
        "SBIN": str(engine.sbin),
        "ENTITY": "02:00:" + ":".join(f"{int(part):02x}" for part in f"{plan.block}.{len(name)}".split(".")),
        "MAXFILES": str(open_files_limit()),
        "PBX": plan.pbx,
        "CARRIER": plan.carrier,
        **{f"DESK{index}": plan.desk(index) for index in range(1, 6)},
        "SIGNER": f"{plan.block}.9",
        "SIP_PORT": str(plan.sip_port),
        "AMI_PORT": str(plan.carrier_ami_port),
        "LAB_SECRET": plan.lab_secret,
        "LOOKUP_SECONDS": "60",
        "BEHAVIOURS": dialplan_globals(),
    }


def _write_pbx(etc: Path, plan: Plan) -> None:
    samples = data_dir("dialplan") / "samples"
    carrier = f"{plan.carrier}:{plan.sip_port}"
    changes: dict[str, dict[tuple[str, str], str]] = {
        "ari.conf": {("binding_ivr", "password"): plan.ari_password},
        "http.conf": {("general", "bindaddr"): plan.pbx, ("general", "bindport"): str(plan.http_port)},
        "manager.conf": {
            ("general", "bindaddr"): plan.pbx,
            ("general", "port"): str(plan.ami_port),
            ("binding_ivr", "secret"): plan.ami_secret,
        },
        "pjsip.conf": {
            ("transport-udp", "bind"): f"{plan.pbx}:{plan.sip_port}",
            ("trunk", "media_address"): plan.pbx,
            ("trunk", "contact"): f"sip:{carrier}",
            ("trunk", "match"): plan.carrier,
        },
        "res_odbc.conf": {("binding_ivr", "password"): plan.lab_secret},
        "extensions.conf": {("globals", "BINDING_AGI"): f"127.0.0.1:{plan.agi_port}"},
    }
    for sample in sorted(samples.glob("*.conf")):
        text = adapt(sample.read_text(), changes.pop(sample.name, {}))
        overlay = etc / f"{sample.stem}_lab.conf"
        if overlay.exists():
            text += f'\n#include "{overlay.name}"\n'
        _write(etc / sample.name, text)
    if changes:
        raise LabError(f"the samples {sorted(changes)} are missing; reinstall the package binding-ivr")
    # The files that operators include, as they are.
    for source in [*sorted(data_dir("dialplan").glob("*.conf")), samples / "binding_ivr_out.conf"]:
        shutil.copyfile(source, etc / source.name)


def _modules(engine: Engine, name: str) -> str:
    # A container takes the two modules.txt as well (Dockerfile); what only the lab's tests want stands apart.
    lists = [_OVERLAY / part for part in ("common/modules.txt", f"{name}/modules.txt", f"{name}/modules_lab.txt")]
    wanted = [module for path in lists if path.exists() for module in path.read_text().split()]
    # Which modules there are depends on Asterisk's version; one that is named and missing is an error.
    there = [module for module in sorted(wanted) if (engine.modules / f"{module}.so").exists()]
    return "[modules]\nautoload = no\n" + "".join(f"load = {module}.so\n" for module in there)


def _link_data(data: Path, engine: Engine, name: str) -> None:
    if engine.documentation is not None:
        _link(data / "documentation", engine.documentation)
    english = data / "sounds/en"
    english.mkdir(exist_ok=True)
    if engine.sounds is not None:
        for sound in engine.sounds.iterdir():
            _link(english / sound.name, sound)
    complete(english, data / "moh")
    if name != "pbx":
        return
    prompts = data_dir("dialplan") / "prompts"
    for language in sorted(prompts.iterdir()) if prompts.is_dir() else []:
        if language.is_dir() and any(path.suffix in _AUDIO for path in language.iterdir()):
            (data / "sounds" / language.name).mkdir(exist_ok=True)
            _link(data / "sounds" / language.name / "binding_ivr", language)


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve())


def _write(path: Path, text: str) -> None:
    # Passwords stand in some of them.
    path.touch(mode=0o600)
    path.write_text(text)
