"""A phone of the lab's phone network in the hand of a test: it rings, answers, keys, holds, transfers, and hears.

The phone is a channel of the lab's `carrier`, steered by AMI (`etc/carrier/extensions.conf`, context `person`). It
sounds a tone of its own for as long as a call is up, so what a phone hears tells who is connected to whom.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence

from binding_ivr.lab.asterisk.ami import Ami
from binding_ivr.lab.errors import LabError
from binding_ivr.lab.phones.ears import Ears, Line
from binding_ivr.lab.phones.handset import PATIENCE_S, Handset, PhoneCall, address, until
from binding_ivr.lab.phones.hearing import Span, tone_packet

_TOLD = {"calling", "ringing", "up", "held", "refer"}


class NetworkCall(PhoneCall):
    """One call of a phone of the phone network."""

    phone: "Phone"

    def __init__(self, phone: "Phone", identity: str, outgoing: bool) -> None:
        super().__init__(phone, identity, outgoing)
        self.channel = ""
        """The phone network's name of its channel; empty until it is known."""
        self.referred = ""
        """What became of the last blind transfer: `SUCCESS`, `FAILURE`, `UNSUPPORTED`."""
        self.digits = ""
        """The keys of others that came through to this phone. For 500 ms after a key of its own it takes another's
        for an echo of that, and its timing is spoilt; the PBX does the same with a phone that it has sent a key."""
        self._lines: list[Line] = []
        self._ears: Line | None = None
        self._port: int | None = None

    @property
    def audible(self) -> bool:
        """Whether its audio flows."""
        return self.state == "up" and self._ears is not None

    @property
    def unsaid(self) -> Sequence[Span]:
        """When this phone's tone was not said while the call was up."""
        return self.pressed + [span for line in self._lines for span in line.late]

    def take(self, event: Mapping[str, str], ears: Ears) -> None:
        """Take note of what the phone network tells of this call."""
        state = event.get("State", "")
        if state == "ear":
            self._listen(int(event["Port"]), ears)
        elif state == "referred":
            self.referred = event.get("Result", "")
        elif state == "over":
            self._deafen(ears)
            self.ended(int(event.get("Cause") or 0))
        elif state == "deaf":
            self._deafen(ears)
        elif state in _TOLD and self.live:
            if state != "calling":
                # While it dials it hears what comes before the answer, by the same ears from the start.
                self._deafen(ears)
            self.state = state
            self.channel = event.get("Channel", self.channel)
            self.caller = event.get("Caller", "") or self.caller
            if state == "up" and self.up_at is None:
                self.up_at = time.time()

    def speak(self, voice: bytes | None) -> None:
        """Say this packet of u-law from now on."""
        if self._ears is not None and self.state == "up":
            self._ears.voice = voice

    def _listen(self, port: int, ears: Ears) -> None:
        self._deafen(ears)
        if self.live:
            # Nothing is said before the answer.
            voice = self.phone.voice if self.state == "up" else None
            self._port, self._ears = port, ears.open(port, self.hearing, voice)
            self._lines.append(self._ears)

    def _deafen(self, ears: Ears) -> None:
        if self._port is not None:
            ears.close(self._port)
            self._port = self._ears = None


class Phone(Handset):
    """A desk phone or any number of the phone network. `Lab.phone` makes it."""

    def __init__(self, number: str, tone_hz: int, info: bool, ears: Ears, network: Ami, keys: Ami, pbx: str) -> None:
        super().__init__(number, tone_hz, info)
        self.voice: bytes | None = tone_packet(tone_hz)
        self._calls: list[NetworkCall] = []
        self._ears = ears
        self._network = network
        self._keys = keys
        self._pbx = pbx

    @property
    def calls(self) -> Sequence[NetworkCall]:
        """All its calls, the oldest first."""
        return self._calls

    @property
    def live(self) -> Sequence[NetworkCall]:
        """The calls that are not over."""
        return [call for call in self._calls if call.live]

    @property
    def current(self) -> NetworkCall:
        """The newest live call; LabError when there is none."""
        self._newest()
        return self.live[-1]

    @property
    def key(self) -> str:
        """The number's digits."""
        return self.number.removeprefix("+")

    @property
    def is_desk(self) -> bool:
        """Whether it is a desk phone of the PBX."""
        return len(self.key) == 4

    async def call(self, to: str, caller_id: str | None = None, timeout_s: int = 60) -> NetworkCall:
        """Call *to* on the PBX and return at once; `PhoneCall.answered` waits for the answer.

        *caller_id* is shown instead of the own number (a desk phone's is set by the PBX).
        """
        endpoint = f"desk-{self.key}" if self.is_desk else "pbx"
        shown = self.number if caller_id is None else caller_id
        target = address(to, self._pbx)
        call = NetworkCall(self, f"lab-{uuid.uuid4().hex}", outgoing=True)
        self._calls.append(call)
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
                        f"LAB_DIAL=PJSIP/{endpoint}/{target}",
                        f"LAB_PATIENCE={timeout_s}",
                        f"INFO={int(self.info)}",
                    ],
                }
            )
        except LabError:
            call.ended(0)
            raise
        return call

    async def answer(self, timeout_s: float = PATIENCE_S) -> NetworkCall:
        """Answer the call that rings, waiting for one if need be, and wait until its audio flows."""
        await until(lambda: self._ringing() is not None, lambda: f"{self.name} does not ring", timeout_s)
        call = self._ringing()
        assert call is not None
        await self._send(call, "talk")
        await call.answered(timeout_s)
        return call

    async def decline(self, cause: int = 17) -> None:
        """Decline the call that rings, with this hangup cause (17: 486 Busy here, 21: 403 Forbidden)."""
        call = self._ringing()
        if call is None:
            raise LabError(f"{self.name} does not ring")
        await self._set(call, "LAB_CAUSE", str(cause))
        await self._send(call, "reject")

    async def hangup(self, call: NetworkCall | None = None) -> NetworkCall:
        """Hang up *call*, or the current one, and wait until this phone is rid of it."""
        call = call or self.current
        await self._known(call)
        try:
            await self._do("Hangup", {"Channel": call.channel, "Cause": "16"})
        except LabError:
            # The other side was faster, or else it is an error.
            await call.over(1.0)
        await call.over()
        return call

    async def press(self, digits: str, *, duration_ms: int = 100, gap_ms: int = 140) -> None:
        """Press keys in the current call, as the phone was told to (RFC 4733 or SIP INFO).

        It takes as long as a hand would: *duration_ms* for each key, *gap_ms* between two, also after the last one
        that was pressed before. Asterisk makes a key up to 60 ms longer on the line, and one that comes too soon
        after another is reported twice.
        """
        call = self.current
        for digit in digits:
            if call.pressed:
                await asyncio.sleep(call.pressed[-1].end + gap_ms / 1000 - time.time())
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

    async def transfer(self, to: str) -> NetworkCall:
        """Transfer the current call blindly (REFER) to *to* on the PBX, and wait until this phone is rid of it."""
        call = self.current
        await self._set(call, "LAB_REFER", address(to, self._pbx))
        await self._send(call, "refer")
        await until(lambda: bool(call.referred) or not call.live, lambda: f"{call}: the PBX does not take the REFER")
        if call.referred not in {"", "SUCCESS"}:
            raise LabError(f"the PBX did not transfer {call}: {call.referred}")
        await call.over()
        return call

    def mute(self) -> None:
        """Say nothing from now on."""
        self._speak(None)

    def take(self, event: Mapping[str, str]) -> None:
        """Take note of an event of the phone network that names this phone."""
        identity = event.get("Call", "")
        call = next((call for call in self._calls if call.id == identity), None)
        if call is None:
            call = NetworkCall(self, identity, outgoing=False)
            self._calls.append(call)
        call.take(event, self._ears)

    def _speak(self, voice: bytes | None) -> None:
        self.voice = voice
        for call in self.live:
            call.speak(voice)

    def _ringing(self) -> NetworkCall | None:
        return next((call for call in self._calls if call.state == "ringing"), None)

    @staticmethod
    async def _known(call: NetworkCall) -> None:
        """Wait until the phone network has made the call's channel."""
        await until(lambda: bool(call.channel) or not call.live, lambda: f"{call} has no channel")

    async def _send(self, call: NetworkCall, place: str) -> None:
        await self._do("Redirect", {"Channel": call.channel, "Context": "person", "Exten": place, "Priority": "1"})

    async def _set(self, call: NetworkCall, name: str, value: str) -> None:
        await self._do("Setvar", {"Channel": call.channel, "Variable": name, "Value": value})

    async def _do(self, action: str, fields: dict[str, str | list[str]], ami: Ami | None = None) -> None:
        reply = await (ami or self._network).action(action, fields, as_list=False)
        if not reply.success:
            raise LabError(f"{self.name} cannot {action}: {reply.message}")
