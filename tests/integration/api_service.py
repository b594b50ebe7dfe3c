"""A running web of one node on a real PostgreSQL, without Asterisk, and short words for what its tests do."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import msgspec
from structlog.testing import capture_logs

from binding_ivr.app.installation import Installation
from binding_ivr.app.signin import add_key, make_link
from binding_ivr.config import Config
from binding_ivr.model.daytimes import ALWAYS
from binding_ivr.model.rows import User
from binding_ivr.node.service import Parts, Service
from tests.generous import GENEROUS

SECRET = "a secret for tests that is long enough"
NUMBER = "+12025550123"
OTHER_NUMBER = "+12025550188"
ROUTES = [{"name": "main", "endpoint": "PJSIP/{e164}@trunk", "caller_id": "+12025550100"}]


def config_for(dsn: str, folder: Path, **sections: Mapping[str, Any]) -> Config:
    """A configuration whose Asterisk is not there."""
    tree: dict[str, Any] = {
        "service": {"node": "web", "state_dir": str(folder / "state")},
        "database": {"dsn": dsn},
        "ari": {"url": "http://127.0.0.1:9", "user": "nobody"},
        "agi": {"port": 0},
        "web": {"port": 0, "requests_per_second": 10_000},
        "metrics": {"port": 0},
        "auth": {"jwt_secret": SECRET},
        "call": {"delay_s": 0, "hours": ALWAYS},
        "limits": GENEROUS,
        "routes": ROUTES,
    }
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section}
    return msgspec.convert(tree, Config)


@dataclass
class Reply:
    """An answer that was read."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def problem(self) -> str:
        """The stable word of a problem document, which must be a whole one."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self
        tree = self.json
        assert tree["status"] == self.status
        assert set(tree) >= {"type", "title", "detail"}
        return str(tree["type"]).removeprefix("urn:binding-ivr:problem:")


@dataclass
class Web:
    """The web under test."""

    service: Service
    parts: Parts
    http: aiohttp.ClientSession
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def installation(self) -> Installation:
        return self.parts.installation

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.parts.web.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.parts.web.metrics_port}"

    def metrics(self) -> str:
        """What Prometheus would read now: not what was rendered up to a second ago."""
        return self.service.metrics.text().decode()

    async def users(self, *names: str, account: str = "default") -> None:
        await self.installation.store.directory.import_users([User(account, name, (name,), "en", "") for name in names])

    async def key(self, *scopes: str) -> dict[str, str]:
        """Headers with an API key of these scopes."""
        name = "-".join(scope.replace(":", ".") for scope in scopes)
        if name not in self.keys:
            self.keys[name] = (await add_key(self.installation.store, name, scopes)).text
        return bearer(self.keys[name])

    async def cookie(self, user: str, account: str = "default") -> dict[str, str]:
        """Headers of a browser that signed in by a link."""
        reply = await self.signs_in(link=await self.link(user, account))
        assert reply.status == 200, reply
        return {"Cookie": reply.headers["Set-Cookie"].split(";")[0], "Origin": self.url}

    async def link(self, user: str = "1001", account: str = "default") -> str:
        """What is secret in a sign-in link."""
        address = await make_link(self.service._config, self.installation.store, account, user)
        return address.partition("/signin?token=")[2]

    async def signs_in(self, headers: Mapping[str, str] | None = None, **fields: str) -> Reply:
        """Send the form of a sign-in link or of an API key from a page of ours."""
        return await self.ask("POST", "/signin", {"Origin": self.url, **(headers or {})}, data=fields)

    async def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **how: Any) -> Reply:
        async with self.http.request(method, self.url + path, headers=headers, allow_redirects=False, **how) as reply:
            return Reply(reply.status, reply.headers, await reply.text())

    async def get(self, path: str, headers: Mapping[str, str] | None = None, **how: Any) -> Reply:
        return await self.ask("GET", path, headers, **how)

    async def form(self, path: str, fields: Mapping[str, str]) -> Reply:
        return await self.ask("POST", path, data=dict(fields))

    async def put(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
        return await self.ask("PUT", path, headers, json=body)


@asynccontextmanager
async def running_web(config: Config) -> AsyncIterator[Web]:
    """Run a whole service without its Asterisk; no line of its log may hold a number, a code, a key or a token."""
    with capture_logs() as lines:
        service = Service(config)
        try:
            parts = await service.start()
            timeout = aiohttp.ClientTimeout(total=20)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(
                timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            ) as http:
                yield Web(service, parts, http)
        finally:
            await service.stop()
    text = repr(lines)
    for forbidden in (NUMBER[2:], OTHER_NUMBER[2:], "bik_", "bil_", "eyJ", SECRET):
        assert forbidden not in text
    assert not [line for line in lines if line["event"] in ("web.fault", "web.out_of_order")], lines


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def claims(user: str = "1001", account: Any = "default", life_s: float = 300, **more: Any) -> dict[str, Any]:
    now = int(time.time())
    known = {"sub": user, "account": account, "aud": "binding_ivr", "iat": now, "exp": int(now + life_s)}
    return {name: value for name, value in {**known, **more}.items() if value is not None}


def token(user: str = "1001", account: Any = "default", life_s: float = 300, **more: Any) -> str:
    """A user token signed with the tests' secret."""
    return jwt.encode(claims(user, account, life_s, **more), SECRET, algorithm="HS256")


def binding(user: str = "1001", account: str = "default") -> str:
    return f"/v1/accounts/{account}/users/{user}/binding"
