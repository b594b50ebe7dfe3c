"""What is said at the end of all tests is what happened in them."""

from pathlib import Path
from typing import Literal

import pytest

from tests.tally import Line, Tally, counted, read, slowest

Outcome = Literal["passed", "failed", "skipped"]


def report(
    test: str, when: Literal["setup", "call", "teardown"], outcome: Outcome, seconds: float
) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=test, location=("", 0, ""), keywords={}, outcome=outcome, longrepr=None, when=when, duration=seconds
    )


def heard(tally: Tally, test: str, *outcomes: Outcome) -> None:
    for when, outcome in zip(("setup", "call", "teardown"), outcomes, strict=False):
        tally.pytest_runtest_logreport(report(test, when, outcome, 1.5))  # type: ignore[arg-type]


def test_a_run_is_written_and_read(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "lane")
    heard(tally, "a::good", "passed", "passed", "passed")
    heard(tally, "a::bad", "passed", "failed", "passed")
    heard(tally, "a::odd", "passed", "passed", "failed")
    heard(tally, "a::none", "skipped")
    assert [line.test for line in read(tmp_path / "lane")] == ["a::good", "a::bad", "a::odd"]
    tally.pytest_sessionfinish()  # the worker of the last one died
    lines = read(tmp_path / "lane")
    assert lines == [
        Line("a::good", "passed", 4.5),
        Line("a::bad", "failed", 4.5),
        Line("a::odd", "error", 4.5),
        Line("a::none", "skipped", 1.5),
    ]
    assert counted(lines) == "1 passed, 1 failed, 1 error, 1 skipped"


def test_a_run_that_was_killed_has_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == []
    assert counted([]) == "0 passed, 0 skipped"


def test_the_slowest_come_first_and_are_twenty() -> None:
    text = slowest([Line(f"t{number}", seconds=number) for number in range(30)]).splitlines()
    assert len(text) == 20
    assert text[0].split() == ["29.0", "s", "t29"]
    assert text[-1].split() == ["10.0", "s", "t10"]
