"""Ends bindings and calls together, in the one order of locks that knows no deadlock. It decides nobody's end."""

from collections.abc import Collection, Sequence

from binding_ivr.model.outcome import FAULTS, AttemptState, Outcome, Verdict
from binding_ivr.policy.lifecycle import has_become_own, may_be_dialled_as
from binding_ivr.policy.own import OwnNumbers, own_numbers
from binding_ivr.store.database import Row, Transaction

PAGE = 500
"""Numbers looked at between two breaths of the event loop."""

Key = tuple[str, str]
"""Account and user id."""


async def end_all(tx: Transaction, users: Collection[Key], own: Collection[str] = ()) -> tuple[int, int]:
    """Forget the bindings of *users*, suspend those of the numbers *own* (E.164), and end the calls of both.

    Return how many bindings ended and how many calls. The caller holds the lock of own numbers when *own* is not empty.
    """
    if not users and not own:
        return 0, 0
    accounts, ids = [account for account, _ in users], [user_id for _, user_id in users]
    calls = await tx.rows("live_attempts_of", accounts, ids, list(own))
    for call in calls:
        await end_call(tx, call)
    await tx.run("lock_bindings_of", accounts, ids, list(own))
    ended = 0
    for account, user_id in sorted(users):
        ended += await tx.row("forget_binding", account, user_id) is not None
    if own:
        await tx.run("withdraw_kept_proofs", list(own), "", "")
        ended += len(await tx.rows("suspend_own", list(own)))
    return ended, len(calls)


async def end_call(tx: Transaction, attempt: Row) -> None:
    """End a queued attempt, or ask the node that calls to hang up. The caller has locked the row of *attempt*."""
    if attempt["state"] == AttemptState.QUEUED:
        verdict = Verdict(Outcome.CANCELED, FAULTS[Outcome.CANCELED], detail="canceled before the call left")
        await write_verdict(tx, attempt["attempt_id"], verdict)
    else:
        await tx.run("request_cancel", attempt["attempt_id"])


async def write_verdict(tx: Transaction, attempt_id: object, verdict: Verdict) -> bool:
    """Write the verdict into the row of an attempt; return whether somebody had answered."""
    row = await tx.row(
        "end_attempt",
        attempt_id,
        verdict.outcome.value,
        verdict.fault.value,
        verdict.tries,
        verdict.cause,
        verdict.tech_cause,
        verdict.detail,
    )
    return row is not None and row["answered_at"] is not None


async def own_among(tx: Transaction, numbers: Collection[str]) -> list[str]:
    """Return those of *numbers* (E.164, accepted before) that are numbers of an account of this PBX now."""
    texts = sorted({text for number in numbers for text in may_be_dialled_as(number)})
    rows = await tx.rows("own_numbers_for_check", texts)
    own = own_numbers((row["kind"], row["value"]) for row in rows)
    return [number for number in numbers if has_become_own(number, own)]


async def in_use(tx: Transaction, only: Sequence[str] | None, after: str) -> list[str]:
    """Return up to PAGE numbers after *after* that are bound, wait for their proof, or are being called."""
    return [row["number"] for row in await tx.rows("numbers_in_use", only, after, PAGE)]


async def used_and_own(tx: Transaction, own: OwnNumbers) -> list[str]:
    """Return the numbers in use that are among *own*, the own numbers that are new."""
    only = None if own.patterns or own.extensions else sorted(own.dids)
    found: list[str] = []
    after = ""
    while True:
        page = await in_use(tx, only, after)
        found += [number for number in page if has_become_own(number, own)]
        if len(page) < PAGE:
            return found
        after = page[-1]
