"""What is asked and what counts: hardened mode, the gate, streams of digits, and codes that are not this call's."""

from collections.abc import Iterator
from itertools import islice, pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.call import events as ev
from binding_ivr.call.commands import Ask, Command, Finish, Say
from binding_ivr.call.machine import CallMachine, Phase
from binding_ivr.call.prompts import Prompt
from binding_ivr.call.rules import Rules
from binding_ivr.dialing.dispatcher import random_keys
from binding_ivr.model.outcome import Fault, Outcome, Verdict
from binding_ivr.policy.code import access_code, is_code

CODE = "112334"
HARDENED = Rules(hardened=True)
OPENING = Say((Prompt.GREETING, Prompt.REASON), "*")
REQUEST = Ask((Prompt.ASK_CODE,), 6, 10.0, 5.0)
KEY_WORDS = Say((Prompt.GATE,), "*")
FIRST_KEY_WORDS = Say((Prompt.GREETING, Prompt.REASON, Prompt.GATE), "*")


def key_of(digit: str) -> Ask:
    return Ask((Prompt(f"digit_{digit}"),), 1, 10.0, 5.0)


class Phone:
    """A callee whose keys reach the machine as Asterisk lets them: while words are said, only those that stop them."""

    def __init__(self, rules: Rules, code: str = CODE, gate: str = "") -> None:
        self.machine = CallMachine(rules, lambda entry: is_code(code, entry), gate)
        self.playing: Say | Ask | None = None
        self.commands: list[Command] = []
        for event in (ev.Begin(), ev.Ringing(), ev.Answered(), ev.Talking()):
            self.tell(event)
        assert self.machine.phase is Phase.TALKING

    def tell(self, event: ev.Event) -> list[Command]:
        new = self.machine.handle(event, 1.0)
        self.commands += new
        for command in new:
            if isinstance(command, Say | Ask):
                self.playing = command
        return new

    def key(self, key: str) -> list[Command]:
        if isinstance(self.playing, Say) and key not in self.playing.escape:
            return []
        return self.tell(ev.Digit(key))

    def keys(self, keys: str) -> list[Command]:
        return [command for key in keys for command in self.key(key)]

    def stream(self, keys: Iterator[str], pauses: Iterator[int]) -> None:
        """Key without end; of the keys, as many as *pauses* says are pressed into each words that are said."""
        while self.machine.verdict is None:
            if isinstance(self.playing, Say):
                for key in islice(keys, next(pauses)):
                    assert self.key(key) == []
                self.tell(ev.SayDone())
            else:
                self.key(next(keys))

    @property
    def verdict(self) -> Verdict:
        (found,) = [c.verdict for c in self.commands if isinstance(c, Finish)]
        return found


def test_in_hardened_mode_nothing_counts_before_the_request() -> None:
    phone = Phone(HARDENED)
    assert phone.playing == OPENING
    for key in CODE + "#A":  # told by a driver that lets them through: the machine decides
        assert phone.tell(ev.Digit(key)) == []
    assert phone.tell(ev.SayDone()) == [REQUEST]
    phone.keys(CODE)
    assert phone.verdict == Verdict(Outcome.VERIFIED, Fault.CALLEE, 1)


def test_in_hardened_mode_a_code_that_began_too_early_is_no_code() -> None:
    phone = Phone(HARDENED)
    phone.keys(CODE[:3])
    phone.tell(ev.SayDone())
    phone.keys(CODE[3:])
    assert Say((Prompt.INCOMPLETE,), "*") in phone.tell(ev.Silence())


def test_after_the_request_hardened_mode_is_as_the_other() -> None:
    hardened, plain = Phone(HARDENED), Phone(Rules())
    hardened.tell(ev.SayDone())
    history: list[ev.Event] = [ev.Silence(), *map(ev.Digit, "99#"), ev.SayDone(), ev.Silence(), *map(ev.Digit, CODE)]
    for event in history:
        assert hardened.tell(event) == plain.tell(event)
    assert hardened.verdict == plain.verdict == Verdict(Outcome.VERIFIED, Fault.CALLEE, 2)


def test_in_the_default_mode_the_first_digit_counts_from_the_first_word_on() -> None:
    phone = Phone(Rules())
    assert phone.playing == Ask((Prompt.GREETING, Prompt.REASON, Prompt.ASK_CODE), 6, 10.0, 5.0)
    phone.keys(CODE)
    assert phone.verdict.outcome is Outcome.VERIFIED


@pytest.mark.parametrize("gate", ["", "705"])
@pytest.mark.parametrize("said", range(3))
def test_star_reports_before_during_and_after_the_opening(gate: str, said: int) -> None:
    phone = Phone(HARDENED, gate=gate)
    for _ in range(said):
        phone.tell(ev.SayDone())
    phone.key("*")
    assert phone.verdict.outcome is Outcome.REPORTED
    assert phone.tell(ev.Recorded()) == [Say((Prompt.REPORTED,), "")]


def test_a_last_digit_after_the_news_of_the_hang_up_counts_only_when_the_code_was_asked_for() -> None:
    for rules, gate in ((HARDENED, ""), (Rules(), "705")):
        phone = Phone(rules, gate=gate)
        phone.tell(ev.HangupNoticed())
        for key in CODE:
            assert phone.tell(ev.Digit(key)) == []
        phone.tell(ev.Ended(16, None))
        assert phone.verdict.outcome is Outcome.HUNG_UP


def test_the_gate_leads_to_the_request() -> None:
    for rules in (Rules(), HARDENED):
        phone = Phone(rules, gate="705")
        assert phone.playing == FIRST_KEY_WORDS
        assert phone.tell(ev.Digit("7")) == []  # guessed before it was named
        assert phone.tell(ev.SayDone()) == [key_of("7")]
        assert phone.key("7") == [REQUEST]
        phone.keys(CODE)
        assert phone.verdict == Verdict(Outcome.VERIFIED, Fault.CALLEE, 1)


def test_a_wrong_key_gets_a_new_one_and_silence_the_same() -> None:
    phone = Phone(Rules(), gate="705")
    phone.tell(ev.SayDone())
    assert phone.key("1") == [KEY_WORDS]
    assert phone.tell(ev.SayDone()) == [key_of("0")]
    assert phone.tell(ev.Silence()) == [FIRST_KEY_WORDS]
    assert phone.tell(ev.SayDone()) == [key_of("0")]
    assert phone.key("0") == [REQUEST]
    assert phone.machine.verdict is None


@pytest.mark.parametrize("answers", ["111", "1-#", "---", "#70"])
def test_the_third_miss_at_the_gate_ends_the_call_without_a_try(answers: str) -> None:
    phone = Phone(Rules(), gate="705")
    for answer in answers:
        assert phone.machine.verdict is None
        phone.tell(ev.SayDone())
        phone.tell(ev.Silence() if answer == "-" else ev.Digit(answer))
    verdict = phone.verdict
    assert (verdict.outcome, verdict.tries, verdict.detail) == (
        Outcome.NO_INPUT,
        0,
        "the key of the gate was not pressed",
    )
    assert phone.tell(ev.Recorded()) == [Say((Prompt.NO_INPUT,), "")]


def test_letters_are_no_answer_at_the_gate() -> None:
    phone = Phone(Rules(), gate="705")
    phone.tell(ev.SayDone())
    assert phone.keys("ABCD") == []
    assert phone.key("7") == [REQUEST]


def test_the_code_is_never_asked_for_before_the_gate() -> None:
    phone = Phone(Rules(max_s=60), gate="705")
    phone.tell(ev.SayDone())
    phone.commands += phone.machine.tick(61.0)
    assert phone.verdict.outcome is Outcome.NO_INPUT
    assert not [c for c in phone.commands if isinstance(c, Ask) and Prompt.ASK_CODE in c.prompts]


@pytest.mark.parametrize("gate", ["7", "7051", "70x", "٧٠٥"])
def test_a_gate_that_is_none_is_refused(gate: str) -> None:
    with pytest.raises(ValueError, match="3 keys"):
        CallMachine(Rules(), lambda _: True, gate)


@given(st.text("0123456789", min_size=3, max_size=3), st.lists(st.sampled_from("0123456789#A-"), max_size=12))
def test_the_gate_opens_only_to_the_key_that_was_named(gate: str, history: list[str]) -> None:
    phone = Phone(Rules(), gate=gate)
    named = ""
    for answer in history:
        if phone.playing in (KEY_WORDS, FIRST_KEY_WORDS):
            (asked,) = phone.tell(ev.SayDone())
            assert isinstance(asked, Ask)
            named = asked.prompts[0][-1]
            assert named in gate
        phone.tell(ev.Silence() if answer == "-" else ev.Digit(answer))
        if phone.machine.verdict is not None:
            assert phone.verdict.outcome is Outcome.NO_INPUT
            break
        assert (phone.playing == REQUEST) == (answer == named)
        if answer == named:
            break


def test_the_keys_of_a_gate_are_drawn_each_by_itself() -> None:
    drawn = random_keys(10_000)
    assert len(drawn) == 10_000
    assert all(800 < drawn.count(key) < 1200 for key in "0123456789")  # 6.7 standard deviations
    assert len(set(pairwise(drawn))) == 100


# --- streams of digits --------------------------------------------------------------------------------------


def de_bruijn(n: int) -> Iterator[str]:
    """Every window of *n* digits once: the words of Lyndon in their order, one after another."""
    word = [-1]
    while word:
        word[-1] += 1
        if n % len(word) == 0:
            yield from map(str, word)
        period = len(word)
        while len(word) < n:
            word.append(word[-period])
        while word and word[-1] == 9:
            word.pop()


def test_the_stream_holds_every_window_once() -> None:
    stream = "".join(de_bruijn(3))
    stream += stream[:2]
    assert {stream[at : at + 3] for at in range(1000)} == {f"{n:03}" for n in range(1000)}


@pytest.mark.parametrize("rules", [Rules(), HARDENED], ids=["default", "hardened"])
@pytest.mark.parametrize("pause", [0, 1, 5, 6])
@pytest.mark.parametrize("opening", [0, 4])
def test_a_stream_of_all_codes_proves_nothing_but_at_an_entrys_border(rules: Rules, pause: int, opening: int) -> None:
    """The code is somewhere in the first 60 digits, and a sliding match would find it each time."""
    stream = "".join(islice(de_bruijn(6), 20_000, 20_100))
    first = opening if rules.hardened else 0
    borders = {first + entry * (6 + pause) for entry in range(3)}
    for at in range(60):
        phone = Phone(rules, stream[at : at + 6])
        phone.stream(iter(stream), iter([opening] * rules.hardened + [pause] * 3))
        expected = Outcome.VERIFIED if at in borders else Outcome.WRONG_CODE
        assert phone.verdict.outcome is expected, at
        assert phone.verdict.tries <= 3


@given(
    st.text("0123456789", min_size=6, max_size=6),
    st.text("0123456789", min_size=60, max_size=60),
    st.lists(st.integers(0, 7), min_size=4, max_size=4),
    st.integers(0, 54),
    st.booleans(),
    st.integers(1, 3),
)
def test_only_whole_entries_are_compared_and_no_more_than_there_are_tries(
    code: str, around: str, pauses: list[int], at: int, hardened: bool, tries: int
) -> None:
    keys = around[:at] + code + around[at:]
    phone = Phone(Rules(hardened=hardened, tries=tries), code)
    phone.stream(iter(keys), iter(pauses if hardened else pauses[1:]))
    entries, start = [], pauses[0] if hardened else 0
    for pause in pauses[1 : tries + 1]:
        entries.append(keys[start : start + 6])
        start += 6 + pause
    assert phone.verdict.outcome is (Outcome.VERIFIED if code in entries else Outcome.WRONG_CODE)
    assert phone.verdict.tries == (entries.index(code) + 1 if code in entries else tries)


# --- codes of other calls -----------------------------------------------------------------------------------

KEY = b"a key of this test"
EARLIER, NOW = (UUID(f"0b8f4f2e-63c5-4b5e-a5cf-7d1a2d3e4f5{n}") for n in (0, 1))


def test_a_code_of_an_earlier_call_is_wrong() -> None:
    earlier, now = (access_code(KEY, attempt, 6) for attempt in (EARLIER, NOW))
    assert earlier != now
    first = Phone(Rules(), earlier)
    first.keys(earlier)
    assert first.verdict.outcome is Outcome.VERIFIED
    second = Phone(Rules(), now)
    for _ in range(3):
        assert second.machine.verdict is None
        second.keys(earlier)
        second.tell(ev.SayDone())
    assert second.verdict == Verdict(Outcome.WRONG_CODE, Fault.CALLEE, 3)


ENDINGS: list[tuple[ev.Event, ...]] = [
    (ev.CancelRequested(),),
    (ev.Abort("the service stops"),),
    (ev.Ended(16, None),),
    (ev.HangupNoticed(), ev.Ended(16, None)),
    (ev.TalkLost("closed"), ev.Ended(None, None)),
    tuple(ev.Silence() for _ in range(5)),
    (*map(ev.Digit, "999999"), ev.SayDone(), *map(ev.Digit, "999999"), ev.SayDone(), *map(ev.Digit, "999999")),
    (ev.Digit("*"),),
]


@pytest.mark.parametrize(
    "ending", ENDINGS, ids=lambda events: "-".join(dict.fromkeys(type(e).__name__ for e in events))
)
def test_a_code_dies_with_its_call(ending: tuple[ev.Event, ...]) -> None:
    phone = Phone(Rules())
    for event in ending:
        phone.tell(event)
    verdict = phone.verdict
    assert verdict.outcome is not Outcome.VERIFIED
    for after in (None, ev.Recorded(), ev.SayDone(), ev.Talking(), ev.Ended(16, None)):
        if after is not None:
            phone.tell(after)
        for key in CODE:
            assert phone.tell(ev.Digit(key)) == []
    assert phone.machine.done
    assert phone.verdict is verdict  # the only one
