"""Keeps each lab's state file, and clears away labs whose owner died. It starts nothing."""

import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from binding_ivr.lab.process import ProcessId, end

STATE = "lab.json"
PREFIX = "binding-ivr-lab-"


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write the state file of the lab in *folder*, at once and only for its owner's eyes."""
    half = folder / f".{STATE}"
    half.touch(mode=0o600)
    half.write_text(json.dumps(state, indent=2) + "\n")
    half.replace(folder / STATE)


def read_state(folder: Path) -> dict[str, Any] | None:
    """Return the state of the lab in *folder*, None when there is none."""
    try:
        state = json.loads((folder / STATE).read_text())
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None


def processes(state: dict[str, Any]) -> list[ProcessId]:
    """Return the Asterisk processes that *state* names."""
    return [
        ProcessId(int(row["pid"]), int(row["started"])) for row in state.get("instances", {}).values() if row.get("pid")
    ]


def clear(folder: Path, state: dict[str, Any]) -> None:
    """End the processes of a lab and remove what lies outside of its folder. Blocks."""
    end(processes(state))
    for row in state.get("instances", {}).values():
        # The control socket's folder is elsewhere when the lab's own path is too long for a socket.
        if (run := row.get("run")) and not Path(run).is_relative_to(folder):
            shutil.rmtree(run, ignore_errors=True)


def sweep() -> list[Path]:
    """Remove the temporary folders of labs whose owner is dead, and their processes. Blocks."""
    swept: list[Path] = []
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        state = read_state(folder)
        if state is None or "owner" not in state:
            continue
        owner = ProcessId(int(state["owner"]["pid"]), int(state["owner"]["started"]))
        if owner.is_alive():
            continue
        with contextlib.suppress(OSError):
            clear(folder, state)
            shutil.rmtree(folder, ignore_errors=True)
            swept.append(folder)
    return swept
