"""The call machine: everything that decides how one validation call goes on and ends; it does nothing itself.

`handle(event, now)` and `tick(now)` return commands; `deadline` is the one time at which `tick` wants to be called.
Times are seconds of any monotonic clock. In any order of events there is exactly one Finish per call.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import assert_never

from binding_ivr.call import events as ev
from binding_ivr.call.asking import Asking
from binding_ivr.call.commands import Command, Finish, Handoff, Hangup, Originate, Progress, Say
from binding_ivr.call.prompts import Prompt
from binding_ivr.call.rules import Rules
from binding_ivr.model.outcome import (
    FAULTS,
    AttemptState,
    Fault,
    Outcome,
    Verdict,
    of_unanswered,
)

RING_GRACE_S = 5.0
"""Asterisk ends the ringing itself; only when it does not, we do."""
HANDOFF_S = 10.0
"""From the answer to the first word of the FastAGI session; beyond, the dialplan does not lead to us."""
NOTICE_S = 3.0
"""How long a broken conversation waits for the news of why it broke (the callee hung up, or a fault of ours)."""
RECORD_S = 8.0
"""How long the callee waits in silence for the verdict to be committed."""
CLOSING_S = 30.0
"""The longest closing prompt."""
HANGUP_S = 5.0
"""Between two requests to end the channel."""
HANGUPS = 3
"""Requests to end the channel before the call is left to the sweep for strays."""

CLOSING_PROMPT: dict[Outcome, Prompt] = {
    Outcome.VERIFIED: Prompt.VERIFIED,
    Outcome.WRONG_CODE: Prompt.NO_MORE_TRIES,
    Outcome.NO_INPUT: Prompt.NO_INPUT,
    Outcome.REPORTED: Prompt.REPORTED,
}


class Phase(Enum):
    """Where the call is."""

    NEW = auto()
    DIALING = auto()  # asked for, nothing heard from the network
    RINGING = auto()
    HANDOFF = auto()  # answered, on its way to the conversation
    TALKING = auto()
    LOST = auto()  # the conversation broke; why is not known yet
    RECORDING = auto()  # verdict given, being committed, the callee waits
    CLOSING = auto()  # the closing prompt plays
    HANGING_UP = auto()
    DONE = auto()


_BEFORE_ANSWER = frozenset({Phase.DIALING, Phase.RINGING})


class CallMachine:
    """One call, from Begin to the end of its channel."""

    def __init__(self, rules: Rules, is_right: Callable[[str], bool], gate: str = "") -> None:
        """Prepare a call; *is_right* compares one whole entry with the access code in constant time.

        *gate* holds the random keys of the gate's rounds (`rules.GATE_ROUNDS`), and is empty when there is no gate.
        """
        self._rules = rules
        self._asking = Asking(rules, is_right, gate)
        self._phase = Phase.NEW
        self._route = 0
        self._hangups = 0
        self._hangup_noticed = False
        self._talk_is_lost = False
        self._lost_detail = ""
        self._rang = False
        self._was_answered = False
        self._verdict: Verdict | None = None
        self._phase_until: float | None = None
        self._call_until: float | None = None

    @property
    def phase(self) -> Phase:
        """Where the call is."""
        return self._phase

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, once there is one."""
        return self._verdict

    @property
    def done(self) -> bool:
        """True when the verdict was given and nothing of the call is left (or it was left to the sweep)."""
        return self._phase is Phase.DONE

    @property
    def deadline(self) -> float | None:
        """When `tick` must be called at the latest; None when nothing is timed."""
        times = [t for t in (self._phase_until, self._call_until) if t is not None]
        return min(times, default=None)

    def handle(self, event: ev.Event, now: float) -> list[Command]:  # noqa: C901 - one line per event of a closed set
        """Take one event; late and doubled ones are normal and answered with what is still right."""
        if self.done:
            return []
        match event:
            case ev.Begin():
                return self._begin(now)
            case ev.Ringing():
                return self._ringing()
            case ev.Answered():
                return self._answered(now)
            case ev.Talking():
                return self._talking(now)
            case ev.Digit(digit):
                return self._digit(digit, now)
            case ev.SayDone():
                return self._said(now)
            case ev.Silence():
                return self._silence(now)
            case ev.TalkLost(detail):
                return self._talk_lost(detail, now)
            case ev.HangupNoticed():
                return self._noticed(now)
            case ev.PlaceFailed(detail, network):
                return self._place_failed(detail, network, now)
            case ev.Ended(cause, tech_cause):
                return self._ended(cause, tech_cause, now)
            case ev.CancelRequested():
                return self._stop(Outcome.CANCELED, "", now)
            case ev.Abort(detail):
                return self._stop(Outcome.FAILED, detail, now)
            case ev.Recorded(committed):
                return self._recorded(committed, now)
            case _:
                assert_never(event)

    def tick(self, now: float) -> list[Command]:
        """Do what is due at *now*; nothing when called early."""
        if self._call_until is not None and now >= self._call_until:
            self._call_until = None
            if self._verdict is None:
                return self._give_up("the call reached its longest duration", now)
        if self._phase_until is None or now < self._phase_until:
            return []
        self._phase_until = None
        return self._phase_is_over(now)

    # --- before the answer ---------------------------------------------------------------------------------

    def _begin(self, now: float) -> list[Command]:
        if self._phase is not Phase.NEW:
            return []
        return self._dial(now)

    def _dial(self, now: float) -> list[Command]:
        self._enter(Phase.DIALING, now + self._rules.ring_s + RING_GRACE_S)
        return [Originate(self._route), Progress(AttemptState.DIALING)]

    def _ringing(self) -> list[Command]:
        if self._phase is not Phase.DIALING:
            return []
        self._phase = Phase.RINGING  # the ring deadline goes on
        self._rang = True
        return [Progress(AttemptState.RINGING)]

    def _answered(self, now: float) -> list[Command]:
        if self._verdict is not None:
            return [Hangup()]  # the far end answered while the call was being given up
        if self._phase not in _BEFORE_ANSWER:
            return []
        self._enter(Phase.HANDOFF, now + HANDOFF_S)
        self._call_until = now + self._rules.max_s
        self._was_answered = True
        return [Handoff(), Progress(AttemptState.ANSWERED)]

    def _place_failed(self, detail: str, network: bool, now: float) -> list[Command]:
        if self._verdict is not None:
            return []
        if self._phase is Phase.DIALING and self._next_route():
            return self._dial(now)
        outcome = Outcome.CONGESTION if network else Outcome.FAILED
        if (
            self._phase is Phase.HANDOFF
        ):  # the channel may be gone because the callee hung up at once; that news follows
            self._lost_detail = detail
            self._enter(Phase.LOST, now + NOTICE_S)
            return []
        return self._finish(outcome, now, detail=detail) + self._gone()  # there is no channel

    def _next_route(self) -> bool:
        """Step to the next route, if there is one. Only for failures of the network before it rang."""
        if self._route + 1 >= self._rules.routes:
            return False
        self._route += 1
        return True

    # --- the conversation ----------------------------------------------------------------------------------

    def _talking(self, now: float) -> list[Command]:
        if self._phase is not Phase.HANDOFF:
            return [Hangup()] if self._verdict is not None else []
        self._enter(Phase.TALKING, None)
        return self._go_on(self._asking.begin(), now)

    def _go_on(self, commands: list[Command], now: float) -> list[Command]:
        """Do what the conversation wants; with its outcome comes the verdict."""
        if self._asking.outcome is None:
            return commands
        return [*commands, *self._finish(self._asking.outcome, now, detail=self._asking.detail)]

    def _digit(self, key: str, now: float) -> list[Command]:
        if self._phase is Phase.TALKING:
            return self._go_on(self._asking.press(key), now)
        if self._phase is Phase.LOST:  # the news of the hang-up may overtake the last digit, which counts
            return self._go_on(self._asking.press_late(key), now)
        return []

    def _said(self, now: float) -> list[Command]:
        if self._phase is Phase.TALKING:
            return self._go_on(self._asking.said(), now)
        return self._hang_up(now) if self._phase is Phase.CLOSING else []

    def _silence(self, now: float) -> list[Command]:
        return self._go_on(self._asking.silence(), now) if self._phase is Phase.TALKING else []

    def _talk_lost(self, detail: str, now: float) -> list[Command]:
        self._talk_is_lost = True
        if self._phase is Phase.TALKING:
            self._lost_detail = detail
            self._enter(Phase.LOST, now + NOTICE_S)
            return []
        if self._phase is Phase.CLOSING:
            return self._hang_up(now)
        return []

    def _noticed(self, now: float) -> list[Command]:
        self._hangup_noticed = True
        if self._phase in (Phase.TALKING, Phase.LOST):
            # The end of the channel follows with its cause; if that news is lost, the call ends all the same.
            self._enter(Phase.LOST, now + NOTICE_S)
        return []

    # --- the end -------------------------------------------------------------------------------------------

    def _ended(self, cause: int | None, tech_cause: int | None, now: float) -> list[Command]:
        if self._verdict is not None:
            return self._gone()
        if self._phase in _BEFORE_ANSWER:
            return self._ended_unanswered(cause, tech_cause, now)
        if self._phase is Phase.NEW:
            return []
        in_talk = self._phase is not Phase.HANDOFF
        if self._hangup_noticed or (in_talk and cause is not None and not self._lost_detail):
            finish = self._finish(Outcome.HUNG_UP, now, cause=cause, tech_cause=tech_cause)
        else:
            finish = self._finish(Outcome.FAILED, now, cause=cause, tech_cause=tech_cause, detail=self._what_broke())
        return finish + self._gone()

    def _what_broke(self) -> str:
        """What to tell the operator of an answered call that did not end by the callee's hand."""
        if self._phase is Phase.HANDOFF:
            return (
                "answered, but the conversation never began: include binding_ivr.conf in the dialplan and check [agi]"
            )
        return self._lost_detail or "the channel vanished; was Asterisk restarted?"

    def _ended_unanswered(self, cause: int | None, tech_cause: int | None, now: float) -> list[Command]:
        outcome, fault = of_unanswered(cause, tech_cause)
        if outcome is Outcome.CONGESTION and self._phase is Phase.DIALING and self._next_route():
            return self._dial(now)
        detail = ""
        if outcome is Outcome.FAILED:
            detail = "the call ended before it was answered, for a reason that is not in our tables"
        finish = self._finish(outcome, now, fault=fault, cause=cause, tech_cause=tech_cause, detail=detail)
        return finish + self._gone()

    def _stop(self, outcome: Outcome, detail: str, now: float) -> list[Command]:
        if self._verdict is not None:
            return []
        placed = self._phase is not Phase.NEW
        finish = self._finish(outcome, now, detail=detail, hangup=placed)
        return finish if placed else finish + self._gone()

    def _give_up(self, detail: str, now: float) -> list[Command]:
        return self._finish(self._asking.outcome_of_silence, now, detail=detail, hangup=True)

    def _finish(
        self,
        outcome: Outcome,
        now: float,
        *,
        fault: Fault | None = None,
        cause: int | None = None,
        tech_cause: int | None = None,
        detail: str = "",
        hangup: bool = False,
    ) -> list[Command]:
        """Give the verdict, once. With *hangup* the channel ends at once, else after the closing prompt."""
        assert self._verdict is None
        self._verdict = Verdict(
            outcome,
            fault or FAULTS[outcome],
            self._asking.tries,
            cause,
            tech_cause,
            detail,
            rang=self._rang,
            answered=self._was_answered,
        )
        self._call_until = None
        finish: list[Command] = [Finish(self._verdict)]
        if hangup:
            return finish + self._hang_up(now)
        self._enter(Phase.RECORDING, now + RECORD_S)
        return finish

    def _recorded(self, committed: bool, now: float) -> list[Command]:
        if self._phase is not Phase.RECORDING or self._verdict is None:
            return []
        prompt = CLOSING_PROMPT.get(self._verdict.outcome) if committed else None
        return self._close(prompt or Prompt.PROBLEM, now)

    def _close(self, prompt: Prompt, now: float) -> list[Command]:
        if self._talk_is_lost:
            return self._hang_up(now)
        self._enter(Phase.CLOSING, now + CLOSING_S)
        return [Say((prompt,), "")]

    def _hang_up(self, now: float) -> list[Command]:
        self._hangups += 1
        self._enter(Phase.HANGING_UP, now + HANGUP_S)
        return [Hangup()]

    def _gone(self) -> list[Command]:
        self._enter(Phase.DONE, None)
        return []

    def _phase_is_over(self, now: float) -> list[Command]:
        match self._phase:
            case Phase.DIALING | Phase.RINGING:
                return self._finish(Outcome.NO_ANSWER, now, detail="no end of the ringing was reported", hangup=True)
            case Phase.HANDOFF | Phase.LOST:
                if self._hangup_noticed:
                    return self._finish(Outcome.HUNG_UP, now, hangup=True)
                return self._finish(Outcome.FAILED, now, detail=self._what_broke(), hangup=True)
            case Phase.RECORDING:
                return self._close(Prompt.PROBLEM, now)
            case Phase.CLOSING:
                return self._hang_up(now)
            case Phase.HANGING_UP:
                return self._hang_up(now) if self._hangups < HANGUPS else self._gone()
            case Phase.NEW | Phase.TALKING | Phase.DONE:
                return []
            case phase:
                assert_never(phase)

    def _enter(self, phase: Phase, until: float | None) -> None:
        self._phase = phase
        self._phase_until = until
