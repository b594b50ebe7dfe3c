"""An open installation as web, commands and desk phones use it: configuration, store, codes and the use cases."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from binding_ivr.app.accounts import Accounts
from binding_ivr.app.allowances import limits_of
from binding_ivr.app.bindings import Bindings
from binding_ivr.app.codes import Codes
from binding_ivr.app.lookups import StoreLookups
from binding_ivr.app.numbers import Numbers
from binding_ivr.config import Config, load_keys
from binding_ivr.embedded.server import open_embedded
from binding_ivr.store import Store, open_store

if TYPE_CHECKING:
    from binding_ivr.metrics import Metrics  # what it is made with takes long to import, and commands count nothing


HeldPins = Callable[[Sequence[str]], Awaitable[list[str]]]
"""Returns those of the users (`account/extension`) who have a hot-switch PIN in AstDB. Raises BindingError."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An open installation: the use cases, and the store for what needs no use case, being only read or written."""

    config: Config
    store: Store
    codes: Codes
    bindings: Bindings
    accounts: Accounts
    numbers: Numbers
    lookups: StoreLookups
    held_pins: HeldPins | None = None
    """Asks Asterisk who has a hot-switch PIN; None without AMI."""


@asynccontextmanager
async def open_installation(config: Config, metrics: "Metrics | None" = None) -> AsyncIterator[Installation]:
    """Open the store (embedded when no DSN is set) and the use cases on it; close them at the end."""
    keys = load_keys(config)
    async with open_database(config, migrations="check" if config.database.dsn else "apply") as store:
        codes = Codes(config, keys)
        await store.suppressions.check_key(codes.key_check())
        yield Installation(
            config,
            store,
            codes,
            bindings=Bindings(config, store, codes, metrics=metrics),
            accounts=Accounts(config, store),
            numbers=Numbers(config, store, codes),
            lookups=StoreLookups(config, store, metrics),
        )


@asynccontextmanager
async def open_database(
    config: Config, pool_max: int | None = None, *, migrations: Literal["apply", "check", "skip"]
) -> AsyncIterator[Store]:
    """Open the store of *config*, on an embedded PostgreSQL when no DSN is set; see open_store for *migrations*."""
    async with AsyncExitStack() as stack:
        dsn = config.database.dsn
        if not dsn:
            embedded = await open_embedded(config.state_dir)
            stack.push_async_callback(embedded.close)
            dsn = embedded.dsn
        yield await stack.enter_async_context(
            open_store(
                dsn,
                pool_max or config.database.pool_max,
                limits_of=limits_of(config),
                queue_s=config.limits.queue_s,
                migrations=migrations,
            )
        )
