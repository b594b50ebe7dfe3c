"""Follows one attempt to its end and reports each step as it happens."""

import asyncio
from collections.abc import Callable

from binding_ivr.app.installation import Installation
from binding_ivr.app.view import Shown
from binding_ivr.model.changes import Change, ChangeKind
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.model.rows import AttemptRow

POLL_S = 1.0
"""The row is also read at this pace, for a change may be lost, and a wait for a line brings none."""

STEPS = {
    AttemptState.QUEUED: "starting the call",
    AttemptState.DIALING: "calling",
    AttemptState.RINGING: "ringing",
    AttemptState.ANSWERED: "answered",
}
WAITING = "waiting for a free line"
OUTCOMES = {
    Outcome.VERIFIED: "verified: the number is proven",
    Outcome.WRONG_CODE: "the code was wrong; ask for a new call",
    Outcome.NO_INPUT: "nobody entered a code; ask for a new call",
    Outcome.HUNG_UP: "the call was hung up before the code was entered; ask for a new call",
    Outcome.REPORTED: "whoever answered did not ask for this call; the number will not be called again",
    Outcome.BUSY: "the line was busy; ask for a new call",
    Outcome.NO_ANSWER: "nobody answered; ask for a new call when you have the phone at hand",
    Outcome.DECLINED: "the call was declined; ask for a new call, and accept it",
    Outcome.UNREACHABLE: "this number is not in service; check the digits",
    Outcome.CONGESTION: "the phone network could not take the call; try again in a few minutes",
    Outcome.CANCELED: "the call was canceled",
    Outcome.EXPIRED: "no line became free in time, or the code expired; ask for a new call",
    Outcome.FAILED: "the call failed on our side; try again, or ask your administrator",
}


async def follow(installation: Installation, shown: Shown, tell: Callable[[str, Shown], None]) -> AttemptRow:
    """Call *tell* with each new step until the attempt has ended; return it.

    A step is a state (`queued` … `ended`), `digits`, or `waiting`: queued, and no line is free.
    """
    changed = asyncio.Event()
    attempt_id = shown.attempt.attempt_id

    def on_change(change: Change) -> None:
        if change.kind is ChangeKind.RESYNC or change.attempt_id == attempt_id:
            changed.set()

    unsubscribe = installation.store.changes.subscribe(on_change)
    await installation.store.changes.start()
    told: tuple[AttemptState, int, bool] | None = None
    try:
        while True:
            now = await installation.bindings.attempt(attempt_id)
            step = (now.attempt.state, now.attempt.digits, now.attempt.waits_for_line)
            if step != told:
                only_digits = told is not None and told[0] is step[0]
                told = step
                tell("waiting" if step[2] else "digits" if only_digits else now.attempt.state.value, now)
            if now.attempt.state is AttemptState.ENDED:
                return now.attempt
            try:
                async with asyncio.timeout(POLL_S):
                    await changed.wait()
            except TimeoutError:
                continue
            finally:
                changed.clear()
    finally:
        unsubscribe()


def sentence(step: str, shown: Shown, length: int) -> str:
    """One plain line for a step."""
    attempt = shown.attempt
    if attempt.outcome is not None:
        more = f" ({attempt.detail})" if attempt.detail and attempt.outcome is Outcome.FAILED else ""
        return OUTCOMES[attempt.outcome] + more
    if step == "digits" or attempt.digits:
        return f"{attempt.digits} of {length} digits"
    return WAITING if attempt.waits_for_line else STEPS[attempt.state]


def grouped(code: str) -> str:
    """Write a code in groups of three for reading: `482 913`."""
    return " ".join(code[at : at + 3] for at in range(0, len(code), 3))
