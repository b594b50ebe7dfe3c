"""Look-ups by a real Asterisk, one after another: quiet, beside a crowd, and against a server that only answers."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp

from binding_ivr.lab import Lab
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.rows import User
from tests.bench.figures import Figure
from tests.e2e.doors import Asker, Question
from tests.e2e.installation import Installation, installed

ROUNDS = 100
"""Look-ups of one figure."""
TURNS = 6
NUMBER = "+12025550142"
USER = "1001"
ASKING, SILENT = 400, 1000
WORST_RATIO = 30.0
WORST_LATE_MS = 1000.0
KEY_RATIO = 5.0
BENCH = """[doors]
exten => bare,1,Set(LAB_N=${LAB_FROM})
 same => n,While($[${LAB_N}<${LAB_TO}])
 same => n,Set(LAB_T=${STRFTIME(,,%s%6q)})
 same => n,AGI(agi://${LAB_AT}/trusted-number?account=default&extension=1001)
 same => n,Gosub(doors,tell,1)
 same => n,EndWhile()
 same => n,Hangup()
"""
TIMEOUT_S = 60.0
SERVICE = Actor(ActorKind.CLI, "bench", Source.CLI)


async def measure(lab: Lab, folder: Path) -> list[Figure]:
    """Run all of it on a service of its own; return the figures."""
    sections = {"web": {"requests_per_second": 20}}
    async with installed(lab, folder, node="bench", app="bench", answers_lookups=True, sections=sections) as one:
        await one.serve()
        await _prove(one)
        (lab.folder / "pbx/etc/bench.conf").write_text(BENCH)
        async with _process("tests.bench.peer") as (_, said), Asker(lab) as asker:
            extensions = lab.folder / "pbx/etc/extensions.conf"
            extensions.write_text(f'{extensions.read_text()}\n#include "bench.conf"\n')
            await lab.pbx.rx("dialplan reload")
            await asker.learn([Question("number", "default", USER)] * ROUNDS)
            return await _Run(one, asker, *said.split()).all()


async def _prove(one: Installation) -> None:
    """Give a user a proven number without a call."""
    store = one.opened.store
    await store.directory.import_users([User("default", USER, (USER,), "en", "")])
    async with store.db.link() as link:
        await link.execute(
            "INSERT INTO binding_ivr.bindings (account, user_id, status, number, since, verified_at)"
            " VALUES ('default', $1, 'verified', $2, now(), now())"
            " ON CONFLICT (account, user_id) DO UPDATE SET status = 'verified', number = $2, verified_at = now()",
            USER,
            NUMBER,
        )
    async with asyncio.timeout(TIMEOUT_S):
        while (await one.lab.trusted_number("default", USER, "astdb")).get("BINDING_STATUS") != "FOUND":
            await asyncio.sleep(0.1)


class _Run:
    def __init__(self, one: Installation, asker: Asker, plain: str, keyed: str) -> None:
        self._one = one
        self._asker = asker
        self._plain = f"127.0.0.1:{plain}"
        self._keyed = f"127.0.0.1:{keyed}"
        self._ours = f"127.0.0.1:{one.config.agi.port}"

    async def all(self) -> list[Figure]:
        # In turns, so that what the machine does beside falls on each.
        us: dict[str, list[int]] = {self._plain: [], self._keyed: [], self._ours: []}
        for at in [*us] * TURNS:
            us[at] += await self._bare(at)
        peer = Figure("bare FastAGI server", "us", us[self._plain])
        keyed = Figure("bare server that asks for the key", "us", us[self._keyed], peer, KEY_RATIO)
        ours = Figure("look-up by AGI(), key and all", "us", us[self._ours], peer, WORST_RATIO)
        quiet = {door: await self._door("quiet", door) for door in ("agi", "astdb")}
        figures = [peer, keyed, ours, *quiet.values()]
        for name, kind, ports in (
            (f"{ASKING} on /metrics", "ask", [(self._one.config.metrics.port, ASKING)]),
            (
                f"{SILENT} silent on both",
                "silent",
                [(self._one.config.web.port, SILENT), (self._one.config.agi.port, SILENT)],
            ),
        ):
            async with _crowds(kind, ports):
                late: list[float] = []
                for door, calm in quiet.items():
                    found = await self._door(name, door)
                    figures.append(replace(found, peer=calm, bound=WORST_RATIO))
                    late.append(await self._late_ms())
                figures.append(Figure(f"event loop late, {name}", "ms", late, bound=WORST_LATE_MS))
        return figures

    async def _late_ms(self) -> float:
        """By how much the service's event loop was late at its worst, as its metrics say."""
        at = f"http://127.0.0.1:{self._one.config.metrics.port}/metrics"
        connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))  # another client than the crowd
        async with aiohttp.ClientSession(connector=connector) as http, http.get(at) as reply:
            text = await reply.text()
        return 1000 * float(text.partition("\nbinding_ivr_loop_lag_seconds ")[2].split()[0])

    async def _bare(self, at: str) -> list[int]:
        replies = await self._asker.ask("bare", 0, ROUNDS // 2, TIMEOUT_S, LAB_AT=at)
        assert {reply.status for reply in replies} == {"FOUND"}, {reply.status for reply in replies}
        return [reply.us for reply in replies]

    async def _door(self, name: str, door: str) -> Figure:
        replies = await self._asker.ask("number", 0, ROUNDS, TIMEOUT_S, BINDING_LOOKUP=door)
        lost = sum(reply.status != "FOUND" for reply in replies)
        assert lost == 0, f"{name}, {door}: {lost} of {ROUNDS} look-ups got no answer"
        return Figure(f"{door}, {name}", "us", [reply.us for reply in replies])


@asynccontextmanager
async def _process(module: str, *words: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run a module as a process of its own, from its first line on."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *words, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            said = (await process.stdout.readline()).decode()
        yield process, said
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def _crowds(kind: str, ports: Sequence[tuple[int, int]]) -> AsyncIterator[None]:
    if not ports:
        yield
        return
    (port, count), *more = ports
    async with _process("tests.bench.crowd", kind, str(port), str(count)), _crowds(kind, more):
        yield
