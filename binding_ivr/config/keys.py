"""The keys of access codes and of numbers: from the configuration, or from a file that the first start makes."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from binding_ivr.config.checks import key_bytes
from binding_ivr.config.whole import Config
from binding_ivr.errors import ConfigError

KEY_FILE = "code-keys.json"


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets of an installation: `active` names the key of new attempts, `number` keys the hashes of numbers."""

    active: str
    codes: Mapping[str, bytes] = field(repr=False)
    number: bytes = field(repr=False)


def load_keys(config: Config) -> Keys:
    """Return the configured keys; without them, those of `state_dir/code-keys.json`.

    The file is made at the first start (mode 0600). Raises ConfigError when it cannot be read or made.
    """
    active, codes = _code_keys(config)
    if config.code.number_key:
        return Keys(active, codes, key_bytes(config.code.number_key, "code.number_key"))
    return Keys(active, codes, codes[min(codes, key=_natural)])


def _code_keys(config: Config) -> tuple[str, Mapping[str, bytes]]:
    if config.code.keys:
        keys = {key_id: key_bytes(text, f"code.keys.{key_id}") for key_id, text in config.code.keys.items()}
        return config.code.active_key, keys
    path = config.state_dir / KEY_FILE
    try:
        config.state_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key_file(path)
        stored = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError) as error:
        why = getattr(error, "strerror", None) or "not valid"
        raise ConfigError(
            f"{path}: the access-code key cannot be read or created: {why}; check [service] state_dir"
        ) from None
    keys = {key_id: key_bytes(text, f"{path}: {key_id}") for key_id, text in stored.items()}
    if not keys:
        raise ConfigError(f"{path}: holds no key; remove the file, and a key is made")
    return max(keys, key=_natural), keys


def _natural(key_id: str) -> tuple[int, str]:
    """Order key ids as people count: 9 before 10."""
    return (int(key_id) if key_id.isdecimal() else 0, key_id)


def _make_key_file(path: Path) -> None:
    """Write a fresh key so that of two processes starting together both read the same one."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode({"1": secrets.token_urlsafe(32)}))
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
