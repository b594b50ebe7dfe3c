"""Phones for a test: taken from the lab, and put away at its end whatever happened."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from binding_ivr.lab import Handset, Lab, Phone, Softphone
from binding_ivr.lab.phones.handset import until
from binding_ivr.lab.phones.phone import NetworkCall
from tests.patience import SLOW


class Take:
    """Takes phones from a lab: `await take("1001", answers=False)`, with the wishes of `Lab.phone`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.taken: list[Handset] = []

    async def __call__(self, number: str, *, answers: bool = True, ring_ms: int = 100, info: bool = False) -> Phone:
        phone = await self.lab.phone(number, answers=answers, ring_ms=ring_ms, info=info)
        self.taken.append(phone)
        return phone

    async def softphone(self, *, answers: bool = True, ring_ms: int = 100, info: bool = False) -> Softphone:
        """Take the desk phone that is not Asterisk."""
        phone = await self.lab.softphone(answers=answers, ring_ms=ring_ms, info=info)
        self.taken.append(phone)
        return phone


@asynccontextmanager
async def phones_of(lab: Lab) -> AsyncIterator[Take]:
    """Give phones of *lab*, and put them away at the end."""
    take = Take(lab)
    try:
        yield take
    finally:
        await lab.put_away(*take.taken)


async def pair(one: Handset, other: Handset) -> None:
    """Wait until the two hear each other and nobody else."""
    await asyncio.gather(one.hears(other), other.hears(one))


async def got(call: NetworkCall, keys: str) -> None:
    """Wait until the far end of a call has *keys*, and no others: the PBX has them a moment before."""
    await until(lambda: len(call.digits) >= len(keys), lambda: f"{call} got {call.digits}, not {keys}")
    assert call.digits == keys


async def no_channels(lab: Lab, timeout_s: float = 10.0) -> None:
    """Wait until neither Asterisk has a channel."""
    async with asyncio.timeout(timeout_s * SLOW):
        while await lab.pbx.channels() or await lab.carrier.channels():
            await asyncio.sleep(0.05)
