"""Asterisk's versions as they come, and what is said of each series."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.model.versions import Standing, Version, is_build, judge, read, series_of


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("22.10.1", Version(22, 10, 1)),
        ("Asterisk 22.10.1", Version(22, 10, 1)),
        ("  Asterisk 18.26.4\n", Version(18, 26, 4)),
        ("20", Version(20, 0)),
        ("18.2", Version(18, 2)),
        ("22.10.1~dfsg+~cs6.15.60671435-1", Version(22, 10, 1)),
        ("1:16.28.0~dfsg-0+deb11u4", Version(16, 28, 0)),
        ("22.10.1+dfsg", Version(22, 10, 1)),
        ("20.21.0-rc1", Version(20, 21, 0, candidate="-rc1")),
        ("23.0.0-beta2", Version(23, 0, 0, candidate="-beta2")),
        ("certified-22.8-cert4", Version(22, 8, cert=4)),
        ("Asterisk certified/20.7-cert3", Version(20, 7, cert=3)),
        ("certified-22.8-cert5-rc1", Version(22, 8, cert=5, candidate="-rc1")),
        ("13.38.3-1.sng7", Version(13, 38, 3)),
        ("16.16.1.1", Version(16, 16, 1)),
        ("GIT-master-f0c1c1a7b9", None),
        ("GIT-22-f0c1c1a7b9M", None),
        ("SVN-branch-1.8-r390", None),
        ("UNKNOWN__and_probably_unsupported", None),
        ("22.10.1x", None),
        ("certified-22.8", None),
        ("22.8-cert4", None),
        ("0x16", None),
        ("(none)", None),
        ("", None),
    ],
)
def test_a_version_is_read_as_it_comes(text: str, version: Version | None) -> None:
    assert read(text) == version
    if version is not None:
        assert read(str(version)) == version


@pytest.mark.parametrize(
    ("text", "series", "build"),
    [
        ("22.10.1", 22, False),
        ("certified-20.7-cert11", 20, False),
        ("GIT-22-f0c1c1a7b9", 22, True),
        ("Asterisk GIT-20-4aa541d6 ", 20, True),
        ("GIT-origin/18-3a8b", 18, True),
        ("GIT-master-f0c1c1a7b9", None, True),
        ("(none)", None, False),
    ],
)
def test_the_series_of_releases_and_of_builds(text: str, series: int | None, build: bool) -> None:
    assert (series_of(text), is_build(text)) == (series, build)


GOOD, DATED, TOO_OLD, UNREAD = Standing


@pytest.mark.parametrize(
    ("text", "standing", "way"),
    [
        ("22.10.1", GOOD, ""),
        ("22.11.0-rc1", GOOD, ""),
        ("22.10.1-rc1", DATED, "to 22.10.1"),
        ("22.10.0", DATED, "to 22.10.1"),
        ("20.20.1", GOOD, ""),
        ("20.21.0-rc1", GOOD, ""),
        ("20.18.2", DATED, "to 20.20.1"),
        ("23.4.1", GOOD, ""),
        ("23.4.0", DATED, "to 23.4.1"),
        ("24.0.0", GOOD, ""),
        ("certified-22.8-cert4", GOOD, ""),
        ("certified-22.8-cert2", DATED, "to certified-22.8-cert3"),
        ("certified-20.7-cert11", GOOD, ""),
        ("certified-20.7-cert10", DATED, "to certified-20.7-cert11"),
        ("certified-18.9-cert17", DATED, "no fixes any more"),
        ("certified-24.5-cert1", GOOD, ""),
        ("21.12.3", DATED, "no fixes any more"),
        ("18.26.4", DATED, "no fixes any more"),
        ("16.28.0~dfsg", DATED, "no fixes any more"),
        ("15.7.4", TOO_OLD, "too old"),
        ("GIT-13-0a1b2c3", TOO_OLD, "too old"),
        ("GIT-22-0a1b2c3", UNREAD, "build from a repository"),
        ("GIT-master-f0c1c1a7b9", UNREAD, "build from a repository"),
        ("twenty-two", UNREAD, "cannot be read"),
        ("", UNREAD, "not told"),
    ],
)
def test_what_is_said_of_a_version(text: str, standing: Standing, way: str) -> None:
    found = judge(text)
    assert found.standing is standing
    assert (way in found.detail) if way else (found.detail == "")


@given(st.text())
def test_any_text_is_judged_in_one_short_line(text: str) -> None:
    found = judge(text)
    assert len(found.shown) <= 60
    assert len(found.detail.splitlines()) <= 1
