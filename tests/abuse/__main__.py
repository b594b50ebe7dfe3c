"""`make abuse`: attack the real service in a lab, print what came of it, exit 1 when an expectation is broken."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from binding_ivr.lab import Lab
from binding_ivr.log import set_up
from tests.abuse.attacks import ATTACKS, run
from tests.abuse.report import Result, table
from tests.abuse.scene import place

AT_ONCE = 4
"""Attacks under way at the same time, each with two nodes of its own."""


async def attack(names: Sequence[str], *, quiet: bool) -> list[Result]:
    """Run the attacks *names* in one lab; tell of each when it is over unless *quiet*."""
    with tempfile.TemporaryDirectory(prefix="binding-ivr-abuse-") as folder:
        async with Lab() as lab, place(lab, Path(folder)) as at:
            lines = asyncio.Semaphore(AT_ONCE)

            async def one(name: str) -> Result:
                async with lines:
                    return told(await run(at, name), quiet=quiet)

            return list(await asyncio.gather(*(one(name) for name in names)))


def told(result: Result, *, quiet: bool) -> Result:
    """Tell of *result*, and return it."""
    if not quiet:
        print("\n".join(result.words()), f"  took {result.took_s:.0f} s\n", sep="\n", flush=True)
    return result


def main(words: Sequence[str] | None = None) -> int:
    """Return the exit status."""
    known = [each.name for each in ATTACKS]
    parser = argparse.ArgumentParser(prog="python -m tests.abuse", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=known, help=f"one of {', '.join(known)}")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    asked = parser.parse_args(words)
    set_up("console", "critical")  # that calls are paused is what is wanted here
    begun = time.monotonic()
    results = asyncio.run(attack(asked.only or known, quiet=asked.json))
    if asked.json:
        print(json.dumps([result.json() for result in results], indent=2))
    else:
        print(table(results), f"\ntook {time.monotonic() - begun:.0f} s", sep="\n")
    return status(results)


def status(results: Sequence[Result]) -> int:
    """Return 0 when every expectation held, else 1."""
    return 0 if all(result.holds for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
