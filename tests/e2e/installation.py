"""An installation beside a lab, as an operator has it: configuration file, service process, commands, and the phone."""

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from binding_ivr.app.installation import Installation as OpenInstallation
from binding_ivr.app.installation import open_installation
from binding_ivr.app.live import follow
from binding_ivr.app.view import Shown
from binding_ivr.config import Config
from binding_ivr.lab import Lab
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import AttemptState
from binding_ivr.model.rows import AttemptRow, User
from binding_ivr.node.demo import until_ready, write_config
from tests import generous
from tests.e2e.commands import Commands, Forked
from tests.e2e.data_folder import READY
from tests.patience import SLOW

COMMANDS = Commands()
TESTER = Actor(ActorKind.CLI, "test", Source.CLI)
QUICK_CALL = {"delay_s": 0, "first_digit_s": 2, "loops": 2, "next_digit_s": 2, "ring_s": 4, "max_s": 60}
WITHOUT = re.compile(r'"timestamp": "[^"]*"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
AT_ONCE = 8
"""Fewer than the test's own pool has connections: the last of many, on a busy machine, would not get one in time."""
GENEROUS = {**generous.GENEROUS, "concurrent_node": 300, "starts_per_second": 25}


@dataclass
class Installation:
    """One node beside a lab."""

    lab: Lab
    folder: Path
    config: Config
    path: Path
    opened: OpenInstallation
    process: Forked | None = None
    users: int = 0
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    asking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @property
    def log(self) -> Path:
        return self.folder / "service.log"

    async def serve(self) -> Forked:
        """Start the service process and wait until it is ready; at the end of the installation it is ended."""
        with self.log.open("wb") as out:
            process = await COMMANDS.start(("serve", "--config", str(self.path)), out, self._environ())
        self.process = process
        self.stack.push_async_callback(_ended, process)
        await until_ready(self.config.web.port, self.log, lambda: process.returncode is not None)
        return process

    @asynccontextmanager
    async def rings_long(self) -> AsyncIterator[None]:
        """Let calls ring for 60 s: a command started meanwhile may take longer than the usual 4 s on a busy machine."""
        accounts = self.opened.store.directory
        await accounts.set_settings("default", {"call": {"ring_s": 60}})
        try:
            yield
        finally:
            await accounts.set_settings("default", {})

    async def kill(self) -> None:
        """End the service as a crash does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def new_user(self, language: str = "en") -> str:
        self.users += 1
        user = f"{3000 + self.users}"
        await self.opened.store.directory.import_users([User("default", user, (user,), language, "")])
        return user

    async def bind(self, user: str, number: str) -> Shown:
        """Ask for a call, and let the phone's user read the code from the screen."""
        async with self.asking:
            shown = await self.opened.bindings.bind("default", user, number, TESTER)
        return await self._with_phone(shown)

    async def revalidate(self, user: str) -> Shown:
        return await self._with_phone(await self.opened.bindings.revalidate("default", user, TESTER))

    async def undo(self, user: str) -> Shown:
        return await self._with_phone(await self.opened.bindings.undo("default", user, TESTER))

    async def _with_phone(self, shown: Shown) -> Shown:
        assert shown.code is not None
        await self.lab.set_code(shown.attempt.number, shown.code)
        return shown

    async def ended(self, shown: Shown) -> AttemptRow:
        """Wait for the end of an attempt."""
        async with asyncio.timeout(120 * SLOW):
            return await follow(self.opened, shown, lambda step, now: None)

    async def state(self, attempt_id: UUID, *states: AttemptState) -> AttemptRow:
        """Wait until the attempt is in one of *states*."""
        async with asyncio.timeout(60 * SLOW):
            while True:
                attempt = await self.opened.store.attempts.attempt(attempt_id)
                if attempt.state in states:
                    return attempt
                await asyncio.sleep(0.02)

    def said(self) -> str:
        """What the service has logged, without times and ids: any six digits may be in these."""
        return WITHOUT.sub("", self.log.read_text())

    async def logged(self, text: str, times: int = 1) -> None:
        """Wait until the service has logged *text* so many times."""
        async with asyncio.timeout(30 * SLOW):
            while (await asyncio.to_thread(self.log.read_text)).count(text) < times:
                await asyncio.sleep(0.02)

    async def no_channels(self) -> None:
        """Wait until neither Asterisk has a channel."""
        async with asyncio.timeout(30 * SLOW):
            while await self.lab.pbx.channels() or await self.lab.carrier.channels():
                await asyncio.sleep(0.1)

    async def command(self, *words: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """Run a `binding-ivr` command as an operator does; return exit status, output and errors."""
        async with asyncio.timeout(120 * SLOW):
            return await COMMANDS.run(*words, environ=self._environ(environ))

    def _environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "BINDING_IVR_CONFIG": str(self.path), **(more or {})}

    async def json_command(self, *words: str) -> Any:
        status, out, err = await self.command(*words, "--json")
        assert status == 0, err
        return json.loads(out)


async def _ended(process: Forked) -> None:
    """End a service, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(20 * SLOW):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@asynccontextmanager
async def installed(
    lab: Lab,
    folder: Path,
    *,
    node: str,
    app: str,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
    routes: Sequence[Mapping[str, Any]] | None = None,
    answers_lookups: bool = False,
) -> AsyncIterator[Installation]:
    """Write a configuration for *lab* and open it; the service is not started yet.

    One installation of a lab *answers_lookups* of its dialplan, on the lab's own FastAGI port.
    """
    settings = lab.settings()
    settings["ari"]["app"] = app
    if not answers_lookups:
        settings["agi"]["port"] = 0
        settings["ami"]["user"] = ""  # one AstDB takes one mirror
    settings["limits"] = dict(GENEROUS)
    settings["routes"] = routes or settings["routes"]
    path = folder / "binding-ivr.toml"
    more: dict[str, Mapping[str, Any]] = {
        "call": dict(QUICK_CALL),
        "service": {"node": node, "state_dir": str(folder / "state")},
        **(sections or {}),
    }
    config = write_config(path, settings, folder, more)
    await READY.copy_to(config.state_dir)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_installation(config))
        yield Installation(lab, folder, config, path, opened, stack=stack)
