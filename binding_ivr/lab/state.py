"""Keeps what a lab leaves in its folder for later commands: its instances, addresses and secrets. It starts nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from binding_ivr.lab import own
from binding_ivr.lab.asterisk.configure import Plan
from binding_ivr.lab.asterisk.engine import Engine
from binding_ivr.lab.asterisk.instance import Instance
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.process import ProcessId

STATE = "lab.json"
NAMES = ("pbx", "carrier")


@dataclass(frozen=True, slots=True)
class Row:
    """A running instance."""

    pid: int
    started: int
    version: str
    origin: str
    program: tuple[str, ...]

    @property
    def process(self) -> ProcessId:
        """Its process."""
        return ProcessId(self.pid, self.started)

    @classmethod
    def of(cls, instance: Instance) -> "Row":
        """Return what is to be known of *instance*. LabError when it was not started."""
        if instance.process is None:
            raise LabError(f"Asterisk {instance.name} does not run")
        pid, started = instance.process.pid, instance.process.started
        return cls(pid, started, instance.version, instance.engine.origin, instance.engine.program)

    def instance(self, name: str, folder: Path) -> Instance:
        """Return the instance *name* of the lab in *folder*, to be asked by its console."""
        found = Engine(
            program=self.program,
            version=self.version,
            modules=Path(),
            sbin=Path(),
            documentation=None,
            sounds=None,
            origin=self.origin,
        )
        return Instance(name, folder / name, found)


@dataclass(frozen=True, slots=True)
class State:
    """A lab as a later command finds it. It has no path that is to be removed."""

    instances: dict[str, Row]
    plan: Plan
    settings: dict[str, Any]
    owner: ProcessId | None = None
    """The process that the lab shall not outlive."""

    def running(self, folder: Path) -> list[ProcessId]:
        """Return the instances of the lab in *folder* that run, known by start, owner and configuration."""
        return [
            row.process
            for name, row in self.instances.items()
            if row.process.is_running(str(Instance.configuration_in(folder / name)))
        ]


def write_state(folder: Path, state: State) -> None:
    """Write the state file of the lab in *folder*, at once and only for its owner's eyes."""
    half = folder / f".{STATE}"
    half.touch(mode=0o600)
    half.write_bytes(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
    half.replace(folder / STATE)


def read_state(folder: Path) -> State | None:
    """Return the state of the lab in *folder*, None when there is none. LabError when others could have written it."""
    try:
        with own.opened(folder) as handle:
            return state_in(handle)
    except FileNotFoundError:
        return None


def state_in(handle: int) -> State | None:
    """Return the state of the lab in the folder that is open as *handle*, None when there is none to be believed."""
    try:
        state = msgspec.json.decode(own.read(handle, STATE), type=State)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    # Paths are made of the names.
    return state if set(state.instances) == set(NAMES) else None
