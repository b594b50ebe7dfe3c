"""A phone of the lab in the hand of a test: it rings, answers, keys, holds, transfers, and hears who is speaking.

Each phone sounds a tone of its own for as long as a call is up, so what a phone hears tells who is connected to
whom. Every wait is for a condition and has a limit; when it is not met, LabError says what was the case instead.
"""

import asyncio
import time
import uuid
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from binding_ivr.lab.ears import Ears, Line
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.hearing import RATE_HZ, SOUNDS_HZ, Hearing, Span, tone_packet

if TYPE_CHECKING:
    from binding_ivr.lab.ami import Ami

PATIENCE_S = 10.0
"""How long a phone waits for a condition unless told otherwise, in seconds."""
_STEP_S = 0.01
_TOLD = {"calling", "ringing", "up", "held", "refer"}


async def until(condition: Callable[[], bool], what: Callable[[], str], timeout_s: float = PATIENCE_S) -> None:
    """Wait until *condition* holds; LabError with *what* was the case when it does not in *timeout_s* seconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(what())
        await asyncio.sleep(_STEP_S)


class PhoneCall:
    """One call of a phone, from its first ring to its end and after."""

    def __init__(self, phone: "Phone", identity: str, outgoing: bool) -> None:
        self.phone = phone
        self.id = identity
        self.outgoing = outgoing
        self.channel = ""
        self.state = "calling"
        """`calling` (outgoing), `ringing` (incoming), `up`, `held` (by this phone), `refer` (transferring), `over`."""
        self.caller = ""
        """The caller ID that the phone's display showed last."""
        self.cause: int | None = None
        """Hangup cause (Q.850) of a call that is over."""
        self.referred = ""
        """What became of the last blind transfer: `SUCCESS`, `FAILURE`, `UNSUPPORTED`."""
        self.hearing = Hearing()
        self.pressed: list[Span] = []
        """When this phone's keys were down; its own tone pauses so long."""
        self.digits = ""
        """The keys of others that came through to this phone. For 500 ms after a key of its own it takes another's
        for an echo of that, and its timing is spoilt; the PBX does the same with a phone that it has sent a key."""
        self.up_at: float | None = None
        """When it was answered, in seconds since the epoch."""
        self.over_at: float | None = None
        self._lines: list[Line] = []
        self._ears: Line | None = None
        self._port: int | None = None

    def __repr__(self) -> str:
        return f"<call of {self.phone.name}: {self.state}>"

    @property
    def live(self) -> bool:
        """Whether it is not over."""
        return self.state != "over"

    async def answered(self, timeout_s: float = PATIENCE_S) -> "PhoneCall":
        """Wait until it is up and its audio flows."""

        def audible() -> bool:
            return self.state == "up" and self._ears is not None

        await until(lambda: audible() or not self.live, lambda: f"{self} was not answered", timeout_s)
        if not self.live:
            raise LabError(f"{self} ended with cause {self.cause} before it was answered")
        return self

    async def over(self, timeout_s: float = PATIENCE_S) -> "PhoneCall":
        """Wait until it is over."""
        await until(lambda: not self.live, lambda: f"{self} did not end", timeout_s)
        return self

    def gap_ms(self, before: "Phone", after: "Phone", since: float = 0.0) -> float:
        """Return how long this phone heard neither when *after* followed on *before*; see `Hearing.gap_ms`.

        LabError when it never heard the one after the other.
        """
        gap = self.hearing.gap_ms(before.tone_hz, after.tone_hz, since)
        if gap is None:
            raise LabError(f"{self.phone.name} did not hear {after.name} after {before.name}")
        return gap

    def holes(self, source: "Phone", since: float = 0.0, until: float | None = None) -> list[Span]:
        """Return when this phone did not hear *source* between two times that it did.

        Left out is what *source* did not say: while its keys were down, or the machine was too busy to let it speak.
        """
        unsaid = [span for call in source.calls for span in call.unsaid]
        found = self.hearing.holes(source.tone_hz, since, time.time() if until is None else until)
        # The tone is away from just before a key goes down until just after it comes up.
        return [
            hole
            for hole in found
            if not any(one.start - 0.1 < hole.end and hole.start < one.end + 0.1 for one in unsaid)
        ]

    @property
    def unsaid(self) -> list[Span]:
        """When this phone's tone was not said while the call was up."""
        return self.pressed + [span for line in self._lines for span in line.late]

    def save(self, path: Path) -> Path:
        """Write what it has heard so far as a WAV file (8 kHz, 16 bit, mono)."""
        with wave.open(str(path), "wb") as audio:
            audio.setnchannels(1)
            audio.setsampwidth(2)
            audio.setframerate(RATE_HZ)
            audio.writeframes(self.hearing.linear())
        return path

    def take(self, event: Mapping[str, str], ears: Ears) -> None:
        """Take note of what the phone network tells of this call."""
        state = event.get("State", "")
        if state in _TOLD and self.live:
            self.state = state
            self.channel = event.get("Channel", self.channel)
            self.caller = event.get("Caller", "") or self.caller
            if state == "up" and self._port is not None:
                ears.close(self._port)
                self._port = self._ears = None
            if state == "up" and self.up_at is None:
                self.up_at = time.time()
        elif state == "ear" and self.live:
            if self._port is not None:
                ears.close(self._port)
            self._port = int(event["Port"])
            # Nothing is said before the answer.
            self._ears = ears.open(self._port, self.hearing, self.phone.voice if self.state == "up" else None)
            self._lines.append(self._ears)
        elif state == "referred":
            self.referred = event.get("Result", "")
        elif state == "over":
            self.cause = int(event.get("Cause") or 0)
            self.over_at = time.time()
            self.state = state
        if state in {"held", "refer", "over", "deaf"} and self._port is not None:
            ears.close(self._port)
            self._port = self._ears = None

    def speak(self, voice: bytes | None) -> None:
        """Say this packet of u-law from now on."""
        if self._ears is not None:
            self._ears.voice = voice


class Phone:
    """A desk phone or any number of the phone network. `Lab.phone` makes it.

    What it does with a call is meant for its newest live one; earlier ones are in `calls`.
    """

    def __init__(
        self, number: str, tone_hz: int, info: bool, ears: Ears, network: "Ami", keys: "Ami", pbx: str
    ) -> None:
        self.number = number
        self.tone_hz = tone_hz
        self.info = info
        """Whether it keys by SIP INFO."""
        self.voice: bytes | None = tone_packet(tone_hz)
        self.calls: list[PhoneCall] = []
        """All its calls, the oldest first."""
        self._ears = ears
        self._network = network
        self._keys = keys
        self._pbx = pbx
        self._rung = 0

    @property
    def name(self) -> str:
        """The number as `Lab.phone` was given it."""
        return self.number

    @property
    def key(self) -> str:
        """The number's digits."""
        return self.number.removeprefix("+")

    @property
    def is_desk(self) -> bool:
        """Whether it is a desk phone of the PBX."""
        return len(self.key) == 4

    @property
    def live(self) -> list[PhoneCall]:
        """The calls that are not over."""
        return [call for call in self.calls if call.live]

    @property
    def current(self) -> PhoneCall:
        """The newest live call; LabError when there is none."""
        if not self.live:
            raise LabError(f"{self.name} is in no call")
        return self.live[-1]

    def is_up(self) -> bool:
        """Whether it has a call that is up."""
        return any(call.state == "up" for call in self.calls)

    def is_idle(self) -> bool:
        """Whether it has no call at all."""
        return not self.live

    # -- calls

    async def call(self, to: str, caller_id: str | None = None, timeout_s: int = 60) -> PhoneCall:
        """Call *to* on the PBX and return at once; `PhoneCall.answered` waits for the answer.

        *caller_id* is shown instead of the own number (a desk phone's is set by the PBX).
        """
        call = PhoneCall(self, f"lab-{uuid.uuid4().hex}", outgoing=True)
        self.calls.append(call)
        endpoint = f"desk-{self.key}" if self.is_desk else "pbx"
        shown = self.number if caller_id is None else caller_id
        try:
            await self._network.originate(
                {
                    "Channel": f"UnicastRTP/{self._ears.address}/c(ulaw)",
                    "Context": "person",
                    "Exten": "dial",
                    "Priority": "1",
                    "CallerID": f"<{shown}>",
                    "Variable": [
                        f"N={self.key}",
                        f"LAB_CALL={call.id}",
                        f"LAB_DIAL=PJSIP/{endpoint}/{self._address(to)}",
                        f"LAB_PATIENCE={timeout_s}",
                        f"INFO={int(self.info)}",
                    ],
                }
            )
        except LabError:
            call.state = "over"
            raise
        return call

    async def rings(self, timeout_s: float = PATIENCE_S) -> PhoneCall:
        """Wait for the next incoming call and return it. Each is returned once, whatever became of it since."""

        def incoming() -> list[PhoneCall]:
            return [call for call in self.calls if not call.outgoing]

        await until(lambda: len(incoming()) > self._rung, lambda: f"{self.name} does not ring", timeout_s)
        self._rung += 1
        return incoming()[self._rung - 1]

    async def answer(self, timeout_s: float = PATIENCE_S) -> PhoneCall:
        """Answer the call that rings, waiting for one if need be, and wait until its audio flows."""

        def ringing() -> list[PhoneCall]:
            return [call for call in self.calls if call.state == "ringing"]

        await until(lambda: bool(ringing()), lambda: f"{self.name} does not ring", timeout_s)
        call = ringing()[0]
        await self._send(call, "talk")
        return await call.answered(timeout_s)

    async def answered(self, timeout_s: float = PATIENCE_S) -> PhoneCall:
        """Wait until its newest call is up, whoever answered; the call may still be to come."""
        await until(lambda: bool(self.live), lambda: f"{self.name} is in no call", timeout_s)
        return await self.current.answered(timeout_s)

    async def decline(self, cause: int = 17) -> None:
        """Decline the call that rings, with this hangup cause (17: 486 Busy here, 21: 603 Decline)."""
        call = next((call for call in self.calls if call.state == "ringing"), None)
        if call is None:
            raise LabError(f"{self.name} does not ring")
        await self._set(call, "LAB_CAUSE", str(cause))
        await self._send(call, "reject")

    async def hangup(self, call: PhoneCall | None = None) -> PhoneCall:
        """Hang up *call*, or the current one, and wait until this phone is rid of it."""
        call = call or self.current
        try:
            await self._do("Hangup", {"Channel": call.channel, "Cause": "16"})
        except LabError:
            # The other side was faster, or else it is an error.
            return await call.over(1.0)
        return await call.over()

    async def idle(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until it has no call any more."""
        await until(self.is_idle, lambda: f"{self.name} still has {self.live}", timeout_s)

    # -- in a call

    async def press(self, digits: str, *, duration_ms: int = 100, gap_ms: int = 140) -> None:
        """Press keys in the current call, as the phone was told to (RFC 4733 or SIP INFO).

        It takes as long as a hand would: *duration_ms* for each key, *gap_ms* between two. Asterisk makes a
        key up to 60 ms longer on the line, and one that comes too soon after another is reported twice.
        """
        call = self.current
        for place, digit in enumerate(digits):
            if place:
                await asyncio.sleep(gap_ms / 1000)
            down = time.time()
            await self._do(
                "PlayDTMF", {"Channel": call.channel, "Digit": digit, "Duration": str(duration_ms)}, self._keys
            )
            call.pressed.append(Span(down, time.time()))

    async def hold(self) -> None:
        """Put the current call on hold: the PBX gets a re-INVITE with `sendonly`."""
        call = self.current
        await self._send(call, "hold")
        await until(lambda: call.state == "held", lambda: f"{call} is not held")

    async def unhold(self) -> None:
        """Take the held call back."""
        call = next((call for call in reversed(self.live) if call.state == "held"), None)
        if call is None:
            raise LabError(f"{self.name} holds no call")
        await self._send(call, "talk")
        await call.answered()

    async def transfer(self, to: str) -> PhoneCall:
        """Transfer the current call blindly (REFER) to *to* on the PBX, and wait until this phone is rid of it."""
        call = self.current
        await self._set(call, "LAB_REFER", self._address(to))
        await self._send(call, "refer")
        await until(lambda: bool(call.referred) or not call.live, lambda: f"{call}: the PBX does not take the REFER")
        if call.referred not in {"", "SUCCESS"}:
            raise LabError(f"the PBX did not transfer {call}: {call.referred}")
        return await call.over()

    def mute(self) -> None:
        """Say nothing from now on."""
        self._speak(None)

    def unmute(self) -> None:
        """Sound its tone again."""
        self._speak(tone_packet(self.tone_hz))

    # -- hearing

    async def hears(self, *sources: "Phone | str", timeout_s: float = PATIENCE_S) -> None:
        """Wait until it hears exactly *sources*, for 200 ms on end: phones, or names such as `hold`, `ringing`, `busy`.

        Without any: until it hears no phone and no such sound.
        """
        wanted = frozenset(source if isinstance(source, str) else str(source.tone_hz) for source in sources)
        if unknown := [name for name in wanted if not name.isdigit() and name not in SOUNDS_HZ]:
            raise LabError(f"nobody knows the sound {unknown[0]}: choose from {', '.join(SOUNDS_HZ)}")

        def exactly() -> bool:
            call = self.live[-1] if self.live else None
            return call is not None and self._hearing(call) == wanted

        await until(
            exactly, lambda: f"{self.name} hears {self.hearing() or 'nothing'}, not {sorted(wanted)}", timeout_s
        )

    def hearing(self) -> frozenset[str]:
        """Return what it heard in the last 200 ms: tones in Hz and names of sounds, empty for silence."""
        return self._hearing(self.current) if self.live else frozenset()

    def heard(self) -> Hearing:
        """Return all that it heard in its newest call, over or not; LabError before the first."""
        if not self.calls:
            raise LabError(f"{self.name} had no call")
        return self.calls[-1].hearing

    @staticmethod
    def _hearing(call: PhoneCall) -> frozenset[str]:
        now = time.time()
        steady = call.hearing.now(now)
        # One that comes or goes is neither there nor away.
        restless = {f"{hertz}?" for hertz in call.hearing.traces(now) - steady}
        return frozenset(map(str, steady)) | restless | call.hearing.sounds(now)

    # -- what the lab needs

    def take(self, event: Mapping[str, str]) -> None:
        """Take note of an event of the phone network that names this phone."""
        identity = event.get("Call", "")
        call = next((call for call in self.calls if call.id == identity), None)
        if call is None:
            call = PhoneCall(self, identity, outgoing=False)
            self.calls.append(call)
        call.take(event, self._ears)

    def _speak(self, voice: bytes | None) -> None:
        self.voice = voice
        for call in self.live:
            call.speak(voice)

    def _address(self, to: str) -> str:
        if not to or set(to) - set("+*#0123456789"):
            raise LabError(f"{to!r} cannot be dialled")
        return f"sip:{to.replace('#', '%23')}@{self._pbx}"

    async def _send(self, call: PhoneCall, place: str) -> None:
        await self._do("Redirect", {"Channel": call.channel, "Context": "person", "Exten": place, "Priority": "1"})

    async def _set(self, call: PhoneCall, name: str, value: str) -> None:
        await self._do("Setvar", {"Channel": call.channel, "Variable": name, "Value": value})

    async def _do(self, action: str, fields: dict[str, str | list[str]], ami: "Ami | None" = None) -> None:
        reply = await (ami or self._network).action(action, fields, as_list=False)
        if not reply.success:
            raise LabError(f"{self.name} cannot {action}: {reply.message}")
