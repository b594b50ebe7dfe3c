"""The data folder of a migrated embedded PostgreSQL: made once by each worker, and copied for each installation.

Making one takes a second of computing and, each time, a write of everything on the machine to its disks.
"""

import asyncio
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from binding_ivr.app.installation import open_database
from binding_ivr.config import Config
from binding_ivr.config.sections import Service


@dataclass
class DataFolder:
    """Where the copies come from."""

    state: Path | None = None
    """A state folder that this worker may use; None: nothing is copied, and every installation makes its own."""
    made: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def copy_to(self, state: Path) -> None:
        """Lay a copy into a state folder that has no data yet."""
        if self.state is None or (state / "postgres").exists():
            return
        async with self.made:
            if not (self.state / "postgres").exists():
                async with open_database(Config(service=Service(state_dir=str(self.state))), 2, migrations="apply"):
                    pass
        state.mkdir(parents=True, exist_ok=True)
        # Not shutil: as root the data belong to a user of their own. Most of it are zeros of a log that is still empty.
        copy = ["cp", "--archive", "--reflink=auto", "--sparse=always", str(self.state / "postgres"), str(state)]
        await asyncio.to_thread(subprocess.run, copy, check=True)


READY = DataFolder()
