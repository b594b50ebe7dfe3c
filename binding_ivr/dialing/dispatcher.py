"""Claims queued attempts for this node, runs their calls, renews their leases and ends what a crash left behind."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterable
from typing import assert_never
from uuid import UUID

from binding_ivr.background import Backoff, Loop, Trouble, Turn
from binding_ivr.call import events as ev
from binding_ivr.call.machine import CallMachine
from binding_ivr.call.rules import GATE_ROUNDS, Rules
from binding_ivr.config import Config
from binding_ivr.dialing.call import CallShell
from binding_ivr.dialing.channels import ChannelBudget
from binding_ivr.dialing.orders import RoutedOrder, orders
from binding_ivr.dialing.pacing import Pacer
from binding_ivr.errors import BindingError
from binding_ivr.log import get_logger, masked
from binding_ivr.metrics import Metrics
from binding_ivr.model.actors import Source
from binding_ivr.model.changes import Change, ChangeKind
from binding_ivr.model.outcome import FAULTS, Outcome, Verdict
from binding_ivr.policy.code import is_code
from binding_ivr.ports import AttemptLedger, Changes, ClaimedAttempt, Conversations, Telephony

log = get_logger()

LEASE_S = 20.0
"""A node that renews no lease for so long is taken for dead."""
UPKEEP_S = 5.0
SWEEP_EVERY = 6
"""Upkeep rounds between two looks at all channels, which is a long list on a busy PBX."""
POLL_S = 5.0
"""Claiming goes on without any wake-up at this pace, so that a lost change costs seconds, not calls."""
MOST_ROUTES = 10
STOP_BILL_S = 2.0
"""What cannot be billed within it is billed later in full, by any node."""

CodeOf = Callable[[ClaimedAttempt], str]


def random_keys(count: int) -> str:
    """Return *count* keys of 0-9 that nobody can foresee, each drawn by itself."""
    return "".join(str(secrets.randbelow(10)) for _ in range(count))


class Dispatcher:
    """The dialing side of one node."""

    def __init__(
        self,
        config: Config,
        *,
        ledger: AttemptLedger,
        changes: Changes,
        telephony: Telephony,
        conversations: Conversations,
        code_of: CodeOf,
        agi_address: Callable[[], str],
        metrics: Metrics,
        version: str,
        gate_keys: Callable[[int], str] = random_keys,
    ) -> None:
        """Prepare; *code_of* derives an attempt's access code, *agi_address* is where Asterisk reaches our FastAGI.

        *gate_keys* draws so many keys for one call's gate.
        """
        self._config = config
        self._ledger = ledger
        self._changes = changes
        self._telephony = telephony
        self._conversations = conversations
        self._code_of = code_of
        self._gate_keys = gate_keys
        self._agi_address = agi_address
        self._metrics = metrics
        self._version = version
        self._budget = ChannelBudget()
        self._pacer = Pacer(config.limits.starts_per_second, time.monotonic())
        self._calls: dict[UUID, CallShell] = {}
        self._unbilled: dict[UUID, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._claims = _loop("claim", self._claim_turn, POLL_S)
        self._cancels = _loop("cancel", self._heed_cancels, UPKEEP_S, at_once=False)
        self._upkeep = _loop("upkeep", self.upkeep, UPKEEP_S, at_once=False)
        self._claiming = asyncio.Lock()
        self._draining = False
        self._rounds = 0
        self._unsubscribe: Callable[[], None] = lambda: None

    @property
    def running(self) -> bool:
        """True between `start` and `stop`."""
        return self._claims.running

    @property
    def _loops(self) -> tuple[Loop, ...]:
        return self._claims, self._cancels, self._upkeep

    @property
    def active(self) -> int:
        """Calls in flight on this node."""
        return len(self._calls)

    async def start(self) -> None:
        """End what an earlier run of this node left behind, then begin to claim."""
        await self._ledger.alive(self._config.node, self._version, self._config.limits.concurrent_node)
        await self._end_abandoned()
        self._unsubscribe = self._changes.subscribe(self._on_change)
        for loop in self._loops:
            loop.start()

    async def drain(self) -> None:
        """Claim no more and wait until every call has ended by itself."""
        self._draining = True
        while self._tasks:
            await asyncio.wait(set(self._tasks), timeout=5)
            if self._tasks:
                log.info("service.waiting_for_calls", left=len(self._tasks))

    async def stop(self) -> None:
        """End every call now and stop. Verdicts that cannot be committed within 10 s are left to the recovery."""
        self._draining = True
        self._unsubscribe()
        for loop in self._loops:
            loop.cancel()
        for call in self._calls.values():
            call.post(ev.Abort("the service was stopped"))
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=10)
            for task in late:
                task.cancel()
        await asyncio.gather(*(loop.stop() for loop in self._loops), *self._tasks, return_exceptions=True)
        if self._unbilled:
            with contextlib.suppress(BindingError, TimeoutError):
                async with asyncio.timeout(STOP_BILL_S):
                    await self._bill()

    async def recover(self) -> None:
        """After Asterisk came back: hang up the channels of ours that have no call."""
        await self._sweep()
        self._claims.wake()

    # --- claiming ------------------------------------------------------------------------------------------

    def _on_change(self, change: Change) -> None:
        match change.kind:
            case ChangeKind.QUEUED | ChangeKind.CLOCK:
                self._claims.wake()
            case ChangeKind.RESYNC:
                self._claims.wake()
                self._cancels.wake()
            case ChangeKind.CANCEL:
                self._cancels.wake()  # whose call ends is read: whoever may log in to the database may notify
            case (
                ChangeKind.ATTEMPT
                | ChangeKind.BINDING
                | ChangeKind.MIRROR
                | ChangeKind.COMPARE
                | ChangeKind.LIMITS
                | ChangeKind.OUTBOX
                | ChangeKind.MOVE
            ):
                pass
            case _:
                assert_never(change.kind)

    async def _heed_cancels(self) -> None:
        """End the calls that somebody asked to end; also without a notice, which may be lost."""
        if not self._calls:
            return
        for attempt_id in await self._ledger.cancel_requests(self._config.node):
            if call := self._calls.get(attempt_id):
                call.post(ev.CancelRequested())

    async def _claim_turn(self) -> float:
        free = max(0, self._config.limits.concurrent_node - len(self._calls))
        if self._draining or not self._telephony.ready:
            free = 0
        most = min(free, self._pacer.allowance(time.monotonic()))
        async with self._claiming:
            claimed = await self._ledger.claim(self._config.node, most, LEASE_S)
            for attempt in claimed:
                self._begin(attempt)
        self._pacer.spend(len(claimed))
        due = await self._ledger.next_due()
        if free > len(claimed) and self._pacer.wait_s > 0 and due is not None:
            await asyncio.sleep(self._pacer.wait_s)  # no change makes the next call leave sooner
            return 0.0
        return POLL_S if due is None or free == 0 else min(max(due, 0.01), POLL_S)

    def _begin(self, attempt: ClaimedAttempt) -> None:
        call = self._prepare(attempt)
        self._calls[attempt.attempt_id] = call
        task = asyncio.create_task(self._run(call), name=f"call-{attempt.attempt_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        log.info(
            "call.started",
            attempt=str(attempt.attempt_id),
            account=attempt.account,
            user=attempt.user_id,
            number=masked(attempt.number),
        )

    def _prepare(self, attempt: ClaimedAttempt) -> CallShell:
        config = self._config.for_account_or_default(attempt.settings)
        routed: list[RoutedOrder] = []
        code, problem = "", "no route serves this number's region; add one under [[routes]]"
        try:
            code = self._code_of(attempt)
            routed = orders(attempt, config, self._agi_address())[:MOST_ROUTES]
        except BindingError as error:
            problem = str(error)
        gate = self._gate_keys(GATE_ROUNDS) if config.call.gate else ""
        return CallShell(
            attempt,
            CallMachine(_rules(config, attempt, len(routed)), lambda heard: is_code(code, heard), gate),
            routed,
            problem=problem,
            telephony=self._telephony,
            conversations=self._conversations,
            ledger=self._ledger,
            budget=self._budget,
            metrics=self._metrics,
        )

    async def _run(self, call: CallShell) -> None:
        attempt_id = call.attempt.attempt_id
        try:
            await call.run()
        except Exception:
            log.exception("call.failed", attempt=str(attempt_id))  # the lease runs out and the upkeep ends it
        finally:
            if (stood_s := call.stood_s) is not None:
                self._unbilled[attempt_id] = stood_s
            self._calls.pop(attempt_id, None)
            self._claims.wake()

    # --- upkeep --------------------------------------------------------------------------------------------

    async def upkeep(self) -> None:
        """Do one round: say that we live, renew the leases, end what is not ours any more or was left behind."""
        await self._ledger.alive(self._config.node, self._version, self._config.limits.concurrent_node)
        mine = list(self._calls)
        if mine:
            kept = await self._ledger.renew(self._config.node, mine, LEASE_S)
            self._drop(set(mine) - kept)
        await self._end_abandoned()
        await self._bill()
        self._rounds += 1
        if self._rounds % SWEEP_EVERY == 0:
            await self._sweep()

    async def _bill(self) -> None:
        """Write how long the calls stood that have ended; until then the longest that they could is held for them."""
        unbilled, self._unbilled = self._unbilled, {}
        try:
            await self._ledger.bill(unbilled)
        except BaseException:
            self._unbilled = {**unbilled, **self._unbilled}
            raise

    def _drop(self, lost: Iterable[UUID]) -> None:
        """An attempt that is not ours any more was ended in PostgreSQL; its call must end too."""
        for attempt_id in lost:
            if call := self._calls.get(attempt_id):
                call.post(ev.Abort("the attempt was ended somewhere else"))

    async def _end_abandoned(self) -> None:
        async with self._claiming:
            abandoned = [a for a in await self._ledger.abandoned(self._config.node) if a not in self._calls]
        for attempt_id in abandoned:
            verdict = Verdict(
                Outcome.FAILED, FAULTS[Outcome.FAILED], detail="the service was interrupted during the call"
            )
            if await self._ledger.finish(attempt_id, verdict):
                self._metrics.attempts.labels(verdict.outcome, verdict.fault).inc()
                log.warning("attempt.recovered", attempt=str(attempt_id), outcome=verdict.outcome)

    async def _sweep(self) -> None:
        """No channel outlives its attempt: hang up those of our application that no call of this node has."""
        there = await self._telephony.strays() or ()
        mine = {call.channel for call in self._calls.values()}
        for stray in there:
            if stray in mine:
                continue
            log.warning("dialing.stray_ended", channel=stray)
            self._metrics.strays.inc()
            await self._telephony.hangup(stray)


def _loop(name: str, turn: Turn, poll_s: float, *, at_once: bool = True) -> Loop:
    trouble = Trouble(begins="dialing.waits", ends="dialing.goes_on")
    return Loop(
        name,
        turn,
        poll_s=poll_s,
        retry=Backoff(1.0, 1.0),  # a call waits
        fault="dialing.round_failed",
        ill=trouble.ill,
        well=trouble.well,
        at_once=at_once,
    )


def _rules(config: Config, attempt: ClaimedAttempt, routes: int) -> Rules:
    """Return the rules of one call; *config* is the account's."""
    return Rules(
        length=config.code.length,
        tries=_tries(config, attempt.failed_tries),
        ring_s=config.call.ring_s,
        first_digit_s=config.call.first_digit_s,
        loops=config.call.loops,
        next_digit_s=config.call.next_digit_s,
        max_s=config.call.max_s,
        routes=max(1, routes),
        at_desk=attempt.source is Source.DESK,
        hardened=config.code.reveal == "on_answer",
    )


def _tries(config: Config, failed: int) -> int:
    """Entries that a call may take: no more than lock the user out."""
    most = config.limits.user_failed_tries
    return min(config.code.tries, max(1, most - failed)) if most else config.code.tries
