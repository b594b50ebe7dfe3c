"""Forgets a person: ends the call that is under way, then erases. What is erased: store/personal.py."""

import asyncio
import contextlib
from typing import Any

from binding_ivr.app.installation import Installation
from binding_ivr.app.live import follow
from binding_ivr.errors import BindingError, NotFoundError
from binding_ivr.model.actors import Actor
from binding_ivr.model.outcome import AttemptState
from binding_ivr.store.personal import Erased

CALL_ENDS_S = 20.0
"""A call that was canceled has ended by then; else it is refused, and can be asked for again."""


async def export(installation: Installation, account: str, user_id: str, actor: Actor) -> dict[str, Any]:
    """Return all that is held about a user; it is audited. Raises NotFoundError.

    `hot_switch_pins` are the user's extensions with a PIN, None when Asterisk could not be asked.
    """
    told = await installation.store.personal.export(account, user_id, actor)
    users = [f"{account}/{extension}" for extension in (told["user"] or {}).get("extensions", ())]
    told["hot_switch_pins"] = None
    if installation.held_pins is not None:
        with contextlib.suppress(BindingError):
            told["hot_switch_pins"] = [user.partition("/")[2] for user in await installation.held_pins(users)]
    return told


async def erase(installation: Installation, account: str, user_id: str, actor: Actor) -> Erased:
    """Erase all that names the user; the actor's reason is audited.

    Raises NotFoundError when nothing is held, and Refusal `call_in_progress` when a call did not end in time.
    """
    await _end_call(installation, account, user_id, actor)
    pseudonym = installation.codes.pseudonym(account, user_id)
    return await installation.store.personal.erase(account, user_id, pseudonym, installation.codes.of_number, actor)


async def _end_call(installation: Installation, account: str, user_id: str, actor: Actor) -> None:
    with contextlib.suppress(NotFoundError):  # no call in progress
        await installation.store.attempts.cancel(account, user_id, actor)
    last = await installation.store.attempts.attempts(account=account, user_id=user_id, limit=1)
    if last and last[0].state is not AttemptState.ENDED:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CALL_ENDS_S):
                await follow(installation, installation.bindings.shown(last[0]), lambda step, now: None)
