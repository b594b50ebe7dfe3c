"""Phones for a test: taken from the lab, and put away at its end whatever happened."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from binding_ivr.lab import Lab, Phone

Take = Callable[..., Awaitable[Phone]]
"""`await take(number, **wishes)`: like `Lab.phone`."""


@asynccontextmanager
async def phones_of(lab: Lab) -> AsyncIterator[Take]:
    """Give phones of *lab*, and put them away at the end."""
    taken: list[Phone] = []

    async def take(number: str, **wishes: bool | int) -> Phone:
        phone = await lab.phone(number, **wishes)  # type: ignore[arg-type]
        taken.append(phone)
        return phone

    try:
        yield take
    finally:
        await lab.put_away(*taken)


async def pair(one: Phone, other: Phone) -> None:
    """Wait until the two hear each other and nobody else."""
    await asyncio.gather(one.hears(other), other.hears(one))


async def no_channels(lab: Lab, timeout_s: float = 10.0) -> None:
    """Wait until neither Asterisk has a channel."""
    async with asyncio.timeout(timeout_s):
        while await lab.pbx.channels() or await lab.carrier.channels():
            await asyncio.sleep(0.05)
