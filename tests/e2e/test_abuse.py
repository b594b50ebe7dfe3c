"""The cheap attacks of `make abuse` in short, so that they do not rot, and one that is found to break limits."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from binding_ivr.lab import Lab
from tests.abuse.__main__ import status
from tests.abuse.attacks import run
from tests.abuse.attacks_calls import one_victim, stolen_session
from tests.abuse.attacks_codes import de_bruijn, wrong_codes
from tests.abuse.attacks_money import costly_numbers
from tests.abuse.report import Result, table
from tests.abuse.scene import place
from tests.generous import GENEROUS

SHORT = {
    "race": None,
    "sweep": partial(stolen_session, days=0.25),
    "no-breaker": partial(wrong_codes, weeks=0.2, users=6, really=False),
    "victim": partial(one_victim, days=0.2),
    "de-bruijn": partial(de_bruijn, calls=1),
    "premium": partial(costly_numbers, every=8),
}
WITHOUT_TELEPHONY = {"no-breaker"}
WITHOUT_LIMITS = "greeting"
"""Whose scene the attack is run in that has nodes without limits."""


@pytest.fixture(scope="module")
async def results(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Result]]:
    folder: Path = tmp_path_factory.mktemp("abuse")
    async with Lab() as lab, place(lab, folder) as at:
        lines = asyncio.Semaphore(3)

        async def one(name: str) -> Result:
            async with lines:
                if name == WITHOUT_LIMITS:
                    return await run(at, name, partial(one_victim, days=0.1), {"limits": GENEROUS})
                return await run(at, name, SHORT[name])

        names = (*SHORT, WITHOUT_LIMITS)
        ended = await asyncio.gather(*(one(name) for name in names))
        yield dict(zip(names, ended, strict=True))


@pytest.mark.parametrize("name", SHORT)
async def test_an_attack_gets_nothing(results: dict[str, Result], name: str) -> None:
    result = results[name]
    assert result.broken == []
    assert (result.premium, result.bindings) == (0, 0)
    assert result.requests > 0
    assert result.left > (name not in WITHOUT_TELEPHONY)  # the honest user's own call is one
    assert result.control.endswith("verified")


async def test_a_race_lets_pass_exactly_what_is_allowed(results: dict[str, Result]) -> None:
    race = results["race"]
    assert race.requests - sum(race.refused.values()) == 1 + 1 + 20
    assert race.left == 1 + 1 + 20 + 1


async def test_without_limits_the_verdict_is_another(results: dict[str, Result]) -> None:
    result = results[WITHOUT_LIMITS]
    assert any(sentence.startswith("number_hour: ") for sentence in result.broken)
    assert any(sentence.startswith("the victim was rung ") for sentence in result.broken)
    assert "BROKEN" in table([result])
    assert status([results["sweep"]]) == 0
    assert status([results["sweep"], result]) == 1
