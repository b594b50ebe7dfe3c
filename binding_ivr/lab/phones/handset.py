"""What every phone in a test's hand has: calls that it can wait for, and ears that tell who is speaking.

It places and steers no calls; `phone.Phone` does that for phones of the phone network, `softphone.Softphone` for
one that is not Asterisk. Every wait is for a condition and has a limit; when it is not met, LabError says what was
the case instead.
"""

import abc
import asyncio
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

from binding_ivr.lab.errors import LabError
from binding_ivr.lab.phones.hearing import HOLE_MS, RATE_HZ, SOUNDS_HZ, Hearing, Span

PATIENCE_S = 10.0
"""How long a phone waits for a condition unless told otherwise, in seconds."""
_STEP_S = 0.01


async def until(condition: Callable[[], bool], what: Callable[[], str], timeout_s: float = PATIENCE_S) -> None:
    """Wait until *condition* holds; LabError with *what* was the case when it does not in *timeout_s* seconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(what())
        await asyncio.sleep(_STEP_S)


class PhoneCall:
    """One call of a phone, from its first ring to its end and after."""

    def __init__(self, phone: "Handset", identity: str, outgoing: bool) -> None:
        self.phone = phone
        self.id = identity
        self.outgoing = outgoing
        self.state = "calling" if outgoing else "ringing"
        """`calling` (outgoing), `ringing` (incoming), `up`, `held` (by this phone), `refer` (transferring), `over`."""
        self.caller = ""
        """The caller ID that the phone's display showed last."""
        self.cause: int | None = None
        """Hangup cause (Q.850) of a call that is over, 0 when the phone does not know it."""
        self.hearing = Hearing()
        self.pressed: list[Span] = []
        """When this phone's keys were down; its own tone pauses so long."""
        self.up_at: float | None = None
        """When it was answered, in seconds since the epoch."""
        self.over_at: float | None = None

    def __repr__(self) -> str:
        return f"<call of {self.phone.name}: {self.state}>"

    @property
    def live(self) -> bool:
        """Whether it is not over."""
        return self.state != "over"

    @property
    def audible(self) -> bool:
        """Whether its audio flows."""
        return self.state == "up"

    @property
    def unsaid(self) -> Sequence[Span]:
        """When this phone's tone was not said while the call was up."""
        return self.pressed

    async def answered(self, timeout_s: float = PATIENCE_S) -> "PhoneCall":
        """Wait until it is up and its audio flows."""
        await until(lambda: self.audible or not self.live, lambda: f"{self} was not answered", timeout_s)
        if not self.live:
            raise LabError(f"{self} ended with cause {self.cause} before it was answered")
        return self

    async def over(self, timeout_s: float = PATIENCE_S) -> "PhoneCall":
        """Wait until it is over."""
        await until(lambda: not self.live, lambda: f"{self} did not end", timeout_s)
        return self

    def gap_ms(self, before: "Handset", after: "Handset", since: float = 0.0) -> float:
        """Return how long this phone heard neither when *after* followed on *before*; see `Hearing.gap_ms`.

        LabError when it never heard the one after the other.
        """
        gap = self.hearing.gap_ms(before.tone_hz, after.tone_hz, since)
        if gap is None:
            raise LabError(f"{self.phone.name} did not hear {after.name} after {before.name}")
        return gap

    def holes(self, source: "Handset", since: float = 0.0, until: float | None = None) -> list[Span]:
        """Return when this phone did not hear *source* between two times that it did.

        Left out is where *source* did not speak: its keys were down, or the machine was too busy to let it.
        """
        unsaid = _unsaid(source)
        found = self.hearing.holes(source.tone_hz, since, time.time() if until is None else until)
        return [hole for hole in found if hole.without(unsaid) == [hole]]

    def missed(self, source: "Handset", since: float = 0.0) -> list[Span]:
        """Return what this phone did not hear of what *source* said.

        As `holes`, but of a hole at a key that lasts longer than the key the rest is told: a bridge that does something
        else once it knows the code. Asterisk keeps keys that do come through apart, which makes such a rest too.
        """
        unsaid = _unsaid(source)
        found = self.hearing.holes(source.tone_hz, since, time.time())
        return [part for hole in found for part in hole.without(unsaid) if part.ms >= HOLE_MS]

    def save(self, path: Path) -> Path:
        """Write what it has heard so far as a WAV file (8 kHz, 16 bit, mono)."""
        with wave.open(str(path), "wb") as audio:
            audio.setnchannels(1)
            audio.setsampwidth(2)
            audio.setframerate(RATE_HZ)
            audio.writeframes(self.hearing.linear())
        return path

    def ended(self, cause: int) -> None:
        """Take note of its end."""
        self.cause = cause
        self.over_at = time.time()
        self.state = "over"


def _unsaid(source: "Handset") -> list[Span]:
    # The tone is away from just before a key goes down until just after it comes up.
    return [span.wider(0.1) for call in source.calls for span in call.unsaid]


class Handset(abc.ABC):
    """A phone. What it does with a call is meant for its newest live one; earlier ones are in `calls`."""

    def __init__(self, number: str, tone_hz: int, info: bool) -> None:
        self.number = number
        self.tone_hz = tone_hz
        self.info = info
        """Whether it keys by SIP INFO."""
        self._rung = 0

    @property
    @abc.abstractmethod
    def calls(self) -> Sequence[PhoneCall]:
        """All its calls, the oldest first."""

    @property
    def name(self) -> str:
        """The number as the lab was given it."""
        return self.number

    @property
    def live(self) -> Sequence[PhoneCall]:
        """The calls that are not over."""
        return [call for call in self.calls if call.live]

    def is_up(self) -> bool:
        """Whether it has a call that is up."""
        return any(call.state == "up" for call in self.calls)

    def is_idle(self) -> bool:
        """Whether it has no call at all."""
        return not self.live

    @abc.abstractmethod
    async def call(self, to: str) -> PhoneCall:
        """Call *to* on the PBX and return at once; `PhoneCall.answered` waits for the answer."""

    @abc.abstractmethod
    async def answer(self, timeout_s: float = PATIENCE_S) -> PhoneCall:
        """Answer the call that rings, waiting for one if need be, and wait until its audio flows."""

    @abc.abstractmethod
    async def decline(self) -> None:
        """Decline the call that rings, as busy."""

    @abc.abstractmethod
    async def hangup(self) -> PhoneCall:
        """Hang up the current call and wait until this phone is rid of it."""

    @abc.abstractmethod
    async def press(self, digits: str) -> None:
        """Press keys in the current call, as the phone was told to (RFC 4733 or SIP INFO)."""

    @abc.abstractmethod
    async def hold(self) -> None:
        """Put the current call on hold: the PBX gets a re-INVITE with `sendonly`."""

    @abc.abstractmethod
    async def unhold(self) -> None:
        """Take the held call back."""

    @abc.abstractmethod
    async def transfer(self, to: str) -> PhoneCall:
        """Transfer the current call blindly (REFER) to *to* on the PBX, and wait until this phone is rid of it."""

    async def rings(self, timeout_s: float = PATIENCE_S) -> PhoneCall:
        """Wait for the next incoming call and return it. Each is returned once, whatever became of it since."""

        def incoming() -> list[PhoneCall]:
            return [call for call in self.calls if not call.outgoing]

        await until(lambda: len(incoming()) > self._rung, lambda: f"{self.name} does not ring", timeout_s)
        self._rung += 1
        return incoming()[self._rung - 1]

    async def answered(self, timeout_s: float = PATIENCE_S) -> PhoneCall:
        """Wait until its newest call is up, whoever answered; the call may still be to come."""
        await until(lambda: bool(self.live), lambda: f"{self.name} is in no call", timeout_s)
        return await self._newest().answered(timeout_s)

    async def idle(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until it has no call any more."""
        await until(self.is_idle, lambda: f"{self.name} still has {self.live}", timeout_s)

    async def hears(self, *sources: "Handset | str", timeout_s: float = PATIENCE_S) -> None:
        """Wait until it hears exactly *sources*, for 200 ms on end: phones, or names such as `hold`, `ringing`, `busy`.

        Without any: until it hears no phone and no such sound.
        """
        wanted = frozenset(source if isinstance(source, str) else str(source.tone_hz) for source in sources)
        if unknown := [name for name in wanted if not name.isdigit() and name not in SOUNDS_HZ]:
            raise LabError(f"nobody knows the sound {unknown[0]}: choose from {', '.join(SOUNDS_HZ)}")
        await until(
            lambda: bool(self.live) and self.hearing() == wanted,
            lambda: f"{self.name} hears {set(self.hearing()) or 'nothing'}, not {sorted(wanted) or 'nothing'}",
            timeout_s,
        )

    def hearing(self) -> frozenset[str]:
        """Return what it heard in the last 200 ms: tones in Hz and names of sounds, empty for silence."""
        if not self.live:
            return frozenset()
        now, ears = time.time(), self._newest().hearing
        steady = ears.now(now)
        # One that comes or goes is neither there nor away.
        restless = {f"{hertz}?" for hertz in ears.traces(now) - steady}
        return frozenset(map(str, steady)) | restless | ears.sounds(now)

    def heard(self) -> Hearing:
        """Return all that it heard in its newest call, over or not; LabError before the first."""
        if not self.calls:
            raise LabError(f"{self.name} had no call")
        return self.calls[-1].hearing

    def _newest(self) -> PhoneCall:
        if not self.live:
            raise LabError(f"{self.name} is in no call")
        return self.live[-1]


def address(to: str, pbx: str) -> str:
    """Return the SIP URI of *to* on the PBX at *pbx* (host:port); LabError for what no phone can dial."""
    if not to or set(to) - set("+*#0123456789"):
        raise LabError(f"{to!r} cannot be dialled")
    return f"sip:{to.replace('#', '%23')}@{pbx}"
