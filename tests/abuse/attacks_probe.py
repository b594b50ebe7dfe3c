"""The attack on what others do: who has this number, and which are not called? All answers must look alike."""

import re
import statistics
import time
from collections.abc import Mapping

from binding_ivr.model.outcome import AttemptState
from tests.abuse import honest
from tests.abuse.budget import HOUR
from tests.abuse.scene import ACCOUNT, REHEARSAL, Reply, Scene

ROUNDS = 12
VOLATILE = {"Date", "X-Request-Id"}
PROBER, THRIFTLESS = "prober", "thriftless"
_OF_THIS_CALL = re.compile(
    r'"(id|code|number|number_written|created_at|shown_until|expires_at|since)":("[^"]*"|null)'
    r'|"(state)":"(?:queued|dialing|ringing)"'  # how far the call is by now
)


async def probing(scene: Scene, rounds: int = ROUNDS) -> None:
    """Ask for numbers that others hold, suppressed, were called too often at or are called at: are they told apart?"""
    await scene.users(PROBER, THRIFTLESS, *(f"{1000 + n}" for n in range(20)))
    hidden = await _hidden(scene)
    times: dict[str, list[float]] = {name: [] for name in hidden}
    for _ in range(rounds):
        await _alike(scene, PROBER, hidden, times)
    scene.expect(set(scene.refused) <= {"try_later"}, f"the prober was told more: {dict(scene.refused)}")
    medians = ", ".join(f"{name} {1000 * statistics.median(each):.1f}" for name, each in times.items())
    scene.notes.append(f"{len(hidden)} kinds of hidden numbers; median ms of the answers: {medians}")
    await _with_limits_used_up(scene, hidden)
    await _taken(scene)
    await _others(scene)
    await honest.served(scene)


async def _alike(scene: Scene, user: str, numbers: Mapping[str, str], times: Mapping[str, list[float]]) -> None:
    """Ask for each of *numbers* and compare what is told; add how long each answer took to *times*."""
    told: dict[str, list[str]] = {}
    for name, number in numbers.items():
        begun = time.perf_counter()
        reply = await scene.ask(user, number)
        times[name].append(time.perf_counter() - begun)
        told.setdefault(_face(reply), []).append(name)
    scene.expect(len(told) == 1, f"{len(told)} different answers: {sorted(told.values())}")


async def _with_limits_used_up(scene: Scene, hidden: Mapping[str, str]) -> None:
    """A prober who is told of a limit of his own is told it for every number, the hidden ones too."""
    before = scene.refused["user_new_numbers_day"]
    await _alike(scene, THRIFTLESS, hidden, {name: [] for name in hidden})
    told = scene.refused["user_new_numbers_day"] - before
    scene.expect(told == len(hidden), f"{len(hidden) - told} hidden numbers are known by a limit that is not told")


async def _hidden(scene: Scene) -> dict[str, str]:
    """Bring numbers into every state that must not be told; the one in a call rings as long as it can."""
    reported = await scene.phone(0, "star", after_ms=200)
    locked = await scene.phone(1, "hangup_at", after_ms=100)
    often = await scene.phone(2, "busy")
    suppressed = scene.number(3)
    ringing = await scene.phone(4, "no_answer")
    denied = scene.number(5)
    deny = [*scene.config.number.deny, denied]
    await scene.opened.store.directory.set_settings(ACCOUNT, {"number": {"deny": deny}})
    await scene.opened.numbers.suppress(suppressed, REHEARSAL)
    for at in range(scene.budget.user_new_numbers_day):
        await _call(scene, THRIFTLESS, await scene.phone(20 + at, "busy"))
    await scene.advance(HOUR)
    await _call(scene, "1000", reported)
    for n in range(scene.budget.number_unproven):
        await _call(scene, f"{1001 + n}", locked)
        await scene.advance(HOUR)
    for n in range(scene.budget.number_hour):
        await _call(scene, f"{1004 + n}", often)
        await scene.advance(300)
    in_call = await scene.ask("1008", ringing)
    scene.expect(in_call.accepted, "nobody could be called to be found in a call")
    await scene.reaches(in_call, AttemptState.RINGING)
    return {
        "reported by its owner": reported,
        "suppressed by the administrator": suppressed,
        "unproven too often": locked,
        "called too often": often,
        "in another's call": ringing,
        "denied one by one": denied,
    }


async def _call(scene: Scene, user: str, number: str) -> None:
    reply = await scene.ask(user, number)
    scene.expect(reply.accepted, f"the scene could not be set: {reply.text}")
    if reply.accepted:
        await scene.ended(reply)


async def _taken(scene: Scene) -> None:
    """A number that another user has proven is accepted as any other."""
    taken = await scene.phone(7, "right", after_ms=200)
    proof = await scene.ask("1010", taken)
    scene.owners.add((ACCOUNT, "1010", taken))
    await scene.lab.set_code(taken, proof.json["attempt"]["code"])
    scene.expect((await scene.ended(proof)).outcome == "verified", "the holder could not prove the number")
    await scene.advance(HOUR)
    await scene.lab.set_script(taken, "busy")
    free = await scene.phone(8, "busy")
    faces = set()
    for user, number in (("1011", taken), ("1012", free)):
        reply = await scene.ask(user, number)
        faces.add(_face(reply, user))
        scene.expect((await scene.ended(reply)).outcome == "busy", "a phone that is busy was not called")
    scene.expect(len(faces) == 1, f"a number that another user has is told from a free one: {sorted(faces)}")
    await scene.collect()


async def _others(scene: Scene) -> None:
    """Other users' bindings and the look-ups are closed to a user, whoever is there."""
    for paths in (
        [f"/v1/accounts/{ACCOUNT}/users/{user}/binding" for user in ("1010", "1011", "nobody")],
        [f"/v1/trusted-callers/{scene.number(at)}" for at in (7, 8, 9)],
        [f"/v1/accounts/{ACCOUNT}/extensions/{extension}/trusted-number" for extension in ("1010", "1011", "9999")],
    ):
        replies = [await scene.http("GET", path, PROBER) for path in paths]
        scene.requests += len(replies)
        scene.refused.update(reply.why for reply in replies if reply.status >= 400)
        scene.expect(len({_face(reply) for reply in replies}) == 1, f"{paths[0]} tells who is there")
        scene.expect(all(reply.status in (403, 404) for reply in replies), f"{paths[0]} is open to every user")


def _face(reply: Reply, user: str = "") -> str:
    """What can be told from a reply, but for what differs between any two calls."""
    text = _OF_THIS_CALL.sub(lambda match: f"{match[1] or match[3]}…", reply.text)
    return f"{reply.status} {_steady(reply.headers, length=not user)} {text.replace(user, 'USER') if user else text}"


def _steady(headers: Mapping[str, str], *, length: bool) -> list[tuple[str, str]]:
    left_out = VOLATILE if length else VOLATILE | {"Content-Length", "ETag"}
    return sorted((name, value) for name, value in headers.items() if name not in left_out)
