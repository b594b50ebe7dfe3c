"""Counts for the limits, and writes what follows from a verdict. What the counts mean is in policy/limits.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from binding_ivr.errors import Refusal
from binding_ivr.model.audit import AuditKind
from binding_ivr.model.outcome import Fault, Outcome, Verdict
from binding_ivr.policy import limits
from binding_ivr.policy.breaker import Breaker
from binding_ivr.policy.limits import BREAKERS, SYSTEM_WIDE, WINDOWS, Chain, Consequences, Facts
from binding_ivr.ports import NewAttempt
from binding_ivr.store import breakers
from binding_ivr.store.breakers import SYSTEM, Turned
from binding_ivr.store.database import Database, Row, Transaction
from binding_ivr.store.rows import no_user, settings

LimitsOf = Callable[[Mapping[str, Any]], Consequences]
"""Returns what follows from a verdict, by the stored settings of the call's account."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that nothing stands against at `now`; it is the probe of the breakers of `probes` (account names)."""

    now: datetime
    probes: list[str]


async def refuse(tx: Transaction, new: NewAttempt, number_hash: bytes) -> Passed:
    """Raise what stands against one more call of this user to this number, else return at what time it was counted.

    Raises NotFoundError and Refusal. The order matters to what it tells: first what concerns the asker alone.
    """
    row = await _count(tx, new, number_hash)
    _begin(new, row)
    facts = _facts(new, row)
    limits.check(new.limits, facts)
    _queue(new, row)
    names = dict(zip(BREAKERS, (new.account, SYSTEM), strict=True))
    return Passed(row["now"], [names[name] for name in limits.probes(new.limits, facts)])


async def alert(db: Database, new: NewAttempt, refusal: Refusal) -> bool:
    """Tell the administrator of a limit that nobody reaches by accident, once an hour; False: nothing to tell."""
    name = refusal.limit or refusal.untold
    if name not in limits.ALERTS:
        return False
    async with db.transaction(new.actor) as tx:
        account = SYSTEM if name in SYSTEM_WIDE else new.account
        return await tx.row("alert_limit", account, name, new.account, new.user_id) is not None


async def foresee(db: Database, new: NewAttempt, number_hash: bytes | None) -> tuple[Refusal | None, Refusal | None]:
    """Return what `refuse` would raise for a call to any number, and to this one.

    An empty user is nobody in particular: only what holds for everybody is asked.
    """
    row = await _count(db, new, number_hash)
    try:
        if new.user_id:
            _begin(new, row)
    except Refusal as refusal:
        return refusal, refusal
    facts = _facts(new, row)
    found: list[Refusal | None] = []
    for of_number in (False, number_hash is not None):
        try:
            limits.check(new.limits, facts, of_number=of_number)
            _queue(new, row)
        except Refusal as refusal:
            found.append(refusal)
        else:
            found.append(None)
    return found[0], found[1]


async def _count(db: Database | Transaction, new: NewAttempt, number_hash: bytes | None) -> Row:
    counted = [name for name, most in new.limits.most.items() if name in WINDOWS and most > 0]
    row = await db.row(
        "accept_facts",
        new.account,
        new.user_id,
        new.number if number_hash is not None else None,
        number_hash,
        new.client,
        [WINDOWS[name].scope for name in counted],
        [WINDOWS[name].seconds for name in counted],
        [new.limits.most[name] for name in counted],
        max(1, new.limits.most.get("user_new_numbers_day", 1)),
    )
    assert row is not None
    return row


def _facts(new: NewAttempt, row: Row) -> Facts:
    counted = [name for name, most in new.limits.most.items() if name in WINDOWS and most > 0]
    return Facts(
        now=row["now"].timestamp(),
        reached={name: at for name, at in zip(counted, row["reached"], strict=True) if at is not None},
        own={name: at for name, at in zip(counted, row["own"], strict=True) if at is not None},
        chain=Chain(row["calls"], row["ended_at"]),
        own_chain=Chain(row["own_calls"], row["own_ended_at"]),
        other_numbers=row["other_numbers"],
        is_new=row["is_new"],
        locked_until=row["locked_until"],
        stopped=row["stopped"],
        spent=list(zip(row["buckets"], row["seconds"], strict=True)),
        reserved=row["reserved"],
        hidden=row["hidden"] or new.denied,
        breakers={
            "account_breaker": Breaker(paused_until=row["account_paused"], probe_until=row["account_probe"]),
            "system_breaker": Breaker(paused_until=row["system_paused"], probe_until=row["system_probe"]),
        },
    )


def _begin(new: NewAttempt, row: Row) -> None:
    if not row["known"]:
        raise no_user(new.account, new.user_id)
    if row["user_busy"]:
        raise limits.call_in_progress()
    if row["suspended"]:
        raise limits.suspended()


def _queue(new: NewAttempt, row: Row) -> None:
    if row["live"] >= row["capacity"] + new.queue_length:
        raise Refusal("queue_full", "too many calls are waiting; try again in a few minutes")


async def follow_up(
    tx: Transaction, attempt: Row, verdict: Verdict, limits_of: LimitsOf, *, answered: bool
) -> list[Turned]:
    """Count failed tries and unproven calls after the verdict was written, and lock and pause what they lock and pause.

    *attempt* is the row as it was before. Return the breakers that turned.
    """
    rules = limits_of(settings(attempt["settings"] or "{}"))
    proven = verdict.outcome is Outcome.VERIFIED
    if proven:
        if attempt["has_failed"]:
            await tx.run("forgive_failed_tries", attempt["account"], attempt["user_id"])
    else:
        await _lock(tx, attempt, verdict, rules, answered=answered)
    if not answered or verdict.fault is Fault.US:
        return []
    account = attempt["account"]
    by = {SYSTEM: rules.system_breaker, account: rules.account_breaker}
    return await breakers.after_answer(tx, account, attempt["attempt_id"], proven, by)


async def _lock(tx: Transaction, attempt: Row, verdict: Verdict, rules: Consequences, *, answered: bool) -> None:
    failures = limits.failures(verdict.tries, answered=answered, ours=verdict.fault is Fault.US)
    if (verdict.tries and rules.user_failed_tries) or (failures and rules.user_failed_stop):
        await _count_failed(tx, attempt, verdict.tries, failures, rules)
    if rules.number_unproven:
        locked = await tx.row(
            "lock_unproven_number", attempt["number_hash"], rules.number_unproven_days, rules.number_unproven
        )
        if locked is not None:
            await _audit(tx, attempt, AuditKind.NUMBER_LOCKED, {"unproven": rules.number_unproven})


async def _count_failed(tx: Transaction, attempt: Row, tries: int, failures: int, rules: Consequences) -> None:
    row = await tx.row(
        "count_failed_tries",
        attempt["account"],
        attempt["user_id"],
        tries,
        rules.user_failed_tries,
        rules.user_lock_s,
        rules.user_lock_again_s,
        failures,
        rules.user_failed_stop,
    )
    if row is not None and row["locked"]:
        await _audit(tx, attempt, AuditKind.USER_LOCKED, {"until": row["locked_until"]})
    if row is not None and row["stopped"]:
        await _audit(tx, attempt, AuditKind.USER_STOPPED, {"failures": row["failures"]})


async def _audit(tx: Transaction, attempt: Row, kind: AuditKind, detail: Mapping[str, Any]) -> None:
    text = msgspec.json.encode(detail).decode()
    await tx.run("write_audit", attempt["account"], attempt["user_id"], kind.value, attempt["attempt_id"], text)
