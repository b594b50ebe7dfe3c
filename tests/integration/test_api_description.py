"""The OpenAPI description is what the running service does: schemathesis asks every call all it can think of."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from binding_ivr.lab.command import to_toml
from binding_ivr.lab.net import free_port
from binding_ivr.model.daytimes import ALWAYS
from tests.generous import GENEROUS
from tests.integration.api_service import ROUTES, SECRET
from tests.patience import SLOW

CASES_PER_CALL = 15
SETTINGS = """
[checks]
# what is well-formed may still be refused for what it says: no such number, a limit, a conflict, an entity tag
positive_data_acceptance.expected-statuses = ["2xx", 304, 401, 403, 404, 409, 412, 415, 422, 429]
"""
ONE_USER = """
[parameters]
"path.account" = "default"
"path.user_id" = "1001"
"""


@asynccontextmanager
async def service_process(dsn: str, folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """A `binding-ivr serve` process without Asterisk; yields its address and its configuration."""
    port = free_port("127.0.0.1")
    path = folder / "binding-ivr.toml"
    sections: dict[str, Any] = {
        "service": {"node": "described", "state_dir": str(folder / "state")},
        "database": {"dsn": dsn, "pool_max": 10},
        "ari": {"url": "http://127.0.0.1:9", "user": "nobody"},
        "agi": {"port": 0},
        "web": {"port": port, "requests_per_second": 100_000},
        "metrics": {"port": 0},
        "auth": {"jwt_secret": SECRET},
        "call": {"hours": ALWAYS},
        "limits": {**GENEROUS, "queue_length": 10_000},
        "routes": ROUTES,
    }
    path.write_text(to_toml(sections))
    with (folder / "service.log").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "binding_ivr", "serve", "--config", str(path), stdout=out, stderr=out
        )
    try:
        url = f"http://127.0.0.1:{port}"
        await until_live(url, process)
        yield url, path
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20 * SLOW):
            assert await process.wait() == 0


async def until_live(url: str, process: asyncio.subprocess.Process) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(30 * SLOW):
        while process.returncode is None:
            try:
                async with http.get(f"{url}/health/live") as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
    raise AssertionError("the service ended")


async def run(*words: str, folder: Path, **environ: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environ},
        cwd=folder,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


@pytest.mark.parametrize(
    ("settings_", "phases"),
    [(SETTINGS, "examples,coverage,fuzzing"), (SETTINGS + ONE_USER, "fuzzing,stateful")],
    ids=["any names", "one user"],
)
async def test_every_call_does_what_its_description_says(dsn: str, tmp_path: Path, settings_: str, phases: str) -> None:
    async with service_process(dsn, tmp_path) as (url, config):
        _, told = await run(
            "binding_ivr", "api-key", "add", "tester", "--scope", "admin", "--config", str(config), folder=tmp_path
        )
        key = told.splitlines()[0]
        await run("binding_ivr", "user", "add", "1001", "--config", str(config), folder=tmp_path)
        settings = tmp_path / "schemathesis.toml"
        settings.write_text(settings_)
        status, report = await run(
            "schemathesis.cli",
            f"--config-file={settings}",
            "run",
            f"{url}/openapi.json",
            f"--header=Authorization: Bearer {key}",
            "--checks=all",
            "--exclude-operation-id=getEvents",  # it does not end; tested in test_api_events
            f"--phases={phases}",
            f"--max-examples={CASES_PER_CALL}",
            "--generation-deterministic",
            "--request-timeout=10",
            "--workers=1",
            "--no-color",
            folder=tmp_path,
        )
        log = (tmp_path / "service.log").read_text()
    assert status == 0, report[-60000:]
    assert "web.fault" not in log
    assert "Traceback" not in log
    assert key not in log
