"""The control: somebody honest, with the phone in hand, while others attack. Served, or told until when not."""

from binding_ivr.lab.behaviours import AREA_CODES
from binding_ivr.model.outcome import AttemptState
from tests.abuse.scene import ACCOUNT, Reply, Scene

PATIENCE = 4
"""Limits that may follow one another before the honest user counts as locked out."""

AFTER_THE_OPENING_MS = 10_000
"""In hardened mode what is keyed before the request counts for nothing; it comes 8 s after the answer."""


async def served(scene: Scene, which: int = 0, account: str = ACCOUNT) -> None:
    """Let an honest user prove a number during an attack, and write in `scene.control` how that went.

    Broken when it is refused without a limit's name and a time, when the limit does not lift then, or when it is
    accepted and not proven.
    """
    user, number = f"honest{which}", f"+1{AREA_CODES[0]}55501{30 + scene.index * 4 + which}"
    await scene.users(user, account=account)
    hardened = scene.config.code.reveal == "on_answer"
    await scene.lab.set_script(number, "right", **({"after_ms": AFTER_THE_OPENING_MS} if hardened else {}))
    told: list[str] = []
    for _ in range(PATIENCE):
        reply = await _asks(scene, account, user, number)
        if reply.accepted:
            break
        told.append(reply.why)
        if reply.lifts_at is None:
            scene.control = f"refused without a time: {told[-1]}"
            scene.broken.append(f"the honest user was {scene.control}")
            return
        waits_s = max(reply.lifts_at - await scene.now(), 0)
        told[-1] += f" for {waits_s / 60:.0f} min"
        await scene.advance(waits_s + 1)
    else:
        scene.control = f"never served: {', '.join(told)}"
        scene.broken.append(f"the honest user was {scene.control}")
        return
    await _proves(scene, account, user, number, reply, told)


async def _asks(scene: Scene, account: str, user: str, number: str) -> Reply:
    path = f"/v1/accounts/{account}/users/{user}/binding"
    return await scene.http("PUT", path, user, account=account, json={"number": number})


async def _proves(scene: Scene, account: str, user: str, number: str, reply: Reply, told: list[str]) -> None:
    scene.promised(number)
    scene.owners.add((account, user, number))
    code = reply.json["attempt"].get("code")
    if code is None:  # it is shown when the call is answered
        await scene.reaches(reply, AttemptState.ANSWERED)
        path = f"/v1/accounts/{account}/users/{user}/binding"
        code = (await scene.http("GET", path, user, account=account)).json["last_attempt"]["code"]
    await scene.lab.set_code(number, code)
    row = await scene.ended(reply)
    waited = f"told {', then '.join(told)}; then " if told else ""
    scene.control = f"{waited}{row.outcome}"
    scene.expect(row.outcome == "verified", f"the honest user's call ended {row.outcome}")
