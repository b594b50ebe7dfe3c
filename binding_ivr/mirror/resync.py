"""`binding-ivr resync`: has every running mirror compared wholly, and this node's own when its service is down."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

from binding_ivr.app.installation import Installation
from binding_ivr.asterisk.ami.client import AmiClient
from binding_ivr.config import Config
from binding_ivr.errors import BindingError, ConfigError
from binding_ivr.mirror import astdb, pins
from binding_ivr.mirror.sync import ALIVE_S, make_equal
from binding_ivr.store import MirrorState

WAIT_S = 60.0
POLL_S = 0.1
CONNECT_S = 7.0
"""Longer than the client's own first try, so that its result is known."""

Row = dict[str, str | int]
"""`node`, `status` (`ok` or what is wrong), `keys`, `put`, `deleted`."""


async def resync(installation: Installation, wait_s: float = WAIT_S) -> list[Row]:
    """Make every mirror equal to the database; return a row per node. Raises BindingError when there is none."""
    mirrors = installation.store.mirror
    asked_at = await mirrors.ask_to_compare()
    waiting = {state.node for state in await mirrors.states(ALIVE_S) if state.alive}
    own = installation.config.ami.user and installation.config.node not in waiting
    if not waiting and not own:
        raise ConfigError("no node keeps a mirror; set [ami] user and secret, then run: binding-ivr serve")
    rows = [await _own(installation)] if own else []
    deadline = time.monotonic() + wait_s
    while waiting:
        states = {state.node: state for state in await mirrors.states(ALIVE_S) if state.node in waiting}
        done = [node for node in waiting if _is_done(states.get(node), asked_at)]
        late = time.monotonic() > deadline
        for node in sorted(waiting) if late else sorted(done):
            rows.append(_row(node, states.get(node), asked_at))
            waiting.discard(node)
        if waiting:
            await asyncio.sleep(POLL_S)
    return sorted(rows, key=lambda row: str(row["node"]))


async def connected(config: Config) -> AmiClient:
    """Connect to the AMI of the configuration. Raises BindingError; the caller stops the client."""
    ami = AmiClient(host=config.ami.host, port=config.ami.port, user=config.ami.user, secret=config.ami.secret)
    await ami.start(CONNECT_S)
    return ami


async def held_pins(config: Config, users: Sequence[str]) -> list[str]:
    """Like `pins.held`, over a connection of its own. Raises BindingError."""
    ami = await connected(config)
    try:
        return await pins.held(ami, users)
    finally:
        await ami.stop()


async def _own(installation: Installation) -> Row:
    node = installation.config.node
    try:
        ami = await connected(installation.config)
        try:
            _, compared = await make_equal(installation.store.mirror, ami, astdb.plan(installation.config))
        finally:
            await ami.stop()
    except BindingError as error:
        return {"node": node, "status": str(error), "keys": 0, "put": 0, "deleted": 0}
    return {"node": node, "status": "ok", "keys": compared.keys, "put": compared.put, "deleted": compared.deleted}


def _is_done(state: MirrorState | None, asked_at: datetime) -> bool:
    if state is None or not state.alive or state.detail:
        return True  # it cannot do it now; it will when it is back
    return state.compare_from is not None and state.compare_from > asked_at


def _row(node: str, state: MirrorState | None, asked_at: datetime) -> Row:
    if state is None or not state.alive:
        return {"node": node, "status": "the service of this node has ended", "keys": 0, "put": 0, "deleted": 0}
    status = state.detail
    if not status and not _is_done(state, asked_at):
        status = "still comparing; look again with: binding-ivr doctor"
    return {
        "node": node,
        "status": status or "ok",
        "keys": state.keys,
        "put": 0 if status else state.put,
        "deleted": 0 if status else state.deleted,
    }
