"""Who asks the issuer for its keys, and when."""

import asyncio

import pytest

from binding_ivr.web.auth.jwks import KeySet
from binding_ivr.web.problems import Problem


async def test_who_comes_while_the_issuer_is_silent_does_not_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked, silent = [100_000.0], 0, asyncio.Event()

    async def fetch(self: KeySet) -> bytes:
        nonlocal asked
        asked += 1
        await silent.wait()
        raise TimeoutError

    monkeypatch.setattr(KeySet, "_fetch", fetch)
    keys = KeySet("http://issuer.example", clock=lambda: now[0])
    first = asyncio.create_task(keys.key("RS256", "1"))
    while asked == 0:
        await asyncio.sleep(0)
    second = asyncio.create_task(keys.key("RS256", "1"))
    for _ in range(5):
        await asyncio.sleep(0)  # it waits for the first by now
    now[0] += 3.0
    silent.set()
    for waiting in (first, second):
        with pytest.raises(Problem) as caught:
            await waiting
        assert (caught.value.status, caught.value.code) == (503, "no_token_keys")
    assert asked == 1
    now[0] += 1.5  # and later somebody tries anew
    with pytest.raises(Problem):
        await keys.key("RS256", "1")
    assert asked == 2
