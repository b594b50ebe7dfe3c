"""The command that writes the lock in the dialplan."""

import argparse
import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from binding_ivr.app.lock import lock_of, locked_context, ways_out
from binding_ivr.cli import show
from binding_ivr.cli.commands import installation_of
from binding_ivr.errors import ConfigError


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
