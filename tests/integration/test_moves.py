"""The list of moves in AstDB becomes the history: each entry once, whoever reads it, whatever fails in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from binding_ivr.asterisk.ami.client import AmiClient, AmiTimes
from binding_ivr.config import Config
from binding_ivr.doctor import moves as doctor_moves
from binding_ivr.metrics import Metrics
from binding_ivr.mirror import moves as mirror_moves
from binding_ivr.mirror.moves import ENTRIES, LIST, LONGEST_LIST, MOST_OTHERS, MoveReader
from binding_ivr.model.moves import MoveOutcome, MoveRow
from binding_ivr.model.rows import User
from binding_ivr.store import Store
from tests.integration.fake_ami import FakeAmi, Fields, until
from tests.patience import SLOW

if TYPE_CHECKING:
    from tests.integration.conftest import World

TIMES = AmiTimes(reply_s=1.0, ping_s=5.0, booted_s=0.05, retry_s=(0.01, 0.05))


@pytest.fixture
async def fake() -> AsyncIterator[FakeAmi]:
    async with FakeAmi() as it:
        yield it


@asynccontextmanager
async def reading(
    world: World,
    fake: FakeAmi,
    *,
    node: str = "n1",
    poll_s: float = 60.0,
    gap_s: float = 0.01,
    metrics: Metrics | None = None,
) -> AsyncIterator[MoveReader]:
    ami = AmiClient(host="127.0.0.1", port=fake.port, user="u", secret=fake.secret, times=TIMES)
    reader = MoveReader(ami, world.store.moves, node=node, metrics=metrics or Metrics(), poll_s=poll_s, gap_s=gap_s)
    ami.on_user_event = reader.news
    await ami.start()
    reader.start()
    try:
        yield reader
    finally:
        await reader.stop()
        await ami.stop()


def note(
    fake: FakeAmi,
    name: str = "1-1",
    outcome: str = "moved",
    *,
    kind: str = "to_cell",
    user: str = "default/1",
    ago_s: float = 0.0,
    text: str | None = None,
) -> None:
    """Do what the dialplan does."""
    head = int(fake.astdb.get(f"{LIST}/head", "0")) + 1
    end = time.time() - ago_s
    entry = f"1,{name},{kind},{outcome},,{user},{end - 5:.3f},{end - 60:.3f},{end - 5:.3f},{end:.3f}"
    fake.astdb[f"{ENTRIES}/{head}"] = entry if text is None else text
    fake.astdb[f"{LIST}/head"] = str(head)


def wake(fake: FakeAmi, name: str = "HotswitchMoves") -> None:
    fake.tell(f"Event: UserEvent\nPrivilege: user,all\nUserEvent: {name}\n\n")


def emptied(fake: FakeAmi) -> bool:
    left = [key for key in fake.astdb if key.startswith(f"{ENTRIES}/")]
    return not left and fake.astdb.get(f"{LIST}/tail") == fake.astdb.get(f"{LIST}/head")


async def kept(world: World) -> list[MoveRow]:
    return await world.store.moves.moves(limit=5000)


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(5 * SLOW):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_what_waited_is_kept_at_the_start_and_what_comes_at_once(world: World, fake: FakeAmi) -> None:
    await world.users("1")
    note(fake, "1-1")
    note(fake, "2-1", "wrong_pin", kind="pull", user="default/99")
    metrics = Metrics()
    async with reading(world, fake, metrics=metrics):
        await until(lambda: emptied(fake))
        note(fake, "3-1", "not_taken")
        wake(fake)
        await until(lambda: emptied(fake))
    rows = {row.move_id: row for row in await kept(world)}
    assert {name: (row.user_id, row.extension, row.outcome, row.node) for name, row in rows.items()} == {
        "1-1": ("1", "1", MoveOutcome.MOVED, "n1"),
        "2-1": ("", "99", MoveOutcome.WRONG_PIN, "n1"),
        "3-1": ("1", "1", MoveOutcome.NOT_TAKEN, "n1"),
    }
    assert b'binding_ivr_moves_total{kind="to_cell",outcome="moved"} 1.0' in metrics.text()
    assert b'binding_ivr_moves_total{kind="pull",outcome="wrong_pin"} 1.0' in metrics.text()
    events = await world.sql("SELECT user_id, payload FROM binding_ivr.outbox WHERE name = 'move.ended'")
    assert len(events) == 3


async def test_a_user_event_of_another_name_wakes_nobody(world: World, fake: FakeAmi) -> None:
    async with reading(world, fake):
        await until(lambda: any(fields.get("Family") == LIST for fields in fake.actions))
        looks = len(fake.actions)
        wake(fake, "Other")
        wake(fake)
        await until(lambda: len(fake.actions) >= looks + 3)
    assert [fields["Action"] for fields in fake.actions[looks:]] == ["DBGet"] * 3


async def test_many_user_events_make_few_looks(world: World, fake: FakeAmi) -> None:
    """Anybody with AMI `user` can send them."""
    async with reading(world, fake, gap_s=0.2):
        await until(lambda: any(fields.get("Family") == LIST for fields in fake.actions))
        looks, began = len(fake.actions), time.monotonic()
        while time.monotonic() - began < 0.5:
            wake(fake)
            await asyncio.sleep(0)
        took = time.monotonic() - began
        assert (len(fake.actions) - looks) / 3 <= took / 0.2 + 1


async def test_without_the_event_it_is_found_by_looking(world: World, fake: FakeAmi) -> None:
    async with reading(world, fake, poll_s=0.05):
        note(fake)
        await until(lambda: emptied(fake))
    assert len(await kept(world)) == 1


async def test_cut_before_it_was_removed(world: World, fake: FakeAmi) -> None:
    """The connection is lost after the rows were written: they are read again, and kept once."""
    cuts = [0]

    async def cut(fields: Fields, writer: asyncio.StreamWriter) -> bool:
        if fields["Action"] == "DBDel" and cuts[0] < 2:
            cuts[0] += 1
            writer.transport.abort()
            return True
        return False

    for place in range(5):
        note(fake, f"{place}-1")
    fake.on_action = cut
    async with reading(world, fake, poll_s=0.05):
        await until(lambda: emptied(fake), 20)
    assert cuts == [2]
    assert len(await kept(world)) == 5
    assert len(await world.sql("SELECT FROM binding_ivr.outbox WHERE name = 'move.ended'")) == 5


async def test_two_services_at_one_list(world: World, fake: FakeAmi) -> None:
    async with reading(world, fake, poll_s=0.01), reading(world, fake, node="n2", poll_s=0.01):
        for place in range(200):
            note(fake, f"{place}-1")
            if place % 20 == 0:
                await asyncio.sleep(0.01)
        await until(lambda: emptied(fake), 20)
    assert len(await kept(world)) == 200
    assert len(await world.sql("SELECT FROM binding_ivr.outbox WHERE name = 'move.ended'")) == 200


async def test_what_others_write_is_dropped_and_counted(world: World, fake: FakeAmi) -> None:
    metrics = Metrics()
    note(fake, text="rubbish +12025550150")
    note(fake, text=f"1,1-1,pull,moved,,default/1001,1.000,,,{'9' * 900}")
    note(fake, "2-1")
    fake.astdb[f"{LIST}/dropped"] = "4"
    async with reading(world, fake, metrics=metrics):
        await until(lambda: emptied(fake))
        await eventually(lambda: world.store.moves.lists(60))
    assert [row.move_id for row in await kept(world)] == ["2-1"]
    (told,) = await world.store.moves.lists(60)
    assert (told.lost_bad, told.lost_full, told.lost_flood, told.alive) == (2, 4, 0, True)
    assert b'binding_ivr_moves_lost{reason="bad"} 2.0' in metrics.text()
    # each that found no place counts once, also after a restart; an AstDB that is new begins anew
    fake.astdb[f"{LIST}/dropped"] = "6"
    async with reading(world, fake):
        await eventually(lambda: _full(world, 6))
    fake.astdb[f"{LIST}/dropped"] = "1"
    async with reading(world, fake):
        await eventually(lambda: _full(world, 7))


async def _full(world: World, count: int) -> bool:
    return (await world.store.moves.lists(60))[0].lost_full == count


@pytest.mark.parametrize(("head", "tail"), [(5, 9), (10**12, 3), (3 * LONGEST_LIST, 0)])
async def test_a_list_whose_counters_cannot_be(world: World, fake: FakeAmi, head: int, tail: int) -> None:
    """It goes on with what the dialplan writes from there on."""
    fake.astdb |= {f"{LIST}/head": str(head), f"{LIST}/tail": str(tail)}
    async with reading(world, fake, poll_s=0.02):
        await until(lambda: emptied(fake))
        note(fake)
        await until(lambda: emptied(fake))
    assert len(await kept(world)) == 1


async def test_who_makes_many_fills_nothing(world: World, fake: FakeAmi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that moved are kept all the same."""
    monkeypatch.setattr(mirror_moves, "MOST_OTHERS", 20)
    for place in range(30):
        note(fake, f"{place}-1", "not_proven", kind="pull")
    note(fake, "30-1", "not_proven", kind="pull", user="default/2")
    note(fake, "31-1", "moved", kind="pull")
    note(fake, "32-1", "not_proven", kind="pull", ago_s=7200)
    async with reading(world, fake, poll_s=0.02):
        await until(lambda: emptied(fake))
        await eventually(lambda: world.store.moves.lists(60))
    assert len(await kept(world)) == 23
    assert (await world.store.moves.lists(60))[0].lost_flood == 10
    assert MOST_OTHERS == 200


async def test_who_gets_the_extension_afterwards_is_somebody_else(world: World, fake: FakeAmi) -> None:
    note(fake, "1-1", ago_s=3600)
    await world.users("1")
    async with reading(world, fake):
        await until(lambda: emptied(fake))
    assert [(row.user_id, row.extension) for row in await kept(world)] == [("", "1")]


async def test_lists_of_the_history(world: World, fake: FakeAmi) -> None:
    await world.users("1", "2")
    await world.store.directory.import_users([User("default", "3", ("3", "30"), "", "")])
    for place, user in enumerate(("1", "2", "3", "30", "30")):
        note(fake, f"{place}-1", user=f"default/{user}", ago_s=50 - 10 * place)
    async with reading(world, fake):
        await until(lambda: emptied(fake))
    listed = world.store.moves.moves
    assert [row.move_id for row in await listed()] == ["4-1", "3-1", "2-1", "1-1", "0-1"]
    assert [row.move_id for row in await listed(account="default", user_id="3", limit=2)] == ["4-1", "3-1"]
    assert [row.move_id for row in await listed(extension="3")] == ["2-1"]
    assert [row.move_id for row in await listed(since=datetime.now(UTC) - timedelta(seconds=15))] == ["4-1"]
    assert await listed(account="other") == []


async def test_export_and_erase_and_time(world: World, fake: FakeAmi) -> None:
    await world.users("1", "2")
    note(fake, "1-1")
    note(fake, "2-1", user="default/2")
    note(fake, "3-1", ago_s=366 * 86400, user="default/9")
    async with reading(world, fake):
        await until(lambda: emptied(fake))
    personal = world.store.personal
    assert [row["move_id"] for row in (await personal.export("default", "1"))["moves"]] == ["1-1"]
    await personal.erase("default", "1", "erased/" + "0" * 32, lambda _: b"", world.actor)
    assert [row.move_id for row in await kept(world)] == ["2-1", "3-1"]
    assert await world.store.retention.forget_moves(365) == 1
    assert [row.move_id for row in await kept(world)] == ["2-1"]


async def test_what_doctor_says(world: World, fake: FakeAmi) -> None:
    contexts = {"hotswitch-move"}

    async def shown(fields: Fields, writer: asyncio.StreamWriter) -> bool:
        if fields["Action"] != "ShowDialPlan" or fields["Context"] not in contexts:
            return False
        writer.write(f"Response: Success\r\nActionID: {fields['ActionID']}\r\nMessage: x\r\n\r\n".encode())
        return True

    async def said(store: Store | None = None) -> list[tuple[str, str]]:
        ami = AmiClient(host="127.0.0.1", port=fake.port, user="u", secret=fake.secret, times=TIMES)
        await ami.start()
        try:
            config = msgspec.structs.replace(Config(), service=msgspec.structs.replace(Config().service, node="n1"))
            return [(one.status.value, one.detail) for one in await doctor_moves.examine(config, ami, store)]
        finally:
            await ami.stop()

    assert await said() == []  # hot-switch is not used
    fake.on_action = shown
    ((status, detail),) = await said()
    assert (status, "older hotswitch.conf" in detail) == ("warn", True)
    contexts.add("hotswitch-noting")
    note(fake, "0-1")
    assert await said() == [("warn", "1 wait in AstDB; the database must work first")]
    ((status, detail),) = await said(world.store)
    assert (status, "does not read them" in detail) == ("warn", True)
    note(fake, text="rubbish")
    async with reading(world, fake):
        await until(lambda: emptied(fake))
        await eventually(lambda: world.store.moves.lists(60))
    assert await said(world.store) == [
        ("ok", "noted by the dialplan, 0 wait; never kept: 1 not readable"),
    ]
    for place in range(101):
        note(fake, f"{place}-2")
    ((status, detail),) = await said(world.store)
    assert (status, "more than should" in detail) == ("warn", True)
