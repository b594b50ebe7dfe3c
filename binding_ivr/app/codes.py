"""Derives access codes and number hashes with the installation's keys. It stores and logs neither."""

from uuid import UUID

from binding_ivr.config import Config, Keys
from binding_ivr.errors import ConfigError
from binding_ivr.policy.code import access_code, lookup_key, number_hash, pseudonym


class Codes:
    """The installation's keys and what is derived from them."""

    def __init__(self, config: Config, keys: Keys) -> None:
        """Use the lengths of *config* with *keys*."""
        self._length = config.code.length
        self._keys = keys

    @property
    def active_key(self) -> str:
        """The id of the key for new attempts."""
        return self._keys.active

    def of_attempt(self, attempt_id: UUID, key_id: str) -> str:
        """Return the access code of an attempt. Raises ConfigError when its key is not configured any more."""
        try:
            key = self._keys.codes[key_id]
        except KeyError:
            raise ConfigError(f"code.keys: key {key_id!r} of an attempt under way is missing; put it back") from None
        return access_code(key, attempt_id, self._length)

    def pseudonym(self, account: str, user_id: str) -> str:
        """Return what stands for a user who was erased."""
        return pseudonym(self._keys.number, account, user_id)

    def key_check(self) -> bytes:
        """Return what the key of numbers makes of a text that is no number, to know it again."""
        return number_hash(self._keys.number, "key check")

    def lookup_key(self) -> str:
        """Return what Asterisk shows when its dialplan asks for a number over FastAGI; all nodes have the same."""
        return lookup_key(self._keys.number)

    def of_number(self, e164: str) -> bytes:
        """Return the keyed hash of a number."""
        return number_hash(self._keys.number, e164)
