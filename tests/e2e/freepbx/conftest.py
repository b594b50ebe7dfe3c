"""A lab whose PBX is set up as FreePBX does it, and with the files of dialplan/freepbx as its operator adds them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from binding_ivr.lab import Lab
from binding_ivr.lab.asterisk.configure import adapt, fill
from binding_ivr.resources import data_dir
from tests.e2e.hotswitch.scene import CELL, CUSTOMER, RING_S, Scene, trust, until_quiet
from tests.e2e.rig import Take, no_channels, phones_of

SKELETON = Path(__file__).parent / "etc"
USERS = {"1001": ("1001",), "1002": ("1002",), "1003": ("1003", "1004")}
"""The devices of each extension."""


class FreePbx(Lab):
    """The lab's files are replaced before Asterisk starts, so also what it says while it starts counts."""

    def _prepare(self) -> None:
        super()._prepare()
        plan, etc = self.plan, self.folder / "pbx/etc"
        values = {
            "PBX": plan.pbx,
            "CARRIER": plan.carrier,
            "SIP_PORT": str(plan.sip_port),
            "AMI_PORT": str(plan.ami_port),
            **{f"DESK{index}": plan.desk(index) for index in range(1, 5)},
        }
        for source in SKELETON.iterdir():
            (etc / source.name).write_text(fill(source.read_text(), values))
        changes = {
            "manager_custom.conf": {("binding_ivr", "secret"): plan.ami_secret},
            "ari_additional_custom.conf": {("binding_ivr", "password"): plan.ari_password},
            "globals_custom.conf": {
                ("", "BINDING_AGI"): f"127.0.0.1:{plan.agi_port}",
                ("", "HOTSWITCH_ROUTE"): "PJSIP/{e164}@Trunk_01",
            },
        }
        for source in (data_dir("dialplan") / "freepbx").glob("*.conf"):
            (etc / source.name).write_text(adapt(source.read_text(), changes.get(source.name, {})))
        # Not every operator has the second lock; without it everything that a route takes is dialled.
        (etc / "binding_ivr_out.conf").unlink()


async def put(lab: Lab, family: str, key: str, value: str) -> None:
    await lab.pbx.rx(f'database put {family} {key} "{value}"')


@asynccontextmanager
async def freepbx(suite: str = "") -> AsyncIterator[Lab]:
    """Run one with extensions as the GUI makes them, on the Asterisk of *suite*, and with one proven number."""
    async with FreePbx(suite=suite) as running:
        for user, devices in USERS.items():
            await put(running, "AMPUSER", f"{user}/device", "&".join(devices))
            await put(running, "AMPUSER", f"{user}/cidname", f"Extension {user}")
            for device in devices:
                await put(running, "DEVICE", f"{device}/dial", f"PJSIP/{device}")
                await put(running, "DEVICE", f"{device}/user", user)
        await trust(running, "1001", CELL)
        await running.pbx.rx(f"dialplan set global HOTSWITCH_RING {RING_S}")
        yield running


@pytest.fixture(scope="package")
async def lab() -> AsyncIterator[Lab]:
    async with freepbx() as running:
        yield running


@pytest.fixture
async def take(lab: Lab) -> AsyncIterator[Take]:
    async with phones_of(lab) as taken:
        yield taken
    await until_quiet(lab)
    await no_channels(lab)


@pytest.fixture
async def scene(lab: Lab, take: Take) -> AsyncIterator[Scene]:
    made = Scene(lab, await take("1001"), await take(CELL), await take(CUSTOMER))
    yield made
    for gap in made.gaps:
        print(f"\n  the customer's gap, {gap}", end="")
