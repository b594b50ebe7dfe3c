"""Enrolment at the desk phone: carries a dialogue to the use cases of page and commands. It decides nothing.

What may be bound, called and told is decided by `app.bindings`, how the dialogue goes on by `call.enrol`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, assert_never

from binding_ivr.app.installation import Installation
from binding_ivr.app.live import follow
from binding_ivr.app.view import Shown
from binding_ivr.call import desk
from binding_ivr.call.commands import Ask, Say
from binding_ivr.call.desk import DeskCommand, DeskEvent
from binding_ivr.call.enrol import DeskRules, EnrolMachine
from binding_ivr.config import Config
from binding_ivr.dialing.orders import spoken
from binding_ivr.errors import BindingError, NotFoundError, Refusal
from binding_ivr.log import get_logger
from binding_ivr.metrics import Metrics
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import AttemptState
from binding_ivr.model.rows import BindingRow, BindingStatus, SuspendReason, User
from binding_ivr.ports import DeskCaller, DeskConversation

log = get_logger()

RESULT_VARIABLE = "BINDING_ENROL"
"""The channel variable that tells the dialplan how the dialogue ended; not set when it ended by a fault."""

ANSWER_S = 10.0
"""How long the store may take for one question of a dialogue."""
BLIND_S = 20.0
"""How long a dialogue may know nothing of its attempt before it gives up."""
RETRY_S = 1.0
LEAVE_S = 2.0
NEVER_CALLED = (SuspendReason.REPORTED, SuspendReason.SUPPRESSED)
LAST_WORDS_S = 8.0
"""How long `stop` lets dialogues tell the result of the call that has just ended."""


class Enrolment:
    """Implements `ports.Desk`."""

    def __init__(self, config: Config, installation: Installation, metrics: Metrics) -> None:
        """Serve the installation of *config*."""
        self._config = config
        self._installation = installation
        self._metrics = metrics
        self._dialogues: set[Dialogue] = set()
        self._stopping = False

    def dialogue(self, caller: DeskCaller) -> "Dialogue":
        """See Desk."""
        made = Dialogue(self._config, self._installation, self._metrics, caller, self._dialogues.discard)
        self._dialogues.add(made)
        if self._stopping:
            made.post(desk.Stopping())
        return made

    def drain(self) -> None:
        """Begin nothing new; dialogues whose call is under way go on to its end."""
        self._stopping = True
        for dialogue in tuple(self._dialogues):
            dialogue.post(desk.Stopping())

    async def stop(self) -> None:
        """Let dialogues tell the result that they wait for, and end them all."""
        self.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await asyncio.gather(*(dialogue.over.wait() for dialogue in self._dialogues))
        for dialogue in tuple(self._dialogues):
            dialogue.post(desk.Stopping(now=True))


class Dialogue:
    """Implements `ports.DeskDialogue`: one task, one queue of events, one deadline."""

    def __init__(
        self,
        config: Config,
        installation: Installation,
        metrics: Metrics,
        caller: DeskCaller,
        forget: Callable[["Dialogue"], None],
    ) -> None:
        """Prepare the dialogue with *caller*; *forget* is called when it is over."""
        self._config = config
        self._installation = installation
        self._metrics = metrics
        self._caller = caller
        self._forget = forget
        self._user: User | None = None
        self._machine = EnrolMachine(_rules(config))
        self._inbox: asyncio.Queue[DeskEvent] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._follower: asyncio.Task[None] | None = None
        self.over = asyncio.Event()

    def post(self, event: DeskEvent) -> None:
        """See DeskDialogue."""
        self._inbox.put_nowait(event)

    async def run(self, conversation: DeskConversation) -> None:
        """See DeskDialogue."""
        began = asyncio.get_running_loop().time()
        result = "failed"
        try:
            conversation.speak(spoken(self._caller.language, self._config.prompts.languages))
            result = await self._converse(conversation)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await conversation.ended()
        finally:
            if self._follower is not None:
                self._follower.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)  # each has its own limit
            self.over.set()
            self._forget(self)
            self._metrics.desk_dialogues.labels(result).inc()
            log.info(
                "desk.done",
                account=self._caller.account[:64] if self._user else "",
                user=self._user.user_id if self._user else "",
                result=result,
                seconds=round(asyncio.get_running_loop().time() - began, 1),
            )

    async def _converse(self, conversation: DeskConversation) -> str:
        loop = asyncio.get_running_loop()
        result = ""
        while not self._machine.done:
            try:
                async with asyncio.timeout_at(self._machine.deadline):
                    event = await self._inbox.get()
            except TimeoutError:
                commands = self._machine.tick(loop.time())
            else:
                commands = self._machine.handle(event, loop.time())
            for command in commands:
                result = self._execute(command, conversation) or result
        return result

    def _execute(self, command: DeskCommand, conversation: DeskConversation) -> str | None:
        match command:
            case Say(prompts, escape):
                conversation.say(prompts, escape)
            case Ask(prompts, most, first_s, next_s):
                conversation.ask(prompts, most, first_s, next_s)
            case desk.Identify():
                self._start(self._identify(conversation))
            case desk.Bind(keyed):
                self._start(self._begin(lambda user, actor: self._bind(user, keyed, actor)))
            case desk.Revalidate():
                self._start(self._begin(self._revalidate))
            case desk.Cancel():
                self._start(self._cancel())
            case desk.Leave(result, at_once):
                if at_once:
                    conversation.close()
                else:
                    conversation.leave(RESULT_VARIABLE, result)
                return result
            case _:
                assert_never(command)
        return None

    # --- what the store is asked ---------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="desk-request")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answered(self, work: Awaitable[DeskEvent]) -> DeskEvent:
        """Return the event that *work* gives; refusals and faults become events too."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await work
        except Refusal as refusal:
            return desk.Refused(refusal.code)
        except (BindingError, TimeoutError) as error:
            log.warning("desk.trouble", detail=str(error) or "PostgreSQL did not answer in time")
        except Exception:  # a dialogue must not wait for what has failed
            log.exception("desk.fault")
        return desk.Trouble()

    async def _identify(self, conversation: DeskConversation) -> None:
        self.post(await self._answered(self._who(conversation)))

    async def _who(self, conversation: DeskConversation) -> DeskEvent:
        caller = self._caller
        try:
            user = await self._installation.store.directory.user_of_extension(caller.account, caller.extension)
            binding = await self._installation.bindings.status(user.account, user.user_id)
        except (NotFoundError, Refusal):  # a value that cannot be stored is nobody's
            return desk.Unknown()
        self._user = user
        conversation.speak(spoken(user.language or caller.language, self._config.prompts.languages))
        return known(binding)

    async def _begin(self, ask: Callable[[User, Actor], Awaitable[Shown]]) -> None:
        self.post(await self._answered(self._attempt(ask)))

    async def _attempt(self, ask: Callable[[User, Actor], Awaitable[Shown]]) -> DeskEvent:
        user, actor = self._who_asks()
        shown = await ask(user, actor)
        self._follower = asyncio.create_task(self._follow(shown), name="desk-follow")
        return desk.Accepted(shown.code)

    async def _bind(self, user: User, keyed: str, actor: Actor) -> Shown:
        # At any hour: who stands at the desk phone has just confirmed it, and expects the call now.
        return await self._installation.bindings.bind(user.account, user.user_id, keyed, actor, now=True)

    async def _revalidate(self, user: User, actor: Actor) -> Shown:
        return await self._installation.bindings.revalidate(user.account, user.user_id, actor, now=True)

    async def _cancel(self) -> None:
        user, actor = self._who_asks()
        with contextlib.suppress(BindingError, TimeoutError):  # it may have ended by itself
            async with asyncio.timeout(ANSWER_S):
                await self._installation.bindings.cancel(user.account, user.user_id, actor)

    def _who_asks(self) -> tuple[User, Actor]:
        assert self._user is not None  # the machine asks for nothing before Known
        return self._user, Actor(ActorKind.USER, self._user.user_id, Source.DESK, self._caller.channel)

    async def _follow(self, shown: Shown) -> None:
        """Post each step of the attempt to its end; the store may be away for a while."""
        seen = asyncio.get_running_loop().time()

        def step(_: str, now: Shown) -> None:
            nonlocal seen
            seen = asyncio.get_running_loop().time()
            if now.attempt.state is not AttemptState.ENDED:
                self.post(desk.Progress(now.attempt.state, now.code))

        while True:
            try:
                attempt = await follow(self._installation, shown, step)
                assert attempt.outcome is not None
                self.post(desk.Over(attempt.outcome))
                return
            except BindingError as error:
                if asyncio.get_running_loop().time() - seen > BLIND_S:
                    log.warning("desk.trouble", detail=str(error))
                    self.post(desk.Trouble())
                    return
                await asyncio.sleep(RETRY_S)


def known(binding: BindingRow) -> desk.Known:
    """Return what a dialogue needs to know of the user's binding."""
    last, number = binding.last_attempt, binding.pending_number or binding.number
    suspended = binding.status is BindingStatus.SUSPENDED
    # A number that its owner reported, or that is suppressed, is never called again: there is only a new one to enter.
    may_be_called = number is not None and not (suspended and binding.reason in NEVER_CALLED)
    return desk.Known(
        ends_in=number[-2:] if number is not None and may_be_called else "",
        verified=binding.status is BindingStatus.VERIFIED and binding.pending_number is None,
        busy=last is not None and last.state is not AttemptState.ENDED,
        held=suspended and binding.reason is SuspendReason.ADMIN,
    )


def _rules(config: Config) -> DeskRules:
    call = config.call
    return DeskRules(
        first_digit_s=call.first_digit_s,
        next_digit_s=call.next_digit_s,
        max_s=300 + config.code.attempt_s + call.max_s,
    )
