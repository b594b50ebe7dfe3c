"""Reads from the host's apt where packages come from, and installs them. It writes no apt configuration."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from binding_ivr.lab.errors import LabError

_ETC_APT = Path("/etc/apt")
_POLICY = Path("/usr/sbin/policy-rc.d")
_INSTALL_TIMEOUT_S = 900


def parse_deb822(text: str) -> list[tuple[str, list[str]]]:
    """Return (URI, suites) of each `deb` source in a `.sources` file."""
    found: list[tuple[str, list[str]]] = []
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", lines):
        values: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                values[key] = f"{values.get(key, '')} {line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                key = name.strip().lower()
                values[key] = value.strip()
        if "deb" in values.get("types", "").split() and values.get("enabled", "yes").lower() != "no":
            found += [(uri, values.get("suites", "").split()) for uri in values.get("uris", "").split()]
    return found


def parse_one_line(text: str) -> list[tuple[str, list[str]]]:
    """Return (URI, suites) of each `deb` source in a `.list` file."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)", line)
        if match:
            found.append((match[1], [match[2]]))
    return found


def debian_mirror(folder: Path = _ETC_APT) -> str:
    """Return the URI of the Debian archive that the host's apt uses.

    Raises LabError when the host has none: it is no Debian, or has no sources.
    """
    sources: list[tuple[str, list[str]]] = []
    for path in sorted([folder / "sources.list", *folder.glob("sources.list.d/*")]):
        if path.suffix == ".sources" and path.is_file():
            sources += parse_deb822(path.read_text(errors="replace"))
        elif path.suffix == ".list" and path.is_file():
            text = path.read_text(errors="replace")
            # Some images keep deb822 text under the old name.
            sources += parse_one_line(text) or parse_deb822(text)
    for uri, suites in sources:
        path_part = uri.rstrip("/")
        plain = [suite for suite in suites if not suite.rstrip("/").endswith(("-security", "-backports"))]
        if path_part.endswith("/debian") and any(not suite.endswith("/updates") for suite in plain):
            return path_part
    raise LabError("apt names no Debian mirror: install the package asterisk (18 or newer) by hand")


def candidate(package: str) -> str:
    """Return the version of *package* that apt would install, empty when there is none."""
    if shutil.which("apt-cache") is None:
        return ""
    result = subprocess.run(
        ["apt-cache", "policy", package],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    match = re.search(r"^\s*Candidate:\s*(\S+)", result.stdout, re.MULTILINE)
    return "" if match is None or match[1] == "(none)" else match[1]


def install(*packages: str) -> None:
    """Install *packages* by apt-get, without starting their services. Root only.

    Raises LabError with apt's last words when that fails.
    """
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    apt_get = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "--no-install-recommends"]
    with _no_services():
        # A failing update may be one foreign source; the installation tells whether it matters.
        for command in ([*apt_get, "update"], [*apt_get, "install", *packages]):
            result = subprocess.run(
                command, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False, env=env
            )
    if result.returncode:
        last = (result.stderr.strip() or result.stdout.strip()).splitlines()[-1:]
        raise LabError(f"apt-get install {' '.join(packages)} failed ({''.join(last)}); install it by hand")


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages that bring a daemon from starting it: the lab runs its own."""
    try:
        handle = os.open(_POLICY, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o755)
    except FileExistsError:
        # The host has a policy already, as containers do.
        yield
        return
    with os.fdopen(handle, "w") as policy:
        policy.write("#!/bin/sh\nexit 101\n")
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
