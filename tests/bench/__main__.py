"""`make bench`: print the figures with their ratios, exit 1 when a bound is broken."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from binding_ivr.lab import Lab
from binding_ivr.log import set_up
from tests.bench import doors, writes
from tests.bench.figures import Figure, table
from tests.e2e.commands import Commands
from tests.e2e.installation import COMMANDS

PARTS = ("doors", "writes")


async def measured(parts: Sequence[str]) -> list[Figure]:
    """Measure one part after the other."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="binding-ivr-bench-") as name:
        folder = Path(name)
        if "writes" in parts:
            (folder / "writes").mkdir(mode=0o700)
            figures += await writes.measure(folder / "writes")
        if "doors" in parts:
            (folder / "doors").mkdir(mode=0o700)
            commands: Commands = COMMANDS
            try:
                async with Lab() as lab:
                    figures += await doors.measure(lab, folder / "doors")
            finally:
                await commands.stop()
    return figures


def main(words: Sequence[str] | None = None) -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", metavar="PART", action="append", choices=PARTS, help=f"one of {', '.join(PARTS)}")
    asked = parser.parse_args(words)
    set_up("console", "critical")
    begun = time.monotonic()
    figures = asyncio.run(measured(asked.only or PARTS))
    print(table(figures), f"\ntook {time.monotonic() - begun:.0f} s", sep="\n")
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
