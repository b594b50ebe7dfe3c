"""`binding-ivr doctor` beside a real Asterisk: one plain line for every single fault, and none without a fault."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from binding_ivr.app.installation import open_database
from binding_ivr.doctor import ari as doctor_ari
from binding_ivr.doctor.checks import Status
from binding_ivr.lab import Lab
from binding_ivr.lab.command import to_toml
from binding_ivr.lab.net import free_port
from tests.e2e.installation import Installation, installed

Line = dict[str, str]


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    """A lab of this module's own, for it is damaged on purpose."""
    async with Lab() as running:
        yield running


@pytest.fixture(scope="module")
async def one(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    folder = tmp_path_factory.mktemp("doctor")
    async with installed(lab, folder, node="doctor", app="doctor", answers_lookups=True) as made:
        yield made


async def doctor(one: Installation, **environ: str) -> tuple[int, list[Line]]:
    """Run it; return its exit status and its lines. Nothing but lines may be printed, and no secret in them."""
    status, out, err = await one.command("doctor", "--json", environ=environ)
    assert err == ""
    assert one.lab.plan.ami_secret not in out
    assert one.lab.plan.ari_password not in out
    assert (await one.lab.pbx.channels()) == 0
    assert "doctor" not in await one.lab.pbx.rx("database show binding")
    lines: list[Line] = json.loads(out)
    return status, lines


def bad(lines: list[Line]) -> list[tuple[str, str]]:
    """What is not good; the lock, which this lab's calls do without, has a test of its own."""
    return [(line["check"], line["status"]) for line in lines if line["status"] != "ok" and line["check"] != "lock"]


async def only(one: Installation, check: str, *words: str, **environ: str) -> str:
    """Expect one failing line with *words* in it and no other that is not good; return its advice."""
    status, lines = await doctor(one, **environ)
    failing = [line for line in lines if line["status"] == "fail"]
    assert [line["check"] for line in failing] == [check], lines
    assert status == 1
    for word in words:
        assert word in failing[0]["detail"], failing[0]
    assert "\n" not in failing[0]["detail"]
    return failing[0]["detail"]


async def test_before_the_service_runs(one: Installation) -> None:
    status, lines = await doctor(one)
    assert status == 0, lines
    assert bad(lines) == [("ari app", "warn"), ("agi", "warn")]
    assert all("binding-ivr serve" in line["detail"] for line in lines if (line["check"], line["status"]) in bad(lines))


async def test_all_is_well_while_it_runs(one: Installation) -> None:
    await one.serve()
    status, lines = await doctor(one)
    assert (status, bad(lines)) == (0, []), lines
    assert {line["check"] for line in lines} == {
        "configuration", "host name", "postgresql", "schema", "ari", "asterisk", "ari app", "route lab", "prompts",
        "lock", "agi", "hot-switch", "ami", "sql door", "look-ups", "ami permissions", "astdb", "mirror", "moves",
        "postgresql log", "enrolment", "api keys", "metrics",
    }  # fmt: skip
    table = (await one.command("doctor"))[1]
    assert table.splitlines()[0].split() == ["status", "check", "detail"]
    assert len(table.splitlines()) == len(lines) + 1


async def test_the_lock(one: Installation, lab: Lab) -> None:
    """None in use; none in Asterisk; one of another policy; the one of now."""
    routes = '[{"name":"lab","endpoint":"Local/{digits}@binding-ivr-out/n","trunk":"PJSIP/{e164}@trunk"}]'
    environ = {"BINDING_IVR__ROUTES": routes}
    file = lab.folder / "pbx/etc/binding_ivr_out.conf"

    async def told(**environ: str) -> tuple[str, str]:
        _, lines = await doctor(one, **environ)
        return next((line["status"], line["detail"]) for line in lines if line["check"] == "lock")

    status, detail = await told()
    assert (status, "binding-ivr dialplan policy --output" in detail) == ("warn", True)
    shipped = file.read_text()
    file.write_text("; nothing\n")
    await lab.pbx.rx("dialplan reload")
    status, detail = await told(**environ)
    assert (status, "no context binding-ivr-allowed" in detail) == ("fail", True)
    file.write_text(shipped)
    await lab.pbx.rx("dialplan reload")
    status, detail = await told(**environ)
    assert (status, "is out of date" in detail) == ("warn", True), detail
    made, _, said = await one.command("dialplan", "policy", "--output", str(file), environ=environ)
    assert (made, said) == (0, f"wrote {file}; now: asterisk -rx 'dialplan reload'\n")
    await lab.pbx.rx("dialplan reload")
    assert (await told(**environ))[0] == "ok"
    assert (await one.command("own-number", "add", "+12025550142"))[0] == 0
    assert (await told(**environ))[0] == "warn"
    file.write_text(shipped)
    await lab.pbx.rx("dialplan reload")


async def test_the_doors_of_the_look_ups(one: Installation, lab: Lab) -> None:
    async def told(check: str) -> tuple[str, str]:
        _, lines = await doctor(one)
        return next((line["status"], line["detail"]) for line in lines if line["check"] == check)

    assert (await told("look-ups")) == ("ok", "the dialplan asks astdb, then agi")
    assert (await told("sql door"))[0] == "ok"
    await lab.pbx.rx("module unload func_odbc.so")
    for words, status, detail in (
        ("agi,astdb", "ok", "asks agi, then astdb"),
        ("astdb,letters", "fail", "'letters'"),
        ("sql", "fail", "func_odbc.so"),
        ("http", "fail", "BINDING_HTTP"),
    ):
        await lab.pbx.rx(f"dialplan set global BINDING_LOOKUP {words}")
        found = await told("look-ups")
        assert (found[0], detail in found[1]) == (status, True), found
    await lab.pbx.rx("dialplan set global BINDING_LOOKUP astdb,agi")
    await lab.pbx.rx("module load func_odbc.so")
    async with one.opened.store.db.link() as link:
        await link.execute("REVOKE USAGE ON SCHEMA binding_ivr FROM binding_ivr_lookup")
        assert (await told("sql door"))[1].endswith("SELECT binding_ivr.open_sql_door();")
        await link.execute("SELECT binding_ivr.open_sql_door()")
        await link.execute("UPDATE binding_ivr.caller_plan SET country = '49', national = '0', international = '00'")
        status, detail = await told("sql door")
        assert (status, detail.split(":")[0]) == (
            "warn",
            "reads caller IDs as 49/0/00, but [number] default_region says 1/1/011",
        )
        await link.execute("UPDATE binding_ivr.caller_plan SET country = '1', national = '1', international = '011'")
    assert "GRANT binding_ivr_lookup TO" in (await told("sql door"))[1]


async def test_a_mirror_that_differs(one: Installation) -> None:
    """The running service would mend it only at its next comparison; doctor counts and says how to mend it now."""
    await one.lab.pbx.rx("database put binding ext/default/ghost +12025550000")
    status, lines = await doctor(one)
    assert (status, bad(lines)) == (0, [("mirror", "warn")])
    assert "1 extra" in next(line["detail"] for line in lines if line["check"] == "mirror")
    assert (await one.command("resync"))[0] == 0
    assert bad((await doctor(one))[1]) == []


@pytest.mark.parametrize(
    ("check", "words", "environ"),
    [
        ("ari", ("does not answer", "http.conf", "[ari] url"), {"ARI__URL": "http://127.0.0.1:{free}"}),
        ("ari", ("refuses the ARI login", "ari.conf"), {"ARI__PASSWORD": "wrong"}),
        ("ari", ("not Asterisk's ARI", "[ari] url"), {"ARI__URL": "http://127.0.0.1:{web}"}),
        ("ami", ("does not answer", "[ami] host", "manager.conf"), {"AMI__PORT": "{free}"}),
        ("ami", ("refuses the AMI login", "[ami] user/secret", "manager.conf"), {"AMI__SECRET": "wrong"}),
        ("ami", ("does not answer", "no answer in time"), {"AMI__HOST": "127.0.0.1", "AMI__PORT": "{web}"}),
        ("postgresql", ("does not answer", "[database] dsn"), {"DATABASE__DSN": "postgresql://x@127.0.0.1:{free}/x"}),
        ("route lab", ("no endpoint PJSIP/nowhere",), {"ROUTES": '[{"name":"lab","endpoint":"PJSIP/{e164}@nowhere"}]'}),
        ("route lab", ("no context nowhere",), {"ROUTES": '[{"name":"lab","endpoint":"Local/{digits}@nowhere/n"}]'}),
        ("enrolment", ("[agi] desks is 0",), {"AGI__DESKS": "0"}),
        ("configuration", ("routes",), {"ROUTES": "[]"}),
    ],
)  # fmt: skip
async def test_one_fault_is_one_line(
    one: Installation, check: str, words: tuple[str, ...], environ: dict[str, str]
) -> None:
    if one.process is None:
        await one.serve()
    values = {"free": str(free_port("127.0.0.1")), "web": str(one.config.web.port)}
    filled = {}
    for name, value in environ.items():
        for placeholder, text in values.items():
            value = value.replace("{" + placeholder + "}", text)
        filled[f"BINDING_IVR__{name}"] = value
    await only(one, check, *words, **filled)


async def test_the_context_of_a_local_route(one: Installation) -> None:
    routes = '[{"name":"lab","endpoint":"Local/{digits}@from-internal/n"}]'
    status, lines = await doctor(one, BINDING_IVR__ROUTES=routes)
    assert (status, bad(lines)) == (0, []), lines


async def test_pending_migrations(one: Installation) -> None:
    async with one.opened.store.db.link() as link:
        kept = await link.fetchrow("DELETE FROM binding_ivr.migrations WHERE name = '0003_mirror' RETURNING *")
        try:
            await only(one, "schema", "0003_mirror", "binding-ivr migrate", BINDING_IVR__DATABASE__DSN=dsn(one))
        finally:
            await link.execute("INSERT INTO binding_ivr.migrations SELECT ($1::binding_ivr.migrations).*", kept)


def dsn(one: Installation) -> str:
    return one.opened.store.db.dsn


async def test_a_port_that_nobody_reaches(one: Installation) -> None:
    """Asterisk is told of an address at which nobody listens for it."""
    await only(
        one, "agi", "cannot reach", "[agi]", BINDING_IVR__AGI__ADVERTISE=f"localhost.invalid:{free_port('127.0.0.1')}"
    )


async def test_a_stranger_on_the_port(one: Installation) -> None:
    """Somebody listens there and says nothing."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # to the end of what the other side sends
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await only(one, "agi", "is not our FastAGI server", BINDING_IVR__AGI__ADVERTISE=f"127.0.0.1:{port}")
    finally:
        server.close()


async def test_a_missing_prompt(one: Installation) -> None:
    link = one.lab.folder / "pbx/data/sounds/fr/binding_ivr"
    target = os.readlink(link)
    link.unlink()
    shutil.copytree(target, link)
    try:
        for file in link.glob("greeting.*"):
            file.unlink()
        await only(one, "prompts fr", "greeting", "sounds/fr/binding_ivr", "prompts build")
        (link / "greeting.ulaw").symlink_to(Path(target) / "greeting.ulaw")
        for file in link.glob("hs_*"):
            file.unlink()
        (link / "digit_3.ulaw").unlink()
        (link / "digit_3.sln16").unlink()
        status, lines = await doctor(one)
        assert (status, [found for found in bad(lines) if found[0].startswith("prompts")]) == (
            0,
            [("prompts fr", "warn")],
        )
        told = next(line["detail"] for line in lines if line["check"] == "prompts fr")
        assert "any prompt of hotswitch, digit_3 under" in told
        await only(one, "prompts fr", "digit_3", BINDING_IVR__CALL__GATE="true")  # the call itself names a digit
        await one.opened.store.directory.set_settings("default", {"call": {"gate": True}})
        await only(one, "prompts fr", "digit_3")  # and so do the calls of this one account
    finally:
        await one.opened.store.directory.set_settings("default", {})
        shutil.rmtree(link)
        link.symlink_to(target)


async def test_postgresql_goes_away_in_the_middle(one: Installation) -> None:
    async with open_database(one.config, 1, migrations="skip") as store:
        pass
    found = {check.check: check for check in await doctor_ari.examine(one.config, store)}
    assert found["ari"].status is Status.OK
    assert found["postgresql"].status is Status.FAIL
    assert "\n" not in found["postgresql"].detail


@pytest.mark.parametrize(
    ("file", "old", "new", "reload", "check", "words"),
    [
        ("manager.conf", "write = system,reporting,user", "write = user", "manager reload",
         "ami permissions", ("DBPut", "write = system")),
        ("ari.conf", "read_only = no", "read_only = yes", "module reload res_ari.so", "ari", ("read_only",)),
        ("extensions.conf", '#include "binding_ivr.conf"', "", "dialplan reload",
         "dialplan", ("binding-ivr-call", '#include "binding_ivr.conf"')),
    ],
)  # fmt: skip
async def test_a_fault_in_asterisks_files(
    one: Installation, file: str, old: str, new: str, reload: str, check: str, words: tuple[str, ...]
) -> None:
    path = one.lab.folder / "pbx/etc" / file
    text = path.read_text()
    assert old in text
    try:
        path.write_text(text.replace(old, new))
        await one.lab.pbx.rx(reload)
        await only(one, check, *words)
    finally:
        path.write_text(text)
        await one.lab.pbx.rx(reload)
    assert bad((await doctor(one))[1]) == []


async def test_a_hot_switch_that_goes_by_a_local_route(one: Installation) -> None:
    routes = '[{"name":"lab","endpoint":"Local/{digits}@binding-ivr-out/n","trunk":"PJSIP/{e164}@trunk"}]'
    await one.lab.pbx.rx('dialplan set global HOTSWITCH_ROUTE ""')
    try:
        [line] = [line for line in (await doctor(one, BINDING_IVR__ROUTES=routes))[1] if line["check"] == "hot-switch"]
        assert line["status"] == "warn"
        assert "route lab is a Local channel" in line["detail"]
        [sound] = [line for line in (await doctor(one))[1] if line["check"] == "hot-switch"]
        assert sound["status"] == "ok"
    finally:
        await one.lab.pbx.rx("dialplan set global HOTSWITCH_ROUTE PJSIP/{e164}@trunk")


async def test_a_machine_without_anything(lab: Lab, tmp_path: Path, one: Installation) -> None:
    """Everything at its default: what is missing is told, nothing is made."""
    path = tmp_path / "bare.toml"
    settings: dict[str, Any] = {
        "service": {"state_dir": str(tmp_path / "state")},
        "ami": {"port": free_port("127.0.0.1")},
    }
    path.write_text(to_toml(settings))
    status, out, err = await one.command("doctor", "--json", environ={"BINDING_IVR_CONFIG": str(path)})
    lines: list[Line] = json.loads(out)
    assert (status, err) == (1, "")
    assert [line["check"] for line in lines if line["status"] == "fail"] == ["configuration"]
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("name", "value", "status", "words"),
    [
        ("HOTSWITCH_PROOF", "pin-none", "warn", "forges"),
        ("HOTSWITCH_PROOF", "pin-fingerprint", "fail", "'fingerprint'"),
        ("HOTSWITCH_ROUTE", "PJSIP/{e164}@nowhere", "fail", "PJSIP/nowhere"),
        ("HOTSWITCH_ROUTE", "PJSIP/trunk", "fail", "{e164}"),
        ("HOTSWITCH_ROUTE", "Local/{digits}@binding-ivr-out/n", "warn", "one way after a move"),
        ("HOTSWITCH_CALLER_ID", "anonymous", "warn", "caller ID"),
        ("HOTSWITCH_USER_MAX", "many", "warn", "HOTSWITCH_USER_MAX"),
    ],
)
async def test_the_hot_switch(one: Installation, name: str, value: str, status: str, words: str) -> None:
    before = {"HOTSWITCH_ROUTE": "PJSIP/{e164}@trunk", "HOTSWITCH_CALLER_ID": "12025550199"}.get(name, "")
    await one.lab.pbx.rx(f"dialplan set global {name} {value}")
    try:
        lines = [line for line in (await doctor(one))[1] if line["check"] == "hot-switch"]
        assert [line["status"] for line in lines] == [status]
        assert words in lines[0]["detail"]
    finally:
        await one.lab.pbx.rx(f'dialplan set global {name} "{before}"')
