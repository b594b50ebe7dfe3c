"""The demonstration: a lab, the service as operators run it, one real call that proves a number, and its look-up."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp

from binding_ivr.app.installation import Installation, open_installation
from binding_ivr.app.live import follow, grouped, sentence
from binding_ivr.app.signin import make_link
from binding_ivr.app.view import Shown
from binding_ivr.config import Config, load
from binding_ivr.errors import BindingError, UnavailableError
from binding_ivr.lab import Lab
from binding_ivr.lab.behaviours import BY_NAME
from binding_ivr.lab.command import to_toml
from binding_ivr.lab.net import free_port
from binding_ivr.log import masked, set_up
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.changes import Change
from binding_ivr.model.daytimes import ALWAYS
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import User
from binding_ivr.policy.numbers import as_people_write_it

ACCOUNT, USER, EXTENSION = "default", "1001", "1001"
HUMAN = {"ring_ms": 1500, "after_ms": 3000, "gap_ms": 200, "duration_ms": 100}
"""How long the phone rings, its owner listens, and the keys are apart."""
READY_S = 30.0
STOP_S = 20.0


class Demo:
    """`binding-ivr demo`."""

    def __init__(self, *, auto: bool) -> None:
        """Prepare; *auto* ends after the call and prints one line of JSON last."""
        self._auto = auto

    async def run(self) -> int:
        """Return 0 when the number was proven over SIP and the dialplan found it, else 1."""
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="binding-ivr-demo-")))
            _tell("starting the lab: one Asterisk as the PBX, another as the phone network")
            lab = await stack.enter_async_context(Lab())
            _tell(f"Asterisk {lab.pbx.version} is up")
            path = folder / "binding-ivr.toml"
            config = write_config(path, lab.settings(), folder)
            service = await stack.enter_async_context(running_service(path, config, folder / "service.log"))
            _tell(f"the service is up (process {service.pid})")
            set_up("console", "error")
            installation = await stack.enter_async_context(open_installation(config))
            result = await self._prove(installation, lab)
            print(json.dumps(result, ensure_ascii=False, separators=(",", ":")), flush=True)
            proven = result["status"] == "verified" and result["dialplan"].get("status") == "FOUND"
            if not self._auto and proven:
                await self._stay(path, service, installation, lab)
            return 0 if proven else 1

    async def _prove(self, installation: Installation, lab: Lab) -> dict[str, Any]:
        number = lab.number("right")
        await lab.set_script(number, "right", **HUMAN)
        await installation.store.directory.import_users([User(ACCOUNT, USER, (EXTENSION,), "en", "")])
        shown = await installation.bindings.bind(ACCOUNT, USER, number, Actor(ActorKind.CLI, "demo", Source.CLI))
        assert shown.code is not None
        _tell(f"number accepted: {as_people_write_it(number)}")
        _tell(f"access code: {grouped(shown.code)}")
        await lab.set_code(number, shown.code)  # the callee reads it from the screen

        def tell(step: str, now: Shown) -> None:
            _tell(sentence(step, now, installation.config.code.length))

        attempt = await follow(installation, shown, tell)
        dialplan = await ask_dialplan(lab, EXTENSION)
        heard = f"{dialplan.get('status')} {masked(dialplan.get('number', ''))}"
        _tell(f"the dialplan asks for extension {EXTENSION}: {heard}")
        for name in ("number", "dial"):
            dialplan[name] = dialplan.get(name, "").replace(number, masked(number))
        return {
            "status": "verified" if attempt.outcome is Outcome.VERIFIED else str(attempt.outcome),
            "number": masked(number),
            "attempt": str(attempt.attempt_id),
            "tries": attempt.tries,
            "dialplan": dialplan,
        }

    async def _stay(
        self, path: Path, service: asyncio.subprocess.Process, installation: Installation, lab: Lab
    ) -> None:
        """Leave everything running until Ctrl-C or the end of the service."""
        link = await make_link(installation.config, installation.store, ACCOUNT, USER)
        _tell("everything keeps running; open the page (the link works once, within 10 minutes)")
        print(f"    {link}", flush=True)
        for behaviour in ("right", "busy", "no_answer"):
            _tell(f"enter {as_people_write_it(lab.number(behaviour, 1))} for a phone that {BY_NAME[behaviour].does}")
        command = f"{sys.executable} -m binding_ivr"
        _tell("in another terminal, try")
        for words in ("status 1001", "lookup 1001", "attempts", "revalidate 1001 --wait"):
            print(f"    {command} {words} --config {path}", flush=True)
        _tell("press Ctrl-C to end it")
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        waits = [asyncio.create_task(each) for each in (stop.wait(), service.wait(), _callee(installation, lab))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


async def ask_dialplan(lab: Lab, extension: str) -> dict[str, str]:
    """Return what a call on the PBX is told about *extension*, by the names of `binding-ivr lookup`.

    The service is asked first: AstDB may or may not have the number yet, and does not know when it was proven.
    """
    answer = await lab.trusted_number(ACCOUNT, extension, "agi,astdb")
    return {name.removeprefix("BINDING_").lower(): value for name, value in answer.items()}


async def _callee(installation: Installation, lab: Lab) -> None:
    """Be the person with the phone: read the code of every new call from the screen, for the phone to key."""
    asked: asyncio.Queue[UUID] = asyncio.Queue()

    def on_change(change: Change) -> None:
        if change.attempt_id is not None and not change.outcome:
            asked.put_nowait(change.attempt_id)

    unsubscribe = installation.store.changes.subscribe(on_change)
    told: set[UUID] = set()
    try:
        while True:
            attempt_id = await asked.get()
            with contextlib.suppress(BindingError):  # the demonstration goes on without this one
                shown = await installation.bindings.attempt(attempt_id)
                if shown.code is not None and attempt_id not in told:
                    told.add(attempt_id)
                    await lab.set_code(shown.attempt.number, shown.code)
    finally:
        unsubscribe()


def write_config(
    path: Path, settings: Mapping[str, Any], folder: Path, more: Mapping[str, Mapping[str, Any]] | None = None
) -> Config:
    """Write a configuration for a service beside a lab, with the sections *more*, and return it as read back."""
    sections = {
        **settings,
        "service": {"node": "demo", "state_dir": str(folder / "state")},
        "web": {"port": free_port("127.0.0.1")},
        "metrics": {"port": free_port("127.0.0.1")},
        "call": {"delay_s": 1},
        **(more or {}),
    }
    sections["call"] = {"hours": ALWAYS, **sections["call"]}  # the lab's phones do not sleep
    path.write_text(to_toml(sections))
    path.chmod(0o600)
    return load(path)


@asynccontextmanager
async def running_service(path: Path, config: Config, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `binding-ivr serve` as a process of its own until the end of the context."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "binding_ivr", "serve", "--config", str(path),
            stdout=out, stderr=out, env={**os.environ, "BINDING_IVR_CONFIG": str(path)}, start_new_session=True,
        )  # fmt: skip
    try:
        await until_ready(config.web.port, log, lambda: process.returncode is not None)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def until_ready(port: int, log: Path, has_ended: Callable[[], bool]) -> None:
    """Wait until the service on *port* is ready. Raises UnavailableError with its last words when it is not."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
        try:
            async with asyncio.timeout(READY_S):
                while not has_ended():
                    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                        async with http.get(f"http://127.0.0.1:{port}/health/ready") as reply:
                            if reply.status == 200:
                                return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
    last = (log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
    raise UnavailableError(f"the service did not become ready; its last words: {last[-300:]}")


def _tell(text: str) -> None:
    print(f"  {text}", flush=True)
