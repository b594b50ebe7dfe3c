"""The one way to read the configuration: file, secrets in files of their own, environment; then all checks."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from binding_ivr.config import checks
from binding_ivr.config.keys import KEY_FILE
from binding_ivr.config.whole import Config, convert
from binding_ivr.errors import ConfigError

ENV_PREFIX = "BINDING_IVR__"
ENV_FILE = "BINDING_IVR_CONFIG"
DEFAULT_PATH = Path("/etc/binding-ivr/binding-ivr.toml")
_SECRETS = {
    ("database", "dsn"),
    ("ari", "password"),
    ("ami", "secret"),
    ("web", "proxy_secret"),
    ("auth", "jwt_secret"),
    ("code", "number_key"),
    ("mail", "password"),
}


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration: *path*, else BINDING_IVR_CONFIG, else /etc/binding-ivr/binding-ivr.toml, else defaults.

    Values of the environment (BINDING_IVR__SECTION__KEY) win. Raises ConfigError that names the key's path.
    """
    named = _named(path, environ)
    tree = _read(named or DEFAULT_PATH, required=named is not None)
    _read_secret_files(tree, (named or DEFAULT_PATH).parent)
    _merge_environment(tree, environ)
    _read_webhook_secrets(tree, (named or DEFAULT_PATH).parent)
    return _checked(convert(tree))


def files_of(config: Config, path: Path | None = None, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the files of *config*, loaded from the same place, that hold secrets: some may not be there."""
    file = _named(path, environ) or DEFAULT_PATH
    tree = _read(file, required=False)
    tables = [(name, tree.get(name)) for name, _ in _SECRETS]
    tables += [("webhooks", webhook) for webhook in tree.get("webhooks", ()) if isinstance(webhook, dict)]
    secrets = {*_SECRETS, ("webhooks", "secret"), ("code", "keys")}
    found = {config.state_dir / KEY_FILE}
    for name, table in tables:
        for key, value in table.items() if isinstance(table, dict) else ():
            if (name, key) in secrets and value:
                found.add(file)
            elif key.endswith("_file") and (name, key.removesuffix("_file")) in secrets:
                found.add(file.parent / str(value))
    return sorted(found)


def _named(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    return path or (Path(environ[ENV_FILE]) if environ.get(ENV_FILE) else None)


def check_for_service(config: Config) -> None:
    """Raise ConfigError when keys are missing without which no call can be made."""
    if not config.ari.user:
        raise ConfigError("ari.user: not set; write the name of the section in ari.conf, and its password")
    if not config.routes:
        raise ConfigError('routes: none; add a [[routes]] table with a name and an endpoint "PJSIP/{e164}@TRUNK"')


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        if required:
            raise ConfigError(f"{path}: no such configuration file") from None
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _read_secret_files(tree: dict[str, Any], folder: Path) -> None:
    """Replace `key_file = "PATH"` by the file's first line, for every secret."""
    for section, key in _SECRETS:
        values = tree.get(section)
        if not isinstance(values, dict) or f"{key}_file" not in values:
            continue
        values[key] = _secret_of(folder / str(values.pop(f"{key}_file")), f"{section}.{key}_file")


def _read_webhook_secrets(tree: dict[str, Any], folder: Path) -> None:
    webhooks = tree.get("webhooks")
    for at, webhook in enumerate(webhooks if isinstance(webhooks, list) else ()):
        if isinstance(webhook, dict) and "secret_file" in webhook:
            webhook["secret"] = _secret_of(folder / str(webhook.pop("secret_file")), f"webhooks[{at}].secret_file")


def _secret_of(path: Path, name: str) -> str:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: {path} cannot be read: {getattr(error, 'strerror', 'not text')}") from None
    if not lines or not lines[0].strip():
        raise ConfigError(f"{name}: {path} is empty")
    return lines[0].strip()


def _merge_environment(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    for variable, text in environ.items():
        if not variable.startswith(ENV_PREFIX):
            continue
        parts = [part.lower() for part in variable.removeprefix(ENV_PREFIX).split("__")]
        if parts in (["routes"], ["webhooks"]):
            tree[parts[0]] = _value(text, variable)
            continue
        if len(parts) != 2 or not all(parts):
            raise ConfigError(f"{variable}: write it as {ENV_PREFIX}SECTION__KEY")
        section, key = parts
        if key.endswith("_file") and (section, key.removesuffix("_file")) in _SECRETS:
            key, text = key.removesuffix("_file"), _secret_of(Path(text), variable)
        values = tree.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{section}: must be a table")
        values[key] = text if _wants_text(section, key) else _value(text, variable)


def _wants_text(section: str, key: str) -> bool:
    default = getattr(getattr(Config(), section, None), key, None)
    return isinstance(default, str)


def _value(text: str, variable: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise ConfigError(f"{variable}: must be a number, true, false, or JSON for lists and tables") from None


def _checked(config: Config) -> Config:
    """Check what spans several keys."""
    checks.check_routes(config.routes)
    checks.check_code(config.code)
    checks.check_number(config.number)
    checks.check_call(config.call)
    checks.check_web(config.web, config.auth)
    checks.check_retention(config.retention)
    checks.check_prompts(config.prompts)
    checks.check_webhooks(config.webhooks)
    checks.check_mail(config.mail, config.notices)
    return config
