"""Many questions to the look-ups' doors in few calls, and Asterisk's own way to PostgreSQL for them."""

import asyncio
import base64
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from panoramisk.manager import Manager

from binding_ivr.lab import Lab
from binding_ivr.lab.asterisk.configure import adapt
from binding_ivr.resources import data_dir
from tests.e2e.installation import Installation
from tests.patience import SLOW

NAMES = ("STATUS", "NUMBER", "ACCOUNT", "EXTENSION", "SINCE", "DIAL")
_ASK = {
    "number": "trusted-number,s,1(${BASE64_DECODE(${CUT(LAB_Q,/,1)}):1},${BASE64_DECODE(${CUT(LAB_Q,/,2)}):1})",
    "caller": "trusted-caller,s,1(${BASE64_DECODE(${CUT(LAB_Q,/,1)}):1})",
}


def _loop() -> str:
    """The dialplan: a call asks the questions LAB_FROM to LAB_TO one after another, and tells each answer."""
    lines = ["[doors]"]
    for kind, ask in _ASK.items():
        lines += [
            f"exten => {kind},1,Set(LAB_N=${{LAB_FROM}})",
            " same => n,While($[${LAB_N}<${LAB_TO}])",
            " same => n,Set(LAB_Q=${DB(lab-doors/${LAB_N})})",
            " same => n,Set(LAB_T=${STRFTIME(,,%s%6q)})",
            f" same => n,Gosub(binding-ivr-{ask})",
            " same => n,Gosub(doors,tell,1)",
            " same => n,EndWhile()",
            " same => n,Hangup()",
        ]
    told = ",".join(f"{name}: ${{BINDING_{name}}}" for name in NAMES)
    lines += [
        "exten => tell,1,Set(LAB_U=${STRFTIME(,,%s%6q)})",
        f" same => n,UserEvent(Doors,LabId: ${{LAB_ID}},N: ${{LAB_N}},Us: ${{LAB_T}}-${{LAB_U}},{told})",
        " same => n,Set(LAB_N=${INC(LAB_N)})",
        " same => n,Return()",
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Question:
    """`number`: account and extension; `caller`: a caller ID in `first`."""

    kind: str
    first: str
    second: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the dialplan got. `us`: how long the subroutine took, in microseconds."""

    status: str
    number: str
    account: str
    extension: str
    since: str
    dial: str
    us: int = field(compare=False)

    @property
    def facts(self) -> tuple[str, str, str, str]:
        """What every door tells alike."""
        return self.status, self.number, self.account, self.extension


class Asker:
    """Puts questions to the subroutines of a lab's PBX, many in one call. Use as `async with`."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._manager: Manager | None = None
        self._replies: dict[str, dict[int, Reply]] = {}
        self._done: dict[str, asyncio.Event] = {}
        self._wanted: dict[str, int] = {}

    async def __aenter__(self) -> "Asker":
        plan = self._lab.plan
        etc = self._lab.folder / "pbx/etc"
        (etc / "doors.conf").write_text(_loop())
        extensions = (etc / "extensions.conf").read_text()
        if "doors.conf" not in extensions:
            (etc / "extensions.conf").write_text(f'{extensions}\n#include "doors.conf"\n')
        await self._lab.pbx.rx("dialplan reload")
        self._manager = Manager(
            loop=asyncio.get_running_loop(),
            host=plan.pbx,
            port=plan.ami_port,
            username="lab",
            secret=plan.lab_secret,
            events="user",
        )
        self._manager.register_event("UserEvent", self._heard)
        await self._manager.connect()
        await self._manager.authenticated_future
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._manager is not None
        self._manager.close()

    def _heard(self, _manager: Any, event: Any) -> None:
        replies = self._replies.get(str(event["LabId"]) if "LabId" in event else "")
        if replies is None or "N" not in event:
            return
        began, ended = map(int, str(event["Us"]).split("-"))
        status, number, account, extension, since, dial = (str(event[name]) if name in event else "" for name in NAMES)
        replies[int(event["N"])] = Reply(status, number, account, extension, since, dial, ended - began)
        identity = str(event["LabId"])
        if len(replies) == self._wanted[identity]:
            self._done[identity].set()

    async def learn(self, questions: Sequence[Question]) -> None:
        """Leave the questions where the dialplan finds them; each call of `ask` tells which of them to ask."""
        assert self._manager is not None
        futures = []
        for place, question in enumerate(questions):
            row = "/".join(base64.b64encode(f".{text}".encode()).decode() for text in (question.first, question.second))
            fields = {"Action": "DBPut", "Family": "lab-doors", "Key": str(place), "Val": row}
            futures.append(self._manager.send_action(fields))
        for reply in await asyncio.gather(*futures):
            assert reply.success, reply.message

    async def ask(self, kind: str, first: int, last: int, timeout_s: float, **variables: str) -> list[Reply]:
        """Ask the questions *first* to *last* (not included), all of *kind*, one after another in one call."""
        assert self._manager is not None
        identity = uuid.uuid4().hex
        self._replies[identity], self._done[identity] = {}, asyncio.Event()
        self._wanted[identity] = last - first
        settings = {"LAB_ID": identity, "LAB_FROM": str(first), "LAB_TO": str(last), **variables}
        order = {
            "Action": "Originate",
            "Channel": "Local/far@lab-lookup/n",
            "Context": "doors",
            "Exten": kind,
            "Priority": "1",
            "Async": "true",
            # a comma would be the next variable
            "Variable": [f"{name}={value.replace(',', chr(92) + ',')}" for name, value in settings.items()],
        }
        reply = await self._manager.send_action(order, as_list=False)
        assert reply.success, reply.message
        async with asyncio.timeout(timeout_s * SLOW):
            await self._done[identity].wait()
        found = self._replies.pop(identity)
        return [found[place] for place in range(first, last)]


async def open_sql_door(one: Installation, user: str = "asterisk") -> None:
    """Give the lab's Asterisk the samples' func_odbc, as an operator does, and a database user with the door's role."""
    driver = one.lab.pbx.engine.odbc_driver
    assert driver is not None, "install the package odbc-postgresql: this host's Asterisk cannot reach PostgreSQL"
    async with one.opened.store.db.link() as link:
        await link.execute(f"CREATE ROLE {user} LOGIN IN ROLE binding_ivr_lookup")
    etc, samples = one.lab.folder / "pbx/etc", data_dir("dialplan") / "samples"
    parts = urlsplit(one.opened.store.db.dsn)
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    changes: Mapping[str, dict[tuple[str, str], str]] = {
        "func_odbc.conf": {},
        "res_odbc.conf": {("binding_ivr", "username"): user},
        "odbc.ini": {
            ("binding_ivr", "Servername"): host,
            ("binding_ivr", "Database"): parts.path.lstrip("/"),
        },
    }
    for name, values in changes.items():
        (etc / name).write_text(adapt((samples / name).read_text(), values))
    for module in ("res_odbc", "func_odbc"):
        await one.lab.pbx.rx(f"module reload {module}.so")


async def open_http_door(one: Installation) -> str:
    """Return BINDING_HTTP with a fresh key."""
    status, key, told = await one.command("api-key", "add", "dialplan", "--scope", "lookup")
    assert status == 0, told
    return f"http://lookup:{key.strip()}@127.0.0.1:{one.config.web.port}"


def sample(name: str) -> Path:
    """Return a sample file."""
    return data_dir("dialplan") / "samples" / name
