"""What every attack has: two nodes on one database with the limits that operators start with, many network addresses,
phones of its own, a clock that moves, and the phone network's own count. It attacks nobody."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import jwt

from binding_ivr.app.installation import Installation, open_installation
from binding_ivr.config import Config, Limits
from binding_ivr.embedded.server import open_embedded
from binding_ivr.lab import Lab, LabError
from binding_ivr.lab.behaviours import AREA_CODES
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.daytimes import ALWAYS
from binding_ivr.model.outcome import AttemptState
from binding_ivr.model.rows import AttemptRow, User
from binding_ivr.node.demo import running_service, write_config
from binding_ivr.store import Database, migrate
from tests.abuse import carrier
from tests.abuse.carrier import Leg

SECRET = "the secret of the portal that signs user tokens here"
REHEARSAL = Actor(ActorKind.CLI, "abuse", Source.CLI)
ACCOUNT = "default"
NODES = 2
ENDED_S = 200.0
"""Longer than any call can take."""
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
TEMPLATE = "abuse_template"
NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Reply:
    """What an attacker is told."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text) if self.text else None

    @property
    def accepted(self) -> bool:
        """Whether a call was promised."""
        return self.status == 202

    @property
    def why(self) -> str:
        """The name of the limit, else the stable word of the refusal."""
        problem = self.json
        return str(problem.get("limit") or problem["type"].rpartition(":")[2])

    @property
    def lifts_at(self) -> float | None:
        """When it lifts (POSIX), if that is told."""
        at = self.json.get("retry_at")
        return datetime.fromisoformat(at).timestamp() if at else None


@dataclass(frozen=True, slots=True)
class Place:
    """What attacks share: a lab, a PostgreSQL with a migrated template, and a folder."""

    lab: Lab
    dsn: str
    folder: Path

    def named(self, database: str) -> str:
        return self.dsn.replace("/postgres?", f"/{database}?")

    async def database(self, name: str) -> str:
        """Make a database from the template and return its DSN."""
        link = await asyncpg.connect(self.dsn)
        try:
            await link.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        finally:
            await link.close()
        return self.named(name)


@asynccontextmanager
async def place(lab: Lab, folder: Path) -> AsyncIterator[Place]:
    """Start PostgreSQL under *folder* for attacks in *lab*."""
    embedded = await open_embedded(folder, settings=FAST)
    try:
        made = Place(lab, embedded.dsn, folder)
        link = await asyncpg.connect(made.dsn)
        await link.execute(f"CREATE DATABASE {TEMPLATE}")
        await link.close()
        db = await Database.connect(made.named(TEMPLATE), 1)
        try:
            await migrate(db)
        finally:
            await db.close()
        yield made
    finally:
        await embedded.close()


@dataclass
class Scene:
    """One attack's world. Numbers are E.164."""

    lab: Lab
    config: Config
    paths: Sequence[tuple[Path, Config]]
    opened: Installation
    index: int
    areas: Sequence[str]
    stack: AsyncExitStack
    budget: Limits = field(default_factory=Limits)
    """The limits that calls are held against: the defaults, whatever the nodes were told."""
    requests: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    asked: set[str] = field(default_factory=set)
    legs: list[Leg] = field(default_factory=list)
    owners: set[tuple[str, str, str]] = field(default_factory=set)
    """Account, user and number of those who have the phone in their hand."""
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    control: str = NOT_ASKED
    aside: str = ""
    """What was counted otherwise than by the phone network."""
    ahead_s: float = 0.0
    _calls_out: bool = False
    _seen: set[str] = field(default_factory=set)
    _doors: dict[str, aiohttp.ClientSession] = field(default_factory=dict)
    _nodes: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def caller_id(self) -> str:
        """What the phones see; it tells the phone network's records of this attack from those of others."""
        return caller_id(self.index)

    # --- the nodes

    async def serve(self) -> None:
        """Start the `serve` processes and wait until they are ready."""
        self._nodes = AsyncExitStack()
        for path, config in self.paths:
            log = path.with_suffix(".log")
            await self._nodes.enter_async_context(running_service(path, config, log))

    async def stop(self) -> None:
        """Stop the `serve` processes, as on a signal."""
        await self._nodes.aclose()

    # --- attackers and phones

    async def users(self, *names: str, account: str = ACCOUNT) -> None:
        await self.opened.store.directory.import_users([User(account, name, (name,), "en", "") for name in names])

    async def phone(self, at: int, behaviour: str, **params: Any) -> str:
        """Return the *at*-th number of this attack, whose phone behaves so from now on."""
        number = self.number(at)
        await self.lab.set_script(number, behaviour, **params)
        return number

    def number(self, at: int) -> str:
        """Return the *at*-th number of this attack; there are fifty in each of its areas."""
        turn, area = divmod(at, len(self.areas))
        if turn >= 50:
            raise ValueError("there are no more numbers for this attack")
        return f"+1{self.areas[area]}55501{50 + turn}"

    async def http(
        self, method: str, path: str, user: str, *, account: str = ACCOUNT, address: str = "", node: int = 0, **how: Any
    ) -> Reply:
        """Ask a node as *user*, with a fresh token, from *address* (127.x.y.z; by default the user's own)."""
        door = self._door(address or self.address_of(user))
        now = int(time.time())
        claims = {"sub": user, "account": account, "aud": "binding_ivr", "iat": now, "exp": now + 300}
        headers = {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}
        url = f"http://127.0.0.1:{self.paths[node][1].web.port}{path}"
        async with door.request(method, url, headers=headers, **how) as reply:
            return Reply(reply.status, dict(reply.headers), await reply.text())

    async def ask(self, user: str, number: str, *, account: str = ACCOUNT, address: str = "", node: int = 0) -> Reply:
        """Ask for a call to *number* and count the request and, if so, why it was refused."""
        self.requests += 1
        path = f"/v1/accounts/{account}/users/{user}/binding"
        reply = await self.http("PUT", path, user, account=account, address=address, node=node, json={"number": number})
        if reply.accepted:
            self.promised(str(reply.json["binding"]["pending_number"] or reply.json["binding"]["number"]))
        else:
            self.refused[reply.why] += 1
        return reply

    def promised(self, number: str) -> None:
        """Note that a call to *number* is under way."""
        self.asked.add(number)
        self._calls_out = True

    def address_of(self, user: str) -> str:
        """Return a network address that nobody else asks from."""
        at = sum(ord(sign) * 131**n for n, sign in enumerate(user)) % 60_000
        return f"127.{100 + self.index}.{1 + at // 250}.{1 + at % 250}"

    def _door(self, address: str) -> aiohttp.ClientSession:
        if address not in self._doors:
            self._doors[address] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(local_addr=(address, 0), limit=0),
                timeout=aiohttp.ClientTimeout(total=30),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            self.stack.push_async_callback(self._doors[address].close)
        return self._doors[address]

    # --- calls

    async def ended(self, reply: Reply) -> AttemptRow:
        """Wait for the end of the call that was promised in *reply*."""
        return await self.reaches(reply, AttemptState.ENDED)

    async def reaches(self, reply: Reply, *states: AttemptState) -> AttemptRow:
        """Wait until the call that was promised in *reply* is in one of *states*, or has ended."""
        attempt_id = UUID(reply.json["attempt"]["id"])
        try:
            async with asyncio.timeout(ENDED_S):
                while True:
                    row = await self.opened.store.attempts.attempt(attempt_id)
                    if row.state in (*states, AttemptState.ENDED):
                        return row
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise LabError(f"a call did not come to be {states[0]}; see the logs beside {self.paths[0][0]}") from None

    async def collect(self) -> None:
        """Wait until no call is queued or up on either side, and take what the phone network wrote since."""
        self._calls_out = False
        async with asyncio.timeout(ENDED_S):
            while await self.sql("SELECT FROM binding_ivr.attempts WHERE state <> 'ended' LIMIT 1"):
                await asyncio.sleep(0.1)
        await carrier.settled(self.lab, self.asked)
        for identity, leg in carrier.records(self.lab, self.caller_id):
            if identity not in self._seen:
                self._seen.add(identity)
                self.legs.append(Leg(leg.number, leg.at + self.ahead_s, leg.seconds, leg.answered))

    async def advance(self, seconds: float) -> None:
        """Let *seconds* pass for everything that is decided by time, when all calls are over."""
        if self._calls_out:
            await self.collect()
        await self.opened.store.clock.advance(seconds, REHEARSAL)
        self.ahead_s += seconds

    async def now(self) -> float:
        """Return the simulated time (POSIX)."""
        return (await self.opened.store.clock.read()).now.timestamp()

    # --- what came of it

    async def sql(self, statement: str, *args: Any) -> list[dict[str, Any]]:
        """Look into the tables."""
        async with self.opened.store.db.link() as link:
            return [dict(row) for row in await link.fetch(statement, *args)]

    async def stolen(self) -> list[dict[str, Any]]:
        """Return the proven numbers of users who do not have the phone."""
        rows = await self.sql("SELECT account, user_id, number FROM binding_ivr.bindings WHERE status = 'verified'")
        return [row for row in rows if (row["account"], row["user_id"], row["number"]) not in self.owners]

    def calls_to(self, *numbers: str) -> list[Leg]:
        """Return the calls that reached *numbers*, by the phone network's count."""
        return [leg for leg in self.legs if leg.number in numbers]

    def expect(self, holds: bool, sentence: str) -> None:
        """Note *sentence*, which says what is wrong, when the expectation does not hold."""
        if not holds:
            self.broken.append(sentence)


def caller_id(index: int) -> str:
    return f"+1{AREA_CODES[0]}55501{80 + index}"


@asynccontextmanager
async def scene(
    at: Place,
    name: str,
    index: int,
    areas: Sequence[str],
    sections: Mapping[str, Mapping[str, Any]] | None = None,
) -> AsyncIterator[Scene]:
    """Run two nodes for one attack, with the default `[limits]`; *sections* change other parts, seldom limits."""
    folder = at.folder / name
    folder.mkdir()
    dsn = await at.database(f"abuse_{name.replace('-', '_')}")
    paths = [_configured(at, folder, name, index, dsn, node, sections or {}) for node in range(NODES)]
    async with AsyncExitStack() as stack:
        installation = await stack.enter_async_context(open_installation(paths[0][1]))
        made = Scene(at.lab, paths[0][1], paths, installation, index, areas, stack)
        await made.serve()
        try:
            yield made
        finally:
            await made.stop()


def _configured(
    at: Place, folder: Path, name: str, index: int, dsn: str, node: int, sections: Mapping[str, Mapping[str, Any]]
) -> tuple[Path, Config]:
    settings = at.lab.settings()
    settings["ari"]["app"] = f"abuse-{index}-{node}"
    settings["agi"]["port"] = 0
    settings["ami"]["user"] = ""  # one AstDB takes one mirror
    settings["routes"][0]["caller_id"] = caller_id(index)
    more: dict[str, dict[str, Any]] = {
        # Nobody looks at a screen here, so the call leaves at once; the calls' other times are the defaults.
        "call": {"delay_s": 0, "hours": ALWAYS},
        # One folder for both: that is where the key of the codes is, which nodes share.
        "service": {"node": f"{name}-{node}", "state_dir": str(folder / "state")},
        "database": {"dsn": dsn},
        "auth": {"jwt_secret": SECRET},
    }
    for section, values in sections.items():
        more[section] = {**more.get(section, {}), **values}
    path = folder / f"node{node}.toml"
    web = more.pop("web", {})
    config = write_config(path, settings, folder, more)
    if web:
        more["web"] = {"port": config.web.port, **web}
        config = write_config(path, settings, folder, more)
    return path, config
