"""The store: everything that speaks SQL. It decides no policy and places no call."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from binding_ivr.errors import ConfigError
from binding_ivr.store.attempts import PgAttempts
from binding_ivr.store.audit import PgAudit
from binding_ivr.store.bindings import BindingFacts, PgBindings, SqlDoor, TrustedRow
from binding_ivr.store.changes import PgChanges
from binding_ivr.store.clock import PgClock
from binding_ivr.store.database import Database, check_dsn
from binding_ivr.store.directory import PgDirectory
from binding_ivr.store.exceptions import PgExceptions
from binding_ivr.store.jobs import PgJobs
from binding_ivr.store.lifecycle import PgLifecycle
from binding_ivr.store.limit_admin import LimitAdmin
from binding_ivr.store.limits import LimitsOf
from binding_ivr.store.migrate import migrate, pending
from binding_ivr.store.mirror import MirrorState, PgMirror
from binding_ivr.store.moves import PgMoves
from binding_ivr.store.outbox import PgOutbox
from binding_ivr.store.personal import PgPersonal
from binding_ivr.store.retention import PgRetention
from binding_ivr.store.suppressions import PgSuppressions, Suppression
from binding_ivr.store.web import FoundUser, PgWeb, Reply

__all__ = [
    "BindingFacts",
    "Database",
    "FoundUser",
    "LimitAdmin",
    "MirrorState",
    "PgAttempts",
    "PgAudit",
    "PgChanges",
    "PgClock",
    "PgJobs",
    "PgLifecycle",
    "PgMirror",
    "PgMoves",
    "PgWeb",
    "Reply",
    "SqlDoor",
    "Store",
    "Suppression",
    "TrustedRow",
    "migrate",
    "open_store",
    "pending",
]


@dataclass(frozen=True, slots=True)
class Store:
    """All parts of the store on one pool. `changes` listens only after `await changes.start()`."""

    db: Database
    attempts: PgAttempts
    bindings: PgBindings
    directory: PgDirectory
    suppressions: PgSuppressions
    exceptions: PgExceptions
    changes: PgChanges
    mirror: PgMirror
    web: PgWeb
    outbox: PgOutbox
    jobs: PgJobs
    lifecycle: PgLifecycle
    limits: LimitAdmin
    retention: PgRetention
    personal: PgPersonal
    clock: PgClock
    audit: PgAudit
    moves: PgMoves


@asynccontextmanager
async def open_store(
    dsn: str,
    pool_max: int = 10,
    *,
    limits_of: LimitsOf,
    queue_s: float = 60.0,
    migrations: Literal["apply", "check", "skip"] = "apply",
    connect_timeout: float = 5.0,
    command_timeout: float = 10.0,
) -> AsyncIterator[Store]:
    """Open the store at *dsn*; close all at the end.

    *migrations*: `apply` what is missing, only `check` (ConfigError when something is), or `skip` (for the commands
    that migrate or diagnose). *limits_of* and *queue_s* as PgAttempts has them. Times are in seconds.
    Raises ConfigError or UnavailableError.
    """
    async with AsyncExitStack() as stack:
        check_dsn(dsn)
        db = await Database.connect(dsn, pool_max, connect_timeout=connect_timeout, command_timeout=command_timeout)
        stack.push_async_callback(db.close)
        if migrations == "apply":
            await migrate(db)
        elif migrations == "check" and (missing := await pending(db)):
            raise ConfigError(f"{db.server} lacks the migration {missing[0]}; run: binding-ivr migrate")
        changes = PgChanges(dsn, connect_timeout=connect_timeout)
        stack.push_async_callback(changes.stop)
        yield Store(
            db=db,
            attempts=PgAttempts(db, queue_s=queue_s, limits_of=limits_of),
            bindings=PgBindings(db),
            directory=PgDirectory(db),
            suppressions=PgSuppressions(db),
            exceptions=PgExceptions(db),
            changes=changes,
            mirror=PgMirror(db),
            web=PgWeb(db),
            outbox=PgOutbox(db),
            jobs=PgJobs(db),
            lifecycle=PgLifecycle(db),
            limits=LimitAdmin(db),
            retention=PgRetention(db),
            personal=PgPersonal(db),
            clock=PgClock(db),
            audit=PgAudit(db),
            moves=PgMoves(db),
        )
