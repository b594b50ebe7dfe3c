"""Runs all tests: two lanes side by side, each a pytest of its own, and at the end what needs the machine to itself.

The one waits for telephones while the other computes; with a third lane two cores are so busy that calls suffer.
What a lane says is shown as a whole when it has ended. Arguments go to every pytest: `python -m tests -k mirror`.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.patience import SLOWNESS

NOTHING_COLLECTED = 5  # of pytest: as with -k


@dataclass(frozen=True, slots=True)
class Lane:
    """A part of the tests."""

    name: str
    words: tuple[str, ...]

    async def run(self, more: Sequence[str]) -> bool:
        """Run it and show what it says; tell whether all went well."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pytest", *self.words, *more,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={SLOWNESS: "3", **os.environ}, start_new_session=True,  # an interrupt reaches it once: from here
        )  # fmt: skip
        print(f"{self.name}: begun", flush=True)
        saying = asyncio.create_task(process.communicate())
        try:
            said, _ = await asyncio.shield(saying)
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)  # and its fixtures end what they started
            await saying
            raise
        print(f"\n#### {self.name}\n{said.decode(errors='replace')}", flush=True)
        return process.returncode == 0 or (bool(more) and process.returncode == NOTHING_COLLECTED)


SIDE_BY_SIDE = (
    Lane("unit and integration", ("tests/unit", "tests/integration")),
    Lane("e2e", ("-m", "not alone", "tests/e2e")),
)
AT_THE_END = Lane("e2e: alone", ("-m", "alone", "tests/e2e"))


async def run_all(more: Sequence[str]) -> bool:
    """Run all lanes; tell whether all went well."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    well = await asyncio.gather(*(lane.run(more) for lane in SIDE_BY_SIDE))
    well.append(await AT_THE_END.run(more))
    for lane, passed in zip((*SIDE_BY_SIDE, AT_THE_END), well, strict=True):
        print(f"{'passed' if passed else 'FAILED'}: {lane.name}")
    return all(well)


def main() -> int:
    """Return 0 when everything passed, 1 when anything failed, 130 when interrupted."""
    try:
        return 0 if asyncio.run(run_all(sys.argv[1:])) else 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


if __name__ == "__main__":
    sys.exit(main())
