"""requirements/*.txt against pyproject.toml: each list holds what its part asks for, in releases it allows, by hash."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
ENTRY = re.compile(r"([a-z0-9-]+)==([^ ;]+)(?: ; (.+?))?((?: --hash=sha256:[0-9a-f]{64})+)")
PARTS: dict[str, tuple[bool, tuple[str, ...], bool]] = {
    "build": (False, (), True),
    "service": (True, (), False),
    "embedded": (True, ("embedded",), True),
    "dev": (True, ("embedded", "dev"), True),
}
"""List -> with the service's own dependencies, with these extras, with what builds the package."""


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(part: str) -> dict[str, Version]:
    """Return the releases of a list; an entry of another form, or without a hash, fails."""
    text = (ROOT / f"requirements/{part}.txt").read_text().replace(" \\\n   ", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    entries = [ENTRY.fullmatch(line) for line in lines]
    assert None not in entries, [line[:60] for line, entry in zip(lines, entries, strict=True) if entry is None]
    return {canonicalize_name(entry[1]): Version(entry[2]) for entry in entries if entry is not None}


def asked_for(part: str) -> list[Requirement]:
    own, extras, builds = PARTS[part]
    texts = [*project()["project"]["dependencies"]] if own else []
    for extra in extras:
        texts += project()["project"]["optional-dependencies"][extra]
    if builds:
        texts += project()["dependency-groups"]["build"]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("part", PARTS)
def test_a_list_holds_what_its_part_asks_for(part: str) -> None:
    releases = locked(part)
    for requirement in asked_for(part):
        release = releases.get(canonicalize_name(requirement.name))
        assert release is not None, f"{requirement.name} is not in requirements/{part}.txt: make lock"
        assert requirement.specifier.contains(release), (
            f"requirements/{part}.txt has {requirement.name} {release}: make lock"
        )


def test_the_lists_agree_and_there_is_no_other() -> None:
    assert {path.stem for path in (ROOT / "requirements").iterdir()} == set(PARTS)
    everything = locked("dev")
    for part in PARTS:
        assert locked(part).items() <= everything.items(), part


def test_what_builds_the_package_is_locked_too() -> None:
    group = {Requirement(text).name for text in project()["dependency-groups"]["build"]}
    assert {Requirement(text).name for text in project()["build-system"]["requires"]} <= group


def test_the_image_and_make_install_from_the_lists_alone() -> None:
    told = "\n".join((ROOT / name).read_text().replace("\\\n", " ") for name in ("Dockerfile", "Makefile"))
    installs = re.findall(r"pip install ([^\n&]+)", told)
    assert len(installs) >= 6
    for options in installs:
        from_list = "--require-hashes --requirement requirements/" in options
        assert from_list or "--no-deps" in options or "'uv>=" in options, options
