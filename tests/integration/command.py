"""Runs `binding-ivr` commands on a database of the tests, in this process."""

import asyncio
import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from binding_ivr.cli import main
from binding_ivr.lab.command import to_toml
from binding_ivr.model.daytimes import ALWAYS
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
        configured = structlog.get_config()
        with io.StringIO() as out, io.StringIO() as err:
            try:
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    status = await asyncio.to_thread(self._run, [*words, "--config", str(self.path)])
                return Done(status, out.getvalue(), err.getvalue())
            finally:
                structlog.configure(**configured)

    @staticmethod
    def _run(words: list[str]) -> int:
        try:
            return main(words)
        except SystemExit as usage:  # argparse
            return int(usage.code or 0)

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
        "call": {"hours": ALWAYS},
        "routes": ROUTES,
        **sections,
    }
    path.write_text(to_toml(tree))
    return Commands(path)
