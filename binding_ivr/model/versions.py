"""Asterisk's versions as it writes them, and what is known of each: read once, judged series by series."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

OLDEST = 16
"""The oldest series on which calls, look-ups and hot-switch are tested (16.28)."""
ADVISED = "22.10.1"

_FIXED = {20: (20, 20, 1), 22: (22, 10, 1), 23: (23, 4, 1)}
"""The first release of each maintained series with the fixes of 22.10.1, by its change log.

Security (GHSA-wcvv-g26m-wx5c, GHSA-vrfp-mg3q-3959 and others), and deadlocks when ARI places a call (the Asterisk
project's issues 1872 and 1936).
"""
_FIXED_CERTIFIED = {(20, 7): 11, (22, 8): 3}
"""The same of certified series: the number behind `cert`. Older certified series get no fixes any more."""
_NEWEST = max(_FIXED)
_FORM = re.compile(
    r"(certified[-/ ])?(\d{1,3})(?:\.(\d{1,4}))?(?:\.(\d{1,4}))?(?:\.\d+)*(?:-cert(\d{1,3}))?(-(?:rc|beta)\d+)?",
    re.ASCII,
)
_BRANCH = re.compile(r"GIT-(?:origin/)?(master|\d{1,3})(?:[-.M]|$)", re.ASCII)


class Version(NamedTuple):
    """A release: `22.10.1`, `20.21.0-rc1`, `certified-22.8-cert4`. `cert` is 0 unless it is a certified one."""

    major: int
    minor: int
    patch: int = 0
    cert: int = 0
    candidate: str = ""

    def __str__(self) -> str:
        if self.cert:
            return f"certified-{self.major}.{self.minor}-cert{self.cert}{self.candidate}"
        return f"{self.major}.{self.minor}.{self.patch}{self.candidate}"


class Standing(StrEnum):
    """What is to be said of a version."""

    GOOD = "good"
    DATED = "dated"
    """It works; another one is better."""
    TOO_OLD = "too_old"
    UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a version: `shown` is how it is named, `detail` one sentence, empty when all is well."""

    standing: Standing
    shown: str
    detail: str = ""


def read(text: str) -> Version | None:
    """Return the release that *text* names, None when it names none.

    *text* is what ARI, AMI, `asterisk -V` or a package manager says: `Asterisk 22.10.1`, `22.10.1~dfsg+~cs6.15-1`,
    `1:16.28.0~dfsg-0+deb11u4`, `certified-20.7-cert11`, `certified/18.9-cert4`. A build from a repository
    (`GIT-master-f0c1c1a7b9`) is no release.
    """
    plain = re.sub(r"^(?:Asterisk\s+)?(?:\d+:)?", "", text.strip())
    found = _FORM.match(plain)
    if found is None or not re.match(r"$|[-+~.\sM]", plain[found.end() :]):
        return None
    certified, major, minor, patch, cert, candidate = found.groups()
    if bool(certified) != bool(cert):
        return None
    return Version(int(major), int(minor or 0), int(patch or 0), int(cert or 0), candidate or "")


def series_of(text: str) -> int | None:
    """Return the series of a release, or of a build of a series' branch (`GIT-22-f0c1c1a7b9`); None for any other."""
    version = read(text)
    if version is not None:
        return version.major
    branch = _BRANCH.search(text)
    return int(branch[1]) if branch is not None and branch[1] != "master" else None


def is_build(text: str) -> bool:
    """Return whether *text* names a build from a repository."""
    return _BRANCH.search(text) is not None


def judge(text: str) -> Judgement:
    """Return what is known of the version *text*."""
    version, series = read(text), series_of(text)
    shown = str(version) if version is not None else " ".join(text.split())[:40]
    if series is not None and series < OLDEST:
        detail = f"{shown} is too old: upgrade to {ADVISED} or newer ({OLDEST} is the oldest series that works)"
        return Judgement(Standing.TOO_OLD, shown, detail)
    if version is None:
        if is_build(text):
            what = f"{shown} is a build from a repository"
        else:
            what = f"its version cannot be read ({shown})" if shown else "its version is not told"
        return Judgement(Standing.UNREAD, shown, f"{what}: look yourself whether it has the fixes of {ADVISED}")
    if _has_fixes(version):
        return Judgement(Standing.GOOD, shown)
    return Judgement(Standing.DATED, shown, _way_on(version))


def _has_fixes(version: Version) -> bool:
    if version.cert:
        due = _FIXED_CERTIFIED.get((version.major, version.minor))
        return version.cert >= due if due is not None else (version.major, version.minor) > max(_FIXED_CERTIFIED)
    fixed = _FIXED.get(version.major)
    if fixed is None:
        return version.major > _NEWEST
    numbers = version[:3]
    # A candidate for 22.10.1 is not 22.10.1; one for a later release was made from what came before.
    return numbers > fixed or (numbers == fixed and not version.candidate)


def _way_on(version: Version) -> str:
    if version.cert and (due := _FIXED_CERTIFIED.get((version.major, version.minor))) is not None:
        better = f"certified-{version.major}.{version.minor}-cert{due}"
        return f"upgrade {version} to {better} or newer: it fixes security faults"
    if not version.cert and version.major in _FIXED:
        better = ".".join(map(str, _FIXED[version.major]))
        return f"upgrade {version} to {better} or newer: it fixes security faults and deadlocks of ARI"
    return f"{version} works, but its series gets no fixes any more: {ADVISED} has those of security faults and of ARI"
