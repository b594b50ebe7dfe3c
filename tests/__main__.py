"""Runs all tests: one lane after another, each a pytest with workers, and at the end what needs the machine to itself.

Most e2e tests wait for telephones, so several labs fit on two cores; what computes fills them by itself and goes first.
What a lane says is shown as a whole when it has ended. A first word `integration` or `e2e` runs these alone; all other
arguments go to every pytest: `python -m tests e2e -k mirror`.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import tally
from tests.patience import SLOWNESS

NOTHING_COLLECTED = 5  # of pytest: as with -k
PROGRESS_S = 60


@dataclass(frozen=True, slots=True)
class Lane:
    """A part of the tests, and how many workers share it; each has a lab and a PostgreSQL of its own."""

    name: str
    words: tuple[str, ...]
    workers: int = 0

    def command(self) -> list[str]:
        """Return how to run it: a file's tests stay together, in the order in which the files were collected."""
        spread = ["-n", str(self.workers), "--dist", "loadfile", "--no-loadscope-reorder"] if self.workers else []
        return [sys.executable, "-m", "pytest", "-q", "-p", "tests.tally", *spread, *self.words]


@dataclass(frozen=True, slots=True)
class Result:
    """How a lane went."""

    lane: Lane
    passed: bool
    lines: list[tally.Line]
    seconds: float

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        return f"{verdict}: {self.lane.name}: {tally.counted(self.lines)} in {minutes(self.seconds)}"


async def run(lane: Lane, more: Sequence[str], folder: Path) -> Result:
    """Run a lane and show what it says."""
    began = time.monotonic()
    written = folder / lane.name.replace(" ", "-")
    environment = {SLOWNESS: "3", **os.environ, tally.TALLY: str(written)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of commands would compile all modules each time
    process = await asyncio.create_subprocess_exec(
        *lane.command(), *more,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # an interrupt reaches it once: from here
    )  # fmt: skip
    print(f"{lane.name}: begun", flush=True)
    saying = asyncio.create_task(process.communicate())
    try:
        while not (await asyncio.wait({saying}, timeout=PROGRESS_S))[0]:
            print(f"{lane.name}: {len(tally.read(written))} tests in {minutes(time.monotonic() - began)}", flush=True)
        said, _ = await saying
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)  # the workers too: their fixtures end what they started
        await saying
        raise
    print(f"\n#### {lane.name}\n{said.decode(errors='replace')}", flush=True)
    passed = process.returncode == 0 or (bool(more) and process.returncode == NOTHING_COLLECTED)
    return Result(lane, passed, tally.read(written), time.monotonic() - began)


COMPUTING = Lane("unit and integration", ("tests/unit", "tests/integration"), workers=2)
E2E = Lane("e2e", ("-m", "not alone", "tests/e2e"), workers=6)
ALONE = Lane("e2e alone", ("-m", "alone", "tests/e2e"))
PLANS: dict[str, tuple[Lane, ...]] = {
    "": (COMPUTING, E2E, ALONE),
    "integration": (Lane("integration", ("tests/integration",), workers=2),),
    "e2e": (E2E, ALONE),
}
"""What each first word runs, none being all: one lane after another."""


async def run_all(plan: Sequence[Lane], more: Sequence[str]) -> bool:
    """Run all lanes and say how they went; tell whether all went well."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="binding-ivr-tally-") as folder:
        results = [await run(lane, more, Path(folder)) for lane in plan]
    lines = [line for result in results for line in result.lines]
    print(f"#### the {tally.LISTED} slowest tests\n{tally.slowest(lines)}\n\n#### all tests")
    for result in results:
        print(result)
    well = all(result.passed for result in results)
    print(f"{'passed' if well else 'FAILED'}: {tally.counted(lines)} in {minutes(time.monotonic() - began)}")
    return well


def minutes(seconds: float) -> str:
    """Return a time as people read it."""
    return f"{int(seconds) // 60} min {int(seconds) % 60:02} s"


def main() -> int:
    """Return 0 when everything passed, 1 when anything failed, 130 when interrupted."""
    words = sys.argv[1:]
    which = words.pop(0) if words and words[0] in PLANS else ""
    try:
        return 0 if asyncio.run(run_all(PLANS[which], words)) else 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


if __name__ == "__main__":
    sys.exit(main())
