"""What is said and asked while a call talks: the gate, the request for the code, its entries. It ends no call.

Keys and silence go in, commands come out. Once nothing is left to ask, `outcome` is set.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import assert_never

from binding_ivr.call.commands import Ask, Command, Progress, Say
from binding_ivr.call.digits import CODE_DIGITS, END_KEY, REPORT_KEY, Entry, EntryState
from binding_ivr.call.prompts import Prompt
from binding_ivr.call.rules import GATE_ROUNDS, Rules
from binding_ivr.model.outcome import AttemptState, Outcome


class Turn(Enum):
    """What a key would be now. `*` is the report at any turn."""

    NOT_YET = auto()  # nothing was said
    BEFORE_KEY = auto()  # words that the gate's key follows; digits are of no question
    KEY = auto()  # the gate's key
    BEFORE_CODE = auto()  # words that the request follows; digits are of no question
    CODE = auto()  # a digit of an entry


class Asking:
    """The conversation's side of one call. Times are the caller's: silence comes in as an event."""

    def __init__(self, rules: Rules, is_right: Callable[[str], bool], gate: str) -> None:
        """Prepare; *is_right* compares one whole entry with the access code in constant time.

        *gate* is empty, or the keys of its GATE_ROUNDS rounds, which nobody outside can know before they are spoken.
        Raises ValueError for anything else.
        """
        if gate and (len(gate) != GATE_ROUNDS or not set(gate) <= set(CODE_DIGITS)):
            raise ValueError(f"a gate has {GATE_ROUNDS} keys of 0-9")
        self.outcome: Outcome | None = None
        self.detail = ""
        self.tries = 0
        self._rules = rules
        self._is_right = is_right
        self._keys = gate
        self._rounds = 0
        self._turn = Turn.NOT_YET
        self._entry = Entry(rules.length)
        self._loops = 0

    @property
    def outcome_of_silence(self) -> Outcome:
        """How a call ends in which nothing more is keyed."""
        return Outcome.WRONG_CODE if self.tries else Outcome.NO_INPUT

    def begin(self) -> list[Command]:
        """Say who calls and why, and ask. In hardened mode nothing is heard before the request's first word."""
        if self._keys:
            return self._ask_key(Prompt.GREETING, Prompt.REASON)
        if self._rules.hardened:
            self._turn = Turn.BEFORE_CODE
            return [Say((Prompt.GREETING, Prompt.REASON), REPORT_KEY)]
        return self._ask_code(Prompt.GREETING, Prompt.REASON)

    def press(self, key: str) -> list[Command]:
        """Take one key; what is keyed while nothing is asked is no answer."""
        if key == REPORT_KEY:
            return self._over(Outcome.REPORTED)
        match self._turn:
            case Turn.NOT_YET | Turn.BEFORE_KEY | Turn.BEFORE_CODE:
                return []
            case Turn.KEY:
                return self._gate_key(key)
            case Turn.CODE:
                return self._code_digit(key)
            case turn:
                assert_never(turn)

    def press_late(self, key: str) -> list[Command]:
        """Take a key when nothing can be said any more: it counts only as the last one of the right code."""
        if self._turn is not Turn.CODE or self._entry.press(key) is not EntryState.COMPLETE:
            return []
        return self._entered() if self._is_right(self._entry.digits) else []

    def said(self) -> list[Command]:
        """The words of a Say are over: ask what follows them."""
        if self._turn is Turn.BEFORE_KEY:
            self._turn = Turn.KEY
            return [Ask((Prompt(f"digit_{self._keys[0]}"),), 1, self._rules.first_digit_s, self._rules.next_digit_s)]
        return self._ask_code() if self._turn is Turn.BEFORE_CODE else []

    def silence(self) -> list[Command]:
        """No further key came."""
        if self._turn is Turn.KEY:
            return self._next_round(Prompt.GREETING, Prompt.REASON)
        if self._turn is not Turn.CODE:
            return []
        if self._entry.digits:
            return self._missed(Prompt.INCOMPLETE)
        self._loops += 1
        if self._loops >= self._rules.loops:
            return self._over(self.outcome_of_silence)
        return self._ask_code(Prompt.GREETING)

    # --- the gate ------------------------------------------------------------------------------------------

    def _ask_key(self, *before: Prompt) -> list[Command]:
        """Lead to the key, the last word: what was pressed before it was named cannot be an answer."""
        self._turn = Turn.BEFORE_KEY
        return [Say((*before, Prompt.GATE), REPORT_KEY)]

    def _gate_key(self, key: str) -> list[Command]:
        if key not in CODE_DIGITS + END_KEY:
            return []  # the keys A to D end no Ask
        if key == self._keys[0]:
            return self._ask_code()
        self._keys = self._keys[1:]  # a new key: a recording of many keys would hit one that stays the sooner
        return self._next_round()

    def _next_round(self, *before: Prompt) -> list[Command]:
        self._rounds += 1
        if self._rounds >= GATE_ROUNDS:
            self.detail = "the key of the gate was not pressed"
            return self._over(Outcome.NO_INPUT)
        return self._ask_key(*before)

    # --- the code ------------------------------------------------------------------------------------------

    def _ask_code(self, *before: Prompt) -> list[Command]:
        self._turn = Turn.CODE
        return [self._ask(*before, Prompt.ASK_CODE_DESK if self._rules.at_desk else Prompt.ASK_CODE)]

    def _ask(self, *prompts: Prompt) -> Ask:
        """Ask for one whole entry; it begins empty."""
        return Ask(prompts, self._rules.length, self._rules.first_digit_s, self._rules.next_digit_s)

    def _code_digit(self, key: str) -> list[Command]:
        match self._entry.press(key):
            case EntryState.REPORTED:
                return self._over(Outcome.REPORTED)
            case EntryState.COMPLETE:
                return self._entered()
            case EntryState.INCOMPLETE:
                return self._missed(Prompt.INCOMPLETE)
            case EntryState.OPEN:
                if key == END_KEY:  # before any digit: it ended the asking, not the entry
                    return [self._ask()]
                return [Progress(AttemptState.ANSWERED, len(self._entry.digits))]
            case state:
                assert_never(state)

    def _entered(self) -> list[Command]:
        heard = Progress(AttemptState.ANSWERED, len(self._entry.digits))
        if not self._is_right(self._entry.digits):
            return [heard, *self._missed(Prompt.WRONG_CODE)]
        self.tries += 1
        return [heard, *self._over(Outcome.VERIFIED)]

    def _missed(self, why: Prompt) -> list[Command]:
        """One try is used up. The notice takes no code digit, so the tail of a longer stream is never an entry."""
        self.tries += 1
        self._loops = 0
        self._entry.clear()
        if self.tries >= self._rules.tries:
            return self._over(Outcome.WRONG_CODE)
        self._turn = Turn.BEFORE_CODE
        return [Say((why,), REPORT_KEY), Progress(AttemptState.ANSWERED)]

    def _over(self, outcome: Outcome) -> list[Command]:
        self.outcome = outcome
        return []
