"""Attacks of those who are on the host already: a program without rights, an AMI user, a phone, a database login.

They know all that is no secret: who asked for which number, the attempt's id, its code (an attacker may be the user
who asked), and which channels there are.
"""

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from binding_ivr.errors import BindingError
from binding_ivr.lab import LabError
from binding_ivr.lab.asterisk.ami import Ami
from tests.abuse import honest
from tests.abuse.scene import ACCOUNT, Reply, Scene
from tests.sip import endpoint, register

VICTIMS = 4
EXTENSION = "1006"
PREMIUM = "+19005551212"
MARK = "an attacker"
KINDS = 7
KEYS = """
[abuse-keys]
exten => s,1,Answer()
 same => n,Wait(1)
 same => n(again),SendDTMF(${ABUSE_CODE},120,120)
 same => n,Wait(1)
 same => n,Goto(again)

[abuse-desk]
exten => s,1,Set(CALLERID(num)=%s)
 same => n,Gosub(hotswitch-desk-of,s,1(default,%s))
 same => n,Dial(${GOSUB_RETVAL},2)
 same => n,Hangup()
"""
CONTACTS = (f"sip:x&PJSIP/{PREMIUM}@trunk", f"sip:x@127.0.0.1;a=b&PJSIP/{PREMIUM}@trunk", "sip:x,,U(hotswitch-idle)@h")


@dataclass
class Insider:
    """What was tried, and how often; `got` says what must not have been possible."""

    scene: Scene
    agi_port: int
    tried: dict[str, int] = field(default_factory=dict)
    got: list[str] = field(default_factory=list)

    def count(self, what: str) -> None:
        self.tried[what] = self.tried.get(what, 0) + 1


async def insiders(scene: Scene, rounds: int = 3) -> None:
    """Have numbers proven whose phones ring unanswered, hear who has which number, and end other people's calls."""
    await honest.served(scene)
    await scene.users(*(f"{2000 + n}" for n in range(VICTIMS)), EXTENSION)
    insider = Insider(scene, _agi_port(scene))
    ami = Ami(scene.lab.plan.pbx, scene.lab.plan.ami_port, "lab", scene.lab.plan.lab_secret)
    await ami.connect()
    try:
        await _prepare(scene)
        for turn in range(rounds):
            victims = [await scene.phone(turn * VICTIMS + n, "no_answer") for n in range(VICTIMS)]
            replies = await asyncio.gather(*(scene.ask(f"{2000 + n}", number) for n, number in enumerate(victims)))
            calls = [reply for reply in replies if reply.accepted]
            scene.expect(calls != [], "nobody could be called")
            over = asyncio.gather(*map(scene.ended, calls))
            async with asyncio.TaskGroup() as group:
                for attack in (_program, _names, _manager, _login):
                    for reply in calls:
                        group.create_task(_until(over, attack, insider, ami, reply))
                group.create_task(_phone(insider))
            for row in await over:
                # their phones were not answered, and nobody but the users may end a call
                scene.expect(row.outcome == "no_answer", f"a call whose phone rang unanswered ended {row.outcome}")
            await scene.advance(86_400)
    finally:
        ami.close()
    scene.broken += sorted(set(insider.got))
    scene.expect(len(insider.tried) == KINDS, f"not all attacks were carried out: {sorted(insider.tried)}")
    scene.notes.append("tried: " + ", ".join(f"{what} {count:,}" for what, count in sorted(insider.tried.items())))


Attack = Callable[[Insider, Ami, Reply], Awaitable[None]]


async def _until(over: asyncio.Future[Any], attack: Attack, insider: Insider, ami: Ami, reply: Reply) -> None:
    """Attack the call again and again until all are over."""
    while not over.done():
        with contextlib.suppress(OSError, LabError, BindingError, TimeoutError):
            await attack(insider, ami, reply)
        await asyncio.sleep(0.05)


def _agi_port(scene: Scene) -> int:
    log = scene.paths[0][0].with_suffix(".log").read_text()
    found = re.search(r'"agi_port": ?(\d+)', log) or re.search(r"agi_port=(\d+)", log)
    if found is None:
        raise LabError("the node does not say where it listens")
    return int(found[1])


async def _prepare(scene: Scene) -> None:
    etc = scene.lab.pbx.folder / "etc"
    for file, text in (
        ("pjsip_lab.conf", endpoint(EXTENSION)),
        ("extensions_lab.conf", KEYS % (scene.caller_id, EXTENSION)),
    ):
        with (etc / file).open("a") as out:
            out.write(text)
    await scene.lab.pbx.rx("module reload res_pjsip.so")
    await scene.lab.pbx.rx("dialplan reload")
    await scene.sql("CREATE ROLE abuse_lookup LOGIN IN ROLE binding_ivr_lookup")


# --- a program without rights


async def _program(insider: Insider, _: Ami, reply: Reply) -> None:
    """Open the call's session before Asterisk does, with whatever might be taken for its secret."""
    attempt = reply.json["attempt"]
    channels = await _channels(insider.scene)
    for channel in (*channels, f"{insider.scene.config.ari.app}.{attempt['id']}.0"):
        for guess in ("", f"/{secrets.token_hex(16)}", f"/{attempt['id']}", f"/{channel}", f"/{attempt['code']}"):
            insider.count("sessions of a call")
            said = await _session(insider, f"attempt/{attempt['id']}{guess}", channel, attempt["code"])
            if said:
                insider.got.append("a program on the host was taken for Asterisk in a call")


async def _names(insider: Insider, _: Ami, reply: Reply) -> None:
    """Ask who has which number, and enrol, in the name of channels that are there."""
    for channel in [*await _channels(insider.scene), "1.1"]:
        insider.count("look-ups")
        for path in ("trusted-number?extension=honest0", f"trusted-caller?number=%2B{_honest(insider.scene)[1:]}"):
            if "FOUND" in "".join(await _session(insider, path, channel, "1")):
                insider.got.append("a program on the host was told a number")
        insider.count("enrolments")
        if await _session(insider, f"enrol?extension={EXTENSION}", channel, reply.json["attempt"]["code"]):
            insider.got.append("a program on the host enrolled a phone")


def _honest(scene: Scene) -> str:
    return next(number for _, user, number in scene.owners if user == "honest0")


async def _channels(scene: Scene) -> list[str]:
    listed = await scene.lab.pbx.rx("core show channels concise")
    return [line.split("!")[-1] for line in listed.splitlines() if "!" in line][:4]


async def _session(insider: Insider, path: str, channel: str, keys: str) -> list[str]:
    """Speak as Asterisk does, keying *keys*; return what was asked of us, but for questions who we are."""
    reader, writer = await asyncio.open_connection(insider.scene.config.agi.bind or "127.0.0.1", insider.agi_port)
    asked: list[str] = []
    try:
        async with asyncio.timeout(5):
            writer.write(f"agi_network: yes\nagi_network_script: {path}\nagi_uniqueid: {channel}\n\n".encode())
            left = iter(keys)
            while command := (await reader.readline()).decode().strip():
                if command.startswith(("GET VARIABLE", "SET VARIABLE BINDING_PROOF")):
                    writer.write(f"200 result=1 ({secrets.token_hex(16)})\n".encode())
                    continue
                if "BINDING_STATUS=ERROR" not in command:
                    asked.append(command)
                writer.write(f"200 result={ord(next(left, '0'))} endpos=1\n".encode())
    except (OSError, TimeoutError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return asked


# --- an AMI user who may originate


async def _manager(insider: Insider, ami: Ami, reply: Reply) -> None:
    """Make a channel that stands in for the phone: it keys the code as soon as somebody speaks to it."""
    attempt, scene = reply.json["attempt"], insider.scene
    app = scene.config.ari.app
    agi = f"{scene.config.agi.bind}:{insider.agi_port}"
    variables = [f"ABUSE_CODE={attempt['code']}", f"__BINDING_ATTEMPT={attempt['id']}", f"__BINDING_AGI={agi}"]
    ways = (
        {"Context": "binding-ivr-call", "Exten": "s", "Priority": "1"},
        {"Application": "Stasis", "Data": app},
    )
    for way in ways:
        for name in (f"{app}.{attempt['id']}.0", f"{app}.{attempt['id']}", f"{app}.{secrets.token_hex(9)}"[:30]):
            insider.count("channels made by AMI")
            fields: dict[str, str | list[str]] = {
                "Channel": "Local/s@abuse-keys",
                "ChannelId": name,
                "OtherChannelId": f"{name}x",
                "Variable": variables,
                **way,
            }
            with contextlib.suppress(LabError):
                await ami.originate(fields)
    await asyncio.sleep(2)
    for channel in re.findall(r"(Local/s@abuse-keys\S+)", await scene.lab.pbx.rx("core show channels concise")):
        await scene.lab.pbx.rx(f"channel request hangup {channel.partition('!')[0]}")


# --- a login of the database


async def _login(insider: Insider, _: Ami, reply: Reply) -> None:
    """Order the end of a call by a notice, and listen for the others'."""
    heard: list[str] = []
    link = await asyncpg.connect(insider.scene.config.database.dsn, user="abuse_lookup")
    try:
        await link.add_listener("binding_ivr", lambda *told: heard.append(str(told[-1])))
        attempt = reply.json["attempt"]["id"]
        for kind in ("cancel", "attempt", "binding", "queued"):
            insider.count("notices")
            order = {"kind": kind, "account": ACCOUNT, "attempt_id": attempt, "id": attempt, "from": MARK}
            await link.execute("SELECT pg_notify('binding_ivr', $1)", json.dumps(order))
        await asyncio.sleep(0.5)
        if any(MARK not in told for told in heard):
            insider.got.append("the SQL door's role heard of a call")
        for statement in ("SELECT 1 FROM binding_ivr.attempts", "UPDATE binding_ivr.bindings SET status = 'verified'"):
            insider.count("statements")
            with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
                await link.execute(statement)
                insider.got.append(f"the SQL door's role may: {statement}")
    finally:
        await link.close()


# --- a phone with a SIP password


async def _phone(insider: Insider) -> None:
    """Register where nobody is: at a premium number, on the way of the desk phone."""
    for contact in CONTACTS:
        insider.count("contacts")
        if await register(insider.scene.lab, EXTENSION, contact) == 200:
            await insider.scene.lab.pbx.rx("channel originate Local/s@abuse-desk application Wait 2")
    await asyncio.sleep(3)
    insider.scene.asked.add(PREMIUM)
