"""A desk phone, its user's cell phone and somebody else in a call; short words for what happens to it."""

import asyncio
import math
import re
import time
import wave
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from binding_ivr.lab import Handset, Lab, Phone
from binding_ivr.lab.phones.hearing import RATE_HZ, decode, tones_in
from tests.e2e.rig import Take, pair
from tests.patience import SLOW

CELL = "+12025550150"
CUSTOMER = "+12125550151"
ACCESS = "12025550198"
"""The access number of the sample dialplan."""
RING_S = 3
"""How long a new leg rings in these tests."""
STEP_S = 0.02


@dataclass
class Scene:
    """Extension 1001 with its cell phone, and a customer."""

    lab: Lab
    desk: Handset
    cell: Phone
    customer: Phone
    gaps: list[str] = field(default_factory=list)
    since: float = 0.0
    """When the latest move was over, in seconds since the epoch."""

    async def received(self, to: str = "1001") -> None:
        """The customer calls the desk."""
        await self.customer.call(to)
        await pair(self.desk, self.customer)

    async def made(self) -> None:
        """The desk calls the customer."""
        await self.desk.call(self.customer.number)
        await pair(self.desk, self.customer)

    async def accepts(self, key: str = "1") -> None:
        """The cell phone, which answers by itself, presses the accept key."""
        await self.cell.answered()
        await self.cell.press(key)

    async def moves(self, before: Handset, after: Handset) -> None:
        """Wait until the customer talks with *after* alone, and note how long it heard nobody."""
        await pair(after, self.customer)
        await before.idle()
        gap = self.customer.current.gap_ms(before, after, self.since)
        self.since = time.time()
        self.gaps.append(f"{before.name[-4:]} -> {after.name[-4:]}: {gap:.0f} ms")
        # Break-before-make would take seconds: as long as the new leg rings and accepts.
        assert gap < 1000

    async def asks(self) -> None:
        """The desk presses the code, and the PBX has taken it.

        Asterisk stretches a short digit to 80 ms (option `mindtmfduration`): its end may be told after the key was let
        go, and a hang-up in between is a hang-up and nothing else.
        """
        before = _moves(self.lab)
        await self.desk.press("*77")

        async def taken() -> bool:
            return _moves(self.lab) > before

        await until(taken, "the PBX did not take the code")

    async def to_cell(self) -> None:
        """Move the call from the desk to the cell phone."""
        await self.desk.press("*77")
        await self.accepts()
        await self.moves(self.desk, self.cell)

    async def unchanged(self) -> None:
        """The call is as it was: both hear each other, nobody else is there, and all the helpers are gone."""
        await until_quiet(self.lab, but=2)
        await pair(self.desk, self.customer)
        await self.cell.idle()


@asynccontextmanager
async def scene_of(lab: Lab, take: Take, *, cell_answers: bool = True) -> AsyncIterator[Scene]:
    """Make a scene; at its end all gaps are printed."""
    desk, cell, customer = await take("1001"), await take(CELL, answers=cell_answers), await take(CUSTOMER)
    scene = Scene(lab, desk, cell, customer)
    yield scene
    for gap in scene.gaps:
        print(f"\n  the customer's gap, {gap}", end="")


async def trust(lab: Lab, extension: str, number: str, account: str = "default") -> None:
    """Write into AstDB what the mirror would."""
    await lab.pbx.rx(f"database put binding ext/{account}/{extension} {number}")
    await lab.pbx.rx(f"database put binding num/{number[1:]} {account}/{extension}")


@asynccontextmanager
async def options(lab: Lab, **values: str | int) -> AsyncIterator[None]:
    """Set options of the dialplan for a while; those that the lab has set otherwise come back."""
    usual = {**dict.fromkeys(values, ""), "HOTSWITCH_RING": str(RING_S), "HOTSWITCH_ROUTE": "PJSIP/{e164}@trunk"}
    for name, value in values.items():
        await lab.pbx.rx(f"dialplan set global {name} {value}")
    try:
        yield
    finally:
        for name in values:
            await lab.pbx.rx(f'dialplan set global {name} "{usual[name]}"')


async def until(condition: Callable[[], Awaitable[bool]], what: str, timeout_s: float = 15.0) -> None:
    """Wait for a condition on the PBX."""
    try:
        async with asyncio.timeout(timeout_s * SLOW):
            while not await condition():
                await asyncio.sleep(STEP_S)
    except TimeoutError:
        raise AssertionError(what) from None


async def until_quiet(lab: Lab, but: int = 0) -> None:
    """Wait until the PBX has no channels but so many."""
    try:
        async with asyncio.timeout(30 * SLOW):
            while await lab.pbx.channels() != but:
                await asyncio.sleep(STEP_S)
    except TimeoutError:
        there = await lab.pbx.rx("core show channels concise")
        raise AssertionError(f"the PBX has not {but} channels but:\n{there}") from None


def _pairs(lab: Lab, exten: str, context: str) -> int:
    """How many pairs of Local channels the PBX has begun so far to *exten* (a regular expression) of *context*."""
    second = re.compile(rf"Local/{exten}@{context}-[0-9a-f]+;2")
    return sum(row["event"] == "CHAN_START" and bool(second.fullmatch(row["channel"])) for row in lab.cel())


def _moves(lab: Lab) -> int:
    """How many moves the PBX has begun so far."""
    return _pairs(lab, "[0-9]+", "hotswitch-move")


def notices(lab: Lab, prompt: str) -> int:
    """How often the PBX has said *prompt* in somebody's ear so far."""
    return _pairs(lab, prompt, "hotswitch-say")


async def noticed(lab: Lab, prompt: str, before: int) -> None:
    """Wait until *prompt* was said once more than *before* times."""

    async def told() -> bool:
        return notices(lab, prompt) > before

    await until(told, f"{prompt} was not said")


def other_sounds_ms(phone: Handset, source: Handset, since: float) -> float:
    """How long *phone* heard something besides the tone of *source* since *since* (epoch), in milliseconds."""

    def is_other(samples: list[int]) -> bool:
        turn = 2 * math.pi * source.tone_hz / RATE_HZ
        real = sum(value * math.cos(turn * at) for at, value in enumerate(samples))
        imaginary = sum(value * math.sin(turn * at) for at, value in enumerate(samples))
        tone = 2 * (real**2 + imaginary**2) / len(samples)
        return (sum(value * value for value in samples) - tone) / len(samples) > 300**2

    return 20.0 * sum(is_other(decode(packet.audio)) for packet in phone.heard().packets if packet.at >= since)


def tones_of(path: Path) -> set[int]:
    """Return the tones that a WAV file (8 kHz, 16 bit, mono) holds for 150 ms or more each (`pair` waits for 200)."""
    try:
        with wave.open(str(path), "rb") as audio:
            samples = array("h", audio.readframes(audio.getnframes()))
    except (FileNotFoundError, EOFError, wave.Error):
        return set()  # its header is still to come
    counts = Counter(tone for at in range(0, len(samples) - 80, 80) for tone in tones_in(samples[at : at + 80]))
    return {tone for tone, frames in counts.items() if frames >= 15}
