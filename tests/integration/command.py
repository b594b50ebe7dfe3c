"""Runs `binding-ivr` commands as an operator does, on a database of the tests."""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from binding_ivr.app.demo import toml_text
from tests.integration.api_service import ROUTES

KEY = "a key for tests of 32 characters"


@dataclass
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, which must be one JSON value."""
        return json.loads(self.out)


@dataclass
class Commands:
    """Commands with one configuration file."""

    path: Path

    async def __call__(self, *words: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "binding_ivr", *words, "--config", str(self.path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert process.returncode is not None
        assert b"Traceback" not in err
        return Done(process.returncode, out.decode(), err.decode())

    async def done(self, *words: str) -> Done:
        """Run one that must succeed."""
        done = await self(*words)
        assert done.status == 0, done
        return done


def commands_on(dsn: str, folder: Path, **sections: dict[str, Any]) -> Commands:
    """Return commands whose configuration has this database."""
    path = folder / "binding-ivr.toml"
    tree: dict[str, Any] = {
        "service": {"node": "command", "state_dir": str(folder / "state")},
        "database": {"dsn": dsn},
        "code": {"number_key": KEY},
        "routes": ROUTES,
        **sections,
    }
    path.write_text(toml_text(tree))
    return Commands(path)
