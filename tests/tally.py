"""Adds up how the tests of several runs went: a plugin of pytest that writes it, and words for `python -m tests`."""

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

TALLY = "BINDING_IVR_TEST_TALLY"
"""Names the file to write; a run of pytest without it writes none."""
WORDS = ("passed", "failed", "error", "skipped", "xfailed")
LISTED = 20


@dataclass
class Line:
    """One test: how it ended, and the seconds that it and its fixtures took."""

    test: str
    outcome: str = "passed"
    seconds: float = 0.0

    def add(self, report: pytest.TestReport) -> None:
        """Add its set-up, its call or its end."""
        self.seconds += report.duration
        if report.failed:
            self.outcome = "failed" if report.when == "call" else "error"
        elif report.skipped and self.outcome == "passed":
            self.outcome = "xfailed" if hasattr(report, "wasxfail") else "skipped"


class Tally:
    """Hears of each test, from whichever worker ran it, and writes it down when it has ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, Line] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hear of a part of a test."""
        self.lines.setdefault(report.nodeid, Line(report.nodeid)).add(report)
        if report.when == "teardown":
            self._write(self.lines.pop(report.nodeid))

    def pytest_sessionfinish(self) -> None:
        """Write down also what had no end, as when its worker died."""
        for line in self.lines.values():
            self._write(line)
        self.lines.clear()

    def _write(self, line: Line) -> None:
        with self.path.open("a") as out:
            out.write(json.dumps(asdict(line)) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Listen where the run is led from; the workers tell it what they did."""
    if (path := os.environ.get(TALLY)) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Tally(Path(path)), "binding-ivr-tally")


def read(path: Path) -> list[Line]:
    """Return what a run wrote so far."""
    if not path.is_file():
        return []
    return [Line(**json.loads(text)) for text in path.read_text().splitlines()]


def counted(lines: Iterable[Line]) -> str:
    """Return such as `12 passed, 1 failed`. Passed and skipped are always named."""
    counts = Counter(line.outcome for line in lines)
    return ", ".join(f"{counts[word]} {word}" for word in WORDS if counts[word] or word in ("passed", "skipped"))


def slowest(lines: Iterable[Line]) -> str:
    """Return the list of the slowest tests, one a line."""
    rows = sorted(lines, key=lambda line: line.seconds, reverse=True)[:LISTED]
    return "\n".join(f"{row.seconds:8.1f} s  {row.test}" for row in rows)
