"""What accounts may set for themselves, and how the numbers of their PBX are written down."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from binding_ivr.app.allowances import in_force
from binding_ivr.config import Config
from binding_ivr.errors import ConfigError, NotFoundError, Refusal
from binding_ivr.model.actors import Actor
from binding_ivr.model.rows import OwnNumber
from binding_ivr.policy.numbers import parse
from binding_ivr.policy.own import check_pattern
from binding_ivr.store import Store


class Accounts:
    """The use cases on one store."""

    def __init__(self, config: Config, store: Store) -> None:
        """Serve the installation of *config*."""
        self._config = config
        self._directory = store.directory

    async def config_of(self, account: str) -> Config:
        """Return the configuration as it holds for an account. Raises NotFoundError."""
        return self._config.for_account_or_default((await self._directory.account(account)).settings)

    async def limits(self, account: str) -> Mapping[str, float | Sequence[float]]:
        """Return the limits in force for an account, by configuration key. Raises NotFoundError."""
        return dict(msgspec.to_builtins(in_force(await self.config_of(account), self._config)))

    async def put(self, account: str, settings: Mapping[str, Any], actor: Actor) -> bool:
        """Add an account or replace its settings; True when it was new. Raises Refusal `invalid`."""
        self._check(settings)
        try:
            await self._directory.set_settings(account, settings, actor)
        except NotFoundError:
            await self._directory.add_account(account, settings, actor)
            return True
        return False

    async def set(self, account: str, section: str, key: str, value: Any, actor: Actor) -> None:
        """Set one key of an account's settings (of the section `routes`: all of it); None clears it.

        Raises NotFoundError and Refusal `invalid`.
        """
        settings = dict((await self._directory.account(account)).settings)
        if section == "routes":
            settings[section] = value
        else:
            changed = {**settings.get(section, {}), key: value}
            settings[section] = {name: kept for name, kept in changed.items() if kept is not None}
        if not settings[section]:
            del settings[section]
        self._check(settings)
        await self._directory.set_settings(account, settings, actor)

    def _check(self, settings: Mapping[str, Any]) -> None:
        try:
            self._config.for_account(settings)
        except ConfigError as error:
            raise Refusal("invalid", str(error)[:200]) from None
        except (TypeError, AttributeError):
            raise Refusal("invalid", "not settings") from None

    def own_number(self, account: str, value: str, kind: str = "") -> OwnNumber:
        """Read an own number; without a *kind* by its looks, a DID in any writing. Raises Refusal."""
        if kind == "pattern" or (not kind and value.startswith("_")):
            return OwnNumber(account, "pattern", check_pattern(value))
        if kind == "extension" or (not kind and re.fullmatch(r"[0-9*#]{1,6}", value)):
            return OwnNumber(account, "extension", value)
        return OwnNumber(account, "did", parse(value, self._config.number.default_region).e164)
