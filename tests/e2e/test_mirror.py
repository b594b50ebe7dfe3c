"""The mirror in AstDB of a real Asterisk: equal to PostgreSQL through changes, restarts, crashes and a broken line."""

import asyncio
import json
import os
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from binding_ivr.config import load
from binding_ivr.lab import Lab
from binding_ivr.lab.asterisk.ami import Ami
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import User
from tests.e2e.installation import TESTER, Installation, installed
from tests.integration.tcp_proxy import TcpProxy
from tests.patience import SLOW

MANY = 10_000
WANTED = """
SELECT 'binding/ext/' || e.account || '/' || e.extension AS key, b.number AS value
FROM binding_ivr.extensions e JOIN binding_ivr.bindings b USING (account, user_id) WHERE b.status = 'verified'
UNION ALL
SELECT DISTINCT ON (b.number) 'binding/num/' || substr(b.number, 2), e.account || '/' || e.extension
FROM binding_ivr.extensions e JOIN binding_ivr.bindings b USING (account, user_id) WHERE b.status = 'verified'
ORDER BY 1
"""
# The dialplan's own way: an extension that reads DB() in a call and tells what it found.
TELL = "LabLookup,LabId: ${LAB_ID},Number: ${DB(binding/ext/default/${LAB_EXT})},User: ${DB(binding/num/${LAB_NUM})}"


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    """A lab of this module's own: one AstDB has one mirror."""
    async with Lab() as running:
        yield running


@pytest.fixture
async def one(lab: Lab, tmp_path: Path) -> AsyncIterator[Installation]:
    await lab.pbx.rx("database deltree binding")
    async with installed(lab, tmp_path, node="mirror", app="mirror", answers_lookups=True) as made:
        yield made


@pytest.fixture
async def dialplan(lab: Lab) -> AsyncIterator[Ami]:
    ami = Ami(lab.plan.pbx, lab.plan.ami_port, "lab", lab.plan.lab_secret, events="user")
    await ami.connect()
    fields = {"Context": "lab-db", "Extension": "ask", "Priority": "1", "Application": "UserEvent"}
    await ami.action("DialplanExtensionAdd", {**fields, "ApplicationData": TELL, "Replace": "yes"})
    yield ami
    ami.close()


async def eventually(what: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> float:
    """Wait until *what* is true; return after how many seconds it was."""
    began = time.monotonic()
    async with asyncio.timeout(seconds * SLOW):
        while not await what():
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def astdb(lab: Lab) -> dict[str, str]:
    """All that Asterisk's own console shows."""
    text = await lab.pbx.rx("database show")
    return dict(re.findall(r"^/(\S+)\s*: (\S*)\s*$", text, re.MULTILINE))


async def wanted(one: Installation) -> dict[str, str]:
    async with one.opened.store.db.link() as link:
        return {row["key"]: row["value"] for row in await link.fetch(WANTED)}


async def is_equal(one: Installation) -> bool:
    there = await astdb(one.lab)
    ours = {key: value for key, value in there.items() if key.startswith(("binding/ext/", "binding/num/"))}
    due = await wanted(one)
    if ours != due:  # for the report of a test that fails
        missing, more = sorted(due.items() - ours.items()), sorted(ours.items() - due.items())
        print(f"\nAstDB lacks {len(missing)} ({missing[:3]}) and has {len(more)} that are not due ({more[:3]})")
    return ours == due


async def fill(one: Installation, count: int) -> None:
    """Write so many proven numbers, as if their calls had been made."""
    async with one.opened.store.db.link() as link, link.transaction():
        for statement in (
            "INSERT INTO binding_ivr.users SELECT 'default', 'u' || n FROM generate_series(1, $1::int) n",
            "INSERT INTO binding_ivr.extensions SELECT 'default', (20000 + n)::text, 'u' || n"
            " FROM generate_series(1, $1::int) n",
            "INSERT INTO binding_ivr.bindings (account, user_id, status, number, since, verified_at)"
            " SELECT 'default', 'u' || n, 'verified', '+1202' || (5000000 + n), now(), now()"
            " FROM generate_series(1, $1::int) n",
        ):
            await link.execute(statement, count, timeout=120)


async def test_a_number_through_its_life(one: Installation, dialplan: Ami) -> None:
    lab = one.lab
    foreign = {"binding/other/default/1": "x", "bindings/ext/default/1": "y", "cidname/1001": "Desk", "ext/num/1": "z"}
    for key, value in foreign.items():
        await lab.pbx.rx(f"database put {key.partition('/')[0]} {key.partition('/')[2]} {value}")
    await lab.pbx.rx("database put binding ext/default/stale +12025550000")
    await lab.pbx.rx("database put binding num/12025550000 default/stale")
    await one.serve()
    assert await is_equal(one)  # ready means compared
    await one.opened.store.directory.import_users([User("default", "7", ("70", "7001", "7-1"), "en", "")])
    number = lab.number("right", 120)

    async def answers(extension: str, ask: str = number) -> tuple[str, str]:
        async def call(identity: str) -> None:
            variables = [f"LAB_ID={identity}", f"LAB_EXT={extension}", f"LAB_NUM={ask.removeprefix('+')}"]
            await dialplan.originate(
                {
                    "Channel": "Local/far@lab-lookup/n",
                    "Context": "lab-db",
                    "Exten": "ask",
                    "Priority": "1",
                    "Variable": variables,
                }
            )

        event = await dialplan.asked(call, 20 * SLOW)
        return event.get("Number", ""), event.get("User", "")

    shown = await one.bind("7", number)
    assert (await one.ended(shown)).outcome is Outcome.VERIFIED

    async def there() -> bool:
        return await dialplan.action("DBGet", {"Family": "binding", "Key": "ext/default/70"}) != [] and await is_equal(
            one
        )

    print(f"\nvisible in AstDB after {await eventually(there):.3f} s (a console start per look included)")
    for extension in ("70", "7001", "7-1"):
        door = await lab.trusted_number("default", extension)
        assert await answers(extension) == (number, "default/70")
        assert (door["BINDING_STATUS"], door["BINDING_NUMBER"]) == ("FOUND", number)
    caller = await lab.trusted_caller(number)
    assert f"{caller['BINDING_ACCOUNT']}/{caller['BINDING_EXTENSION']}" == "default/70"

    async def gone() -> bool:
        return await answers("70") == ("", "")

    async def back() -> bool:
        return await answers("70") == (number, "default/70")

    assert (await one.command("suspend", "7"))[0] == 0
    await eventually(gone)
    assert (await one.command("resume", "7"))[0] == 0
    await eventually(back)

    # An extension changes hands: the user's lowest is another one now, and the new owner has no number.
    directory = one.opened.store.directory
    await directory.import_users(
        [User("default", "7", ("7001", "7-1"), "en", ""), User("default", "8", ("70",), "en", "")]
    )

    async def moved() -> bool:
        return await answers("70") == ("", "default/7-1")

    await eventually(moved)
    await directory.remove_user("default", "7", TESTER)

    async def empty() -> bool:
        return await wanted(one) == {} and await is_equal(one)

    await eventually(empty)
    assert await answers("7001") == ("", "")
    there_now = await astdb(lab)
    assert {key: there_now.get(key) for key in foreign} == foreign


async def test_everything_after_a_restart_of_asterisk(one: Installation) -> None:
    await fill(one, MANY)
    await one.serve()
    assert await is_equal(one)
    lab = one.lab
    os.kill(lab.pbx.process.pid, signal.SIGKILL)  # type: ignore[union-attr]
    (lab.folder / "pbx/data/astdb.sqlite3").unlink()  # as after a new disk: everything is missing
    began = time.monotonic()
    await restart(lab)
    booted = time.monotonic()
    await one.logged('"mirror.compared"', times=2)
    print(f"\nAsterisk up after {booted - began:.2f} s; in step {time.monotonic() - booted:.2f} s later; the service:")
    lines = [json.loads(line) for line in one.log.read_text().splitlines() if '"mirror.compared"' in line]
    print("\n".join(str(line) for line in lines))
    assert lines[-1]["put"] == 2 * MANY
    assert len(await wanted(one)) == 2 * MANY
    assert await is_equal(one)
    outcome = await one.json_command("resync")
    assert [(row["node"], row["status"], row["keys"], row["put"], row["deleted"]) for row in outcome] == [
        ("mirror", "ok", 2 * MANY, 0, 0)
    ]


async def test_killed_in_the_middle_of_a_push(one: Installation) -> None:
    await one.serve()
    await one.lab.pbx.rx("database deltree binding")
    await fill(one, MANY)

    async def under_way() -> bool:
        return len(await astdb(one.lab)) > 200

    await eventually(under_way, 20)
    await one.kill()
    print(f"\n{len(await astdb(one.lab))} keys were there after the kill")
    async with one.opened.store.db.link() as link:  # and while nobody looks, a part of them ends
        await link.execute("UPDATE binding_ivr.bindings SET status = 'suspended', reason = 'admin' WHERE number < $1",
                           "+12025005000")  # fmt: skip
    await one.serve()
    assert await is_equal(one)
    assert len(await wanted(one)) > MANY


async def test_a_line_that_is_cut_and_one_that_stalls(lab: Lab, tmp_path: Path) -> None:
    async with TcpProxy(lab.plan.pbx, lab.plan.ami_port) as proxy:
        sections = {"ami": {**lab.settings()["ami"], "host": "127.0.0.1", "port": proxy.port}}
        async with installed(lab, tmp_path, node="cut", app="cut", sections=sections) as one:
            await fill(one, 300)
            await one.serve()
            assert await is_equal(one)

            async def equal() -> bool:
                return await is_equal(one)

            proxy.cut()
            await one.opened.bindings.remove("default", "u1", TESTER)
            await eventually(equal, 60)
            proxy.stall()
            await one.opened.bindings.remove("default", "u2", TESTER)
            await one.opened.bindings.suspend("default", "u9", TESTER)
            await one.logged('"ami.lost"', times=2)
            assert not await is_equal(one)
            proxy.flow()
            await eventually(equal, 60)
            await one.opened.bindings.resume("default", "u9", TESTER)
            await eventually(equal)


async def test_resync_without_a_running_service(one: Installation, tmp_path: Path) -> None:
    await fill(one, 5)
    await one.lab.pbx.rx("database put binding ext/default/stale +12025550000")
    outcome = await one.json_command("resync")
    assert [(row["node"], row["status"], row["put"]) for row in outcome] == [("mirror", "ok", 10)]
    assert await is_equal(one)
    assert (await one.command("resync"))[1].split()[:2] == ["node", "status"]
    bare = tmp_path / "bare.toml"
    bare.write_text(re.sub(r'(?m)^user = "binding_ivr"\n(secret)', r'user = ""\n\1', one.path.read_text()))
    assert load(bare).ami.user == ""
    status, _, told = await one.command("resync", environ={"BINDING_IVR_CONFIG": str(bare)})
    assert (status, told.count("\n")) == (1, 1)
    assert "[ami]" in told


async def test_a_wrong_secret_keeps_the_service_from_starting(one: Installation) -> None:
    status, _, told = await one.command("serve", environ={"BINDING_IVR__AMI__SECRET": "wrong"})
    assert status == 1
    assert told.splitlines()[-1] == (
        "binding-ivr: Asterisk refuses the AMI login: [ami] user/secret must be a section of Asterisk's manager.conf"
    )


async def restart(lab: Lab) -> None:
    """Start the PBX again after its death."""
    await lab.pbx.stop(gently=False)
    await asyncio.to_thread(shutil.rmtree, lab.pbx.run, ignore_errors=True)
    lab.pbx.run.mkdir(parents=True, exist_ok=True)
    lab.pbx.start(leashed=True)
    await lab.pbx.booted()


async def test_time_changes_and_own_numbers_reach_the_dialplan(one: Installation) -> None:
    """Real calls and a moved clock: stale, aged, proven again, changed, gone back, and ended by an own number."""
    lab, store = one.lab, one.opened.store
    await one.serve()
    user, number = await one.new_user(), lab.number("right", 190)
    key = f"binding/ext/default/{user}"

    async def becomes(status: str, reason: str | None, mirrored: bool, *, stale: bool = False) -> None:
        async def so() -> bool:
            row = await one.opened.bindings.status("default", user)
            found = (row.status.value, row.reason.value if row.reason else None, row.stale_at is not None)
            return found == (status, reason, stale) and ((await astdb(lab)).get(key) == number) == mirrored

        await eventually(so, 20)

    async def days(count: float) -> None:
        await store.clock.advance(count * 86_400, TESTER)

    assert (await one.ended(await one.bind(user, number))).outcome is Outcome.VERIFIED
    await becomes("verified", None, True)
    await days(181)
    await becomes("verified", None, True, stale=True)
    assert (await one.json_command("status", user))["stale_since"]
    await days(31)
    await becomes("suspended", "aged", False)
    assert (await one.json_command("lookup", user))["status"] == "SUSPENDED"
    assert (await one.ended(await one.revalidate(user))).outcome is Outcome.VERIFIED
    await becomes("verified", None, True)
    assert (await one.ended(await one.bind(user, lab.number("busy", 12)))).outcome is Outcome.BUSY
    await becomes("pending", None, False)
    offer = (await one.json_command("status", user))["undo"]
    assert (offer["number"], offer["changed_by"]) == (number, "administrator")  # whom the tests stand for
    assert (await one.ended(await one.undo(user))).outcome is Outcome.VERIFIED
    await becomes("verified", None, True)
    assert (await one.command("own-number", "add", number))[0] == 0
    await becomes("suspended", "own_number", False)
    await one.no_channels()
