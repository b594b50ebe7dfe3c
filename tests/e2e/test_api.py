"""A number is proven as a browser does it: sign-in link, HTTP, the call followed live, the answer for the dialplan."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import aiohttp

from tests.e2e.installation import Installation
from tests.patience import SLOW


async def test_a_number_is_proven_over_http(installation: Installation) -> None:
    user = await installation.new_user()
    base = f"http://127.0.0.1:{installation.config.web.port}"
    number = installation.lab.number("right", 70)
    link = (await installation.json_command("link", user))["link"]
    assert link.startswith(f"{base}/signin?token=")
    mine = f"{base}/v1/accounts/default/users/{user}/binding"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"Origin": base}) as browser:
        async with browser.get(link) as reply:  # opened, and its button pressed
            assert reply.status == 200
        async with browser.post(f"{base}/signin", data={"link": link.rpartition("=")[2]}) as reply:
            assert reply.status == 200
        async with browser.get(f"{mine}/events") as stream:
            key = {"Idempotency-Key": str(uuid4())}
            async with browser.put(mine, json={"number": number}, headers=key) as reply:
                assert reply.status == 202, await reply.text()
                attempt = (await reply.json())["attempt"]
            await installation.lab.set_code(number, attempt["code"])
            seen = [event async for event in attempts(stream, attempt["id"])]
        assert [event["state"] for event in seen if event["state"] != "answered"] == [
            *(state for state in ("queued", "dialing", "ringing") if state in {event["state"] for event in seen}),
            "ended",
        ]
        digits = [event["digits"] for event in seen if event["state"] == "answered"]
        assert digits == sorted(digits)
        assert all(event["code"] == attempt["code"] for event in seen[:-1])
        assert (seen[-1]["outcome"], seen[-1]["code"]) == ("verified", None)
        async with browser.get(mine) as reply:
            assert (await reply.json())["status"] == "verified"
    key_text = (installation.config.state_dir / "first-admin-key").read_text().strip()
    question = f"{base}/v1/accounts/default/extensions/{user}/trusted-number?format=text"
    key_header = {"Authorization": f"Bearer {key_text}"}
    async with aiohttp.ClientSession(headers=key_header) as program, program.get(question) as reply:
        assert await reply.text() == number
    log = await asyncio.to_thread(installation.log.read_text)
    for secret in (attempt["code"], key_text, link.rpartition("=")[2], number):
        assert secret not in log


async def attempts(stream: aiohttp.ClientResponse, attempt_id: str) -> Any:
    """The `attempt` events of one call up to its end."""
    name = ""
    async with asyncio.timeout(60 * SLOW):
        async for raw in stream.content:
            field, _, value = raw.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data" and name == "attempt":
                event = json.loads(value)
                if event["id"] == attempt_id:
                    yield event
                    if event["state"] == "ended":
                        return


async def test_keys_are_managed_by_commands(installation: Installation) -> None:
    made = await installation.json_command(
        "api-key", "add", "portal", "--scope", "account:default", "--scope", "lookup"
    )
    assert made["key"].startswith("bik_")
    await installation.json_command("api-key", "add", "short", "--scope", "lookup", "--days", "7")
    await installation.json_command("api-key", "add", "endless", "--scope", "lookup", "--days", "0")
    _, table, advice = await installation.command("api-key", "list")
    (line,) = [line for line in table.splitlines() if line.startswith("endless")]
    assert line.split()[-3:] == ["-", "no", "end"]  # never used
    for sentence in ("API key short ends in 7 days", "API key endless has no end"):
        assert sentence in advice
    assert "API key portal" not in advice
    status, _, told = await installation.command("api-key", "add", "portal", "--scope", "admin")
    assert (status, "already" in told) == (1, True)
    status, _, told = await installation.command("api-key", "add", "other", "--scope", "root")
    assert (status, "a scope is admin, account:NAME or lookup" in told) == (1, True)
    listed = {row["name"]: row for row in await installation.json_command("api-key", "list")}
    assert listed["portal"]["scopes"] == ["account:default", "lookup"]
    assert listed["portal"]["expires_at"] > listed["portal"]["created_at"]
    assert (listed["endless"]["expires_at"], listed["endless"]["used_at"]) == (None, None)
    assert made["key"] not in json.dumps(listed)
    assert (await installation.command("api-key", "remove", "portal"))[0] == 0
    assert (await installation.command("api-key", "remove", "portal"))[0] == 1
    for name in ("short", "endless"):
        assert (await installation.command("api-key", "remove", name))[0] == 0
    status, _, told = await installation.command("link", "nobody")
    assert (status, "binding-ivr user add nobody" in told) == (1, True)
