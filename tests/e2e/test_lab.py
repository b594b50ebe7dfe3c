"""The lab as the rest of the project uses it: real Asterisk, real SIP, real digits; no daemon."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
import time
import tomllib
import uuid
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from binding_ivr.lab import Lab, LabError, command
from binding_ivr.lab.asterisk.ami import Ami
from binding_ivr.lab.behaviours import BY_NAME
from binding_ivr.lab.state import read_state
from tests.patience import SLOW

QUIET_MS = 4000
"""How long the test's server waits for a digit; longer than any pause of the phones."""


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Wait until *condition* holds."""
    async with asyncio.timeout(seconds * SLOW):
        while not await condition():
            await asyncio.sleep(0.02)


class Agi:
    """The smallest FastAGI server: collects digits of a validation call, answers look-ups by table."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.requests: list[str] = []
        self.prompts: dict[str, str] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                head = (await reader.readuntil(b"\n\n")).decode()
                path = head.split("agi_request: ", 1)[1].split("\n", 1)[0].split("/", 3)[3]
                self.requests.append(path)
                if path.startswith("attempt/"):
                    await self._collect(path.removeprefix("attempt/"), reader, writer)
                else:
                    for line in self.answers.get(path, []):
                        await self._command(line, reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _collect(self, attempt: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold the call until nobody has keyed for a while."""
        if prompt := self.prompts.get(attempt):
            await self._command(f'STREAM FILE {prompt} "0123456789*#ABCD"', reader, writer)
        while await self._command(f"WAIT FOR DIGIT {QUIET_MS}", reader, writer) > 0:
            pass

    @staticmethod
    async def _command(line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        writer.write(line.encode() + b"\n")
        while (reply := (await reader.readuntil(b"\n")).decode().strip()) == "HANGUP":
            pass
        return int(reply.split("result=")[1].split()[0]) if reply.startswith("200 result=") else -1


class Caller:
    """Places calls by ARI the way the product does and tells how each ended."""

    def __init__(self, lab: Lab, agi: Agi) -> None:
        self.lab = lab
        self.agi = agi
        self.ends: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.seen: dict[str, list[str]] = {}
        self.digits: dict[str, str] = {}
        """By Asterisk's events: a session that begins late on a busy machine misses the first ones."""

    async def __aenter__(self) -> "Caller":
        ari = self.lab.settings()["ari"]
        token = base64.b64encode(f"{ari['user']}:{ari['password']}".encode()).decode()
        self.app = f"test{uuid.uuid4().hex[:8]}"
        self.http = aiohttp.ClientSession(ari["url"], headers={"Authorization": f"Basic {token}"})
        self.socket = await self.http.ws_connect(f"/ari/events?app={self.app}")
        self.reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.reader.cancel()
        await asyncio.gather(self.reader, return_exceptions=True)
        await self.socket.close()
        await self.http.close()

    async def _read(self) -> None:
        async for message in self.socket:
            event = json.loads(message.data)
            channel = event.get("channel", event.get("peer", {})).get("id", "")
            self.seen.setdefault(channel, []).append(event["type"])
            if event["type"] == "StasisStart":
                params = {"context": "binding-ivr-call", "extension": "s", "priority": "1"}
                (await self.http.post(f"/ari/channels/{channel}/continue", params=params)).release()
            elif event["type"] == "ChannelDtmfReceived":
                self.digits[channel] = self.digits.get(channel, "") + event["digit"]
            elif event["type"] == "ChannelDestroyed" and channel in self.ends:
                self.ends[channel].set_result(event)

    async def call(self, number: str, prompt: str = "", timeout: int = 20) -> tuple[str, dict[str, Any]]:
        """Call *number* and play *prompt*; return the attempt's id and the event that ended the call."""
        attempt = str(uuid.uuid4())
        self.agi.prompts[attempt] = prompt
        self.ends[attempt] = asyncio.get_running_loop().create_future()
        body = {
            "endpoint": f"PJSIP/{number}@trunk",
            "app": self.app,
            "timeout": timeout,
            "callerId": "+12025550199",
            "variables": {"BINDING_AGI": f"127.0.0.1:{self.lab.agi_port}", "BINDING_ATTEMPT": attempt},
        }
        async with self.http.post(f"/ari/channels/{attempt}", json=body) as response:
            assert response.status == 200, await response.text()
        async with asyncio.timeout(60 * SLOW):
            return attempt, await self.ends[attempt]

    async def keyed(self, number: str, prompt: str = "") -> str:
        """Call *number* and return the digits that arrived."""
        attempt, _ = await self.call(number, prompt)
        return self.digits.get(attempt, "")


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as running:
        yield running


@pytest.fixture(scope="module")
async def agi(lab: Lab) -> AsyncIterator[Agi]:
    server = Agi()
    await server.start(lab.agi_port)
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def caller(lab: Lab, agi: Agi) -> AsyncIterator[Caller]:
    async with Caller(lab, agi) as running:
        yield running


async def test_both_boot_without_a_complaint(lab: Lab) -> None:
    for instance in (lab.pbx, lab.carrier):
        assert int(instance.version.split(".")[0]) >= 18
        assert await instance.channels() == 0
        await instance.rx("dialplan reload")
        complaints = [line for line in instance.log_path.read_text().splitlines() if "WARN" in line or "ERR" in line]
        assert complaints == []
    assert "Match: " in await lab.pbx.rx("pjsip show endpoint trunk")


async def test_only_loopback_listens(lab: Lab) -> None:
    everywhere = set()
    for instance in (lab.pbx, lab.carrier):
        assert instance.process is not None
        inodes = {os.readlink(entry) for entry in Path(f"/proc/{instance.process.pid}/fd").iterdir()}
        for table in ("tcp", "tcp6", "udp"):
            for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                field = row.split()
                address, port = field[1].split(":")
                # Addresses are little-endian hexadecimal: the last byte is the first number.
                if f"socket:[{field[9]}]" in inodes and not address.endswith("7F"):
                    everywhere.add((table, int(port, 16)))
    # PJSIP's DNS resolver keeps a UDP socket on a port of the kernel's choice; it takes replies only.
    assert [place for place in everywhere if place[0] != "udp" or place[1] < 30_000] == []


async def test_two_labs_side_by_side(lab: Lab) -> None:
    async with Lab() as other:
        assert other.folder != lab.folder
        assert other.settings()["ari"] != lab.settings()["ari"]
        assert await other.pbx.channels() == 0
        assert (await other.trusted_number("default", "1001"))["BINDING_STATUS"] == "ERROR"
        folder = other.folder
        processes = [other.pbx.process, other.carrier.process]
    assert not folder.exists()
    assert not any(process.is_alive() for process in processes if process)
    assert await lab.pbx.channels() == 0


ENDS = {
    "busy": (17, 486),
    "declined": (21, 603),
    "rejected": (21, 403),
    "unallocated": (1, 404),
    "gone": (22, 410),
    "congestion": (34, 503),
    "early_busy": (17, 486),
    "no_answer": (19, 480),
}
DIGITS = {
    "right": "112334",
    "wrong": "112335112336112337",
    "wrong_then_right": "112335112334",
    "short": "11233",
    "hash": "112334#",
    "short_hash": "1123#112334",
    "fast": "112334",
    "repeated": "112334",
    "info": "112334",
    "early_media": "112334",
    "hangup_digits": "112",
    "star": "*",
    "star_mid": "11*",
    "silent": "",
    "letters": "1A1B2C3D3A4B",
    "burst_early": "112334",
    "barge": "112334",
    "hangup_at": "",
}


@pytest.fixture(scope="module")
async def failed(caller: Caller) -> dict[str, tuple[str, dict[str, Any]]]:
    """One call to each phone that does not answer, all at the same time."""
    ends = await asyncio.gather(*(caller.call(Lab.number(name), timeout=5) for name in ENDS))
    return dict(zip(ENDS, ends, strict=True))


@pytest.fixture(scope="module")
async def keyed(lab: Lab, caller: Caller) -> dict[str, str]:
    """One call to each phone that answers, all at the same time: the digits that arrived."""

    async def one(name: str) -> str:
        await lab.set_code(Lab.number(name, 1), "112334")
        return await caller.keyed(Lab.number(name, 1), "demo-congrats" if name in {"burst_early", "barge"} else "")

    return dict(zip(DIGITS, await asyncio.gather(*map(one, DIGITS)), strict=True))


@pytest.mark.parametrize("behaviour", ENDS)
async def test_calls_that_fail(caller: Caller, failed: dict[str, tuple[str, dict[str, Any]]], behaviour: str) -> None:
    attempt, end = failed[behaviour]
    assert (end["cause"], end.get("tech_cause")) == ENDS[behaviour]
    assert "StasisStart" not in caller.seen[attempt]


@pytest.mark.parametrize("behaviour", DIGITS)
async def test_digits_arrive_exactly(lab: Lab, keyed: dict[str, str], behaviour: str) -> None:
    assert keyed[behaviour] == DIGITS[behaviour]
    heard = await lab.heard(Lab.number(behaviour, 1))
    assert (heard["behaviour"], heard["calls"], heard["caller"]) == (behaviour, "1", "+12025550199")


async def test_slow_digits_and_overridden_scripts(lab: Lab, caller: Caller) -> None:
    number = Lab.number("slow")
    await lab.set_code(number, "998877")
    await lab.set_script(number, "slow", pace_ms=500)
    assert await caller.keyed(number) == "998877"
    await lab.set_script(number, "repeated", digits="777777")
    assert await caller.keyed(number) == "777777"
    await lab.clear_script(number)
    with pytest.raises(ValueError, match="unknown parameter"):
        await lab.set_script(number, "right", colour=1)


async def test_info_digits_really_go_by_info(lab: Lab, caller: Caller) -> None:
    number = Lab.number("info", 2)
    await lab.set_code(number, "4711")
    await lab.pbx.rx("pjsip set history on")
    assert await caller.keyed(number) == "4711"
    history = await lab.pbx.rx("pjsip show history")
    await lab.pbx.rx("pjsip set history off")
    assert len([line for line in history.splitlines() if "INFO sip:" in line]) == 4


async def test_a_code_that_comes_late_and_dies_with_its_call(lab: Lab, caller: Caller) -> None:
    number = Lab.number("right", 3)
    call = asyncio.create_task(caller.call(number))
    await until(lambda: _answered(lab, number))
    await lab.set_code(number, "246810")
    attempt, end = await call
    assert caller.digits[attempt] == "246810"
    assert end["cause"] == 16
    await until(lambda: _nothing(lab, number))


async def _answered(lab: Lab, number: str) -> bool:
    return "calls" in await lab.heard(number) and "Up" in await lab.carrier.rx("core show channels concise")


async def _nothing(lab: Lab, number: str) -> bool:
    return "0 results" in await lab.carrier.rx(f"database show lab/code/{number[1:]}")


@pytest.mark.parametrize("spoken", [True, False])
async def test_screening_listens(lab: Lab, caller: Caller, spoken: bool) -> None:
    number = Lab.number("screening", int(spoken))
    await lab.set_code(number, "135790")
    prompt = "demo-congrats" if spoken else ""
    assert await caller.keyed(number, prompt) == ("135790" if spoken else "")
    heard = await lab.heard(number)
    assert heard["speech"] == ("yes" if spoken else "no")
    if spoken:
        assert 0 < int(heard["speech_ms"]) < 3500


async def test_voicemail_records_what_is_said(lab: Lab, caller: Caller) -> None:
    number = Lab.number("voicemail")
    await lab.set_script(number, "voicemail", pace_ms=2000, record=True)
    _, end = await caller.call(number, "demo-congrats")
    assert end["cause"] == 16
    heard = await lab.heard(number)
    for name in ("message", "recording"):
        await until(lambda name=name: _has_audio(Path(heard[name])))  # type: ignore[misc]


async def _has_audio(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with wave.open(str(path)) as audio:
            return audio.getnframes() > 8000 and any(audio.readframes(audio.getnframes()))
    except (wave.Error, EOFError):  # Asterisk has begun the file, and not written its header yet
        return False


async def test_desk_phones_call_and_are_called(lab: Lab) -> None:
    await lab.set_script("1001", "silent", record=True)
    await lab.call("1001", "1002")
    await until(lambda: _called_by(lab, "1002", "1001"))
    await until(lambda: _count(lab, 2))
    await lab.pbx.rx("channel request hangup all")
    await until(lambda: _count(lab, 0))
    await lab.call("+12125550150", "1001")
    await until(lambda: _called_by(lab, "1001", "+12125550150"))
    await until(lambda: _count(lab, 2))
    await lab.pbx.rx("channel request hangup all")
    await until(lambda: _count(lab, 0))


async def _called_by(lab: Lab, desk: str, caller: str) -> bool:
    return (await lab.heard(desk)).get("caller") == caller


async def _count(lab: Lab, channels: int) -> bool:
    return await lab.pbx.channels() == channels


FOUND = [
    "SET VARIABLE BINDING_NUMBER +12025550150",
    "SET VARIABLE BINDING_DIAL PJSIP/+12025550150@trunk",
    "SET VARIABLE BINDING_ACCOUNT default",
    "SET VARIABLE BINDING_EXTENSION 1001",
    "SET VARIABLE BINDING_SINCE 2026-01-02T03:04:05Z",
    "SET VARIABLE BINDING_STATUS FOUND",
]
ERROR = {f"BINDING_{name}": "" for name in ("NUMBER", "DIAL", "ACCOUNT", "EXTENSION", "SINCE")} | {
    "BINDING_STATUS": "ERROR"
}


NONE = ERROR | {"BINDING_STATUS": "NONE"}


async def test_look_ups_bring_what_the_server_says(lab: Lab, agi: Agi) -> None:
    agi.answers = {
        "trusted-number?account=default&extension=1001": FOUND,
        "trusted-caller?number=%2B12025550150": FOUND,
        "trusted-number?account=a.b-c_1&extension=7": ["SET VARIABLE BINDING_STATUS NONE"],
        "trusted-number?account=default&extension=8": [*FOUND[:-1], "SET VARIABLE BINDING_STATUS SUSPENDED"],
        "trusted-number?account=default&extension=9": FOUND[:-1],
        "trusted-number?account=default&extension=10": ["SET VARIABLE BINDING_NUMBER 911", *FOUND[1:]],
        "trusted-number?account=default&extension=11": [*FOUND[:-1], 'SET VARIABLE BINDING_STATUS "FOUND FOUND"'],
    }
    for answer in (await lab.trusted_number("", "1001"), await lab.trusted_caller("+12025550150")):
        assert answer == {
            "BINDING_STATUS": "FOUND",
            "BINDING_NUMBER": "+12025550150",
            "BINDING_DIAL": "PJSIP/+12025550150@trunk",
            "BINDING_ACCOUNT": "default",
            "BINDING_EXTENSION": "1001",
            "BINDING_SINCE": "2026-01-02T03:04:05Z",
        }
    assert await lab.trusted_number("a.b-c_1", "7") == NONE
    agi.answers["trusted-number?account=default&extension=*7#.x-_Y"] = FOUND
    assert (await lab.trusted_number("default", "*7#.x-_Y"))["BINDING_STATUS"] == "FOUND"
    suspended = {"BINDING_STATUS": "SUSPENDED", "BINDING_SINCE": "2026-01-02T03:04:05Z"}
    assert await lab.trusted_number("default", "8") == ERROR | suspended
    # A server that dies half way, one that answers nonsense.
    for extension in ("9", "10", "11"):
        assert await lab.trusted_number("default", extension) == ERROR


@pytest.mark.parametrize(
    "value",
    [
        '1001"',
        "1001&foo",
        "",
        '" | 1=1 | "',
        "1001 ",
        "${EXTEN}",
        "1001\\",
        "1001?x",
        "x" * 65,
        "é",
        "1001\n",
        "1001,1002",
        "12025550150,x",
        "12025550150,",
        "12025550150):0:1",  # inside ${FUNCTION(...)} a colon behind a bracket would cut off the rest
        "+12025550150):0:12",
        "12025550150:0:3",
        ":",
        "):",
        "1202\\5550150",
        "[12025550150]",
        "{12025550150}",
        "٣٣٣٣",
        "..",
        "-" * 33 + "+",
    ],
)
async def test_hostile_input_never_reaches_the_server(lab: Lab, agi: Agi, value: str) -> None:
    agi.requests.clear()
    assert await lab.trusted_number("default", value) == NONE
    assert await lab.trusted_caller(value) == NONE
    if value:
        assert await lab.trusted_number(value, "1001") == NONE
    assert agi.requests == []


@pytest.mark.parametrize("value", ["1001)", "(1001", "(10)01", "10.0 -1", "1 0(01"])
async def test_of_a_caller_written_with_marks_only_the_digits_reach_the_server(lab: Lab, agi: Agi, value: str) -> None:
    agi.requests.clear()
    assert await lab.trusted_number("default", value) == NONE
    assert agi.requests == []
    assert (await lab.trusted_caller(value))["BINDING_STATUS"] == "ERROR"  # the server knows no answer
    assert agi.requests == ["trusted-caller?number=1001"]


async def test_a_silent_server_does_not_hold_a_caller(lab: Lab, agi: Agi) -> None:
    # The subroutine's AGIEXITONHANGUP is local to it, and must still do its work.
    agi.answers = {"trusted-number?account=default&extension=99": ["WAIT FOR DIGIT 60000"]}
    lookup = asyncio.create_task(lab.trusted_number("default", "99"))
    await until(lambda: _count(lab, 2))
    await lab.pbx.rx("channel request hangup all")
    await until(lambda: _count(lab, 0), 3)
    lookup.cancel()
    await asyncio.gather(lookup, return_exceptions=True)


@pytest.mark.alone
async def test_a_silent_server_costs_two_seconds_and_leaves_the_calls_own_limit(lab: Lab, agi: Agi) -> None:
    agi.answers = {"trusted-number?account=default&extension=98": ["WAIT FOR DIGIT 60000"]}
    ask = "Gosub(binding-ivr-trusted-number,s,1(default,98))"
    tell = (
        "UserEvent(LabLookup,LabId: ${LAB_ID},Status: ${BINDING_STATUS},Left: ${TIMEOUT(absolute)},"
        "Us: ${LAB_T}-${STRFTIME(,,%s%6q)})"
    )
    steps = ("Set(LAB_T=${STRFTIME(,,%s%6q)})", "Set(TIMEOUT(absolute)=${LAB_LIMIT})", ask, tell, "Wait(5)")
    async with console(lab) as ami:
        await add_extension(ami, "lab-silent", "ask", *steps)
        await add_extension(ami, "lab-silent", "T", "UserEvent(LabLookup,LabId: ${LAB_ID},Status: own limit)")
        for limit, left in (("0", 0.0), ("30", 28.0), ("1", None)):
            began = time.monotonic()

            async def call(identity: str, limit: str = limit) -> None:
                variables: list[str] = [f"LAB_ID={identity}", f"LAB_LIMIT={limit}"]
                way = {"Channel": "Local/far@lab-lookup/n", "Context": "lab-silent", "Exten": "ask", "Priority": "1"}
                await ami.originate({**way, "Variable": variables})

            event = await ami.asked(call, 10 * SLOW)
            if left is None:  # the call's own limit comes first: the call is where its dialplan says
                assert event["Status"] in ("ERROR", "own limit")
                assert time.monotonic() - began < 1.5
                continue
            began_us, ended_us = map(int, event["Us"].split("-"))
            assert event["Status"] == "ERROR"
            assert 1.9e6 < ended_us - began_us < 2.3e6
            assert abs(float(event["Left"]) - left) < 0.3
    await lab.pbx.rx("channel request hangup all")
    await until(lambda: _count(lab, 0))


@contextlib.asynccontextmanager
async def console(lab: Lab) -> AsyncIterator[Ami]:
    """A connection of the test's own to the PBX's manager."""
    ami = Ami(lab.plan.pbx, lab.plan.ami_port, "lab", lab.plan.lab_secret, events="user")
    await ami.connect()
    yield ami
    ami.close()


async def add_extension(ami: Ami, context: str, extension: str, *steps: str) -> None:
    """Add an extension to the dialplan for this Asterisk's life."""
    for priority, step in enumerate(steps, 1):
        name, _, data = step.removesuffix(")").partition("(")
        fields: dict[str, str | list[str]] = {"Context": context, "Extension": extension, "Priority": str(priority)}
        await ami.action("DialplanExtensionAdd", {**fields, "Application": name, "ApplicationData": data})


@pytest.mark.parametrize(
    ("route", "dial"),
    [
        ("PJSIP/{e164}@trunk", "PJSIP/+12025550177@trunk"),
        ("Local/{digits}@binding-ivr-out/n", "Local/12025550177@binding-ivr-out/n"),
        ("PJSIP/{e164}@trunk&PJSIP/+19005551212@trunk", ""),
        ("PJSIP/{e164}@trunk,20,U(x)", ""),
        ("PJSIP/{e164}@trunk^x", ""),
        ("System/x", ""),
        ("PJSIP/{e164}@trunk):0:1", ""),
    ],
)
async def test_a_route_in_astdb_that_is_more_than_a_dial_string(lab: Lab, route: str, dial: str) -> None:
    """Whatever else writes there, only one dial string of the form that the service writes is ever given to Dial()."""
    entries = {"ext/default/1077": "+12025550177", "num/12025550177": "default/1077", "plan/route": route}
    try:
        for key, value in entries.items():
            await lab.pbx.rx(f'database put binding {key} "{value}"')
        found = await lab.trusted_number("default", "1077", "astdb")
        assert (found["BINDING_STATUS"], found["BINDING_DIAL"]) == ("FOUND", dial)
    finally:
        for key in entries:
            await lab.pbx.rx(f"database del binding {key}")


async def test_a_slip_in_the_dialplan_is_an_error(lab: Lab) -> None:
    async with console(lab) as ami:
        steps = (
            "Gosub(binding-ivr-trusted-number,s,1(1001))",
            "UserEvent(LabLookup,LabId: ${LAB_ID},S: ${BINDING_STATUS})",
        )
        await add_extension(ami, "lab-slip", "one", *steps)
        await add_extension(
            ami,
            "lab-slip",
            "door",
            "Set(BINDING_LOOKUP=letterbox)",
            *("Gosub(binding-ivr-trusted-number,s,1(default,1001))", steps[1]),
        )

        async def ask(extension: str) -> str:
            async def call(identity: str) -> None:
                way = {"Channel": "Local/far@lab-lookup/n", "Context": "lab-slip", "Exten": extension, "Priority": "1"}
                await ami.originate({**way, "Variable": f"LAB_ID={identity}"})

            return (await ami.asked(call, 10 * SLOW))["S"]

        assert await ask("one") == "ERROR"
        assert await ask("door") == "ERROR"
    log = lab.pbx.log_path.read_text()
    assert "binding-ivr-trusted-number wants two arguments" in log
    assert "BINDING_LOOKUP names the door 'letterbox'" in log


async def test_nothing_was_left_and_nobody_complained(lab: Lab) -> None:
    for instance in (lab.pbx, lab.carrier):
        await until(lambda instance=instance: _idle(instance))  # type: ignore[misc]
        slips = ("wants two arguments", "names the door")  # test_a_slip_in_the_dialplan_is_an_error
        lines = instance.log_path.read_text().splitlines()
        errors = [line for line in lines if "ERROR" in line and not any(slip in line for slip in slips)]
        assert errors == []


async def _idle(instance: Any) -> bool:
    return bool(await instance.channels() == 0)


async def test_without_a_server_look_ups_fail_closed() -> None:
    async with Lab() as lone:
        assert await lone.trusted_number("default", "1001") == ERROR
        assert await lone.trusted_caller("+12025550150") == ERROR


PROGRAM = """
import asyncio, sys
from binding_ivr.lab import Lab
async def main():
    async with Lab() as lab:
        print(lab.folder, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_nothing_survives_a_killed_owner() -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE, cwd=Path.cwd()
    )
    try:
        assert owner.stdout is not None
        line = await asyncio.wait_for(owner.stdout.readline(), 30 * SLOW)
        folder = Path(line.decode().strip())
        state = read_state(folder)
        assert state is not None
        processes = [row.process for row in state.instances.values()]
        assert len(processes) == 2
        assert all(process.is_alive() for process in processes)
    finally:
        owner.send_signal(signal.SIGKILL)
        await owner.wait()
    deadline = time.monotonic() + 5 * SLOW
    while any(process.is_alive() for process in processes):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    async with Lab():
        assert not folder.exists()


async def test_up_status_and_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # So deep a folder that a control socket in it would have too long a name.
    folder = tmp_path / ("deep" * 20)
    assert await command.status(folder) == 1
    assert await command.up(folder, as_json=True) == 0
    try:
        shown = json.loads(capsys.readouterr().out)
        assert {name: row["channels"] for name, row in shown["instances"].items()} == {"pbx": 0, "carrier": 0}
        config = tomllib.loads((folder / command.CONFIG).read_text())
        assert config.pop("service") == {"node": "lab", "state_dir": str(folder / "state")}
        assert config == shown["settings"]
        assert await command.up(folder) == 1
        assert "is running" in capsys.readouterr().err.splitlines()[-1]
        attached = Lab(folder)
        await attached.attach()
        await attached.set_code(Lab.number("right"), "123456")
        assert attached.settings() == shown["settings"]
        await attached.stop()
        assert await command.status(folder) == 0
        assert "burst_early" in capsys.readouterr().out
    finally:
        state = read_state(folder)
        assert await command.down(folder) == 0
    assert state is not None
    assert not any(row.process.is_alive() for row in state.instances.values())
    assert list(folder.rglob("asterisk.ctl")) == []
    assert not any((folder / name / "run").exists() for name in state.instances)
    assert await command.down(folder) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


async def test_it_says_no_before_it_runs() -> None:
    lab = Lab()
    with pytest.raises(LabError, match="not running"):
        await lab.set_code(Lab.number("right"), "123456")
    with pytest.raises(LabError, match="not running"):
        lab.settings()


def test_every_behaviour_has_its_context() -> None:
    dialplan = Path(__file__).parents[2] / "binding_ivr/lab/asterisk/etc/carrier/extensions.conf"
    text = dialplan.read_text()
    assert [name for name in BY_NAME if f"[phone-{name}]" not in text] == []
