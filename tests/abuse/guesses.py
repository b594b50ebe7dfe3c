"""Calls without telephony: use cases, ledger and call machine of a node, as fast as PostgreSQL goes."""

import random
from collections.abc import Iterator

from binding_ivr.call import events as ev
from binding_ivr.call.commands import Finish
from binding_ivr.call.machine import CallMachine
from binding_ivr.call.rules import Rules
from binding_ivr.dialing.dispatcher import _tries
from binding_ivr.errors import Refusal
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import AttemptState, Verdict
from binding_ivr.policy.code import is_code
from binding_ivr.ports import ClaimedAttempt
from tests.abuse.scene import ACCOUNT, Scene

STOOD_S = 30
"""What a call with three entries takes, as measured with real ones."""
LEASE_S = 30.0


class Guesser:
    """Keys wrong codes into calls that the ledger accepts. Every code it keys is wrong: the right one is luck."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self._scene = scene
        self._dice = random.Random(seed)
        self.wanted = 0
        """Codes that would have been keyed, had every call been accepted."""
        self.keyed = 0
        self.calls = 0
        self.seconds = 0

    async def guess(self, user: str, number: str) -> str:
        """Ask for a call and key as many wrong codes as it takes. Return why there was none, or an empty text."""
        scene = self._scene
        self.wanted += scene.config.code.tries
        scene.requests += 1
        actor = Actor(ActorKind.USER, user, Source.WEB, scene.address_of(user))
        try:
            await scene.opened.bindings.bind(ACCOUNT, user, number, actor)
        except Refusal as refusal:
            why = refusal.limit or refusal.code
            scene.refused[why] += 1
            return why
        for claimed in await scene.opened.store.attempts.claim("abuse", 100, LEASE_S):
            await self._call(claimed)
        return ""

    async def _call(self, attempt: ClaimedAttempt) -> None:
        ledger = self._scene.opened.store.attempts
        verdict = self._converse(attempt)
        await ledger.progress(attempt.attempt_id, AttemptState.ANSWERED, 0)
        await ledger.finish(attempt.attempt_id, verdict)
        await ledger.bill({attempt.attempt_id: STOOD_S})
        self.calls += 1
        self.keyed += verdict.tries
        self.seconds += STOOD_S

    def _converse(self, attempt: ClaimedAttempt) -> Verdict:
        """Run the call machine to its verdict, with wrong codes only."""
        config = self._scene.config
        code = self._scene.opened.codes.of_attempt(attempt.attempt_id, attempt.key_id)
        rules = Rules(length=config.code.length, tries=_tries(config, attempt.failed_tries))
        machine = CallMachine(rules, lambda heard: is_code(code, heard))
        for event in (ev.Begin(), ev.Ringing(), ev.Answered(), ev.Talking()):
            machine.handle(event, 0.0)
        for guess in self._wrong(code):
            for key in guess:
                for command in machine.handle(ev.Digit(key), 0.0):
                    if isinstance(command, Finish):
                        return command.verdict
            machine.handle(ev.SayDone(), 0.0)
        raise AssertionError("the machine takes guesses without end")

    def _wrong(self, code: str) -> Iterator[str]:
        for _ in range(20):
            guess = f"{self._dice.randrange(10 ** len(code)):0{len(code)}}"
            if guess != code:
                yield guess


def chance(guesses: int, length: int) -> str:
    """Write how likely one of so many random guesses would have been right."""
    return f"{100 * (1 - (1 - 10.0**-length) ** guesses):.3f} %"
