"""Dialogues at desk phones on a real PostgreSQL, without Asterisk: who is known, what is begun, and what is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from binding_ivr.app import enrolment
from binding_ivr.app.enrolment import RESULT_VARIABLE, Dialogue, Enrolment
from binding_ivr.app.installation import Installation, open_installation
from binding_ivr.call import events as ev
from binding_ivr.call.prompts import Prompt
from binding_ivr.errors import UnavailableError
from binding_ivr.metrics import Metrics
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.model.rows import AttemptRow, BindingStatus, SuspendReason, User
from binding_ivr.ports import DeskCaller
from tests.integration.api_service import config_for
from tests.integration.conftest import World
from tests.integration.fake_ari import until
from tests.patience import SLOW

if TYPE_CHECKING:
    from binding_ivr.app.view import Shown

NUMBER, OTHER = "+12025550123", "+12025550188"
ADMIN = Actor(ActorKind.CLI, "root", Source.CLI)


@dataclass
class Phone:
    """A desk phone whose user presses *keys* one after another whenever something is asked; then nothing more."""

    keys: list[str] = field(default_factory=list)
    said: list[Prompt] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    closed: bool = False
    quiet: bool = False  # what is said never ends: as if the user had taken the phone from the ear
    dialogue: Dialogue | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def post(self, event: ev.Event, after_s: float = 0.0) -> None:
        assert self.dialogue is not None
        asyncio.get_running_loop().call_later(after_s, self.dialogue.post, event)

    def speak(self, language: str) -> None:
        self.languages.append(language)

    def say(self, prompts: Sequence[str], escape: str) -> None:
        self.said += [Prompt(prompt) for prompt in prompts]
        if not self.quiet:
            self.post(ev.SayDone())

    def ask(self, prompts: Sequence[str], most: int, first_s: float, next_s: float) -> None:
        self.said += [Prompt(prompt) for prompt in prompts]
        if not prompts:
            self.post(ev.Silence(), 0.01)
        elif self.keys:
            for key in self.keys.pop(0):
                self.post(ev.Digit(key))

    def leave(self, variable: str, value: str) -> None:
        self.left[variable] = value
        self.over.set()

    async def ended(self) -> None:
        await self.over.wait()

    def close(self) -> None:
        self.closed = True
        self.over.set()

    @property
    def result(self) -> str:
        return self.left.get(RESULT_VARIABLE, "")

    @property
    def code(self) -> str:
        """The code that was read out last."""
        last = len(self.said) - self.said[::-1].index(Prompt.ENROL_CODE)
        return "".join(prompt[-1] for prompt in self.said[last : last + 6])


@dataclass
class Desks:
    """Enrolment on an open installation."""

    installation: Installation
    enrolment: Enrolment
    world: World
    metrics: Metrics
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def dials(self, extension: str = "1001", *keys: str, language: str = "en", account: str = "default") -> Phone:
        """A phone dials the feature code; its user presses *keys*."""
        phone = Phone(list(keys))
        caller = DeskCaller(f"PJSIP/{extension}-00000001", account, extension, language)
        phone.dialogue = self.enrolment.dialogue(caller)
        self.tasks.append(asyncio.create_task(phone.dialogue.run(phone)))
        phone.dialogue.post(ev.Talking())
        return phone

    async def said(self, phone: Phone, prompt: Prompt) -> None:
        await until(lambda: prompt in phone.said)

    async def done(self, phone: Phone, result: str) -> None:
        assert phone.dialogue is not None
        async with asyncio.timeout(5 * SLOW):
            await phone.dialogue.over.wait()
        assert phone.result == result

    async def last(self, user: str = "u1001") -> AttemptRow:
        last = (await self.installation.bindings.status("default", user)).last_attempt
        assert last is not None
        return last

    async def prove(self, number: str, user: str = "u1001") -> None:
        shown = await self.installation.bindings.bind("default", user, number, ADMIN)
        await self.end(shown, Outcome.VERIFIED)

    async def end(self, shown: Shown | AttemptRow, outcome: Outcome) -> None:
        attempt = shown if isinstance(shown, AttemptRow) else shown.attempt
        if attempt.state is AttemptState.QUEUED:
            await self.installation.store.attempts.claim("test", 1000, 30)
        await self.installation.store.attempts.progress(attempt.attempt_id, AttemptState.ANSWERED, 0)
        await self.world.finish(attempt.attempt_id, outcome)


@asynccontextmanager
async def opened(dsn: str, folder: Path, **sections: dict[str, object]) -> AsyncIterator[Desks]:
    config, metrics = config_for(dsn, folder, **sections), Metrics()
    async with open_installation(config) as installation:
        await installation.store.changes.start()
        users = [User("default", "u1001", ("1001", "2001"), "fr-CA", ""), User("default", "u1002", ("1002",), "", "")]
        await installation.store.directory.import_users(users)
        made = Desks(installation, Enrolment(config, installation, metrics), World(installation.store), metrics)
        yield made
        await made.enrolment.stop()
        async with asyncio.timeout(5 * SLOW):
            await asyncio.gather(*made.tasks)


@pytest.fixture
async def desks(dsn: str, tmp_path: Path) -> AsyncIterator[Desks]:
    async with opened(dsn, tmp_path) as made:
        yield made


async def test_a_number_is_bound_and_followed_to_its_end(desks: Desks) -> None:
    with structlog.testing.capture_logs() as logs:
        phone = desks.dials("2001", "2025550123#", "1", language="de")
        await desks.said(phone, Prompt.ENROL_REPEAT)
        attempt = await desks.last()
        assert phone.code == desks.installation.codes.of_attempt(attempt.attempt_id, attempt.key_id)
        (claimed,) = await desks.installation.store.attempts.claim("test", 10, 30)
        assert (claimed.number, claimed.source) == (NUMBER, "desk")
        await desks.installation.store.attempts.progress(attempt.attempt_id, AttemptState.RINGING, 0)
        await desks.said(phone, Prompt.ENROL_RINGING)
        await desks.end(claimed_as(attempt), Outcome.VERIFIED)
        await desks.said(phone, Prompt.ENROL_VERIFIED)
        await desks.done(phone, "verified")
    assert phone.languages == ["de", "fr"]  # the phone's, then the user's
    [row] = await desks.installation.store.personal.audit(user_id="u1001", action="attempt.dialing")
    assert (row.who, row.source, row.address) == ("user:u1001", "desk", "PJSIP/2001-00000001")
    (done,) = [line for line in logs if line["event"] == "desk.done"]
    assert (done["user"], done["result"]) == ("u1001", "verified")
    assert phone.code not in str(logs)
    assert NUMBER[2:] not in str(logs)
    assert desks.metrics.registry.get_sample_value("binding_ivr_desk_dialogues_total", {"result": "verified"}) == 1


def claimed_as(attempt: AttemptRow) -> AttemptRow:
    """The same attempt, as one that this test has claimed."""
    assert attempt.state is AttemptState.QUEUED
    object.__setattr__(attempt, "state", AttemptState.DIALING)
    return attempt


@pytest.mark.parametrize(
    ("account", "extension"),
    [("default", "9999"), ("nowhere", "1001"), ("default", ""), ("", "1001"), ("default", "1001' OR 1=1"),
     ("default", "10\u0000\u00e9"), ("x" * 5000, "y" * 5000)],
)  # fmt: skip
async def test_whom_nobody_knows(desks: Desks, account: str, extension: str) -> None:
    phone = desks.dials(extension, account=account)
    await until(lambda: phone.over.is_set())
    await desks.done(phone, phone.result)
    assert phone.said == [Prompt.ENROL_NO_USER, Prompt.ENROL_GOODBYE]
    assert phone.result == "no_user"


async def test_what_is_offered_depends_on_the_binding(desks: Desks) -> None:
    bindings = desks.installation.bindings
    await desks.prove(NUMBER)
    phone = desks.dials()
    await desks.said(phone, Prompt.ENROL_MENU)
    assert phone.said == [Prompt.ENROL_CURRENT, Prompt.DIGIT_2, Prompt.DIGIT_3, Prompt.ENROL_MENU]
    phone.post(ev.HangupNoticed())
    await desks.done(phone, "hung_up")

    await desks.installation.store.bindings.suspend("default", "u1001", SuspendReason.AGED, ADMIN)
    phone = desks.dials()
    await desks.said(phone, Prompt.ENROL_UNVERIFIED)
    phone.post(ev.HangupNoticed())

    await bindings.resume("default", "u1001", ADMIN)
    await bindings.suspend("default", "u1001", ADMIN)
    await desks.done(desks.dials(), "suspended")

    await bindings.resume("default", "u1001", ADMIN)
    again = await bindings.revalidate("default", "u1001", ADMIN)
    await desks.done(desks.dials(), "call_in_progress")
    await desks.end(again, Outcome.REPORTED)
    phone = desks.dials()  # a reported number is never offered
    await desks.said(phone, Prompt.ENROL_ENTER)
    phone.post(ev.HangupNoticed())


async def test_a_suppressed_number_is_offered_no_more(desks: Desks) -> None:
    await desks.prove(NUMBER)
    await desks.installation.numbers.suppress(NUMBER, ADMIN)
    phone = desks.dials()
    await desks.said(phone, Prompt.ENROL_ENTER)
    assert phone.said == [Prompt.ENROL_ENTER]
    phone.post(ev.HangupNoticed())


async def test_a_replacement_that_waits_is_the_number_that_is_offered(dsn: str, tmp_path: Path) -> None:
    async with opened(dsn, tmp_path, binding={"replace": "when_verified"}) as desks:
        await desks.prove(NUMBER)
        phone = desks.dials("1001", "2", "2025550188#", "1")
        await desks.said(phone, Prompt.ENROL_THEN)
        await desks.end(await desks.last(), Outcome.BUSY)
        await desks.done(phone, "busy")
        phone = desks.dials("1001", "1")
        await desks.said(phone, Prompt.ENROL_CODE)
        assert phone.said[:3] == [Prompt.ENROL_UNVERIFIED, Prompt.DIGIT_8, Prompt.DIGIT_8]
        assert (await desks.last()).number == OTHER
        binding = await desks.installation.bindings.status("default", "u1001")
        assert (binding.status, binding.number) == (BindingStatus.VERIFIED, NUMBER)
        await desks.end(await desks.last(), Outcome.NO_ANSWER)


async def test_refusals_reach_the_phone(desks: Desks) -> None:
    await desks.installation.numbers.suppress(OTHER, ADMIN)
    phone = desks.dials("1001", "19005550123#", "1", "12#", "1", "2025550100#", "1", "2025550188#", "1")
    await desks.done(phone, "try_later")
    assert [prompt for prompt in phone.said if prompt.value.startswith("enrol_")] == [
        Prompt.ENROL_ENTER, Prompt.ENROL_ENTERED, Prompt.ENROL_CONFIRM,
        Prompt.ENROL_NOT_ALLOWED, Prompt.ENROL_ENTER, Prompt.ENROL_ENTERED, Prompt.ENROL_CONFIRM,
        Prompt.ENROL_NOT_A_NUMBER, Prompt.ENROL_ENTER, Prompt.ENROL_ENTERED, Prompt.ENROL_CONFIRM,
        Prompt.ENROL_OWN_NUMBER, Prompt.ENROL_ENTER, Prompt.ENROL_ENTERED, Prompt.ENROL_CONFIRM,
        Prompt.ENROL_TRY_LATER, Prompt.ENROL_GOODBYE,
    ]  # fmt: skip
    assert (await desks.installation.bindings.status("default", "u1001")).last_attempt is None


async def test_a_limit_is_a_limit_at_the_desk_too(dsn: str, tmp_path: Path) -> None:
    async with opened(dsn, tmp_path, limits={"user_hour": 1}) as desks:
        await desks.prove(NUMBER)
        await desks.done(desks.dials("1001", "1"), "limit_reached")


async def test_the_hour_of_calls_is_waived(dsn: str, tmp_path: Path) -> None:
    async with opened(dsn, tmp_path, call={"delay_s": 0, "hours": "03:00-03:01"}) as desks:
        phone = desks.dials("1001", "2025550123#", "1")
        await desks.said(phone, Prompt.ENROL_CODE)


async def test_who_hangs_up_before_the_code_cancels_and_after_it_does_not(desks: Desks) -> None:
    phone = desks.dials("1001", "2025550123#", "1")
    phone.quiet = True
    await desks.said(phone, Prompt.ENROL_CODE)
    phone.post(ev.HangupNoticed())
    await desks.done(phone, "hung_up")
    assert (await desks.last()).outcome is Outcome.CANCELED

    phone = desks.dials("1002", "2025550188#", "1")
    await desks.said(phone, Prompt.ENROL_THEN)
    phone.post(ev.HangupNoticed())
    await desks.done(phone, "hung_up")
    attempt = await desks.last("u1002")
    assert attempt.state is AttemptState.QUEUED
    await desks.end(attempt, Outcome.VERIFIED)
    assert (await desks.installation.bindings.status("default", "u1002")).status is BindingStatus.VERIFIED


async def test_the_code_is_told_when_it_may_be(dsn: str, tmp_path: Path) -> None:
    async with opened(dsn, tmp_path, code={"reveal": "on_answer"}) as desks:
        phone = desks.dials("1001", "2025550123#", "1")
        await desks.said(phone, Prompt.ENROL_ANSWER_FIRST)
        attempt = await desks.last()
        await desks.installation.store.attempts.claim("test", 1, 30)
        await desks.installation.store.attempts.progress(attempt.attempt_id, AttemptState.RINGING, 0)
        await desks.said(phone, Prompt.ENROL_RINGING)
        assert Prompt.ENROL_CODE not in phone.said
        await desks.installation.store.attempts.progress(attempt.attempt_id, AttemptState.ANSWERED, 0)
        await desks.said(phone, Prompt.ENROL_CODE)
        assert phone.code == desks.installation.codes.of_attempt(attempt.attempt_id, attempt.key_id)
        await desks.world.finish(attempt.attempt_id, Outcome.WRONG_CODE)
        await desks.done(phone, "wrong_code")


@pytest.mark.parametrize("fault", [UnavailableError("PostgreSQL is away"), TimeoutError(), RuntimeError("a bug")])
async def test_a_store_that_fails_is_a_problem_and_no_silence(
    desks: Desks, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise fault

    phone = desks.dials("1001", "2025550123#")
    await desks.said(phone, Prompt.ENROL_CONFIRM)
    with structlog.testing.capture_logs() as logs:
        monkeypatch.setattr(desks.installation.bindings, "bind", fails)
        phone.post(ev.Digit("1"))
        await desks.done(phone, "problem")
        assert phone.said[-2:] == [Prompt.ENROL_PROBLEM, Prompt.ENROL_GOODBYE]
        monkeypatch.setattr(desks.installation.bindings, "status", fails)
        await desks.done(desks.dials("1001"), "problem")
    told = "desk.fault" if isinstance(fault, RuntimeError) else "desk.trouble"
    assert [line["event"] for line in logs] == [told, "desk.done", told, "desk.done"]


async def test_a_store_that_comes_back_goes_unnoticed_and_one_that_stays_away_does_not(
    desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "RETRY_S", 0.02)
    attempt_of, away = desks.installation.bindings.attempt, True

    async def attempt(attempt_id: object) -> Shown:
        if away:
            raise UnavailableError("PostgreSQL is away")
        return await attempt_of(attempt_id)  # type: ignore[arg-type]

    monkeypatch.setattr(desks.installation.bindings, "attempt", attempt)
    phone = desks.dials("1001", "2025550123#", "1")
    await desks.said(phone, Prompt.ENROL_REPEAT)
    await desks.end(await desks.last(), Outcome.VERIFIED)
    away = False
    await desks.done(phone, "verified")

    away = True
    monkeypatch.setattr(enrolment, "BLIND_S", 0.1)
    phone = desks.dials("1002", "2025550188#", "1")
    await desks.done(phone, "")  # nothing set: the dialplan says that there is a problem
    assert phone.closed


async def test_a_service_that_stops(desks: Desks) -> None:
    """Who is asked something is sent away at once; who follows a call hears its end, if it comes in time."""
    asked, follows = desks.dials("1002"), desks.dials("1001", "2025550123#", "1")
    await desks.said(asked, Prompt.ENROL_ENTER)
    await desks.said(follows, Prompt.ENROL_REPEAT)
    desks.enrolment.drain()
    await desks.done(asked, "")
    assert asked.closed
    late = desks.dials("1002")
    await desks.done(late, "")
    assert (late.closed, late.said) == (True, [])
    stopping = asyncio.create_task(desks.enrolment.stop())
    await desks.end(await desks.last(), Outcome.VERIFIED)
    await stopping
    await desks.done(follows, "verified")


async def test_a_service_that_stops_does_not_wait_for_ever(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolment, "LAST_WORDS_S", 0.05)
    phone = desks.dials("1001", "2025550123#", "1")
    await desks.said(phone, Prompt.ENROL_REPEAT)
    await desks.enrolment.stop()
    await desks.done(phone, "")
    assert (await desks.last()).state is AttemptState.QUEUED  # the call is the dispatcher's matter
