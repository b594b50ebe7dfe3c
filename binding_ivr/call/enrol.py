"""The dialogue at a desk phone as a pure machine: a number is keyed in, the access code heard, the call followed.

Events and the time go in, commands come out; no I/O, no clock. The call to the cell phone is another machine's.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from binding_ivr.call import desk
from binding_ivr.call import events as ev
from binding_ivr.call.commands import Ask, Say
from binding_ivr.call.desk import DeskCommand, DeskEvent
from binding_ivr.call.desk_words import REFUSED, RESULT_PROMPT, STATE_PROMPT, WRONG_NUMBER, spoken
from binding_ivr.call.digits import CODE_DIGITS, END_KEY
from binding_ivr.call.prompts import Prompt
from binding_ivr.model.outcome import AttemptState, Outcome

YES, AGAIN, RESTART_KEY = "1", "2", "*"
ANY_KEY = CODE_DIGITS + "*#"
CLOSING_S = 30.0
"""How long the last words may take before the dialogue ends without them."""


@dataclass(frozen=True, slots=True)
class DeskRules:
    """Timings in seconds and counts of 1 or more. The timings of keys are those of the validation call."""

    first_digit_s: float = 10.0
    next_digit_s: float = 5.0
    loops: int = 3  # how often a question is asked
    entries: int = 5  # how many numbers may be keyed in
    longest: int = 20  # digits of an entry
    answer_s: float = 15.0  # until the service has answered
    listen_s: float = 1.0  # how long to wait for a key before looking whether there is news
    max_s: float = 900.0  # the whole dialogue


class Stage(Enum):
    """Where the dialogue is."""

    NEW = auto()
    IDENTIFYING = auto()
    MENU = auto()
    ENTERING = auto()
    CONFIRMING = auto()
    ASKING = auto()  # the service decides
    FOLLOWING = auto()  # the attempt is under way
    CLOSING = auto()  # the last words
    ABANDONED = auto()  # nobody listens, but what the service decides must be known
    DONE = auto()


class EnrolMachine:
    """Everything that decides how a dialogue goes on. After Leave every event is answered with nothing."""

    def __init__(self, rules: DeskRules) -> None:
        """Wait for Talking, with which the dialogue begins."""
        self._rules = rules
        self._stage = Stage.NEW
        self._stage_until: float | None = None
        self._dialogue_until: float | None = None
        self._question: tuple[Prompt, ...] = ()
        self._asked = 0
        self._entries = 0
        self._entry = ""
        self._code: str | None = None
        self._code_was_heard = False
        self._says_code = False  # the Say under way tells the whole code
        self._to_say: deque[tuple[Prompt, ...]] = deque()
        self._state: AttemptState | None = None
        self._told: AttemptState | None = None
        self._outcome: Outcome | None = None
        self._result = ""

    @property
    def done(self) -> bool:
        """True when the dialogue is over and nothing is awaited any more."""
        return self._stage is Stage.DONE

    @property
    def deadline(self) -> float | None:
        """When `tick` must be called, if nothing happens before."""
        times = [at for at in (self._stage_until, self._dialogue_until) if at is not None]
        return min(times) if times and not self.done else None

    def tick(self, now: float) -> list[DeskCommand]:
        """The time is *now*; return what follows from deadlines that have passed."""
        if self.done:
            return []
        if self._stage_until is not None and now >= self._stage_until:
            return self._stage_is_over(now)
        if self._dialogue_until is not None and now >= self._dialogue_until:
            return self._break_off()
        return []

    def handle(self, event: DeskEvent, now: float) -> list[DeskCommand]:  # noqa: C901 - one case per event
        """Take *event* at time *now*; return what to do, in order."""
        if self.done:
            return []
        match event:
            case ev.Talking():
                return self._begin(now)
            case desk.Known() as known:
                return self._known(known, now)
            case desk.Unknown():
                return self._close_if(Stage.IDENTIFYING, Prompt.ENROL_NO_USER, "no_user", now)
            case desk.Accepted(code):
                return self._accepted(code, now)
            case desk.Refused(code):
                return self._refused(code, now)
            case desk.Progress(state, code):
                self._state, self._code = state, code
                return []
            case desk.Over(outcome):
                self._outcome = outcome
                return []
            case desk.Trouble():
                return self._trouble(now)
            case desk.Stopping(at_once):
                return self._stopping(at_once, now)
            case ev.Digit(key):
                return self._key(key, now)
            case ev.Silence():
                return self._silence(now)
            case ev.SayDone():
                return self._said(now)
            case ev.HangupNoticed() | ev.TalkLost():
                return self._nobody_listens()
            case (
                ev.Begin()
                | ev.Ringing()
                | ev.Answered()
                | ev.PlaceFailed()
                | ev.Ended()
                | ev.CancelRequested()
                | ev.Abort()
                | ev.Recorded()
            ):
                return []  # of the call to the cell phone
            case _:
                assert_never(event)

    # --- who is it ---------------------------------------------------------------------------------------------

    def _begin(self, now: float) -> list[DeskCommand]:
        if self._stage is not Stage.NEW:
            return []
        self._dialogue_until = now + self._rules.max_s
        self._enter(Stage.IDENTIFYING, now + self._rules.answer_s)
        return [desk.Identify()]

    def _known(self, known: desk.Known, now: float) -> list[DeskCommand]:
        if self._stage is not Stage.IDENTIFYING:
            return []
        if known.held:
            return self._close(Prompt.ENROL_SUSPENDED, "suspended", now)
        if known.busy:
            return self._close(Prompt.ENROL_IN_PROGRESS, "call_in_progress", now)
        if not known.ends_in:
            return self._ask_number()
        which = Prompt.ENROL_CURRENT if known.verified else Prompt.ENROL_UNVERIFIED
        return self._ask(Stage.MENU, (which, *spoken(known.ends_in), Prompt.ENROL_MENU))

    # --- questions ---------------------------------------------------------------------------------------------

    def _ask(self, stage: Stage, question: tuple[Prompt, ...]) -> list[DeskCommand]:
        """Put a new question."""
        self._enter(stage, None)
        self._question = question
        self._asked = 1
        return [self._put()]

    def _put(self, *before: Prompt) -> Ask:
        most = self._rules.longest if self._stage is Stage.ENTERING else 1
        return Ask((*before, *self._question), most, self._rules.first_digit_s, self._rules.next_digit_s)

    def _ask_again(self, now: float, *before: Prompt) -> list[DeskCommand]:
        """Put the same question once more, as often as allowed."""
        if self._asked >= self._rules.loops:
            return self._close(Prompt.ENROL_NO_ENTRY, "no_entry", now)
        self._asked += 1
        return [self._put(*before)]

    def _ask_number(self, *before: Prompt) -> list[DeskCommand]:
        self._entry = ""
        self._entries += 1
        return self._ask(Stage.ENTERING, (*before, Prompt.ENROL_ENTER))

    def _another_number(self, now: float, *before: Prompt) -> list[DeskCommand]:
        if self._entries >= self._rules.entries:
            return self._close(before[0] if before else Prompt.ENROL_NO_ENTRY, "no_entry", now)
        return self._ask_number(*before)

    def _key(self, key: str, now: float) -> list[DeskCommand]:
        match self._stage:
            case Stage.ENTERING:
                return self._entry_key(key, now)
            case Stage.MENU | Stage.CONFIRMING if key == YES:
                return self._ask_service(now)
            case Stage.MENU | Stage.CONFIRMING if key == AGAIN:
                return self._another_number(now)
            case Stage.MENU | Stage.CONFIRMING if key in ANY_KEY:
                return self._ask_again(now)
            case Stage.FOLLOWING if key in ANY_KEY:
                self._to_say.clear()
                self._say_code()
                return self._go_on(now)
            case _:
                return []  # the keys A to D do not end an Ask, and elsewhere nothing was asked

    def _entry_key(self, key: str, now: float) -> list[DeskCommand]:
        if key == RESTART_KEY:
            return self._another_number(now)
        if key == END_KEY:
            return self._confirm() if self._entry else self._ask_again(now)
        if key in CODE_DIGITS:
            self._entry += key
        return self._confirm() if len(self._entry) >= self._rules.longest else []

    def _confirm(self) -> list[DeskCommand]:
        read_out = (Prompt.ENROL_ENTERED, *spoken(self._entry), Prompt.ENROL_CONFIRM)
        return self._ask(Stage.CONFIRMING, read_out)

    def _silence(self, now: float) -> list[DeskCommand]:
        match self._stage:
            case Stage.ENTERING if self._entry:
                return self._confirm()
            case Stage.ENTERING | Stage.MENU | Stage.CONFIRMING:
                return self._ask_again(now, Prompt.ENROL_NO_ENTRY)
            case Stage.FOLLOWING:
                return self._go_on(now)
            case _:
                return []

    # --- the service decides -----------------------------------------------------------------------------------

    def _ask_service(self, now: float) -> list[DeskCommand]:
        wanted: DeskCommand = desk.Bind(self._entry) if self._stage is Stage.CONFIRMING else desk.Revalidate()
        self._enter(Stage.ASKING, now + self._rules.answer_s)
        return [wanted]

    def _accepted(self, code: str | None, now: float) -> list[DeskCommand]:
        if self._stage is Stage.ABANDONED:
            return [desk.Cancel(), *self._leave("hung_up")]
        if self._stage is not Stage.ASKING:
            return [desk.Cancel()]  # it was given up as failed, and so the user was told
        self._code = code
        self._state = self._told = None
        self._enter(Stage.FOLLOWING, None)
        if code is None:
            self._to_say.append((Prompt.ENROL_ANSWER_FIRST,))
        else:
            self._say_code()
            self._to_say.append((Prompt.ENROL_THEN,))
            self._say_code()
        self._to_say.append((Prompt.ENROL_REPEAT,))
        return self._go_on(now)

    def _refused(self, code: str, now: float) -> list[DeskCommand]:
        if self._stage is Stage.ABANDONED:
            return self._leave("hung_up")
        if self._stage is not Stage.ASKING:
            return []
        if code in WRONG_NUMBER:
            return self._another_number(now, WRONG_NUMBER[code])
        return self._close(REFUSED.get(code, Prompt.ENROL_TRY_LATER), code, now)

    def _trouble(self, now: float) -> list[DeskCommand]:
        match self._stage:
            case Stage.ABANDONED:
                return self._leave("hung_up")
            case Stage.IDENTIFYING | Stage.ASKING:
                return self._close(Prompt.ENROL_PROBLEM, "problem", now)
            case Stage.FOLLOWING if self._outcome is None:
                return self._break_off()
            case _:
                return []

    # --- the attempt is under way ------------------------------------------------------------------------------

    def _say_code(self) -> None:
        if self._code is not None:
            self._to_say.append((Prompt.ENROL_CODE, *spoken(self._code)))

    def _said(self, now: float) -> list[DeskCommand]:
        if self._stage is Stage.CLOSING:
            return self._leave(self._result)
        if self._stage is not Stage.FOLLOWING:
            return []
        self._code_was_heard = self._code_was_heard or self._says_code
        return self._go_on(now)

    def _go_on(self, now: float) -> list[DeskCommand]:
        """Say what comes next: the end, what is left to say, news, or nothing for a moment."""
        self._says_code = False
        if self._outcome is not None:
            return self._close(RESULT_PROMPT[self._outcome], self._outcome.value, now)
        if not self._to_say:
            self._tell_state()
        if not self._to_say:
            return [Ask((), 1, self._rules.listen_s, self._rules.listen_s)]
        prompts = self._to_say.popleft()
        self._says_code = prompts[0] is Prompt.ENROL_CODE
        # The first time the code is told to its end: a key that is still held down must not cut it off.
        return [Say(prompts, "" if self._says_code and not self._code_was_heard else ANY_KEY)]

    def _tell_state(self) -> None:
        state = self._state
        if state is None or state is self._told or state is AttemptState.ENDED:
            return
        self._told = state
        self._to_say.append((STATE_PROMPT[state],))
        if state is AttemptState.ANSWERED:
            self._say_code()

    # --- the end -----------------------------------------------------------------------------------------------

    def _nobody_listens(self) -> list[DeskCommand]:
        """The desk phone hung up. Who heard the code goes on without it, as one goes on who closes the page."""
        match self._stage:
            case Stage.ASKING:
                self._enter(Stage.ABANDONED, self._stage_until)
                return []
            case Stage.FOLLOWING if self._outcome is None and not self._code_was_heard:
                return [desk.Cancel(), *self._leave("hung_up")]
            case Stage.FOLLOWING if self._outcome is not None:
                return self._leave(self._outcome.value)
            case Stage.CLOSING:
                return self._leave(self._result)
            case Stage.ABANDONED:
                return []
            case _:
                return self._leave("hung_up")

    def _stopping(self, at_once: bool, now: float) -> list[DeskCommand]:
        match self._stage:
            case Stage.IDENTIFYING:
                return self._close(Prompt.ENROL_PROBLEM, "problem", now)
            case Stage.NEW | Stage.MENU | Stage.ENTERING | Stage.CONFIRMING:
                return self._break_off()
            case Stage.ASKING if at_once:
                return self._close(Prompt.ENROL_PROBLEM, "problem", now)
            case Stage.FOLLOWING if at_once and self._outcome is None:
                return self._break_off()
            case _:
                return []

    def _close_if(self, stage: Stage, prompt: Prompt, result: str, now: float) -> list[DeskCommand]:
        return self._close(prompt, result, now) if self._stage is stage else []

    def _close(self, prompt: Prompt, result: str, now: float) -> list[DeskCommand]:
        """Say the last words; the dialogue's result is *result*. Only when nothing is being said or asked."""
        self._result = result
        self._enter(Stage.CLOSING, now + CLOSING_S)
        return [Say((prompt, Prompt.ENROL_GOODBYE), "")]

    def _stage_is_over(self, now: float) -> list[DeskCommand]:
        match self._stage:
            case Stage.IDENTIFYING | Stage.ASKING:
                return self._close(Prompt.ENROL_PROBLEM, "problem", now)
            case Stage.CLOSING:
                return self._leave(self._result)
            case Stage.ABANDONED:
                return self._leave("hung_up")
            case _:
                return []

    def _break_off(self) -> list[DeskCommand]:
        """End it in the middle of whatever is being said or asked."""
        self._enter(Stage.DONE, None)
        return [desk.Leave("problem", at_once=True)]

    def _leave(self, result: str) -> list[DeskCommand]:
        self._enter(Stage.DONE, None)
        return [desk.Leave(result)]

    def _enter(self, stage: Stage, until: float | None) -> None:
        self._stage = stage
        self._stage_until = until
