"""The mirror between a real PostgreSQL and a scripted AMI: every change, every loss, and the marks that tell it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import structlog

from binding_ivr.asterisk.ami.client import AmiClient, AmiTimes
from binding_ivr.metrics import Metrics
from binding_ivr.mirror.sync import Mirror, MirrorTimes, make_equal
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import SuspendReason, User
from binding_ivr.store import Store
from binding_ivr.store.queries import queries
from tests.integration.fake_ami import FakeAmi, Fields, until
from tests.patience import SLOW

if TYPE_CHECKING:
    from tests.integration.conftest import World

PLAN = {"plan/caller": "1/1/011", "plan/route": "PJSIP/{e164}@trunk"}
A, B, C = "+12025550101", "+12025550102", "+12025550103"
PROMPT = AmiTimes(reply_s=1.0, ping_s=0.5, booted_s=0.2, retry_s=(0.01, 0.05))
NEVER_POLLED = MirrorTimes(poll_s=60.0, retry_s=0.02, tell_s=0.0)
POLLED = MirrorTimes(poll_s=0.05, retry_s=0.02, tell_s=0.0)


@pytest.fixture
async def fake() -> AsyncIterator[FakeAmi]:
    async with FakeAmi() as it:
        yield it


@asynccontextmanager
async def mirroring(
    world: World, fake: FakeAmi, times: MirrorTimes = NEVER_POLLED, metrics: Metrics | None = None
) -> AsyncIterator[Mirror]:
    ami = AmiClient(host="127.0.0.1", port=fake.port, user="u", secret=fake.secret, times=PROMPT)
    store = world.store
    mirror = Mirror(ami, store.mirror, store.changes, node="n1", plan=PLAN, metrics=metrics or Metrics(), times=times)
    await store.changes.start()
    await store.changes.wait_connected()
    await mirror.start()
    await ami.start()
    try:
        await until(lambda: mirror.health == "ok")
        yield mirror
    finally:
        await mirror.stop()
        await ami.stop()


def known(fake: FakeAmi) -> dict[str, str]:
    """Return AstDB without the keys that tell no number."""
    return {key: value for key, value in fake.astdb.items() if not key.startswith("binding/plan/")}


def shown(**pairs: str) -> dict[str, str]:
    """Return AstDB as `ext` and `num` of users with one extension of their own name."""
    found = {}
    for user, number in pairs.items():
        found[f"binding/ext/default/{user[1:]}"] = number
        found[f"binding/num/{number[1:]}"] = f"default/{user[1:]}"
    return found


async def test_the_life_of_numbers_without_a_single_poll(world: World, fake: FakeAmi) -> None:
    await world.users("1", "2")
    await world.prove("1", A)
    fake.astdb = {"cidname/1": "x", "binding/ext/default/9": "+1999", "binding/mine/1": "y"}
    kept = {"cidname/1": "x", "binding/mine/1": "y"}
    async with mirroring(world, fake) as mirror:
        assert known(fake) == kept | shown(u1=A)
        assert (fake.astdb["binding/plan/caller"], fake.astdb["binding/plan/route"]) == tuple(PLAN.values())
        assert (mirror.behind, mirror.lag_seconds()) == (0, 0.0)
        await world.prove("2", B)
        await until(lambda: known(fake) == kept | shown(u1=A, u2=B))
        await world.accept("2", C)  # at once: the old number ends here
        await until(lambda: known(fake) == kept | shown(u1=A))
        await world.finish((await world.store.bindings.get("default", "2")).last_attempt.attempt_id, Outcome.CANCELED)  # type: ignore[union-attr]
        await world.prove("2", A)  # who proves it last holds it
        await until(lambda: known(fake) == kept | shown(u2=A))
        await world.store.bindings.suspend("default", "2", SuspendReason.ADMIN, world.actor)
        await until(lambda: known(fake) == kept)
        await world.store.bindings.resume("default", "2", world.actor)
        await until(lambda: known(fake) == kept | shown(u2=A))
        await world.store.bindings.remove("default", "2", world.actor)
        await until(lambda: known(fake) == kept)


async def test_extensions_come_go_and_change_hands(world: World, fake: FakeAmi) -> None:
    directory = world.store.directory
    await world.users("1", "2")
    await world.prove("1", A)
    async with mirroring(world, fake):
        await directory.import_users([User("default", "1", ("1", "0", "30"), "", "")])
        extensions = {f"binding/ext/default/{name}": A for name in ("0", "1", "30")}
        await until(lambda: known(fake) == extensions | {"binding/num/12025550101": "default/0"})
        moved = [User("default", "1", ("30",), "", ""), User("default", "2", ("0", "1"), "", "")]
        await directory.import_users(moved)
        await until(lambda: known(fake) == {"binding/ext/default/30": A, "binding/num/12025550101": "default/30"})
        await world.prove("2", B)
        await until(lambda: len(known(fake)) == 5)
        await directory.remove_user("default", "1", world.actor)
        await until(lambda: "binding/ext/default/30" not in fake.astdb and "binding/num/12025550101" not in fake.astdb)
        await world.sql("DELETE FROM binding_ivr.users WHERE user_id = '2'")  # by hand, past the service
        await until(lambda: not known(fake))


@pytest.mark.parametrize("first", ["extension", "binding", "row"])
async def test_removed_by_hand_in_one_transaction(world: World, fake: FakeAmi, first: str) -> None:
    await world.users("1")
    await world.prove("1", A)
    statements = {
        "extension": "DELETE FROM binding_ivr.extensions",
        "binding": "UPDATE binding_ivr.bindings SET status = 'none', number = NULL, since = NULL",
        "row": "DELETE FROM binding_ivr.bindings",
    }
    async with mirroring(world, fake):
        assert known(fake) == shown(u1=A)
        async with world.store.db.link() as link, link.transaction():
            await link.execute(statements.pop(first))
            for statement in statements.values():
                await link.execute(statement)
        await until(lambda: not known(fake))


@pytest.mark.parametrize("order", ["proof first", "extension first"])
async def test_an_extension_that_comes_while_a_proof_is_written(world: World, fake: FakeAmi, order: str) -> None:
    """Two transactions that do not see each other; the mirror must see both."""
    await world.users("1")
    await world.store.directory.import_users([User("default", "1", ("1",), "", "")])
    prove = (
        "INSERT INTO binding_ivr.bindings (account, user_id, status, number, since)"
        f" VALUES ('default', '1', 'verified', '{A}', now())"
    )
    add = "INSERT INTO binding_ivr.extensions VALUES ('default', '7', '1')"
    early, late = (prove, add) if order == "proof first" else (add, prove)
    async with mirroring(world, fake), world.store.db.link() as one, world.store.db.link() as two:
        first, second = one.transaction(), two.transaction()
        await first.start()
        await second.start()
        await one.execute(early)
        await two.execute(late)
        # The proof holds the lock from its statement on, the extension asks for it at its commit.
        holder, waiter = (first, second) if early == prove else (second, first)
        committing = asyncio.create_task(waiter.commit())
        await asyncio.sleep(0)
        await holder.commit()
        await committing
        await until(lambda: "binding/ext/default/7" in fake.astdb and "binding/ext/default/1" in fake.astdb)


async def test_positions_are_in_the_order_of_commits(world: World, fake: FakeAmi) -> None:
    users = [str(n) for n in range(1, 41)]
    await world.users(*users)
    async with mirroring(world, fake, POLLED):
        changes: list[Awaitable[object]] = []
        for n, user in enumerate(users):
            changes.append(world.sql(
                "INSERT INTO binding_ivr.bindings (account, user_id, status, number, since)"
                " VALUES ('default', $1, 'verified', $2, now())", user, f"+1202555{n:04d}"))  # fmt: skip
        await asyncio.gather(*changes)
        await until(lambda: len(known(fake)) == 2 * len(users))


async def test_cut_in_the_middle_of_a_push(world: World, fake: FakeAmi) -> None:
    await fill(world, 1500)

    async def cut_once(fields: Fields, writer: asyncio.StreamWriter) -> bool:
        if fields["Action"] == "DBPut" and len(known(fake)) == 1234 and fake.logins == 1:
            writer.transport.abort()
            return True
        return False

    fake.on_action = cut_once
    async with mirroring(world, fake):
        assert fake.logins == 2
        assert len(known(fake)) == 3000
        fake.astdb.clear()  # Asterisk comes back from a crash with an empty AstDB
        fake.cut()
        await until(lambda: len(known(fake)) == 3000)


async def test_what_a_lost_connection_had_sent_may_be_carried_out_after_the_comparison(
    world: World, fake: FakeAmi
) -> None:
    await fill(world, 3)
    times = MirrorTimes(poll_s=0.02, retry_s=0.02, tell_s=0.0, settle_s=0.3)
    async with mirroring(world, fake, times) as mirror:
        fake.cut()
        await until(lambda: fake.logins == 2 and mirror.health == "ok")
        await until(lambda: sum(action["Action"] == "DBGetTree" for action in fake.actions) >= 6)
        fake.astdb["binding/ext/default/9"] = A  # the old connection's, whose trust has ended since
        fake.astdb["binding/num/12025550101"] = "default/9"
        await until(lambda: "binding/ext/default/9" not in fake.astdb)
        assert len(known(fake)) == 6


async def test_a_late_boot_and_a_request_compare_again(world: World, fake: FakeAmi) -> None:
    await fill(world, 3)
    async with mirroring(world, fake):
        fake.astdb.clear()
        fake.tell("Event: FullyBooted\nStatus: Fully Booted\n\n")
        await until(lambda: len(known(fake)) == 6)
        fake.astdb["binding/ext/default/stale"] = "+1"
        asked_at = await world.store.mirror.ask_to_compare()
        await until(lambda: len(known(fake)) == 6)
        state = await eventually(lambda: told(world.store), lambda found: found is not None and found > asked_at)
        assert state is not None
    assert await world.store.mirror.states(60) == []  # a mirror that ends says so


async def test_once_a_day_and_after_a_long_silence(world: World, fake: FakeAmi) -> None:
    await fill(world, 3)
    for times in (
        MirrorTimes(poll_s=0.02, compare_s=0.1, tell_s=0.0),
        MirrorTimes(poll_s=0.02, marks_s=0.02, tell_s=0.0),
    ):
        async with mirroring(world, fake, times):
            fake.astdb.clear()
            await until(lambda: len(known(fake)) == 6)


async def test_what_the_metrics_and_the_health_say(world: World, fake: FakeAmi) -> None:
    metrics = Metrics()
    await world.users("1")
    await world.prove("1", A)
    async with mirroring(world, fake, POLLED, metrics) as mirror:
        fake.denied = {"DBPut", "DBDel"}
        with structlog.testing.capture_logs() as lines:
            await world.store.bindings.remove("default", "1", world.actor)
            await until(lambda: "write = system" in mirror.health)
            await until(lambda: mirror.behind == 2)
            await until(lambda: mirror.lag_seconds() > 0.2)
        assert [line["event"] for line in lines] == ["mirror.not_in_step"]
        assert A[1:] not in str(lines)
        assert "binding_ivr_mirror_behind 2.0" in metrics.text().decode()
        fake.denied = set()
        await until(lambda: mirror.health == "ok" and mirror.lag_seconds() == 0.0)
        text = metrics.text().decode()
        assert 'binding_ivr_mirror_writes_total{kind="put"} 2.0' in text
        assert 'binding_ivr_mirror_writes_total{kind="delete"} 2.0' in text
        assert "binding_ivr_mirror_behind 0.0" in text
        assert not known(fake)


async def test_an_asterisk_that_cannot_list(world: World, fake: FakeAmi) -> None:
    await fill(world, 3)
    fake.unknown = {"DBGetTree"}
    fake.astdb = {"binding/ext/default/stale": "+1", "binding/num/1": "a/b", "cidname/1": "x"}
    async with mirroring(world, fake, MirrorTimes(poll_s=0.02, retry_s=0.02, tell_s=0.0, settle_s=0.0)):
        assert len(known(fake)) == 7
        assert fake.astdb["cidname/1"] == "x"
        await world.store.bindings.remove("default", "1", world.actor)
        await until(lambda: len(known(fake)) == 5)
    # Each comparison takes all numbers away for a moment here, so there is no second one.
    assert sum(action["Action"] == "DBDelTree" for action in fake.actions) == 2


async def test_marks_are_forgotten_in_time(world: World, fake: FakeAmi) -> None:
    await fill(world, 3)
    await world.store.mirror.forget_marks(3600.0)
    assert (await world.sql("SELECT count(*) AS n FROM binding_ivr.mirror_keys"))[0]["n"] == 6
    await world.store.mirror.forget_marks(0.0)
    assert await world.store.mirror.changes(0, 10) == (0, [])
    async with mirroring(world, fake):
        assert len(known(fake)) == 6


async def test_a_change_is_never_cut_in_two(world: World) -> None:
    await fill(world, 5)
    position, entries = await world.store.mirror.changes(0, 1)
    assert [entry.kind for entry in entries] == ["ext", "num"]
    position, entries = await world.store.mirror.changes(position, 100)
    assert len(entries) == 8
    assert (await world.store.mirror.position())[0] == position
    assert await world.store.mirror.behind(position) == 0


async def test_pages(world: World, fake: FakeAmi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("binding_ivr.store.mirror.PAGE", 7)
    await fill(world, 50)
    ami = AmiClient(host="127.0.0.1", port=fake.port, user="u", secret=fake.secret, times=PROMPT)
    await ami.start()
    try:
        _, compared = await make_equal(world.store.mirror, ami, PLAN)
    finally:
        await ami.stop()
    assert (compared.keys, compared.put, compared.deleted, len(known(fake))) == (100, 100, 0, 100)
    assert datetime.now(UTC) - compared.since < timedelta(minutes=1)


async def told(store: Store) -> datetime | None:
    states = await store.mirror.states(60)
    return states[0].compare_from if states else None


async def eventually(
    look: Callable[[], Awaitable[datetime | None]], good: Callable[[datetime | None], bool]
) -> datetime | None:
    async with asyncio.timeout(5 * SLOW):
        while not good(found := await look()):
            await asyncio.sleep(0.01)
        return found


async def fill(world: World, count: int) -> None:
    """Write so many proven numbers."""
    for statement in (
        "INSERT INTO binding_ivr.users SELECT 'default', n::text FROM generate_series(1, $1::int) n",
        "INSERT INTO binding_ivr.extensions SELECT 'default', n::text, n::text FROM generate_series(1, $1::int) n",
        "INSERT INTO binding_ivr.bindings (account, user_id, status, number, since)"
        " SELECT 'default', n::text, 'verified', '+1202' || (5000000 + n), now() FROM generate_series(1, $1::int) n",
    ):
        await world.sql(statement, count)


@pytest.mark.parametrize(
    ("query", "args"),
    [
        ("mirror_changes", (4990, 500)),
        ("mirror_behind", (4990,)),
        ("mirror_position", ()),
        ("mirror_page", ("", "", 9)),
    ],
)
async def test_looking_for_changes_reads_no_whole_table(world: World, query: str, args: tuple[object, ...]) -> None:
    await fill(world, 2500)
    await world.sql("ANALYZE")
    plan = await world.sql(f"EXPLAIN (FORMAT TEXT) {queries()[query].rstrip(';')}", *args)
    text = "\n".join(row["QUERY PLAN"] for row in plan)
    assert "Seq Scan" not in text, text


def pin(number: str) -> str:
    """A PIN as the dialplan keeps it, chosen for a number."""
    salt = "0123456789abcdef"
    return f"{salt}-{hashlib.sha1(b'...').hexdigest()}-{hashlib.sha1(f'{salt}:{number}'.encode()).hexdigest()}"


def pins_of(fake: FakeAmi) -> set[str]:
    return {key for key in fake.astdb if key.startswith("hotswitch_")}


async def removed(world: World) -> None:
    await world.store.bindings.remove("default", "1", world.actor)


async def gone(world: World) -> None:
    await world.store.directory.remove_user("default", "1", world.actor)


async def replaced(world: World) -> None:
    await world.accept("1", C)


async def proven_by_another(world: World) -> None:
    await world.prove("2", A)


async def handed_on(world: World) -> None:
    """The extension of a user goes to another, who has a number as well."""
    await world.prove("2", B)
    await world.store.directory.import_users([User("default", "1", (), "", ""), User("default", "2", ("1",), "", "")])


async def suspended(world: World, reason: SuspendReason = SuspendReason.ADMIN) -> None:
    await world.store.bindings.suspend("default", "1", reason, world.actor)


async def reported(world: World) -> None:
    await suspended(world, SuspendReason.REPORTED)


PIN_KEYS = {"hotswitch_pin/default/1", "hotswitch_wrong/default/1", "hotswitch_called/default/1"}


@pytest.mark.parametrize("away", [False, True], ids=["at once", "when AMI is back"])
@pytest.mark.parametrize("ends", [removed, gone, replaced, proven_by_another, handed_on, suspended, reported])
async def test_a_pin_ends_with_its_number(
    world: World, fake: FakeAmi, ends: Callable[[World], Awaitable[None]], away: bool
) -> None:
    await world.users("1", "2")
    await world.prove("1", A)
    fake.astdb = dict.fromkeys(PIN_KEYS, "1-1") | {"hotswitch_pin/default/1": pin(A), "hotswitch_pin/mine": "x"}
    if away:
        await ends(world)
    async with mirroring(world, fake):
        if not away:
            assert pins_of(fake) == PIN_KEYS | {"hotswitch_pin/mine"}
            await ends(world)
        await until(lambda: pins_of(fake) == {"hotswitch_pin/mine"})


async def aged(world: World) -> None:
    await suspended(world, SuspendReason.AGED)


async def proven_again(world: World) -> None:
    await world.prove("1", A)


async def given_more_extensions(world: World) -> None:
    await world.store.directory.import_users([User("default", "1", ("1", "30"), "", "")])


@pytest.mark.parametrize("goes_on", [aged, proven_again, given_more_extensions])
async def test_a_pin_lives_on_with_its_number(
    world: World, fake: FakeAmi, goes_on: Callable[[World], Awaitable[None]]
) -> None:
    await world.users("1", "2")
    await world.prove("1", A)
    fake.astdb = {"hotswitch_pin/default/1": pin(A), "hotswitch_pin/default/2": pin(A)}
    async with mirroring(world, fake):
        assert pins_of(fake) == {"hotswitch_pin/default/1"}
        await goes_on(world)
        await world.prove("2", B)  # and is seen, after what went before
        await until(lambda: fake.astdb.get("binding/ext/default/2") == B)
        assert pins_of(fake) == {"hotswitch_pin/default/1"}


async def test_a_pin_without_a_number_of_its_own_is_dead(world: World, fake: FakeAmi) -> None:
    """As it was kept before."""
    await world.users("1")
    await world.prove("1", A)
    fake.astdb = {"hotswitch_pin/default/1": pin(A).rpartition("-")[0]}
    async with mirroring(world, fake):
        assert pins_of(fake) == set()


async def test_an_asterisk_that_cannot_list_them_loses_pins_one_by_one(world: World, fake: FakeAmi) -> None:
    await world.users("1", "2")
    await world.prove("1", A)
    fake.unknown = {"DBGetTree"}
    fake.astdb = {"hotswitch_pin/default/1": pin(A), "hotswitch_pin/default/9": pin(A)}
    async with mirroring(world, fake):
        await removed(world)
        await until(lambda: pins_of(fake) == {"hotswitch_pin/default/9"})
