"""Carries the circuit breakers through the store's transactions. When they open and close is in policy/breaker.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from binding_ivr.log import get_logger
from binding_ivr.policy import breaker
from binding_ivr.policy.breaker import Answered, Breaker, Rules
from binding_ivr.store.database import Row, Transaction

log = get_logger()

SYSTEM = ""
"""The account name under which the breaker of the whole system is kept."""


@dataclass(frozen=True, slots=True)
class Turned:
    """A breaker that has opened (`paused_until` is POSIX seconds) or closed (None), and what it was judged by."""

    account: str
    paused_until: float | None
    answered: int
    proven: int


async def after_answer(
    tx: Transaction, account: str, attempt_id: UUID, proven: bool, by: Mapping[str, Rules]
) -> list[Turned]:
    """Note that an answered call has ended, for the breaker of its account and the system's; return those that turned.

    *by* holds the rules by account name. The verdict is written by now, and this comes last in its transaction: the
    breakers' rows stay locked until its end, so that calls which end at the same time count one after the other.
    """
    if not any(rule.calls for rule in by.values()):
        return []
    rows = {row["account"]: row for row in await tx.rows("lock_breakers", account)}
    of, system = rows[account], rows[SYSTEM]
    counts = await tx.row(
        "last_answered",
        account,
        of["counts_from"],
        max(1, by[account].calls),
        system["counts_from"],
        max(1, by[SYSTEM].calls),
    )
    assert counts is not None
    turned = []
    for name, last in ((SYSTEM, counts["of_system"]), (account, counts["of_account"])):
        found = await _turn(tx, rows[name], Answered(proven, rows[name]["probe"] == attempt_id, *last), by[name])
        turned += [found] if found else []
    return turned


async def _turn(tx: Transaction, row: Row, call: Answered, by: Rules) -> Turned | None:
    old = Breaker(row["counts_from"], row["paused_until"], row["pauses"], row["failed_probes"])
    new = breaker.after(by, old, call, row["now"])
    if new == old:
        return None
    await tx.run(
        "set_breaker",
        row["account"],
        new.counts_from,
        new.paused_until,
        new.pauses,
        new.failed_probes,
        call.last_calls,
        call.last_proven,
    )
    if new.paused_until == old.paused_until:
        return None
    if new.paused_until is not None:
        await tx.run("expire_paused", row["account"])
    return Turned(row["account"], new.paused_until, call.last_calls, call.last_proven)


def tell(turned: Turned) -> None:
    """Log that a breaker has turned; after its transaction, so that it is true."""
    scope = {"account": turned.account} if turned.account else {"account": "all"}
    if turned.paused_until is None:
        log.info("calls.resumed", **scope)
    else:
        until = datetime.fromtimestamp(turned.paused_until, UTC).isoformat(timespec="seconds")
        log.error("calls.paused", **scope, until=until, answered=turned.answered, proven=turned.proven)


async def begin_probes(tx: Transaction, accounts: Sequence[str], attempt_id: UUID) -> None:
    """Let the call *attempt_id* leave as the probe of the breakers of *accounts*. Comes last in its transaction."""
    if accounts:
        await tx.run("begin_probe", list(accounts), attempt_id)
