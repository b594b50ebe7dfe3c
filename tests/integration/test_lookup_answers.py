"""The service's own answer to a look-up: how it dials for each account, and how seldom it asks PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from binding_ivr.app.credentials import StoredCredentials
from binding_ivr.app.lookups import StoreLookups
from binding_ivr.app.signin import add_key
from binding_ivr.config import Config
from binding_ivr.config.sections import Route
from binding_ivr.model.lookups import LookupStatus
from binding_ivr.model.rows import SuspendReason
from binding_ivr.web.auth.credentials import Credentials

if TYPE_CHECKING:
    from binding_ivr.store import Store
    from tests.integration.conftest import World

A, B = "+12025550101", "+12025550102"
CONFIG = Config(routes=(Route("installation", "PJSIP/{e164}@installation"),))


@pytest.mark.parametrize(
    ("settings", "dial"),
    [
        ({}, f"PJSIP/{A}@installation"),
        ({"call": {"ring_s": 30}}, f"PJSIP/{A}@installation"),
        ({"routes": [{"name": "own", "endpoint": "PJSIP/{digits}@own"}]}, f"PJSIP/{A[1:]}@own"),
        ({"routes": [{"name": "de", "endpoint": "PJSIP/{e164}@de", "regions": ["DE"]}]}, ""),
        ({"routes": [{"name": "own"}]}, f"PJSIP/{A}@installation"),  # no longer valid: the installation's stand in
    ],
)
async def test_the_routes_of_the_account_make_the_dial_string(
    world: World, settings: dict[str, Any], dial: str
) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await world.store.directory.set_settings("default", settings)
    lookups = StoreLookups(CONFIG, world.store)
    number = await lookups.trusted_number("default", "1001")
    assert (number.status, number.number, number.dial) == (LookupStatus.FOUND, A, dial)
    assert await lookups.trusted_caller(A) == number


async def test_every_answer_costs_one_query(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.users("1001", "1002", "1003")
    await world.prove("1001", A)
    await world.prove("1002", B)
    await world.store.bindings.suspend("default", "1002", SuspendReason.ADMIN, world.actor)
    asked = counted(world.store, monkeypatch)
    lookups = StoreLookups(CONFIG, world.store)
    answers = [
        *[await lookups.trusted_number("default", extension) for extension in ("1001", "1002", "1003")],
        *[await lookups.trusted_caller(number) for number in (A, B)],
    ]
    assert [answer.status.value for answer in answers] == ["FOUND", "SUSPENDED", "NONE", "FOUND", "NONE"]
    assert asked == ["trusted_number"] * 3 + ["trusted_caller"] * 2


async def test_the_use_of_a_key_is_asked_for_once_a_minute(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waits for a look-up over HTTP, too, and its key is always the same."""
    key = (await add_key(world.store, "pbx", ["lookup"])).text
    credentials = Credentials(CONFIG, StoredCredentials(world.store), b"x" * 32)
    asked = counted(world.store, monkeypatch)
    for _ in range(3):
        await credentials.key(key)
    assert asked == ["api_key", "note_api_key_use", "api_key", "api_key"]
    (before,) = await world.store.web.keys()
    async with world.store.db.link() as link:
        await link.execute("UPDATE binding_ivr.api_keys SET used_at = used_at - interval '61 seconds'")
    asked.clear()
    await credentials.key(key)
    assert asked == ["api_key", "note_api_key_use"]
    (after,) = await world.store.web.keys()
    assert before.used_at is not None
    assert after.used_at is not None
    assert after.used_at > before.used_at


def counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which every query of *store* is added from now on."""
    names: list[str] = []
    for method in ("row", "rows", "run"):
        original = getattr(store.db, method)

        async def noting(name: str, *args: Any, original: Any = original) -> Any:
            names.append(name)
            return await original(name, *args)

        monkeypatch.setattr(store.db, method, noting)
    return names
