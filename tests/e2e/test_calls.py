"""Every scripted behaviour of the phone network: outcome, fault, tries, the row, the binding, and no channel left."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest

from binding_ivr.app.bindings import Bindings
from binding_ivr.app.view import Shown
from binding_ivr.lab.behaviours import TABLE
from binding_ivr.model.outcome import AttemptState, Fault, Outcome
from binding_ivr.model.rows import AttemptRow, BindingStatus
from tests.e2e.installation import TESTER, Installation


@dataclass(frozen=True)
class Case:
    """A phone's behaviour and what must come of it."""

    behaviour: str
    outcome: Outcome
    tries: int = 0
    fault: Fault = Fault.CALLEE
    cause: int | None = None
    tech_cause: int | None = None
    params: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.behaviour


CASES = [
    Case("right", Outcome.VERIFIED, 1),
    Case("wrong", Outcome.WRONG_CODE, 3, params={"pace_ms": 4000}),
    Case("wrong_then_right", Outcome.VERIFIED, 2, params={"pace_ms": 4000}),
    Case("short", Outcome.WRONG_CODE, 1),
    Case("slow", Outcome.WRONG_CODE, 3, params={"pace_ms": 6000}),
    Case("hash", Outcome.VERIFIED, 1),
    Case("short_hash", Outcome.VERIFIED, 2, params={"pace_ms": 4000}),
    Case("repeated", Outcome.VERIFIED, 1),
    Case("fast", Outcome.VERIFIED, 1),
    Case("info", Outcome.VERIFIED, 1),
    Case("busy", Outcome.BUSY, cause=17, tech_cause=486),
    Case("declined", Outcome.DECLINED, tech_cause=603),
    Case("rejected", Outcome.DECLINED, cause=21, tech_cause=403),
    Case("no_answer", Outcome.NO_ANSWER, cause=19),
    Case("unallocated", Outcome.UNREACHABLE, fault=Fault.NETWORK, cause=1, tech_cause=404),
    Case("gone", Outcome.UNREACHABLE, fault=Fault.NETWORK, cause=22, tech_cause=410),
    Case("congestion", Outcome.CONGESTION, fault=Fault.NETWORK, cause=34, tech_cause=503),
    Case("early_media", Outcome.VERIFIED, 1),
    Case("early_busy", Outcome.BUSY, cause=17, tech_cause=486),
    Case("voicemail", Outcome.HUNG_UP, params={"pace_ms": 3000}),
    Case("screening", Outcome.VERIFIED, 1),
    Case("hangup_at", Outcome.HUNG_UP, cause=16),
    Case("hangup_digits", Outcome.HUNG_UP, cause=16),
    Case("star", Outcome.REPORTED),
    Case("star_mid", Outcome.REPORTED),
    Case("silent", Outcome.NO_INPUT),
    Case("letters", Outcome.VERIFIED, 1),
    Case("burst_early", Outcome.VERIFIED, 1),
    Case("barge", Outcome.VERIFIED, 1),
    Case("hangup_at", Outcome.HUNG_UP, params={"after_ms": 0}, name="hangup_at_once"),
    Case("fast", Outcome.VERIFIED, 1, params={"gap_ms": 30, "duration_ms": 40}, name="fastest"),
    Case("fast", Outcome.VERIFIED, 1, params={"gap_ms": 20, "duration_ms": 50, "after_ms": 50}, name="fast_at_once"),
]

Result = tuple[AttemptRow, BindingStatus]


def repeated_code_id(installation: Installation) -> UUID:
    """An attempt id whose access code is one digit six times; one in a hundred thousand is."""
    codes = installation.opened.codes
    while True:
        candidate = uuid4()
        if len(set(codes.of_attempt(candidate, codes.active_key))) == 1:
            return candidate


async def run(installation: Installation, case: Case, index: int) -> Result:
    user = await installation.new_user()
    number = installation.lab.number(case.behaviour, index)
    await installation.lab.set_script(number, case.behaviour, **case.params)
    if case.behaviour == "repeated":
        opened = installation.opened
        chosen = await asyncio.to_thread(repeated_code_id, installation)
        bindings = Bindings(opened.config, opened.store, opened.codes, lambda: chosen)
        shown: Shown = await bindings.bind("default", user, number, TESTER)
        assert shown.code is not None
        assert len(set(shown.code)) == 1
        await installation.lab.set_code(number, shown.code)
    else:
        shown = await installation.bind(user, number)
    attempt = await installation.ended(shown)
    binding = await installation.opened.bindings.status("default", user)
    return attempt, binding.status


@pytest.fixture(scope="module")
async def results(installation: Installation) -> dict[str, Result]:
    """All cases at the same time, as on a busy PBX."""
    indices: dict[str, int] = {}
    runs = []
    for case in CASES:
        indices[case.behaviour] = indices.get(case.behaviour, 0) + 1
        runs.append(run(installation, case, indices[case.behaviour]))
    ended = await asyncio.gather(*runs)
    await installation.no_channels()
    return {str(case): result for case, result in zip(CASES, ended, strict=True)}


def test_every_behaviour_of_the_lab_is_tried() -> None:
    # `person` is a phone in a test's hand, which does what it is told (test_phones.py).
    assert {case.behaviour for case in CASES} == {row.name for row in TABLE} - {"person"}


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_call(results: dict[str, Result], case: Case) -> None:
    attempt, status = results[str(case)]
    assert (attempt.outcome, attempt.fault, attempt.tries) == (case.outcome, case.fault, case.tries), attempt.detail
    assert attempt.state is AttemptState.ENDED
    assert attempt.ended_at is not None
    if case.cause is not None:
        assert attempt.cause == case.cause
    if case.tech_cause is not None:
        assert attempt.tech_cause == case.tech_cause
    expected = {Outcome.VERIFIED: BindingStatus.VERIFIED, Outcome.REPORTED: BindingStatus.SUSPENDED}
    assert status is expected.get(case.outcome, BindingStatus.PENDING)


async def hung_up_at_once(installation: Installation, number: str) -> AttemptRow:
    await installation.lab.set_script(number, "hangup_at", after_ms=0)
    return await installation.ended(await installation.bind(await installation.new_user(), number))


async def test_whoever_hangs_up_at_once_has_hung_up(installation: Installation) -> None:
    """The hang-up and the application race for the channel; whichever is first, it is no fault of ours."""
    numbers = [installation.lab.number("right", 1100 + i) for i in range(60)]
    ended = await asyncio.gather(*(hung_up_at_once(installation, number) for number in numbers))
    ends = Counter((attempt.outcome, attempt.fault, attempt.cause) for attempt in ended)
    assert ends == {(Outcome.HUNG_UP, Fault.CALLEE, 16): 60}
    await installation.no_channels()


async def test_no_channel_is_left(results: dict[str, Result], installation: Installation) -> None:
    assert len(results) == len(CASES)
    await installation.no_channels()
    process = installation.process
    assert process is not None
    assert process.returncode is None


async def test_call_screening_hears_speech_within_a_second(
    results: dict[str, Result], installation: Installation
) -> None:
    heard = await installation.lab.heard(installation.lab.number("screening", 1))
    assert heard["speech"] == "yes"
    # from the answer, to speech that has lasted 200 ms
    assert int(heard["speech_ms"]) < 1200


async def test_a_reported_number_is_not_called_again(results: dict[str, Result], installation: Installation) -> None:
    number = installation.lab.number("star", 1)
    other = await installation.new_user()
    status, _, told = await installation.command("bind", other, number)
    assert (status, told) == (
        1,
        "binding-ivr: this number cannot be called now; try again later, or use another number\n",
    )


async def test_neither_code_nor_number_is_in_the_log(results: dict[str, Result], installation: Installation) -> None:
    log = await asyncio.to_thread(installation.said)
    codes = installation.opened.codes
    assert log.count("call.ended") >= len(CASES)
    for attempt, _ in results.values():
        assert attempt.number not in log
        assert attempt.number[2:] not in log
        key = codes.of_attempt(attempt.attempt_id, attempt.key_id)
        assert key not in log
