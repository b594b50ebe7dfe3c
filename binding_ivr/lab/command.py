"""The commands `lab up`, `lab down` and `lab status`: a lab that stays when the command has ended.

Exit status 0: done; 1: refused or failed, said in one line on stderr.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from binding_ivr.lab import net, sweep
from binding_ivr.lab.asterisk.rootfs import cache_folder
from binding_ivr.lab.behaviours import TABLE
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.lab import AGI_ADDRESS, Lab
from binding_ivr.lab.state import STATE, Row, State, read_state

CONFIG = "binding-ivr.toml"
_USUAL_AGI_PORT = 4573


def default_folder() -> Path:
    """Return where `lab up` keeps its lab unless told otherwise."""
    return cache_folder() / "lab"


async def up(folder: Path, as_json: bool = False) -> int:
    """Start a lab in *folder* that keeps running, and write the daemon's configuration next to it."""
    folder = _absolute(folder)
    print("Starting the lab. The first time, it may have to fetch an Asterisk …", file=sys.stderr)
    lab = Lab(folder, agi_port=net.free_port(AGI_ADDRESS, _USUAL_AGI_PORT), detached=True)
    try:
        await lab.start()
    except LabError as error:
        return _refuse(str(error))
    lab.disconnect()
    write_config(lab, folder / CONFIG)
    return await status(folder, as_json)


async def down(folder: Path, as_json: bool = False) -> int:
    """Stop exactly the processes of the lab in *folder*; the folder stays, with its logs."""
    folder = _absolute(folder)
    state = read_state(folder)
    if state is None:
        return _refuse(f"there is no lab in {folder}")
    ended = [process.pid for process in state.running(folder)]
    await asyncio.to_thread(sweep.clear, folder, state)
    if state.running(folder):
        return _refuse(f"the lab in {folder} does not stop; look at its processes {ended}")
    (folder / STATE).unlink(missing_ok=True)
    print(json.dumps({"stopped": ended}) if as_json else f"The lab in {folder} is stopped.")
    return 0


async def status(folder: Path, as_json: bool = False) -> int:
    """Print what runs in *folder*, with its versions, addresses and channels; 1 when it does not all run."""
    folder = _absolute(folder)
    state = read_state(folder)
    if state is None:
        return _refuse(f"there is no lab in {folder}: start one with `binding-ivr lab up`")
    live = state.running(folder)
    rows = {name: await _row(folder, name, row, row.process in live) for name, row in state.instances.items()}
    running = all(row["running"] for row in rows.values())
    if as_json:
        known = {
            "folder": str(folder),
            "running": running,
            "instances": rows,
            "sip": _sip(state),
            "settings": state.settings,
            "config": str(folder / CONFIG),
        }
        print(json.dumps(known, indent=2))
    else:
        _print(folder, state, rows)
    return 0 if running else _refuse(f"the lab in {folder} is not running: see its logs, then run `binding-ivr lab up`")


def write_config(lab: Lab, path: Path) -> None:
    """Write a configuration for the daemon that works with *lab*: embedded database, state next to the file."""
    sections: dict[str, Any] = {"service": {"node": "lab", "state_dir": str(path.parent / "state")}, **lab.settings()}
    path.touch(mode=0o600)
    path.write_text(to_toml(sections))


def to_toml(sections: dict[str, Any]) -> str:
    """Return *sections* as TOML: a dict is a table, a list of dicts an array of tables."""
    blocks: list[str] = []
    for name, section in sections.items():
        for table in section if isinstance(section, list) else [section]:
            header = f"[[{name}]]" if isinstance(section, list) else f"[{name}]"
            # JSON's strings, numbers, booleans and lists of them are TOML as well.
            lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
            blocks.append("\n".join([header, *lines]))
    return "\n\n".join(blocks) + "\n"


async def _row(folder: Path, name: str, row: Row, running: bool) -> dict[str, Any]:
    instance = row.instance(name, folder)
    shown: dict[str, Any] = {
        "running": running,
        "pid": row.pid,
        "version": row.version,
        "origin": row.origin,
        "log": str(instance.log_path),
        "channels": None,
    }
    if running:
        try:
            shown["channels"] = await instance.channels()
        except LabError:
            # It runs and does not answer: the log tells why.
            shown["running"] = False
    return shown


def _sip(state: State) -> dict[str, str]:
    plan = state.plan
    return {"pbx": f"{plan.pbx}:{plan.sip_port}", "carrier": f"{plan.carrier}:{plan.sip_port}"}


def _print(folder: Path, state: State, rows: dict[str, dict[str, Any]]) -> None:
    print(f"Lab in {folder}")
    for name, row in rows.items():
        word = f"{row['channels']} channels" if row["running"] else "NOT RUNNING"
        print(f"  {name:8} Asterisk {row['version']}, pid {row['pid']}, SIP {_sip(state)[name]}, {word}")
        print(f"           {row['origin']}; log {row['log']}")
    settings = state.settings
    print(f"  ARI      {settings['ari']['url']} (user {settings['ari']['user']})")
    print(f"  AMI      {settings['ami']['host']}:{settings['ami']['port']} (user {settings['ami']['user']})")
    print(f"  FastAGI  expected at {settings['agi']['bind']}:{settings['agi']['port']}")
    print(f"  config   {folder / CONFIG}: binding-ivr serve --config {folder / CONFIG}")
    print("Numbers: +1 <area code> 555 01xx; the last two digits choose what the phone does:")
    for behaviour in sorted(TABLE, key=lambda row: row.suffix):
        print(f"  {behaviour.suffix:02}  {behaviour.name:16} {behaviour.does}")


def _absolute(folder: Path) -> Path:
    return folder.absolute()


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return 1
