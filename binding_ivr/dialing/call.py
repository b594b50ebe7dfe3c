"""The shell of one call: carries events to the pure machine and its commands to the world. It decides nothing."""

import asyncio
import contextlib
import math
import random
from collections.abc import Callable, Sequence
from itertools import count
from typing import assert_never

from binding_ivr.background import Backoff
from binding_ivr.call import events as ev
from binding_ivr.call.commands import Ask, Command, Finish, Handoff, Hangup, Originate, Progress, Say
from binding_ivr.call.machine import CallMachine
from binding_ivr.dialing.channels import ChannelBudget
from binding_ivr.dialing.orders import RoutedOrder
from binding_ivr.errors import BindingError, NotFoundError, Refusal, StatementRefused
from binding_ivr.log import get_logger
from binding_ivr.metrics import Metrics
from binding_ivr.model.outcome import Verdict
from binding_ivr.ports import AttemptLedger, ClaimedAttempt, Conversation, Conversations, PlaceError, Telephony

log = get_logger()

RETRY = Backoff(0.1, 5.0)
GIVE_UP_S = 900.0
"""Longer than an attempt lives: by then the lease has run out, and the attempt was ended as ours."""
REPORT_PAUSE_S = 0.15


class CallShell:
    """Runs one attempt's call on this node from the claim to the end of the channel."""

    def __init__(
        self,
        attempt: ClaimedAttempt,
        machine: CallMachine,
        orders: Sequence[RoutedOrder],
        *,
        problem: str,
        telephony: Telephony,
        conversations: Conversations,
        ledger: AttemptLedger,
        budget: ChannelBudget,
        metrics: Metrics,
    ) -> None:
        """Prepare the call; nothing happens before `run`. *problem* says why when *orders* is empty."""
        self._problem = problem
        self.attempt = attempt
        self._machine = machine
        self._orders = orders
        self._telephony = telephony
        self._conversations = conversations
        self._ledger = ledger
        self._budget = budget
        self._metrics = metrics
        self._inbox: asyncio.Queue[ev.Event] = asyncio.Queue()
        self._channel: str | None = None
        self._release: Callable[[], None] | None = None
        self._conversation: Conversation | None = None
        self._answered_at: float | None = None
        self._progress: Progress | None = None
        self._reported = asyncio.Event()
        self._log = log.bind(attempt=str(attempt.attempt_id), account=attempt.account, user=attempt.user_id)

    @property
    def channel(self) -> str | None:
        """The id of the channel that this call has now, if it has one."""
        return self._channel

    @property
    def stood_s(self) -> int | None:
        """How long the call has stood since it was answered, in whole seconds, rounded up; None when it was not."""
        if self._answered_at is None:
            return None
        return math.ceil(asyncio.get_running_loop().time() - self._answered_at)

    def post(self, event: ev.Event) -> None:
        """Tell the call something. Never blocks; may be called at any time, also after the end."""
        self._inbox.put_nowait(event)

    async def run(self) -> Verdict:
        """Run the call to its end and return the committed verdict (or another's, when the attempt was taken)."""
        started = asyncio.get_running_loop().time()
        self._metrics.calls.inc()
        reporter = asyncio.create_task(self._report_progress(), name="call-report")
        recorder: asyncio.Task[None] | None = None
        try:
            self.post(ev.Begin())
            while not self._machine.done:
                for command in await self._step():
                    if isinstance(command, Finish):
                        recorder = asyncio.create_task(self._record(command.verdict), name="call-record")
                    else:
                        await self._execute(command)
            assert recorder is not None
            assert self._machine.verdict is not None
            self._leave_channel()
            await recorder
            return self._machine.verdict
        finally:
            self._leave_channel()
            self._metrics.calls.dec()
            self._metrics.call_seconds.observe(asyncio.get_running_loop().time() - started)
            await _ended(reporter, recorder)

    async def _step(self) -> list[Command]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(self._machine.deadline):
                event = await self._inbox.get()
        except TimeoutError:
            return self._machine.tick(loop.time())
        return self._machine.handle(event, loop.time())

    async def _execute(self, command: Originate | Handoff | Say | Ask | Progress | Hangup) -> None:
        match command:
            case Originate(route):
                await self._originate(route)
            case Handoff():
                self._answered_at = asyncio.get_running_loop().time()
                await self._hand_off()
            case Say(prompts, escape):
                if self._conversation:
                    self._conversation.say([str(prompt) for prompt in prompts], escape)
            case Ask(prompts, most, first_s, next_s):
                if self._conversation:
                    self._conversation.ask([str(prompt) for prompt in prompts], most, first_s, next_s)
            case Progress():
                self._progress = command
                self._reported.set()
            case Hangup():
                await self._hang_up()
            case _:
                assert_never(command)

    async def _originate(self, at: int) -> None:
        self._leave_channel()
        if at >= len(self._orders):
            self.post(ev.PlaceFailed(self._problem))
            return
        routed = self._orders[at]
        self._release = self._budget.take(routed.route, routed.max_channels)
        if self._release is None:
            self.post(ev.PlaceFailed(f"all channels of route {routed.route} are in use", network=True))
            return
        self._channel = routed.order.channel_id
        self._conversation = self._conversations.expect(
            self.attempt.attempt_id, routed.order.channel_id, routed.order.secret, self.post
        )
        self._telephony.watch(self._channel, self.post)
        try:
            await self._telephony.place(routed.order)
        except PlaceError as error:
            self._leave_channel()
            self.post(ev.PlaceFailed(f"route {routed.route}: {error.detail}", error.network))

    async def _hand_off(self) -> None:
        if self._channel is None or self._conversation is None:
            return
        conversation = self._conversation
        try:
            await self._telephony.handoff(self._channel)
        except PlaceError as error:
            self.post(ev.PlaceFailed(error.detail, error.network))
        else:
            conversation.admit()  # only now: whoever opened a session before Asterisk was told to is not Asterisk

    async def _hang_up(self) -> None:
        """End the channel by both ways: without ARI the closed session still leads the dialplan to its Hangup()."""
        if self._conversation:
            self._conversation.close()
        if self._channel:
            await self._telephony.hangup(self._channel)

    def _leave_channel(self) -> None:
        if self._conversation:
            self._conversation.close()
            self._conversation = None
        if self._channel:
            self._telephony.unwatch(self._channel)
            self._channel = None
        if self._release:
            self._release()
            self._release = None

    async def _record(self, verdict: Verdict) -> None:
        """Commit the verdict; while PostgreSQL is away, again and again, for a proof must not be lost."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for tries in count(1):
            try:
                first = await self._ledger.finish(self.attempt.attempt_id, verdict)
                break
            except BindingError as error:
                if isinstance(error, NotFoundError | Refusal | StatementRefused) or loop.time() - started > GIVE_UP_S:
                    self._log.error("call.verdict_lost", outcome=verdict.outcome, reason=str(error))
                    self.post(ev.Recorded(committed=False))
                    return
                self._log.warning("call.verdict_waits", reason=str(error))
            await asyncio.sleep(RETRY.pause(tries, random.random()))  # noqa: S311 - jitter, not a secret
        self._metrics.verdict_seconds.observe(loop.time() - started)
        if first:
            self._metrics.attempts.labels(verdict.outcome, verdict.fault).inc()
        self._log.info(
            "call.ended",
            outcome=verdict.outcome,
            fault=verdict.fault,
            tries=verdict.tries,
            cause=verdict.cause,
            tech_cause=verdict.tech_cause,
            detail=verdict.detail,
            ended_before=not first,
        )
        self.post(ev.Recorded())

    async def _report_progress(self) -> None:
        """Write the latest progress; when PostgreSQL is slow, steps in between are left out."""
        while True:
            await self._reported.wait()
            self._reported.clear()
            progress = self._progress
            if progress is None or self._machine.verdict is not None:
                continue
            try:
                await self._ledger.progress(self.attempt.attempt_id, progress.state, progress.digits)
            except BindingError as error:
                self._log.debug("call.progress_not_written", reason=str(error))
            await asyncio.sleep(REPORT_PAUSE_S)  # fast fingers: the steps in between are left out


async def _ended(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel *tasks* and wait for their end."""
    for task in tasks:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
