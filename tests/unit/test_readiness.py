"""When a node says that it can work."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from binding_ivr.errors import UnavailableError
from binding_ivr.node.service import Readiness


class FakeAttempts:
    def __init__(self, is_there: bool) -> None:
        self.is_there = is_there

    async def next_due(self) -> None:
        if not self.is_there:
            raise UnavailableError("PostgreSQL does not answer")


@pytest.mark.parametrize(
    ("ari", "mirror", "postgresql", "dialing", "not_ok"),
    [
        (True, "ok", True, True, set()),
        (True, None, True, True, set()),
        (False, "ok", True, True, {"ari"}),
        (True, "behind", True, True, {"mirror"}),
        (True, "ok", False, True, {"postgresql"}),
        (True, "ok", True, False, {"dialing"}),  # the last step of the start, which may still end the service
        (False, "behind", False, False, {"ari", "mirror", "postgresql", "dialing"}),
    ],
)
async def test_a_node_is_ready_when_each_part_is(
    ari: bool, mirror: str | None, postgresql: bool, dialing: bool, not_ok: set[str]
) -> None:
    def fake(**attributes: Any) -> Any:
        return cast("Any", SimpleNamespace(**attributes))

    ready = Readiness(
        fake(store=fake(attempts=FakeAttempts(postgresql))),
        fake(ready=ari),
        None if mirror is None else fake(health=mirror),
        fake(running=dialing),
    )
    parts = await ready()
    assert {name for name, told in parts.items() if told != "ok"} == not_ok
