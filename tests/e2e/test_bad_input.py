"""Bad input: one clear line that says what to do, the right exit status, and a service that goes on unharmed."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

import aiohttp
import pytest

from binding_ivr.lab import Lab
from binding_ivr.model.outcome import Fault, Outcome
from tests.e2e.installation import Installation, installed
from tests.patience import SLOW


def one_line(told: str) -> str:
    """The one line for the operator, after the JSON lines of the log."""
    lines = [line for line in told.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, told
    assert "Traceback" not in told
    return lines[0]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("call me", "not a phone number"),
        ("+1 555 123 0001", "no such phone number"),
        ("911", "emergency"),
        ("1001", "belongs to this phone system"),
        ("+1 202 555 0199", "belongs to this phone system"),  # the caller ID of the route
        ("+1 900 555 1234", "premium-rate"),
        ("+44 7400 123456", "country"),
    ],
)
async def test_numbers_that_are_not_called(installation: Installation, number: str, told: str) -> None:
    user = await installation.new_user()
    await installation.command("user", "add", "1001")
    status, out, err = await installation.command("bind", user, number)
    assert (status, out) == (1, "")
    assert told in one_line(err)
    assert (await installation.json_command("status", user))["status"] == "none"


async def test_own_numbers_and_patterns(installation: Installation) -> None:
    user = await installation.new_user()
    assert (await installation.command("own-number", "add", "_1801555017X"))[0] == 0
    status, _, err = await installation.command("bind", user, "+18015550171")
    assert status == 1
    assert "belongs to this phone system" in one_line(err)


async def test_exceptions(installation: Installation, tmp_path: Path) -> None:
    """Allowed for a time, listed with its reason, in the lock, and gone again."""
    words = ("exception", "add", "+44 20 7946 0958", "--reason", "the night desk")
    for bad, told in (
        (("--until", "soon"), "--until: write an ISO 8601 time"),
        (("--until", "2020-01-01"), "must end in the future"),
        (("--until", "400d"), "within 366 days"),
        (("--account", "nowhere"), "no account nowhere"),
    ):
        status, out, err = await installation.command(*words, *bad)
        assert (status, out, told in one_line(err)) == (1, "", True), err
    status, _, err = await installation.command("exception", "add", "900 555 1234", "--reason", "the night desk")
    assert (status, "premium-rate" in one_line(err)) == (1, True)
    status, out, err = await installation.command(*words, "--until", "12h")
    assert (status, "+442079460958" in out, "binding-ivr dialplan policy" in one_line(err)) == (0, True, True)
    [row] = [row for row in await installation.json_command("exception", "list") if row["reason"] == "the night desk"]
    assert (row["allows"], row["account"], row["state"]) == ("+442079460958", "*", "active")
    user = await installation.new_user()
    try:
        assert (await installation.command("bind", user, "+44 20 7946 0958"))[0] == 0
        status, out, err = await installation.command("dialplan", "policy")
        assert (status, "exten => 442079460958,1," in out) == (0, True)
        assert 'endpoint = "Local/{digits}@binding-ivr-out/n"' in one_line(err)
        nowhere = tmp_path / "nowhere/binding_ivr_out.conf"
        status, out, err = await installation.command("dialplan", "policy", "--output", str(nowhere))
        assert (status, out, "cannot be written" in one_line(err)) == (1, "", True)
    finally:
        await installation.command("cancel", user)
        assert (await installation.command("exception", "remove", "+442079460958"))[0] == 0
    status, _, err = await installation.command("exception", "remove", "+442079460958")
    assert (status, "binding-ivr exception list" in one_line(err)) == (1, True)


async def test_unknown_user_and_usage(installation: Installation) -> None:
    status, _, err = await installation.command("bind", "nobody", "+12025550150")
    assert (status, "binding-ivr user add nobody" in one_line(err)) == (1, True)
    assert (await installation.command("status", "nobody"))[0] == 1
    assert (await installation.command("bind"))[0] == 2
    assert (await installation.command("fly"))[0] == 2


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"BINDING_IVR__ARI__PASSWORD": "wrong"}, "ari"),
        ({"BINDING_IVR__ARI__USER": ""}, "ari.user"),
        ({"BINDING_IVR__CALL__RING_S": "0"}, "call.ring_s"),
        ({"BINDING_IVR__CALL__RINGS": "1"}, "call.rings: unknown key"),
        ({"BINDING_IVR__ROUTES": "[]"}, "routes"),
        ({"BINDING_IVR__DATABASE__DSN": "postgresql://127.0.0.1:1/none"}, "PostgreSQL"),
        ({"BINDING_IVR__DATABASE__DSN": "nonsense"}, "dsn"),
        ({"BINDING_IVR__AGI__BIND": "192.0.2.1"}, "agi"),
        ({"BINDING_IVR__WEB__BIND": "192.0.2.1"}, "web"),
        ({"BINDING_IVR_CONFIG": "/nonexistent/binding-ivr.toml"}, "no such configuration file"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
async def test_the_service_refuses_to_start(
    installation: Installation, tmp_path: Path, environ: dict[str, str], told: str
) -> None:
    own = {
        "BINDING_IVR__SERVICE__STATE_DIR": str(tmp_path / "state"),
        "BINDING_IVR__AGI__PORT": "0",
        "BINDING_IVR__WEB__PORT": "0",
        "BINDING_IVR__METRICS__PORT": "0",
        "BINDING_IVR__ARI__APP": "refused",
    }
    status, _, err = await installation.command("serve", environ={**own, **environ})
    assert status == 1
    line = one_line(err)
    assert line.startswith("binding-ivr: ")
    assert told in line
    for secret in ("wrong", installation.config.ari.password):
        assert secret not in line


async def test_without_asterisk_the_service_waits_and_says_so(installation: Installation, tmp_path: Path) -> None:
    async with installed(installation.lab, tmp_path, node="alone", app="alone") as one:
        one.path.write_text(one.path.read_text().replace(one.config.ari.url, "http://127.0.0.1:9"))
        process = await asyncio.create_subprocess_exec(*serve_command(one), stderr=asyncio.subprocess.DEVNULL)
        try:
            async with aiohttp.ClientSession() as http, asyncio.timeout(30 * SLOW):
                while True:
                    with contextlib.suppress(aiohttp.ClientError):
                        async with http.get(f"http://127.0.0.1:{one.config.web.port}/health/ready") as reply:
                            assert reply.status == 503
                            parts = (await reply.json())["parts"]
                            assert parts["postgresql"] == "ok"
                            assert "ARI" in parts["ari"]
                            break
                    await asyncio.sleep(0.05)
        finally:
            process.terminate()
            await process.wait()


def serve_command(one: Installation) -> list[str]:
    return [sys.executable, "-m", "binding_ivr", "serve", "--config", str(one.path)]


async def test_an_endpoint_that_asterisk_lacks(lab: Lab, tmp_path: Path) -> None:
    async with installed(lab, tmp_path, node="lost", app="lost") as one:
        text = one.path.read_text().replace("PJSIP/{e164}@trunk", "PJSIP/{e164}@nowhere")
        one.path.write_text(text)
        await one.serve()
        attempt = await one.ended(await one.bind(await one.new_user(), lab.number("right", 120)))
        assert (attempt.outcome, attempt.fault) == (Outcome.FAILED, Fault.US)
        assert "endpoint" in attempt.detail
        assert "nowhere" in attempt.detail
        assert attempt.number not in attempt.detail
        await one.no_channels()


async def test_a_prompt_that_asterisk_lacks(lab: Lab, tmp_path: Path) -> None:
    sections = {"prompts": {"path": "not_there"}}
    async with installed(lab, tmp_path, node="mute", app="mute", sections=sections) as one:
        await one.serve()
        attempt = await one.ended(await one.bind(await one.new_user(), lab.number("silent", 20)))
        assert (attempt.outcome, attempt.fault) == (Outcome.FAILED, Fault.US)
        assert "not_there/greeting" in attempt.detail
        await one.no_channels()
        await one.logged("prompts build --output")


async def test_a_dialplan_without_our_context(lab: Lab, tmp_path: Path) -> None:
    async with installed(lab, tmp_path, node="astray", app="astray") as one:
        await one.serve()
        await lab.pbx.rx("dialplan remove context binding-ivr-call")
        try:
            attempt = await one.ended(await one.bind(await one.new_user(), lab.number("right", 121)))
        finally:
            await lab.pbx.rx("dialplan reload")
        assert (attempt.outcome, attempt.fault) == (Outcome.FAILED, Fault.US)
        assert "binding_ivr.conf" in attempt.detail
        await one.no_channels()


async def ask(port: int, path: str) -> tuple[int, float]:
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
        http.get(f"http://127.0.0.1:{port}{path}") as reply,
    ):
        await reply.read()
        return reply.status, loop.time() - started


async def test_hostile_agi_clients_never_stall_the_service(installation: Installation) -> None:
    """Clients that leave, send headers without end, garbage or nothing; meanwhile health answers at once."""
    port = installation.lab.agi_port
    slowest = 0.0
    watching = True

    async def watch() -> None:
        nonlocal slowest
        while watching:
            status, took = await ask(installation.config.web.port, "/health/live")
            assert status == 200
            slowest = max(slowest, took)
            await asyncio.sleep(0.1)  # within the rate of one client

    async def hostile(sent: bytes, times: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            for _ in range(times):
                writer.write(sent)
                await writer.drain()
            async with asyncio.timeout(10 * SLOW):
                await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    watcher = asyncio.create_task(watch())
    header = b"agi_network: yes\nagi_network_script: attempt/00000000-0000-0000-0000-000000000000\n"
    await asyncio.gather(
        *(hostile(b"", 0) for _ in range(20)),
        *(hostile(b"agi_x: y\n", 20_000) for _ in range(5)),
        *(hostile(bytes(range(256)) * 100, 50) for _ in range(5)),
        *(hostile(b"\n\n", 1) for _ in range(5)),
        *(hostile(header + b"agi_uniqueid: x\n\n", 1) for _ in range(5)),
    )
    watching = False
    await watcher
    assert slowest < 1.0
    user = await installation.new_user()
    shown = await installation.bind(user, installation.lab.number("right", 122))
    assert (await installation.ended(shown)).outcome is Outcome.VERIFIED


async def test_metrics_and_health(installation: Installation) -> None:
    port = installation.config.web.port
    own = installation.config.metrics.port
    for path in ("/health/live", "/health/ready"):
        assert (await ask(port, path))[0] == (await ask(own, path))[0] == 200
    assert (await ask(port, "/metrics"))[0] == 410
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{own}/metrics") as reply:
        text = await reply.text()
    assert 'binding_ivr_attempts_total{fault="callee",outcome="verified"}' in text
    assert "+1" not in text.replace("e+1", "")


async def test_commands_print_json(installation: Installation) -> None:
    user = await installation.new_user()
    shown = json.loads((await installation.command("bind", user, "2025550172", "--json"))[1])
    assert len(shown["attempt"]["code"]) == 6
    assert (await installation.json_command("cancel", user))["result"] == "canceled"
    listed = await installation.json_command("attempts", "--user", user)
    assert listed[0]["outcome"] == "canceled"
    assert "code" not in listed[0]
    for words in (["account", "list"], ["user", "list"], ["own-number", "list"], ["suppress", "list"], ["attempts"]):
        assert isinstance(await installation.json_command(*words), list)
