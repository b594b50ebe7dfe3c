"""Moves of numbers that were really proven: with the service up, and with the service and PostgreSQL gone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from binding_ivr.lab import Lab
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import User
from tests.e2e.hotswitch.scene import ACCESS, CUSTOMER, RING_S, Scene, noticed, notices, until, until_quiet
from tests.e2e.installation import Installation, installed
from tests.e2e.rig import Take, no_channels, phones_of


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    """A lab of this module's own: its AstDB has a mirror."""
    async with Lab() as running:
        await running.pbx.rx(f"dialplan set global HOTSWITCH_RING {RING_S}")
        yield running


@pytest.fixture
async def take(lab: Lab) -> AsyncIterator[Take]:
    async with phones_of(lab) as taken:
        yield taken
    await until_quiet(lab)
    await no_channels(lab)


async def proven(one: Installation, extension: str, number: str) -> None:
    """A user with this desk phone proves the number by a call, and AstDB has it."""
    await one.opened.store.directory.import_users([User("default", extension, (extension,), "en", "")])
    attempt = await one.ended(await one.bind(extension, number))
    assert attempt.outcome is Outcome.VERIFIED
    await in_astdb(one.lab, extension, number)
    await until_quiet(one.lab)


async def in_astdb(lab: Lab, extension: str, number: str) -> None:
    """Wait until the mirror tells this number, or none when it is empty."""

    async def told() -> bool:
        text = await lab.pbx.rx(f"database get binding ext/default/{extension}")
        return (f"Value: {number}" in text) if number else "not found" in text

    await until(told, "AstDB does not follow")


async def test_moves_go_on_when_everything_is_down(lab: Lab, take: Take, tmp_path: Path) -> None:
    number = lab.number("right", 300)
    async with installed(lab, tmp_path, node="down", app="down", answers_lookups=True) as one:
        await one.serve()
        await proven(one, "1001", number)
        await one.kill()
    # The service was killed, and with the installation its PostgreSQL has ended.
    scene = Scene(lab, await take("1001"), await take(number), await take(CUSTOMER))
    await scene.received()
    await scene.to_cell()
    await scene.cell.press("*77")
    await scene.moves(scene.cell, scene.desk)
    await scene.customer.hangup()
    await scene.desk.idle()
    await scene.made()
    await scene.to_cell()
    await scene.desk.call("*78")
    await scene.moves(scene.cell, scene.desk)
    calling_in = await scene.cell.call(ACCESS)
    await calling_in.answered()
    await scene.cell.hangup()
    await scene.cell.rings()
    await scene.accepts()
    await scene.moves(scene.desk, scene.cell)


async def test_the_life_of_a_number_is_the_life_of_its_moves(lab: Lab, take: Take, tmp_path: Path) -> None:
    number = lab.number("right", 301)
    async with installed(lab, tmp_path, node="life", app="life", answers_lookups=True) as one:
        await one.serve()
        await proven(one, "1001", number)
        scene = Scene(lab, await take("1001"), await take(number), await take(CUSTOMER))
        await scene.received()
        await scene.to_cell()
        await scene.cell.press("*77")
        await scene.moves(scene.cell, scene.desk)
        # After a new installation of Asterisk AstDB is empty; until the mirror is back the service answers itself.
        await lab.pbx.rx("database deltree binding")
        await scene.to_cell()
        await scene.cell.press("*77")
        await scene.moves(scene.cell, scene.desk)
        for words, prompt in ((("suspend", "1001"), "hs_suspended"), (("remove", "1001"), "hs_no_number")):
            assert (await one.command(*words))[0] == 0
            await in_astdb(lab, "1001", "")
            before, calls = notices(lab, prompt), len(scene.cell.calls)
            await scene.desk.press("*77")
            await noticed(lab, prompt, before)
            await scene.unchanged()
            assert len(scene.cell.calls) == calls
        await asyncio.gather(scene.desk.hangup(), scene.customer.idle())
