"""The attack that wants money: premium, satellite and faraway numbers, from a new account and from open ones."""

import asyncio
from collections.abc import Sequence

from binding_ivr.policy.ranges import covers
from tests.abuse import costly, honest
from tests.abuse.budget import above
from tests.abuse.scene import ACCOUNT, Reply, Scene

WIDE, OPEN = "wide", "open"
_WORLD = {
    "regions": ["*"],
    "types": ["MOBILE", "FIXED_LINE_OR_MOBILE", "FIXED_LINE", "VOIP", "PERSONAL_NUMBER"],
}
GROUP = 20
"""Requests under way at once."""


async def costly_numbers(scene: Scene, every: int = 1) -> None:
    """Ask three accounts for every costly number (or each *every*-th): as made, with all regions, with no `deny` too.

    Then the account with all regions calls one phone of every region, which it is allowed to.
    """
    users = [f"{1000 + n}" for n in range(100)]
    await scene.opened.store.directory.add_account(WIDE, {"number": _WORLD})
    await scene.opened.store.directory.add_account(OPEN, {"number": {**_WORLD, "deny": []}})
    for account in (ACCOUNT, WIDE, OPEN):
        await scene.users(*users, account=account)
    extra, far = costly.extra_paid()[::every], costly.far_away()[::every]
    await _none_is_promised(scene, users, ACCOUNT, extra + far)
    await _none_is_promised(scene, users, WIDE, extra)
    await _none_is_promised(scene, users, OPEN, extra)
    for number in far:
        await scene.lab.set_script(number, "hangup_at", after_ms=100, ring_ms=50)
    await _ask(scene, users, WIDE, far)
    await scene.collect()
    times = [leg.at for leg in scene.legs]
    for name in ("account_hour", "account_day"):
        scene.broken += above(times, name, scene.budget, "account")
    dear = [leg for leg in scene.legs if any(covers(prefix, leg.number) for prefix in scene.config.number.deny)]
    scene.expect(not dear, f"{len(dear)} calls went to prefixes of [number] deny")
    scene.notes.append(
        f"{len(extra)} extra-paid and {len(far)} faraway numbers; {len(times)} faraway ones were called, all by the "
        "account that allows every region"
    )
    await honest.served(scene)


async def _none_is_promised(scene: Scene, users: Sequence[str], account: str, numbers: Sequence[str]) -> None:
    replies = await _ask(scene, users, account, numbers)
    for number, reply in zip(numbers, replies, strict=True):
        scene.expect(not reply.accepted, f"account {account} was promised a call to {number[:5]}…")


async def _ask(scene: Scene, users: Sequence[str], account: str, numbers: Sequence[str]) -> list[Reply]:
    replies: list[Reply] = []
    for begin in range(0, len(numbers), GROUP):
        group = list(enumerate(numbers))[begin : begin + GROUP]
        replies += await asyncio.gather(
            *(scene.ask(users[at % len(users)], number, account=account, node=at % 2) for at, number in group)
        )
    return replies
