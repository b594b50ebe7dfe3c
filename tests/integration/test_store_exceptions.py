"""Exceptions from the number policy: kept with reason and end, audited, and never for what nothing may lift."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from binding_ivr.app.bindings import Bindings
from binding_ivr.app.codes import Codes
from binding_ivr.app.lock import lock_of
from binding_ivr.app.numbers import Numbers
from binding_ivr.config import Config, load_keys
from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.rows import User
from binding_ivr.store import Store
from tests.integration.api_service import config_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import World

LONDON = "+442079460958"
MONTH = timedelta(days=30)
ADMIN = Actor(ActorKind.CLI, "root", Source.CLI)


@pytest.fixture
def config(dsn: str, tmp_path: Path) -> Config:
    return config_for(dsn, tmp_path)


async def test_it_allows_what_the_policy_refuses_until_it_ends(store: Store, world: World, config: Config) -> None:
    await world.users("1001", "1002", "1003")
    codes = Codes(config, load_keys(config))
    bindings, numbers = Bindings(config, store, codes), Numbers(config, store, codes)

    async def code(user: str) -> str:
        try:
            shown = await bindings.bind("default", user, LONDON, ADMIN)
        except Refusal as refusal:
            return refusal.code
        await bindings.cancel("default", user, ADMIN)
        assert shown.attempt.number == LONDON
        return ""

    assert await code("1001") == "region_not_allowed"
    excepted, end = await numbers.add_exception("", "+44 20 7946 0958", "  on  call\tdesk ", MONTH, ADMIN)
    assert (excepted.prefix, excepted.whole) == (LONDON, True)
    assert await code("1001") == ""
    assert "_442079460958" not in await lock_of(config, store)
    assert "exten => 442079460958,1," in await lock_of(config, store)
    [row] = await store.exceptions.all()
    assert (row.account, row.reason, row.who, row.expires_at, row.expired) == (
        "",
        "on call desk",
        "cli:root",
        end,
        False,
    )
    await store.clock.advance(30 * 86_400 + 1, ADMIN)
    assert await code("1002") == "region_not_allowed"
    assert "442079460958" not in await lock_of(config, store)
    assert [row.expired for row in await store.exceptions.all()] == [True]
    await numbers.add_exception("", LONDON, "once more", MONTH, ADMIN)
    assert await code("1003") == ""
    await numbers.remove_exception("", LONDON, ADMIN)
    assert await code("1003") == "region_not_allowed"
    with pytest.raises(NotFoundError):
        await numbers.remove_exception("", LONDON, ADMIN)
    audit = await world.sql(
        "SELECT account, action, who, detail ->> 'prefix' AS prefix, detail ->> 'reason' AS why "
        "FROM binding_ivr.audit WHERE action LIKE 'exception.%' ORDER BY id"
    )
    assert [tuple(row.values()) for row in audit] == [
        ("", "exception.added", "cli:root", LONDON, "on call desk"),
        ("", "exception.added", "cli:root", LONDON, "once more"),
        ("", "exception.removed", "cli:root", LONDON, "once more"),
    ]


async def test_an_account_has_exceptions_of_its_own(store: Store, config: Config) -> None:
    await store.directory.add_account("acme")
    await store.directory.import_users([User("acme", "1", (), "", ""), User("default", "1", (), "", "")])
    codes = Codes(config, load_keys(config))
    bindings, numbers = Bindings(config, store, codes), Numbers(config, store, codes)
    await numbers.add_exception("acme", "+442", "an office", MONTH, ADMIN, prefix=True)
    assert (await store.bindings.facts("default", "1")).excepted == []
    with pytest.raises(Refusal, match="country"):
        await bindings.bind("default", "1", LONDON, ADMIN)
    assert (await bindings.bind("acme", "1", LONDON, ADMIN)).attempt.number == LONDON
    with pytest.raises(NotFoundError, match="no account"):
        await numbers.add_exception("none", LONDON, "an office", MONTH, ADMIN)


@pytest.mark.parametrize(
    ("text", "prefix", "code"),
    [
        ("+19005551234", False, "premium_number"),
        ("212 976 1234", False, "premium_number"),
        ("+870773111632", False, "satellite_number"),
        ("911", False, "emergency_number"),
        ("411", False, "short_number"),
        ("+44 909 8765432", False, "premium_number"),
        ("1", False, "not_a_number"),
        ("+1 202", False, "not_valid"),
        ("+881", True, "satellite_number"),
        ("+88216", True, "satellite_number"),
        ("+9791", True, "premium_number"),
        ("+1212976", True, "premium_number"),
        ("+", True, "invalid"),
        ("+4", True, "invalid"),
        ("44", True, "invalid"),
        ("+44X", True, "invalid"),
    ],
)
async def test_what_nothing_lifts_is_no_exception(
    store: Store, config: Config, text: str, prefix: bool, code: str
) -> None:
    with pytest.raises(Refusal) as refused:
        await Numbers(config, store, Codes(config, load_keys(config))).add_exception(
            "", text, "because", MONTH, ADMIN, prefix=prefix
        )
    assert refused.value.code == code
    assert await store.exceptions.all() == []


async def test_reason_and_end_are_needed(store: Store, config: Config) -> None:
    now = (await store.clock.read()).now
    reasons: list[tuple[str, datetime | timedelta]] = [("no", MONTH), (" " * 9, MONTH), ("x" * 201, MONTH)]
    ends: list[datetime | timedelta] = [timedelta(0), timedelta(days=367), now - MONTH, now + 13 * MONTH]
    numbers = Numbers(config, store, Codes(config, load_keys(config)))
    for reason, until in [*reasons, *(("because", end) for end in ends)]:
        with pytest.raises(Refusal) as refused:
            await numbers.add_exception("", LONDON, reason, until, ADMIN)
        assert refused.value.code == "invalid"
    assert (await numbers.add_exception("", LONDON, "because", now + MONTH, ADMIN))[1] == now + MONTH
