"""An open installation as commands and service use it: configuration, store, codes and the use cases on them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from binding_ivr.app.allowances import limits_of
from binding_ivr.app.bindings import Bindings
from binding_ivr.app.codes import Codes
from binding_ivr.config import Config, load_keys
from binding_ivr.store import Store, open_store

if TYPE_CHECKING:
    from binding_ivr.metrics import Metrics  # what it is made with takes long to import, and commands count nothing


@dataclass(frozen=True, slots=True)
class Installation:
    """An open installation as the commands use it."""

    config: Config
    store: Store
    codes: Codes
    bindings: Bindings


@asynccontextmanager
async def open_installation(config: Config, metrics: "Metrics | None" = None) -> AsyncIterator[Installation]:
    """Open the store (embedded when no DSN is set) and the use cases on it; close them at the end."""
    keys = load_keys(config)
    async with open_store(
        config.database.dsn or None,
        config.state_dir,
        config.database.pool_max,
        queue_s=config.limits.queue_s,
        limits_of=limits_of(config),
        migrations="check" if config.database.dsn else "apply",
    ) as store:
        codes = Codes(config, keys)
        await store.suppressions.check_key(codes.key_check())
        yield Installation(config, store, codes, Bindings(config, store, codes, metrics=metrics))
