"""What doctor looks at over AMI: login, permissions, AstDB and its mirror; a probe key is removed again."""

import re
from secrets import token_hex

from binding_ivr.asterisk.ami.client import AmiClient, UnknownActionError
from binding_ivr.config import Config
from binding_ivr.doctor import enrolment as doctor_enrol
from binding_ivr.doctor import lock as doctor_lock
from binding_ivr.doctor import moves as doctor_moves
from binding_ivr.doctor import notices as doctor_notices
from binding_ivr.doctor.checks import Check, fail, ok, warn
from binding_ivr.errors import BindingError
from binding_ivr.mirror import astdb
from binding_ivr.mirror.resync import connected
from binding_ivr.mirror.sync import ALIVE_S, compare
from binding_ivr.store import MirrorState, Store

NEEDED = ("DBPut", "DBDel", "DBGet")
PERMISSION = "in manager.conf, give [{user}] {what}, then: asterisk -rx 'manager reload'"


async def examine(config: Config, store: Store | None) -> list[Check]:
    """Check AMI and the mirror; *store* is None when the database cannot be compared with."""
    if not config.ami.user:
        text = "not used: without [ami] user there is no mirror in AstDB, and look-ups need FastAGI, SQL or HTTP"
        return [ok("ami", text), *_local_routes_unseen(config), *await doctor_lock.examine(config, store, None)]
    try:
        ami = await connected(config)
    except BindingError as error:
        return [fail("ami", str(error))]
    try:
        if not ami.ready:
            return [fail("ami", ami.detail or "Asterisk's AMI does not answer; check [ami] host and port")]
        return await _examine(config, ami, store)
    except BindingError as error:
        return [fail("ami", str(error))]
    finally:
        await ami.stop()


async def _examine(config: Config, ami: AmiClient, store: Store | None) -> list[Check]:
    allowed = await ami.action("ListCommands")
    missing = [action for action in NEEDED if action.lower() not in allowed.fields]
    found = [ok("ami", f"user {config.ami.user} is logged in")]
    if missing:
        what = PERMISSION.format(user=config.ami.user, what="write = system,reporting,user")
        found.append(fail("ami permissions", f"{', '.join(missing)} not allowed: {what}"))
    else:
        found += _rights(config, allowed.fields)
        found += doctor_notices.of_ami(config, frozenset(allowed.fields))
        found.append(await _astdb(ami))
        found.append(await _mirror(config, ami, store))
        found += await doctor_moves.examine(config, ami, store)
    found += await _local_routes(config, ami)
    return found + await doctor_lock.examine(config, store, ami) + await doctor_enrol.examine(config, ami)


def _rights(config: Config, allowed: object) -> list[Check]:
    names = set(allowed) if isinstance(allowed, dict) else set()
    lacks = [(action, words) for action, words in (("userevent", "user"),) if action not in names]
    if lacks:
        what = PERMISSION.format(user=config.ami.user, what="write = system,reporting,user")
        return [warn("ami permissions", f"other programs on AMI will get no events about bindings: {what}")]
    return [ok("ami permissions", "AstDB can be read and written")]


async def _astdb(ami: AmiClient) -> Check:
    key, value = f"doctor/{token_hex(4)}", "1"
    try:
        await ami.put(astdb.FAMILY, key, value)
        seen = await ami.get(astdb.FAMILY, key)
    finally:
        await ami.delete(astdb.FAMILY, key)
    if seen != value:
        return fail("astdb", "what is written cannot be read back: check the disk that holds Asterisk's astdb.sqlite3")
    return ok("astdb", "can be read and written")


async def _mirror(config: Config, ami: AmiClient, store: Store | None) -> Check:
    if store is None:
        return warn("mirror", "not compared: the database must work first")
    states = await store.mirror.states(ALIVE_S)
    own = next((state for state in states if state.node == config.node and state.alive), None)
    try:
        comparison = await compare(store.mirror, ami)
    except UnknownActionError:
        return warn("mirror", "cannot be compared: this Asterisk cannot list AstDB; 18.14 and newer can")
    if comparison.is_equal:
        return ok("mirror", f"equal to the database: {comparison.keys} keys{_others(states, config.node)}")
    counts = (
        f"{comparison.missing} keys missing, {comparison.differing} different, {len(comparison.stale)} extra, "
        f"of {comparison.keys}"
    )
    if own is None:
        return warn(
            "mirror",
            f"{counts}: no service of this node keeps it up to date; start the service, or run: binding-ivr resync",
        )
    return warn(
        "mirror", f"{counts}{f' ({own.detail})' if own.detail else ''}; check again, or run: binding-ivr resync"
    )


def _others(states: list[MirrorState], node: str) -> str:
    told = [
        f"{state.node} {'is silent' if not state.alive else state.detail or f'{state.behind or 0} behind'}"
        for state in states
        if state.node != node
    ]
    return f"; other nodes: {', '.join(told)}" if told else ""


# --- the contexts of Local routes ----------------------------------------------------------------------------


def _contexts(config: Config) -> list[tuple[str, str]]:
    """Return name and context of the routes that go through the dialplan."""
    found = []
    for route in config.routes:
        match = re.match(r"Local/[^@]*@([^/]+)", route.endpoint)
        if match:
            found.append((route.name, match[1]))
    return found


def _local_routes_unseen(config: Config) -> list[Check]:
    return [
        warn(f"route {name}", f"cannot tell whether Asterisk has the context {context}: only AMI shows it")
        for name, context in _contexts(config)
    ]


async def _local_routes(config: Config, ami: AmiClient) -> list[Check]:
    found = []
    for name, context in _contexts(config):
        reply = await ami.action("ShowDialPlan", {"Context": context})
        if reply.success:
            found.append(ok(f"route {name}", f"the context {context} exists"))
        elif reply.message == "Permission denied":
            what = PERMISSION.format(user=config.ami.user, what="the class reporting")
            found.append(warn(f"route {name}", f"the context {context} cannot be looked up: {what}"))
        else:
            found.append(fail(f"route {name}", f"Asterisk has no context {context}: correct the endpoint, or add it"))
    return found
