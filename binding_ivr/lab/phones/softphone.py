"""A desk phone that is not Asterisk: baresip, at the desk's own address, steered by its ctrl_tcp interface.

It stands behind a relay (`relay.py`), which hears what it hears; its tone and its RTP are its own.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from binding_ivr.lab import leash
from binding_ivr.lab.asterisk import rootfs
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.phones.handset import PATIENCE_S, Handset, PhoneCall, address, until
from binding_ivr.lab.phones.hearing import Span
from binding_ivr.lab.phones.relay import Relay

_OLDEST = (1, 1)
"""Older ones cannot key by SIP INFO."""
_MODULES = ("usr/lib/baresip/modules", "usr/lib/*/baresip/modules", "usr/local/lib/baresip/modules")
_CONTROL_PORT = 4444
"""Nobody else has the program's address, so any will do."""
_STOP_TIMEOUT_S = 5.0
_CAUSES = {"486": 17, "600": 17, "603": 21, "403": 21, "404": 1, "480": 19, "408": 19, "503": 34}
_CONFIG = """\
poll_method epoll
sip_listen {inside}:{sip_port}
net_interface {inside}
rtp_ports 10000-29998
audio_path {folder}/none
audio_source ausine,{tone_hz}
audio_player aubridge,out
audio_alert aubridge,alert
ausrc_srate 48000
ausrc_channels 2
auplay_srate 8000
audio_level no
call_local_timeout 3600
call_max_calls 4
module_path {modules}
module g711.so
module ausine.so
module aubridge.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {inside}:{control_port}
"""
_ACCOUNT = '<sip:{number}@{pbx}>;regint=0;answermode=manual;audio_codecs=pcmu;dtmfmode={dtmf};outbound="sip:{pbx}"\n'


def find() -> tuple[tuple[str, ...], Path]:
    """Return how to run baresip, and its modules' folder. Blocks.

    It is the host's, if that is new enough, else one in a root folder, which is made once (a quarter of a minute).
    Raises LabError, with what to do, when it cannot be had.
    """
    program = shutil.which("baresip")
    if program is not None and _version(program) >= _OLDEST:
        for pattern in _MODULES:
            for folder in sorted(Path("/").glob(pattern)):
                if (folder / "ctrl_tcp.so").exists():
                    return (program,), folder
    root = rootfs.make(rootfs.SOFTPHONE)
    return rootfs.program(root, "usr/bin/baresip"), root / "usr/lib/baresip/modules"


def _version(program: str) -> tuple[int, ...]:
    result = subprocess.run([program, "-h"], capture_output=True, text=True, timeout=20, check=False)
    match = re.search(r"baresip v(\d+)\.(\d+)", result.stdout + result.stderr)
    return (int(match[1]), int(match[2])) if match else (0, 0)


class Softphone(Handset):
    """The desk phone 1005. `Lab.softphone` makes it; it runs until `stop`."""

    def __init__(
        self, number: str, tone_hz: int, relay: Relay, folder: Path, *, answers: bool, ring_ms: int, info: bool
    ) -> None:
        super().__init__(number, tone_hz, info)
        self._relay = relay
        # To the phone the relay is the PBX.
        self._pbx = f"{relay.outside}:{relay.sip_port}"
        self._folder = folder
        self._answers = answers
        self._ring_s = ring_ms / 1000
        self._calls: list[PhoneCall] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._tokens = 0

    @property
    def calls(self) -> Sequence[PhoneCall]:
        """All its calls, the oldest first."""
        return self._calls

    async def start(self) -> None:
        """Start the program and wait until it takes calls."""
        program, modules = await asyncio.to_thread(find)
        self._folder.mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(
            inside=self._relay.inside,
            sip_port=self._relay.sip_port,
            control_port=_CONTROL_PORT,
            folder=self._folder,
            tone_hz=self.tone_hz,
            modules=modules,
        )
        account = _ACCOUNT.format(number=self.number, pbx=self._pbx, dtmf="info" if self.info else "rtpevent")
        for name, text in (("config", config), ("accounts", account), ("contacts", "")):
            (self._folder / name).write_text(text)
        self._relay.start()
        self._child = self._launch(program)
        reader = await self._connect()
        self._keep(asyncio.create_task(self._read(reader)))

    async def stop(self) -> None:
        """End the program, and with it its calls; harmless when done twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        child, self._child = self._child, None
        if child is not None:
            # Gently: it says BYE to whom it is talking with.
            child.terminate()
            try:
                await asyncio.to_thread(child.wait, _STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()
                await asyncio.to_thread(child.wait, _STOP_TIMEOUT_S)
        self._relay.stop()
        for call in self._calls:
            if call.live:
                call.ended(0)

    async def call(self, to: str) -> PhoneCall:
        """Call *to* on the PBX and return at once; `PhoneCall.answered` waits for the answer."""
        call = PhoneCall(self, "", outgoing=True)
        self._calls.append(call)
        try:
            await self._do("dial", address(to, self._pbx))
        except LabError:
            call.ended(0)
            raise
        return call

    async def answer(self, timeout_s: float = PATIENCE_S) -> PhoneCall:
        """Answer the call that rings, waiting for one if need be, and wait until its audio flows."""
        await until(lambda: self._first("ringing") is not None, lambda: f"{self.name} does not ring", timeout_s)
        call = self._first("ringing")
        assert call is not None
        await self._accept(call)
        await call.answered(timeout_s)
        return call

    async def decline(self) -> None:
        """Decline the call that rings, as busy."""
        if (call := self._first("ringing")) is None:
            raise LabError(f"{self.name} does not ring")
        await self._on(call, "hangup")
        await call.over()

    async def hangup(self) -> PhoneCall:
        """Hang up the current call and wait until this phone is rid of it."""
        self._newest()
        call = [call for call in self._calls if call.live][-1]
        await self._on(call, "hangup")
        await call.over()
        return call

    async def press(self, digits: str) -> None:
        """Press keys in the current call, 180 ms each with RFC 4733, and 100 ms between two."""
        call = self._newest()
        for place, digit in enumerate(digits):
            if place:
                await asyncio.sleep(0.28)
            down = time.time()
            await self._do("sndcode", digit)
            call.pressed.append(Span(down, down + 0.18))

    async def hold(self) -> None:
        """Put the current call on hold: the PBX gets a re-INVITE with `sendonly`."""
        call = self._newest()
        await self._do("hold")
        call.state = "held"

    async def unhold(self) -> None:
        """Take the held call back."""
        if (call := self._first("held")) is None:
            raise LabError(f"{self.name} holds no call")
        # baresip 1.1 takes the call back and says "Invalid argument" all the same.
        with contextlib.suppress(LabError):
            await self._on(call, "resume")
        call.state = "up"

    async def transfer(self, to: str) -> PhoneCall:
        """Transfer the current call blindly (REFER) to *to* on the PBX, and wait until this phone is rid of it."""
        self._newest()
        call = [call for call in self._calls if call.live][-1]
        await self._do("transfer", address(to, self._pbx))
        await call.over()
        return call

    # -- the program

    def _launch(self, program: tuple[str, ...]) -> subprocess.Popen[bytes]:
        # In the loop's own thread, which the leash is tied to.
        with (self._folder / "console.log").open("ab") as console:
            return subprocess.Popen(
                (
                    sys.executable,
                    "-I",
                    "-S",
                    leash.__file__,
                    "tie",
                    str(os.getpid()),
                    *program,
                    "-f",
                    str(self._folder),
                ),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=True,
            )

    async def _connect(self) -> asyncio.StreamReader:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if self._child is None or self._child.poll() is not None:
                raise LabError(f"baresip ended at its start: see {self._folder / 'console.log'}")
            with contextlib.suppress(OSError):
                reader, self._writer = await asyncio.open_connection(self._relay.inside, _CONTROL_PORT)
                return reader
            if time.monotonic() > deadline:
                raise LabError(f"baresip does not listen: see {self._folder / 'console.log'}")
            await asyncio.sleep(0.02)

    async def _on(self, call: PhoneCall, command: str) -> None:
        await self._do("callfind", call.id)
        await self._do(command)

    async def _do(self, command: str, params: str = "") -> None:
        if self._writer is None:
            raise LabError(f"{self.name} is not running")
        self._tokens += 1
        token = str(self._tokens)
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies[token] = reply
        text = json.dumps({"command": command, "params": params, "token": token})
        self._writer.write(f"{len(text)}:{text},".encode())
        try:
            answer = await asyncio.wait_for(reply, PATIENCE_S)
        except TimeoutError as error:
            raise LabError(f"{self.name} does not react to {command}") from error
        finally:
            self._replies.pop(token, None)
        if not answer.get("ok"):
            raise LabError(f"{self.name} cannot {command}: {answer.get('data', '')}")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int((await reader.readuntil(b":"))[:-1])
                message = json.loads(await reader.readexactly(size))
                await reader.readexactly(1)
                reply = self._replies.get(message.get("token", ""))
                if reply is not None and not reply.done():
                    reply.set_result(message)
                elif message.get("event"):
                    self._told(message)

    def _told(self, event: dict[str, Any]) -> None:
        kind, identity = event.get("type"), event.get("id", "")
        if kind == "CALL_INCOMING":
            call = PhoneCall(self, identity, outgoing=False)
            call.hearing = self._relay.hearing(identity)
            call.caller = str(event.get("peeruri", "")).removeprefix("sip:").partition("@")[0]
            self._calls.append(call)
            if self._answers:
                self._keep(asyncio.create_task(self._answer_later(call)))
            return
        known = self._by_id(identity)
        if known is None or not known.live:
            return
        if kind == "CALL_ESTABLISHED":
            known.state = "up"
            known.up_at = time.time()
        elif kind == "CALL_CLOSED":
            code = str(event.get("param", "")).split(" ")[0]
            known.ended(_CAUSES.get(code, 16 if known.up_at else 0))

    def _by_id(self, identity: str) -> PhoneCall | None:
        if not identity:
            return None
        found = next((call for call in self._calls if call.id == identity), None)
        if found is None and (found := next((call for call in self.calls if not call.id and call.live), None)):
            # The first that is told of a call which was dialled here.
            found.id = identity
            found.hearing = self._relay.hearing(identity)
        return found

    def _first(self, state: str) -> PhoneCall | None:
        return next((call for call in self._calls if call.state == state), None)

    async def _answer_later(self, call: PhoneCall) -> None:
        await asyncio.sleep(self._ring_s)
        await self._accept(call)

    async def _accept(self, call: PhoneCall) -> None:
        if call.state == "ringing":
            await self._on(call, "accept")

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
