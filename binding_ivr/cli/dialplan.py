"""The command that writes the lock in the dialplan."""

import argparse
import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from binding_ivr.app.codes import Codes
from binding_ivr.app.lock import lock_of, locked_context, ways_out
from binding_ivr.cli import show
from binding_ivr.cli.commands import installation_of
from binding_ivr.config import load, load_keys
from binding_ivr.errors import ConfigError
from binding_ivr.model.lookups import AGI_KEY


async def dialplan_policy(options: argparse.Namespace) -> int:
    """dialplan policy [--output FILE]"""
    async with installation_of(options) as installation:
        text = await lock_of(installation.config, installation.store)
        routes = installation.config.routes
    if options.output is None:
        print(text, end="")
    else:
        _write(options.output, text)
        show.note(f"wrote {options.output}; now: asterisk -rx 'dialplan reload'")
    if not any(locked_context(route) for route in routes):
        out = ways_out(routes, 0)[0]
        show.note(
            f'no route goes through it yet: add #include "{(options.output or Path("binding_ivr_out.conf")).name}" at '
            f'the end of extensions.conf, and set endpoint = "Local/{{digits}}@{out.context}/n" and '
            f'trunk = "{out.trunk}" in [[routes]]'
        )
    return 0


async def dialplan_key(options: argparse.Namespace) -> int:
    """dialplan key"""
    config = load(options.config)
    print(f"{AGI_KEY}={Codes(config, load_keys(config)).lookup_key()}")
    show.note("a secret, for [globals] of an Asterisk that the service does not reach over ARI, and for nothing else")
    return 0


def _write(path: Path, text: str) -> None:
    """Write the file in one step: Asterisk must never read half a lock. Raises ConfigError."""
    fresh = path.with_name(f".{path.name}.{token_hex(4)}")
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(mode)
        os.replace(fresh, path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
