"""The commands about a binding's life, as an operator types them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from binding_ivr.call.outcome import Outcome
from tests.integration.command import commands_on

if TYPE_CHECKING:
    from tests.integration.conftest import World

A, B = "+12025550123", "+12025550188"


async def test_status_undo_and_reasons(world: World, dsn: str, tmp_path: Path) -> None:
    run = commands_on(dsn, tmp_path)
    await world.users("1001")
    assert (await run("undo", "1001")).err.startswith("binding-ivr: there is no earlier number")
    await world.prove("1001", A)
    status = (await run.done("status", "1001", "--json")).json
    assert (status["undo"], status["stale_since"]) == (None, None)
    assert status["verify_by"] > status["verified_at"]
    await world.finish(await world.dial("1001", B), Outcome.BUSY)
    told = (await run.done("status", "1001")).out
    assert f"{A}, until " in told
    assert "binding-ivr undo 1001" in told
    back = await run.done("undo", "1001", "--json")
    assert (back.json["number"], back.json["status"], len(back.json["attempt"]["code"])) == (A, "pending", 6)
    await run.done("cancel", "1001")
    await run.done("suspend", "1001", "--reason", "phone  lost")
    await run.done("resume", "1001", "--reason", "found")
    await run.done("remove", "1001", "--reason", "left")
    rows = await world.sql("SELECT action, reason FROM binding_ivr.audit WHERE reason <> '' ORDER BY id")
    assert [(row["action"], row["reason"]) for row in rows] == [
        ("binding.suspended", "phone lost"),
        ("binding.pending", "found"),
        ("binding.none", "left"),
    ]
