"""Clears away labs whose owner died. It starts nothing, and believes no folder that others can write to."""

import contextlib
import shutil
import tempfile
from pathlib import Path

from binding_ivr.lab import own
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.process import end
from binding_ivr.lab.state import State, state_in

PREFIX = "binding-ivr-lab-"


def clear(folder: Path, state: State) -> None:
    """End the instances of the lab in *folder* and remove their control sockets. Blocks."""
    end(state.running(folder))
    with own.opened(folder) as handle:
        for name in state.instances:
            shutil.rmtree(f"{name}/run", ignore_errors=True, dir_fd=handle)


def sweep() -> list[Path]:
    """Remove the temporary folders of the caller's own labs whose owner is dead, and their processes. Blocks."""
    swept: list[Path] = []
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # Anybody may have made a folder of that name.
        with contextlib.suppress(OSError, LabError), own.opened(folder) as handle:
            state = state_in(handle)
            if state is None or state.owner is None or state.owner.is_alive():
                continue
            end(state.running(folder))
            own.remove(folder, handle)
            swept.append(folder)
    return swept
