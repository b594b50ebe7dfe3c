"""A call as the command follows it, on a real PostgreSQL without Asterisk: what is said of a call that has not left."""

import asyncio
from pathlib import Path

from binding_ivr.app.installation import open_installation
from binding_ivr.app.live import follow, sentence
from binding_ivr.app.view import Shown
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import User
from tests.integration.api_service import config_for
from tests.integration.conftest import World
from tests.integration.fake_ari import until
from tests.patience import SLOW

WAITS = "waiting for a free line"


async def test_a_call_is_said_to_wait_for_a_line_only_when_it_does(dsn: str, tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []

    def tell(step: str, now: Shown) -> None:
        told.append((step, sentence(step, now, 6)))

    async with open_installation(config_for(dsn, tmp_path, call={"delay_s": 30})) as installation:
        world = World(installation.store)
        await installation.store.directory.import_users([User("default", "u1001", ("1001",), "", "")])
        shown = await installation.bindings.bind(
            "default", "u1001", "+12025550123", Actor(ActorKind.CLI, "root", Source.CLI)
        )
        following = asyncio.create_task(follow(installation, shown, tell))
        await until(lambda: len(told) == 1)

        await world.sql("UPDATE binding_ivr.attempts SET not_before = binding_ivr.clock() - interval '2 seconds'")
        await until(lambda: len(told) == 2)
        [claimed] = await installation.store.attempts.claim("test", 1, 30)
        await until(lambda: len(told) == 3)
        await world.finish(claimed.attempt_id, Outcome.BUSY)
        async with asyncio.timeout(5 * SLOW):
            ended = await following

    assert ended.outcome is Outcome.BUSY
    assert [step for step, _ in told] == ["queued", "waiting", "dialing", "ended"]
    assert [words for _, words in told][:3] == ["starting the call", WAITS, "calling"]
