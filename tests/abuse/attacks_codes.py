"""Attacks on the access code: guessing for weeks, replays, recorded greetings, a stream with every code in it."""

import asyncio
import random

from binding_ivr.model.outcome import AttemptState
from binding_ivr.model.rows import AttemptRow
from tests.abuse import honest
from tests.abuse.budget import DAY, HOUR
from tests.abuse.guesses import STOOD_S, Guesser, chance
from tests.abuse.scene import ACCOUNT, REHEARSAL, Reply, Scene

STEP_S = 3 * HOUR
"""How often each of those who guess for weeks asks for a call."""
REST = "w" * 9
"""Between two entries: as long as the notice that the last one was wrong."""
STREAM = 880
"""Digits that fit into one message to the phone network: a hundred seconds of keys, more than a call takes."""
PLANTED_AT = 3
"""Where in the stream the right code begins: an entry of six digits ends in the middle of it."""
OF_THE_ASKER = ("user_", "account_", "address_", "system_hour", "system_day", "system_minutes", "system_breaker")
"""Refusals that another number does not get around."""


async def wrong_codes(scene: Scene, weeks: float = 3.0, users: int = 20, *, really: bool = True) -> None:
    """Key wrong codes: *really* into calls until the user is locked out, then for weeks without telephony."""
    names = [f"{1000 + n}" for n in range(users)]
    await scene.users(*names)
    if really:
        await _locked_out(scene, names[0])
    await scene.stop()  # the nodes would dial what the guesser asks for
    guesser, at, next_number = Guesser(scene, seed=5), 0.0, dict.fromkeys(names, 0)
    while at < weeks * 7 * DAY:
        for place, name in enumerate(names):
            for _ in range(2):  # when this number is used up, the next one
                why = await guesser.guess(name, _far_number(place, next_number[name]))
                if not why or why.startswith(OF_THE_ASKER):
                    break
                next_number[name] += 1
        await scene.opened.store.clock.advance(STEP_S, REHEARSAL)
        scene.ahead_s += STEP_S
        at += STEP_S
    most = int(scene.budget.user_failed_tries * users * (weeks * 7 + 2))
    most = min(most, (scene.budget.user_failed_stop + scene.config.code.tries) * users)
    scene.expect(guesser.keyed <= most, f"{guesser.keyed} wrong codes were taken, {most} allowed")
    scene.expect(
        guesser.calls <= scene.budget.system_day * weeks * 7, "more calls were accepted than system_day allows"
    )
    right = chance(guesser.keyed, scene.config.code.length)
    scene.aside = (
        f"{guesser.calls:,} more calls without telephony (use cases, ledger and call machine; {guesser.seconds:,} s at "
        f"{STOOD_S} s each): {guesser.keyed:,} of {guesser.wanted:,} wrong codes were taken in {weeks:g} weeks; random "
        f"ones would have had a chance of {right}"
    )
    await scene.serve()
    await honest.served(scene)


async def _locked_out(scene: Scene, user: str) -> None:
    """Real calls: three wrong codes each, until one more call is refused."""
    taken = 0
    for call in range(6):
        number = await scene.phone(call // 2, "wrong", pace_ms=4000, after_ms=200)
        reply = await scene.ask(user, number)
        if not reply.accepted:
            scene.notes.append(f"real calls: {taken} wrong codes, then {reply.why}")
            break
        await scene.lab.set_code(number, reply.json["attempt"]["code"])
        row = await scene.ended(reply)
        taken += row.tries
        await scene.advance(5 * 60)
    most = scene.budget.user_failed_tries
    scene.expect(taken <= most, f"{taken} wrong codes were taken from one user, {most} allowed")
    await scene.advance(DAY)


def _far_number(place: int, at: int) -> str:
    """A number of the *place*-th attacker, each time another one; no telephony comes to it."""
    return f"+1{('206', '212', '213', '303', '305', '312', '404', '415')[at % 8]}{200 + place * 29 + at // 8:03}{at:04}"


async def replayed_codes(scene: Scene) -> None:
    """Key the code of the call before, that of another user's call at the same time, and one that proved once."""
    await scene.users("1001", "1002", "1003", "1004")
    phone = await scene.phone(0, "hangup_at", after_ms=200)
    reply = await _asked(scene, "1001", phone)
    old = str(reply.json["attempt"]["code"])
    await scene.ended(reply)
    for _ in range(2):
        await scene.advance(HOUR)
        await _keys(scene, phone, old)
        await _wrong(scene, await _asked(scene, "1001", phone), "the code of an earlier call")
    await scene.advance(DAY)
    mine, yours = await scene.phone(1, "silent"), await scene.phone(2, "silent")
    theirs = await _asked(scene, "1002", yours)
    await _keys(scene, mine, str(theirs.json["attempt"]["code"]))
    await _wrong(scene, await _asked(scene, "1001", mine), "the code of another user's call")
    await scene.http("DELETE", f"/v1/accounts/{ACCOUNT}/users/1002/binding/attempt", "1002")
    await scene.ended(theirs)
    await scene.advance(DAY)
    owned = await scene.phone(3, "right", after_ms=200)
    proof = await _asked(scene, "1003", owned)
    scene.owners.add((ACCOUNT, "1003", owned))
    spent = str(proof.json["attempt"]["code"])
    await scene.lab.set_code(owned, spent)
    scene.expect((await scene.ended(proof)).outcome == "verified", "the owner of the phone could not prove it")
    await scene.advance(HOUR)
    await _keys(scene, owned, spent)
    await _wrong(scene, await _asked(scene, "1004", owned), "a code that proved a number before")
    await scene.collect()
    await honest.served(scene)


async def recorded_greeting(scene: Scene) -> None:
    """A voicemail greeting plays the newest code that its owner could read before the answer, three times."""
    await scene.users("1001", "1002", "1003")
    known = "123456"
    hidden = scene.config.code.reveal == "on_answer"
    for user, at in (("1001", 0), ("1002", 0), ("1003", 1)):
        number = await scene.phone(at, "voicemail", digits=_thrice(known), pace_ms=1000, ring_ms=1500)
        reply = await _asked(scene, user, number)
        code = await _read_before_the_answer(scene, user, reply)
        if hidden:
            scene.expect(code is None, "the code was shown before the call was answered")
        row = await scene.ended(reply)
        scene.expect(row.outcome != "verified", "a greeting proved a number")
        scene.notes.append(f"{row.outcome} after {row.tries} entries")
        known = code or scene.opened.codes.of_attempt(row.attempt_id, row.key_id)
        await scene.advance(2 * HOUR)
    await honest.served(scene)


async def de_bruijn(scene: Scene, calls: int = 3) -> None:
    """Key a de Bruijn stream into the call, with the right code in it, but not where an entry begins."""
    stream = sequence(scene.config.code.length)
    dice = random.Random(7)
    await scene.users("1001")
    for call in range(calls):
        number = await scene.phone(call // 2, "right", after_ms=300, gap_ms=60, duration_ms=60)
        reply = await _asked(scene, "1001", number)
        code = str(reply.json["attempt"]["code"])
        begin = dice.randrange(len(stream) - STREAM)
        digits = stream[begin : begin + STREAM - len(code)]
        digits = digits[:PLANTED_AT] + code + digits[PLANTED_AT:]
        if digits.startswith(code):  # one in a thousand: then an entry begins there
            digits = str((int(digits[0]) + 1) % 10) + digits[1:]
        await scene.lab.set_code(number, digits)
        row = await scene.ended(reply)
        tries = scene.config.code.tries
        scene.expect(row.tries <= tries, f"{row.tries} entries were taken in one call, {tries} allowed")
        scene.expect(row.outcome == "wrong_code", f"a stream of digits ended {row.outcome}")
        scene.notes.append(f"{row.outcome} after {row.tries} entries")
        await scene.advance(2 * HOUR)
    await honest.served(scene)


def sequence(length: int) -> str:
    """Return the digits of a de Bruijn sequence, in which every code of *length* digits occurs once (FKM algorithm)."""
    digits: list[int] = []
    word = [-1]
    while word:
        word[-1] += 1
        if length % len(word) == 0:
            digits += word
        period = len(word)
        while len(word) < length:
            word.append(word[-period])
        while word and word[-1] == 9:
            word.pop()
    return "".join(map(str, digits))


async def _asked(scene: Scene, user: str, number: str) -> Reply:
    """Ask for a call that has to be accepted for the attack to begin, waiting for limits to lift."""
    for _ in range(4):
        reply = await scene.ask(user, number)
        if reply.accepted:
            return reply
        lifts = reply.lifts_at
        if lifts is None:
            break
        await scene.advance(max(0.0, lifts - await scene.now()) + 1)
    raise RuntimeError(f"the attack cannot begin: {reply.why}")


async def _keys(scene: Scene, number: str, code: str) -> None:
    await scene.lab.set_script(number, "right", digits=_thrice(code), after_ms=200)


def _thrice(code: str) -> str:
    return REST.join((code, code, code))


async def _wrong(scene: Scene, reply: Reply, what: str) -> AttemptRow:
    row = await scene.ended(reply)
    scene.expect(row.outcome == "wrong_code", f"{what} was keyed, and the call ended {row.outcome}")
    scene.notes.append(f"{what}: {row.outcome} after {row.tries} entries")
    return row


async def _read_before_the_answer(scene: Scene, user: str, reply: Reply) -> str | None:
    """Look at the page again and again until the call is answered; return the code if it was there before."""
    seen = reply.json["attempt"].get("code")
    while True:
        row = await scene.http("GET", f"/v1/accounts/{ACCOUNT}/users/{user}/binding", user)
        await asyncio.sleep(0.05)
        if row.status == 429:
            continue
        last = row.json["last_attempt"]
        if last["state"] in (AttemptState.ANSWERED, AttemptState.ENDED):
            return str(seen) if seen else None
        seen = last.get("code") or seen
