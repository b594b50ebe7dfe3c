"""The lab: a PBX and a scripted phone network in a folder, on loopback. It knows nothing of the daemon."""

import asyncio
import base64
import os
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from binding_ivr.lab import behaviours, net, sweep
from binding_ivr.lab.asterisk import engine, records
from binding_ivr.lab.asterisk.ami import Ami
from binding_ivr.lab.asterisk.configure import DESKS, Plan, write_instance
from binding_ivr.lab.asterisk.instance import Instance
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.phones.handset import PATIENCE_S, Handset
from binding_ivr.lab.phones.phone import Phone
from binding_ivr.lab.phones.phones import Phones
from binding_ivr.lab.phones.softphone import Softphone
from binding_ivr.lab.process import identify
from binding_ivr.lab.state import NAMES, STATE, Row, State, read_state, write_state
from binding_ivr.model.daytimes import ALWAYS

AGI_ADDRESS = "127.0.0.1"
_LOOKUP_TIMEOUT_S = 30.0
_RESULTS = ("STATUS", "NUMBER", "DIAL", "ACCOUNT", "EXTENSION", "SINCE")


class Lab:
    """Two instances of Asterisk: `pbx`, the operator's, and `carrier`, the phone network.

    Use it as `async with Lab() as lab`. *folder* is made when it is not given, and then removed at the end.
    *agi_port* is where the daemon's FastAGI will listen on 127.0.0.1 (default: a free port). *detached*
    lets both instances outlive this process; else they die with it, whatever ends it. *suite* is the Debian
    whose Asterisk the PBX shall be (`bullseye`: 16.28), by default the newest that can be had.
    """

    pbx: Instance
    carrier: Instance
    _phones: Phones

    def __init__(
        self, folder: Path | None = None, agi_port: int | None = None, *, detached: bool = False, suite: str = ""
    ) -> None:
        self._given_folder = folder
        self._given_agi_port = agi_port
        self._detached = detached
        self._suite = suite
        self._attached = False
        self._instances: list[Instance] = []
        self._plan: Plan | None = None
        self._pbx_ami: Ami | None = None
        self._carrier_ami: Ami | None = None
        self.folder = folder or Path()

    @property
    def plan(self) -> Plan:
        """The lab's addresses, ports and secrets; LabError before it is started."""
        if self._plan is None:
            raise LabError("the lab is not running")
        return self._plan

    @property
    def agi_port(self) -> int:
        """Port on 127.0.0.1 where the PBX looks for the daemon's FastAGI."""
        return self.plan.agi_port

    async def start(self) -> None:
        """Start both instances and wait until they are booted. The first time an Asterisk may have to be made.

        Raises LabError, having left nothing behind.
        """
        try:
            await asyncio.to_thread(sweep.sweep)
            await asyncio.to_thread(self._prepare)
            # In the loop's own thread: it lives as long as the lab, and the leash is tied to it.
            for instance in self._instances:
                instance.start(leashed=not self._detached)
            write_state(self.folder, self._state())
            await asyncio.gather(*(instance.booted() for instance in self._instances))
            await self._connect()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End both instances; remove the folder unless it was given. Harmless when done twice.

        A lab that was only taken up by `attach` goes on.
        """
        if self._carrier_ami is not None:
            await self._phones.stop()
        self.disconnect()
        if self._attached:
            return
        await asyncio.gather(*(instance.stop(gently=self._given_folder is not None) for instance in self._instances))
        self._instances = []
        if self._plan is not None:
            for address, port in self._ports(self._plan):
                net.release_port(address, port)
            self._plan = None
            (self.folder / STATE).unlink(missing_ok=True)
            if self._given_folder is None:
                await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def attach(self) -> None:
        """Take up the running lab in the folder that was given, as `lab up` left it. It ends by `disconnect`.

        Raises LabError when none runs there.
        """
        self.folder = await asyncio.to_thread(self.folder.absolute)
        state = await asyncio.to_thread(read_state, self.folder)
        if state is None or len(state.running(self.folder)) < len(NAMES):
            raise LabError(f"no lab runs in {self.folder}: start one with `binding-ivr lab up`")
        self._attached = True
        self._plan = state.plan
        self.pbx, self.carrier = (state.instances[name].instance(name, self.folder) for name in NAMES)
        await self._connect()

    def disconnect(self) -> None:
        """Close the connections to the instances and leave these running, as for a *detached* lab."""
        for ami in (self._pbx_ami, self._carrier_ami):
            if ami is not None:
                ami.close()
        if self._plan is not None:
            self._phones.close()
        self._pbx_ami = self._carrier_ami = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def settings(self) -> dict[str, Any]:
        """Return the sections of the daemon's configuration that make it work with this lab."""
        plan = self.plan
        return {
            "ari": {
                "url": f"http://{plan.pbx}:{plan.http_port}",
                "user": "binding_ivr",
                "password": plan.ari_password,
                "app": "binding_ivr",
            },
            "ami": {"host": plan.pbx, "port": plan.ami_port, "user": "binding_ivr", "secret": plan.ami_secret},
            "agi": {"bind": AGI_ADDRESS, "port": plan.agi_port},
            "number": {"default_region": "US", "regions": ["US"]},
            "call": {"hours": ALWAYS},
            "routes": [
                {
                    "name": "lab",
                    "regions": ["*"],
                    "endpoint": "PJSIP/{e164}@trunk",
                    "caller_id": "+12025550199",
                    "max_channels": 1000,
                }
            ],
        }

    @staticmethod
    def number(behaviour: str, index: int = 0) -> str:
        """Return a valid fictional E.164 number whose phone has this *behaviour* (see `behaviours.TABLE`)."""
        return behaviours.number(behaviour, index)

    async def set_code(self, number: str, code: str) -> None:
        """Tell the phone of *number* what its user reads from the screen. It is good for one call."""
        if not code or set(code) - set("0123456789"):
            raise LabError("a code is made of digits")
        await self._network().put(f"code/{_key(number)}", code)

    async def set_script(self, number: str, behaviour: str, **params: Any) -> None:
        """Make the phone of *number* (or a desk phone, `1001` to `1004`) behave differently from now on.

        The parameters are the fields of `behaviours.Script`. Raises ValueError for an unknown one.
        """
        line = behaviours.script(behaviour, **params).line()
        await self._network().put(f"script/{_key(number)}", line)

    async def clear_script(self, number: str) -> None:
        """Let the phone of *number* do again what its last two digits say."""
        await self._network().delete(f"script/{_key(number)}")

    async def heard(self, number: str) -> dict[str, str]:
        """Return what the phone of *number* noted in its last call; empty before the first.

        `calls` (how many so far), `behaviour`, `caller` (the caller ID shown), `digits` (what it keyed
        last), `speech` (yes or no) with `speech_ms` (from the answer to 200 ms of speech), `recording`
        (a WAV file of what it hears), `message` (a WAV file of what was left on voicemail).
        """
        text = await self._network().get(f"heard/{_key(number)}")
        return dict(part.partition("=")[::2] for part in text.split("&") if part)

    async def call(self, caller: str, to: str) -> None:
        """Let the phone *caller* (a desk phone or any number) call *to* on the PBX.

        When the PBX answers, the phone does what its script says. Returns when the call is placed.
        """
        key = _key(caller)
        endpoint = f"desk-{key}" if key in DESKS else "pbx"
        await self._network().originate(
            {
                "Channel": f"PJSIP/{endpoint}/sip:{_dialled(to)}@{self.plan.pbx}:{self.plan.sip_port}",
                "Context": "outward",
                "Exten": key,
                "Priority": "1",
                "CallerID": f"<{_dialled(caller)}>",
                "Timeout": "60000",
            }
        )

    async def phone(self, number: str, *, answers: bool = True, ring_ms: int = 100, info: bool = False) -> Phone:
        """Take the phone of *number* (E.164, or a desk phone `1001` to `1004`) in hand; see `lab/phones/phone.py`.

        It answers after *ring_ms* milliseconds, or with *answers* off rings until `Phone.answer`. *info*: it
        keys by SIP INFO. LabError while an earlier `Phone` of this number is in a call.
        """
        self._network()
        return await self._phones.take(number, _key(number), answers=answers, ring_ms=ring_ms, info=info)

    async def softphone(self, *, answers: bool = True, ring_ms: int = 100, info: bool = False) -> Softphone:
        """Start the desk phone `1005`, which is no Asterisk but baresip; see `lab/phones/softphone.py`.

        When the host has none, a root folder with it is made once. The wishes are those of `phone`.
        """
        self._network()
        return await self._phones.softphone(self.folder, answers=answers, ring_ms=ring_ms, info=info)

    async def put_away(self, *phones: Handset) -> None:
        """Hang up what *phones* have left, and let their numbers do again what their last digits say."""
        await self._phones.put_away(*phones)

    async def keyed(self, endpoint: str, digits: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until the PBX has received *digits* from its *endpoint* (`1001`, `trunk`), since the last such wait.

        Only what was keyed after the first `phone` counts. LabError with what it has received instead.
        """
        await self._phones.keyed(endpoint, digits, timeout_s)

    def cdr(self) -> list[dict[str, str]]:
        """Return the PBX's call detail records so far; see `records.CDR_COLUMNS`."""
        return records.cdr(self.pbx.folder / "log")

    def cel(self) -> list[dict[str, str]]:
        """Return the PBX's channel events so far; see `records.CEL_COLUMNS`."""
        return records.cel(self.pbx.folder / "log")

    async def trusted_number(self, account: str, extension: str, doors: str = "") -> dict[str, str]:
        """Return the BINDING_* variables that a call on the PBX gets for this extension.

        *doors* is the call's BINDING_LOOKUP, such as `agi,astdb`; the PBX's own when it is empty.
        """
        return await self._look_up("number", account, extension, doors)

    async def trusted_caller(self, number: str) -> dict[str, str]:
        """Return the BINDING_* variables that a call on the PBX gets for this caller ID."""
        return await self._look_up("caller", number, "")

    async def _look_up(self, exten: str, first: str, second: str, doors: str = "") -> dict[str, str]:
        if self._pbx_ami is None:
            raise LabError("the lab is not running")
        values = {"LAB_A": _encoded(first), "LAB_B": _encoded(second)}
        if doors:
            values["BINDING_LOOKUP"] = doors.replace(",", "\\,")  # a bare comma would be the next variable
        answer = await self._pbx_ami.asked(self._look_up_call(self._pbx_ami, exten, values), _LOOKUP_TIMEOUT_S)
        return {name: answer.get(name, "") for name in (f"BINDING_{part}" for part in _RESULTS)}

    @staticmethod
    def _look_up_call(ami: Ami, exten: str, values: Mapping[str, str]) -> Callable[[str], Awaitable[None]]:
        async def start(identity: str) -> None:
            await ami.originate(
                {
                    "Channel": "Local/far@lab-lookup/n",
                    "Context": "lab-lookup",
                    "Exten": exten,
                    "Priority": "1",
                    "Variable": [f"LAB_ID={identity}", *(f"{name}={value}" for name, value in values.items())],
                }
            )

        return start

    def _take_folder(self) -> None:
        """Make the folder that was given, if need be, and see that no lab runs in it."""
        self.folder = self.folder.absolute()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LabError(f"{self.folder} cannot be made: {error.strerror}; choose another folder") from None
        if (state := read_state(self.folder)) is not None:
            if state.running(self.folder):
                raise LabError(f"a lab is running in {self.folder}: stop it with `binding-ivr lab down`")
            sweep.clear(self.folder, state)

    def _prepare(self) -> None:
        if self._given_folder is not None:
            self._take_folder()
        network = engine.find()
        engines = {"pbx": engine.find(self._suite) if self._suite else network, "carrier": network}
        if self._given_folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix=sweep.PREFIX)).absolute()
        # What an earlier lab in this folder told its phones is forgotten.
        (self.folder / "carrier/data/astdb.sqlite3").unlink(missing_ok=True)
        block, sip_port = net.free_block()
        self._plan = Plan(
            block=block,
            sip_port=sip_port,
            http_port=net.free_port(f"{block}.1", 8088),
            ami_port=net.free_port(f"{block}.1", 5038),
            carrier_ami_port=net.free_port(f"{block}.2", 5038),
            agi_port=self._given_agi_port or net.free_port(AGI_ADDRESS),
            ari_password=secrets.token_urlsafe(24),
            ami_secret=secrets.token_urlsafe(24),
            lab_secret=secrets.token_urlsafe(24),
        )
        for name, found in engines.items():
            folder = self.folder / name
            write_instance(folder, name, found, self._plan)
            self._instances.append(Instance(name, folder, found))
        self.pbx, self.carrier = self._instances

    @staticmethod
    def _ports(plan: Plan) -> list[tuple[str, int]]:
        return [
            (plan.pbx, plan.http_port),
            (plan.pbx, plan.ami_port),
            (plan.carrier, plan.carrier_ami_port),
            (AGI_ADDRESS, plan.agi_port),
        ]

    def _state(self) -> State:
        return State(
            instances={name: Row.of(instance) for name, instance in zip(NAMES, self._instances, strict=True)},
            plan=self.plan,
            settings=self.settings(),
            owner=None if self._detached else identify(os.getpid()),
        )

    async def _connect(self) -> None:
        plan = self.plan
        self._pbx_ami = Ami(plan.pbx, plan.ami_port, "lab", plan.lab_secret, events="user")
        self._carrier_ami = Ami(plan.carrier, plan.carrier_ami_port, "lab", plan.lab_secret, events="user")
        self._phones = Phones(plan, self._carrier_ami)
        await asyncio.gather(self._pbx_ami.connect(), self._carrier_ami.connect())

    def _network(self) -> Ami:
        if self._carrier_ami is None:
            raise LabError("the lab is not running")
        return self._carrier_ami


def _encoded(value: str) -> str:
    return base64.b64encode(f".{value}".encode()).decode()


def _key(number: str) -> str:
    digits = number.removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        raise LabError(f"{number!r} is no phone number: write it as + and digits")
    return digits


def _dialled(to: str) -> str:
    if not to or set(to) - set("+*#0123456789"):
        raise LabError(f"{to!r} cannot be dialled")
    return to.replace("#", "%23")
