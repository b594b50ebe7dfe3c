"""PostgreSQL is cut or stalls in the middle of a call: no proof is lost, none is invented, no channel is left."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from binding_ivr.embedded.server import open_embedded
from binding_ivr.lab import Lab
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.model.rows import BindingStatus
from tests.e2e.data_folder import READY
from tests.e2e.installation import Installation, installed
from tests.e2e.proxy import Proxy
from tests.patience import SLOW


@asynccontextmanager
async def behind_a_proxy(
    lab: Lab, folder: Path, node: str, sections: Mapping[str, Mapping[str, Any]] | None = None
) -> AsyncIterator[tuple[Installation, Proxy]]:
    """An installation whose service reaches PostgreSQL through a proxy; the test's own does so directly."""
    await READY.copy_to(folder / "state")
    embedded = await open_embedded(folder / "state")
    socket_folder = parse_qs(urlsplit(embedded.dsn).query)["host"][0]
    (target,) = [
        path for path in Path(socket_folder).iterdir() if path.name.startswith(".s.PGSQL") and path.is_socket()
    ]
    proxy = Proxy(folder, target)
    await proxy.start()
    try:
        async with installed(lab, folder, node=node, app=node, sections=sections) as one:
            dsn = embedded.dsn.replace(quote(socket_folder, safe=""), quote(str(folder), safe="")).replace(
                socket_folder, str(folder)
            )
            one.path.write_text(one.path.read_text() + f'\n[database]\ndsn = "{dsn}"\n')
            await one.serve()
            yield one, proxy
            proxy.resume()
    finally:
        await proxy.cut()
        await embedded.close()


@pytest.mark.parametrize("how", ["cut", "stall"])
async def test_postgresql_is_away_while_the_code_is_keyed(lab: Lab, tmp_path: Path, how: str) -> None:
    async with behind_a_proxy(lab, tmp_path, f"away-{how}") as (one, proxy):
        user, number = await one.new_user(), lab.number("right", 140 + len(how))
        await lab.set_script(number, "right", after_ms=4000)
        shown = await one.bind(user, number)
        await one.state(shown.attempt.attempt_id, AttemptState.ANSWERED)
        await proxy.cut() if how == "cut" else proxy.stall()
        async with asyncio.timeout(30 * SLOW):
            while "digits" not in await lab.heard(number):  # the code has been keyed
                await asyncio.sleep(0.1)
        assert (await one.opened.bindings.status("default", user)).status is BindingStatus.PENDING
        await proxy.start() if how == "cut" else proxy.resume()
        attempt = await one.ended(shown)
        assert attempt.outcome is Outcome.VERIFIED
        assert (await one.opened.bindings.status("default", user)).status is BindingStatus.VERIFIED
        await one.no_channels()
        assert one.process is not None
        assert one.process.returncode is None


async def test_after_postgresql_comes_back_calls_go_on(lab: Lab, tmp_path: Path) -> None:
    async with behind_a_proxy(lab, tmp_path, "back") as (one, proxy):
        await proxy.cut()
        await one.logged("PostgreSQL")
        shown = await one.bind(await one.new_user(), lab.number("right", 150))
        await proxy.start()
        assert (await one.ended(shown)).outcome is Outcome.VERIFIED
