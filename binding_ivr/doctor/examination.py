"""`binding-ivr doctor`: checks each part and says what to do; it calls no phone and changes nothing that lasts.

The checks of Asterisk are in doctor_ari and doctor_ami. Each returns lines; what cannot be looked at because of an
earlier fault is left out, so that one fault is one line.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from binding_ivr.app.installation import open_database
from binding_ivr.config import Config, advice, check_for_service
from binding_ivr.doctor import ami as doctor_ami
from binding_ivr.doctor import ari as doctor_ari
from binding_ivr.doctor import doors as doctor_doors
from binding_ivr.doctor import keys as doctor_keys
from binding_ivr.doctor import notices as doctor_notices
from binding_ivr.doctor.checks import Check, Status, fail, ok, warn
from binding_ivr.doctor.server_log import server_log
from binding_ivr.errors import BindingError, ConfigError
from binding_ivr.model.hosts import is_local
from binding_ivr.store import Store, pending

__all__ = ["Check", "Status", "examine"]

NAME_S = 3.0
EMBEDDED = "postgres"  # the folder of the embedded database under state_dir
PART_S = 60.0


async def examine(config: Config, files: Sequence[Path] = ()) -> list[Check]:
    """Check everything; return one line per check, in the order in which they are best mended.

    *files* hold secrets (`config.files_of`).
    """
    found = [*_configuration(config, files), *_metrics(config)]
    found += await _host_name(config)
    async with AsyncExitStack() as stack:
        store: Store | None = None
        try:
            if _has_database(config):
                store = await stack.enter_async_context(open_database(config, 2, migrations="skip"))
            found += await _database(config, store)
        except BindingError as error:
            found.append(fail("postgresql", str(error)))
        migrated = store if store is not None and not any(check.is_bad for check in found if _of_store(check)) else None
        if migrated is not None:
            found += [await doctor_doors.sql_door(config, migrated), *await doctor_keys.examine(migrated)]
        if config.ari.user:
            found += await _bounded("ari", lambda: doctor_ari.examine(config, migrated))
        found += await _bounded("ami", lambda: doctor_ami.examine(config, migrated))
    found += await _bounded("notices", lambda: doctor_notices.examine(config))
    return found


async def _bounded(part: str, work: Callable[[], Awaitable[list[Check]]]) -> list[Check]:
    try:
        async with asyncio.timeout(PART_S):
            return await work()
    except TimeoutError:
        return [fail(part, f"these checks took more than {PART_S:g} s; is Asterisk overloaded?")]


def _of_store(check: Check) -> bool:
    return check.check in ("postgresql", "schema")


def _configuration(config: Config, files: Sequence[Path]) -> list[Check]:
    try:
        check_for_service(config)
    except ConfigError as error:
        return [fail("configuration", str(error))]
    unwise = [warn("configuration", sentence) for sentence in advice(config, files)]
    return unwise or [ok("configuration", f"node {config.node}")]


def _metrics(config: Config) -> list[Check]:
    """Where they are, and who else sees them: a proxy that passes everything on publishes what stands on [web]."""
    own = config.metrics
    if own.on_web:
        told = "[metrics] on_web shows them to everybody who reaches the page; read them at [metrics] port instead"
        return [warn("metrics", told)]
    if not own.bind:
        return [ok("metrics", "switched off: [metrics] bind is empty")]
    return [ok("metrics", f"http://{own.bind}:{own.port or 'PORT (see the log line service.ready)'}/metrics")]


async def _host_name(config: Config) -> list[Check]:
    """Asterisk's RTP engine looks its host's name up; a name that the DNS must be asked for wedges calls under load."""
    name = socket.gethostname()
    if not is_local(urlsplit(config.ari.url).hostname or ""):
        return [
            ok(
                "host name",
                "Asterisk runs on another host: make sure that `getent hosts $(hostname)` answers at once there",
            )
        ]
    try:
        async with asyncio.timeout(NAME_S):
            await asyncio.get_running_loop().getaddrinfo(name, None, family=socket.AF_INET)
    except (OSError, TimeoutError, UnicodeError):
        return [
            warn(
                "host name",
                f"{name} cannot be resolved: under load, calls hang for minutes; add it to /etc/hosts, or set "
                "media_address and bind_rtp_to_media_address=yes in pjsip.conf",
            )
        ]
    return [ok("host name", f"{name} can be resolved")]


def _has_database(config: Config) -> bool:
    return bool(config.database.dsn) or (config.state_dir / EMBEDDED).is_dir()


async def _database(config: Config, store: Store | None) -> list[Check]:
    if store is None:
        detail = f"no database yet: `binding-ivr serve` creates one under {config.state_dir}, or set [database] dsn"
        return [warn("postgresql", detail)]
    row = await store.db.row("server_version")
    version = str(row["version"]) if row is not None else "unknown"
    found = [ok("postgresql", f"{store.db.server}, version {version.split()[0]}"), *await server_log(store)]
    try:
        missing = await pending(store.db)
    except BindingError as error:
        return [*found, fail("schema", str(error))]
    if not missing:
        return [*found, ok("schema", "up to date"), *await _clock(store), *await _audit(store)]
    tell = fail if config.database.dsn else warn  # an embedded one is migrated by every start
    return [*found, tell("schema", f"lacks the migration {missing[0]}; run: binding-ivr migrate")]


async def _clock(store: Store) -> list[Check]:
    """A moved clock is right for a rehearsal only: limits lift and proofs age before their time."""
    ahead_s = (await store.clock.read()).ahead_s
    if not ahead_s:
        return []
    return [
        fail(
            "clock",
            f"a rehearsal moved this database's clock {ahead_s:,.0f} s ahead, so limits lift and proofs age early; "
            "use a database in which nothing was rehearsed",
        )
    ]


async def _audit(store: Store) -> list[Check]:
    """What the triggers of the schema do is not done where somebody switched them off."""
    off = [row["name"] for row in await store.db.rows("triggers_switched_off")]
    if not off:
        return []
    return [
        fail(
            "audit",
            f"triggers of {', '.join(off)} are switched off, so what is changed there is not in the audit; for each, "
            "as the owner of the schema: ALTER TABLE binding_ivr.NAME ENABLE TRIGGER ALL",
        )
    ]
