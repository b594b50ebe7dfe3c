"""The life of a binding after its proof: stale, suspended by age, changed back, ended by the PBX's own numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.conftest import World

A, B = "+15551230001", "+15551230002"


async def test_growing_stale_is_told_once(world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await world.sql("UPDATE binding_ivr.bindings SET stale_at = now(), suspend_at = now() + interval '30 days'")
    await world.sql("UPDATE binding_ivr.bindings SET updated_at = now()")
    assert (await world.events("1001")).count("binding.stale") == 1
    [told] = await world.sql(
        "SELECT payload ->> 'suspend_at' AS until FROM binding_ivr.outbox WHERE name = 'binding.stale'"
    )
    assert told["until"]
    [row] = await world.sql("SELECT action FROM binding_ivr.audit ORDER BY id DESC LIMIT 1")
    assert row["action"] == "binding.stale"
    await world.prove("1001", A)
    [row] = await world.sql("SELECT stale_at, suspend_at, status FROM binding_ivr.bindings")
    assert row == {"stale_at": None, "suspend_at": None, "status": "verified"}


async def test_a_change_keeps_the_proven_number_and_who_changed_it(world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await world.accept("1001", B)
    [row] = await world.sql("SELECT number, previous_number, changed_by FROM binding_ivr.bindings")
    assert row == {"number": B, "previous_number": A, "changed_by": "user:test"}
