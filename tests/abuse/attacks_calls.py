"""Attacks that want calls: a stolen session that sweeps numbers, one victim rung by many, two nodes at once."""

import asyncio

from binding_ivr.model.outcome import AttemptState
from tests.abuse import honest
from tests.abuse.budget import DAY, HOUR, above, most_in
from tests.abuse.scene import ACCOUNT, Scene

SWEPT = ("hangup_at", "busy", "declined", "unallocated", "rejected", "early_busy")
"""What the phones of strangers do when they are swept."""
CROWD = 50
FLOOD = 200


async def stolen_session(scene: Scene, days: float = 2.0) -> None:
    """One user's token: every hour eight numbers that are new, then the last three again."""
    numbers = [await scene.phone(at, SWEPT[at % len(SWEPT)]) for at in range(140)]
    await scene.users("1001")
    fresh, at = 0, 0.0
    while at <= days * DAY:
        for number in [numbers[(fresh + n) % len(numbers)] for n in range(8)] + numbers[:3]:
            reply = await scene.ask("1001", number)
            if reply.accepted:
                await scene.ended(reply)
        fresh += 8
        await scene.advance(HOUR)
        at += HOUR
        if at == 3 * HOUR:
            await honest.served(scene)
    times = [leg.at for leg in scene.legs if leg.number in numbers]
    for name in ("user_hour", "user_day"):
        scene.broken += above(times, name, scene.budget, "user")
    swept = {leg.number for leg in scene.legs if leg.number in numbers}
    allowed = scene.budget.user_new_numbers_day * int(days + 1)
    scene.expect(len(swept) <= allowed, f"{len(swept)} different numbers were called, {allowed} allowed")
    scene.notes.append(f"{len(swept)} different numbers called in {days:g} days, {len(numbers)} wanted")


async def one_victim(scene: Scene, days: float = 7.0) -> None:
    """Fifty users, each from an address of its own, ask for calls to the same phone, again and again."""
    users = [f"{1000 + n}" for n in range(CROWD)]
    await scene.users(*users)
    answers = await scene.phone(0, "hangup_at", after_ms=300)
    declines = await scene.phone(1, "declined")
    minutes = [0.0, 1.1, 4.0, 10.0, 30.0]
    steps = [60 * minute for minute in minutes] + [n * HOUR for n in range(1, 27, 2)]
    steps += [n * 6 * HOUR for n in range(5, int(days * 4) + 1)]
    now = 0.0
    for step in sorted(step for step in steps if step <= days * DAY):
        await scene.advance(step - now)
        now = step
        for victim in (answers, declines):
            replies = await asyncio.gather(
                *(scene.ask(user, victim, node=n % 2) for n, user in enumerate(users)),
            )
            scene.expect(sum(reply.accepted for reply in replies) <= 1, "two calls at once to one number")
        if step == HOUR:
            await honest.served(scene)
    await scene.collect()
    picked_up = [leg for leg in scene.calls_to(answers) if leg.answered]
    allowed = scene.budget.number_unproven
    scene.expect(len(picked_up) <= allowed, f"the victim was rung {len(picked_up)} times, {allowed} allowed")
    most = most_in([leg.at for leg in scene.calls_to(declines)], DAY)
    scene.notes.append(f"a victim who answers: {len(picked_up)} calls in {days:g} days; who declines: {most} in a day")


async def race(scene: Scene) -> None:
    """Two hundred requests in one moment, half at each node: of one user, of all users to one number, of all to all."""
    users = [f"{1000 + n}" for n in range(FLOOD)]
    await scene.users(*users)
    # These ring until the flood is over: a call that has ended would make room for the next.
    numbers = [await scene.phone(at, "no_answer") for at in range(FLOOD)]
    await _flood(scene, "one user, 200 numbers", 1, [(users[0], number) for number in numbers])
    await _flood(scene, "200 users, one number", 1, [(user, numbers[1]) for user in users])
    for at in range(FLOOD):
        await scene.phone(at, SWEPT[at % len(SWEPT)])
    await _flood(scene, "200 users, 200 numbers", scene.budget.account_hour, list(zip(users, numbers, strict=True)))
    await honest.served(scene)


async def _flood(scene: Scene, name: str, allowed: int, asks: list[tuple[str, str]]) -> None:
    """Ask for all of *asks* (user, number) at once; exactly *allowed* calls may leave."""
    await scene.advance(DAY + HOUR)
    before = len(scene.legs)
    replies = await asyncio.gather(*(scene.ask(user, number, node=n % 2) for n, (user, number) in enumerate(asks)))
    promised = [(user, reply) for (user, _), reply in zip(asks, replies, strict=True) if reply.accepted]
    for user, reply in promised if allowed == 1 else ():
        await scene.reaches(reply, AttemptState.RINGING)
        await scene.http("DELETE", f"/v1/accounts/{ACCOUNT}/users/{user}/binding/attempt", user)
    await scene.collect()
    left = len(scene.legs) - before
    scene.expect(left == len(promised), f"{name}: {len(promised)} calls were promised, {left} left")
    exact = left == allowed or (left < allowed and any(name.endswith("_breaker") for name in scene.refused))
    scene.expect(exact, f"{name}: {left} calls left, exactly {allowed} allowed")
    scene.notes.append(f"{name}: {left} of {len(asks)}")
