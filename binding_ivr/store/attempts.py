"""The ledger of validation calls: accept, claim, progress, finish. It decides nothing about a call itself."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.log import get_logger
from binding_ivr.model.actors import Actor, Source, system
from binding_ivr.model.outcome import AttemptState, Outcome, Verdict
from binding_ivr.model.rows import AttemptRow, BindingRow
from binding_ivr.policy import limits
from binding_ivr.ports import ClaimedAttempt, NewAttempt
from binding_ivr.store.breakers import begin_probes, tell
from binding_ivr.store.database import Database, Row, Transaction, actor_text
from binding_ivr.store.endings import end_call, own_among, write_verdict
from binding_ivr.store.limits import LimitsOf, alert, follow_up, foresee, refuse
from binding_ivr.store.rows import binding_row, claimed_attempt, made

log = get_logger()

OF_THE_CALL = system(Source.CALL)
OF_THE_QUEUE = system()


class PgAttempts:
    """Implements `AttemptLedger`. Every method raises what `Database` raises."""

    def __init__(self, db: Database, *, limits_of: LimitsOf, queue_s: float = 60.0) -> None:
        """Keep attempts in *db*; one may wait *queue_s* seconds for a free line after its time has come.

        *limits_of* returns what follows from a verdict by the settings of its account.
        """
        self._db = db
        self._queue_s = queue_s
        self._limits_of = limits_of

    async def accept(self, new: NewAttempt, number_hash: bytes) -> BindingRow:
        """Write an attempt and what it does to the binding in one transaction, if rules and limits allow it.

        Return the binding as it is then, with the attempt as its last one.

        *number_hash* is the keyed hash of the number, 16 to 64 bytes, as used for suppressions.
        Raises NotFoundError for an unknown user and Refusal with code `call_in_progress`, `suspended`, `try_later`
        (all that must not be told about a number), `limit_reached` or `queue_full`.
        """
        try:
            return await self._accept(new, number_hash)
        except Refusal as refusal:
            # In a transaction of its own: the one that was refused is undone.
            if await alert(self._db, new, refusal):
                name = refusal.limit or refusal.untold
                log.warning("limit.alert", account=new.account, user=new.user_id, limit=name)
            raise

    async def _accept(self, new: NewAttempt, number_hash: bytes) -> BindingRow:
        async with self._db.transaction() as tx:
            await tx.run("begin_accept", actor_text(new.actor, new.attempt_id), self._queue_s)
            passed = await refuse(tx, new, number_hash)
            row = await tx.row(
                "accept_attempt",
                new.account,
                new.user_id,
                new.number,
                new.replace,
                passed.now,
                new.attempt_id,
                number_hash,
                new.key_id,
                new.delay_s,
                new.shown_s,
                new.attempt_s,
                new.actor.who,
                new.actor.source,
                new.actor.address,
                new.client,
                new.limits.reserve_s,
            )
            if row is None:
                raise limits.suspended()
            await begin_probes(tx, passed.probes, new.attempt_id)
            return binding_row(row, made(AttemptRow, row))

    async def foresee(self, new: NewAttempt, number_hash: bytes | None) -> tuple[Refusal | None, Refusal | None]:
        """Return what `accept` would say now to a call to any number, and to this one (None: it would pass).

        Without *number_hash* there is no certain number. Nothing is written, and the next request may change it.
        Raises NotFoundError for an unknown user.
        """
        return await foresee(self._db, new, number_hash)

    async def bill(self, seconds: Mapping[UUID, int]) -> None:
        """Write how long answered calls stood, in whole seconds; what a dead node left behind is billed in full."""
        await self._db.run("bill_calls", list(seconds), list(seconds.values()))

    async def claim(self, node: str, most: int, lease_s: float) -> list[ClaimedAttempt]:
        """Take up to *most* queued attempts whose time has come, for *lease_s* seconds; end those that waited too long.

        They come in the order in which they may leave, with their number, language and the account's settings.
        """
        async with self._db.transaction(OF_THE_QUEUE) as tx:
            await tx.run("expire_queued", self._queue_s)
            if most < 1:
                return []
            return [claimed_attempt(row) for row in await tx.rows("claim_attempts", node, most, lease_s)]

    async def next_due(self) -> float | None:
        """Return the seconds until the earliest queued attempt may be claimed, None when nothing is queued."""
        row = await self._db.row("next_due")
        return None if row is None else row["seconds"]

    async def renew(self, node: str, attempt_ids: Sequence[UUID], lease_s: float) -> set[UUID]:
        """Renew the leases of *attempt_ids*; return those that are still *node*'s and not ended."""
        rows = await self._db.rows("renew_leases", node, list(attempt_ids), lease_s)
        return {row["attempt_id"] for row in rows}

    async def progress(self, attempt_id: UUID, state: AttemptState, digits: int) -> None:
        """Write state and digit count (0 to 32); an ended attempt stays, and a state never goes back."""
        await self._db.run("report_progress", attempt_id, state.value, digits)

    async def finish(self, attempt_id: UUID, verdict: Verdict) -> bool:
        """Write the verdict and all that follows from it in one transaction; False when it was ended before.

        A proof counts only for a number that the binding still waits for: when the user removed it or the
        administrator suspended the user or suppressed the number during the call, the attempt is `verified` and the
        binding stays as it is. What became a number of the PBX in the meantime is suspended instead.
        Raises NotFoundError for an unknown attempt.
        """
        async with self._db.transaction(OF_THE_CALL, attempt_id) as tx:
            if verdict.outcome is Outcome.VERIFIED:
                await tx.run("share_own_numbers")
            attempt = await tx.row("lock_attempt", attempt_id)
            if attempt is None:
                raise NotFoundError("there is no such attempt")
            if attempt["state"] == AttemptState.ENDED:
                return False
            if (verdict.rang and not attempt["ringing_at"]) or (verdict.answered and not attempt["answered_at"]):
                await tx.run("note_progress", attempt_id, verdict.rang, verdict.answered)
            answered = await write_verdict(tx, attempt_id, verdict)
            if verdict.outcome is Outcome.VERIFIED:
                await _prove(tx, attempt)
            elif verdict.outcome is Outcome.REPORTED:
                await tx.run("suppress", attempt["number_hash"], "reported", "callee")
                await tx.run("report_binding", attempt["account"], attempt["user_id"], attempt["number"])
            turned = await follow_up(tx, attempt, verdict, self._limits_of, answered=answered)
        for breaker in turned:
            tell(breaker)
        return True

    async def cancel(self, account: str, user_id: str, actor: Actor) -> None:
        """End the user's queued attempt, or ask the node that calls to hang up. Raises NotFoundError without a call."""
        async with self._db.transaction(actor) as tx:
            if not await cancel_live(tx, account, user_id):
                raise NotFoundError("there is no call in progress")

    async def cancel_requests(self, node: str) -> list[UUID]:
        """Return the calls in flight on *node* that shall be hung up, for a node that may have missed a change."""
        return [row["attempt_id"] for row in await self._db.rows("cancel_requests", node)]

    async def abandoned(self, node: str) -> list[UUID]:
        """Return the attempts in flight that *node* claimed, and those whose lease ran out anywhere."""
        return [row["attempt_id"] for row in await self._db.rows("abandoned_attempts", node)]

    async def alive(self, node: str, version: str, capacity: int) -> None:
        """Note that *node* lives and takes up to *capacity* calls at once; to be repeated every 10 s."""
        await self._db.run("note_node", node, version, capacity)

    async def nodes_alive(self) -> int:
        """Return how many nodes were seen in the last 30 seconds."""
        row = await self._db.row("nodes_alive")
        return 0 if row is None else int(row["nodes"])

    async def attempt(self, attempt_id: UUID) -> AttemptRow:
        """Return one attempt. Raises NotFoundError."""
        row = await self._db.row("attempt", attempt_id)
        if row is None:
            raise NotFoundError("there is no such attempt")
        return made(AttemptRow, row)

    async def attempts(
        self, *, account: str | None = None, user_id: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> list[AttemptRow]:
        """Return up to *limit* attempts, newest first, optionally of one account or user or since a time."""
        if user_id is not None:
            accounts = [row["account"] for row in await self._db.rows("accounts")] if account is None else [account]
            rows = await self._db.rows("recent_attempts_of_user", accounts, user_id, since, limit)
        elif account is not None:
            rows = await self._db.rows("recent_attempts_of_account", account, since, limit)
        else:
            rows = await self._db.rows("recent_attempts", since, limit)
        return [made(AttemptRow, row) for row in rows]


async def _prove(tx: Transaction, attempt: Row) -> None:
    """Give the number to the user, and take it from whoever held it before (R2)."""
    account, user_id, number = attempt["account"], attempt["user_id"], attempt["number"]
    await tx.run("lock_number", number)
    bindings = await tx.rows("lock_bindings", account, user_id, number)
    if not any(_waits_for(row, number) for row in bindings if (row["account"], row["user_id"]) == (account, user_id)):
        return
    suppressed = await tx.row("is_suppressed", attempt["number_hash"])
    if suppressed is not None and suppressed["there"]:
        return
    if await own_among(tx, [number]):
        await tx.run("withdraw_kept_proofs", [number], "", "")
        await tx.run("suspend_own", [number])
        return
    await tx.run("take_over", account, user_id, number)
    await tx.run("withdraw_kept_proofs", [number], account, user_id)
    await tx.run("verify_binding", account, user_id, number)


def _waits_for(binding: Row, number: str) -> bool:
    if binding["number"] == number:  # a proof that comes a moment after the trust had aged still is one
        return binding["status"] in ("pending", "verified") or binding["reason"] == "aged"
    return bool(binding["pending_number"] == number and binding["reason"] != "admin")


async def cancel_live(tx: Transaction, account: str, user_id: str) -> bool:
    """End or ask to end the user's live attempt in the transaction *tx*; False when there is none."""
    live = await tx.row("live_attempt_of", account, user_id)
    if live is None:
        return False
    await end_call(tx, live)
    return True
