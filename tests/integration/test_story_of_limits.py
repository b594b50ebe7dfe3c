"""A legitimate user's story through every limit: always told which one and when it lifts, and then it does lift.

Asked by HTTP, told by the API and in words on the page in five languages. The time is PostgreSQL's clock, which the
story moves; nothing here waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from binding_ivr.config import Limits
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.outcome import FAULTS, AttemptState, Outcome, Verdict
from binding_ivr.policy.limits import BUCKET_S, DAY, HOUR, SENTENCES
from binding_ivr.web.page.texts import LANGUAGES, texts
from tests.integration.api_service import Reply, Web, bearer, binding, config_for, running_web, token
from tests.integration.conftest import World
from tests.patience import SLOW

REHEARSAL = Actor(ActorKind.CLI, "test", Source.CLI)
JUST = 8.0
"""Seconds: so little before its time a limit still holds. Larger than what a slow machine needs for the questions."""
A, B, C, D = "+12025550123", "+12035550123", "+12055550123", "+12065550123"
ANSWERED = (Outcome.VERIFIED, Outcome.WRONG_CODE, Outcome.NO_INPUT, Outcome.HUNG_UP, Outcome.REPORTED)
LOOSE: dict[str, Any] = {
    **dict.fromkeys(
        ("number_hour", "number_day", "prefix_hour", "user_hour", "user_day", "user_new_numbers_day"), 1000
    ),
    **dict.fromkeys(("user_uncalled_hour", "user_uncalled_day"), 1000),
    **dict.fromkeys(("address_hour", "account_hour", "account_day", "system_hour", "system_day"), 1000),
    "system_prefix_hour": 1000,
    "number_wait_s": [],
    "number_unproven": 0,
}


class Story:
    """One user, who asks for calls on the page and over the API."""

    def __init__(self, web: Web, browser: dict[str, str], csrf: str) -> None:
        """Use `told_by` instead."""
        self._web = web
        self._browser = browser
        self._csrf = csrf
        self._user = bearer(token("1001", life_s=3600))
        self.world = World(web.installation.store)
        self.times: list[float] = []
        """When each call of the user was accepted (POSIX)."""

    async def now(self) -> float:
        return (await self.world.store.clock.read()).now.timestamp()

    async def pass_time(self, seconds: float) -> None:
        await self.world.store.clock.advance(max(0.0, seconds), REHEARSAL)

    async def ask(self, number: str | None) -> Reply:
        """Ask for a call to *number*, or (None) for the present one again."""
        if number is None:
            return await self._web.ask("POST", binding() + "/revalidate", self._user)
        return await self._web.put(binding(), {"number": number}, self._user)

    async def call(self, number: str | None, outcome: Outcome = Outcome.NO_ANSWER, tries: int = 0) -> None:
        """A call that is accepted and ends so."""
        await self._end(await self.ask(number), outcome, tries)

    async def cancel(self) -> None:
        assert (await self._web.ask("DELETE", binding() + "/attempt", self._user)).status == 204

    async def reset(self, number: str = "") -> Reply:
        """The administrator lifts what holds the user back, or what holds calls to *number* back."""
        path = "/v1/limits/numbers/reset" if number else binding().removesuffix("/binding") + "/limits/reset"
        body = {"reason": "it is hers", **({"number": number} if number else {})}
        return await self._web.ask("POST", path, await self._web.key("admin"), json=body)

    async def _end(self, accepted: Reply, outcome: Outcome, tries: int) -> None:
        assert accepted.status == 202, accepted
        ledger, attempt_id = self.world.store.attempts, UUID(accepted.json["attempt"]["id"])
        self.times.append((await ledger.attempt(attempt_id)).created_at.timestamp())
        await ledger.claim("test", 100, 30)
        if outcome in ANSWERED:
            await ledger.progress(attempt_id, AttemptState.ANSWERED, 0)
        assert await ledger.finish(attempt_id, Verdict(outcome, FAULTS[outcome], tries=tries, rang=True))
        if outcome in ANSWERED:
            await ledger.bill({attempt_id: 10})

    async def told(self, limit: str, number: str | None = None) -> float:
        """The request is refused by *limit*; return when that lifts (POSIX), as the user is told by API and page."""
        before = len(await self.world.store.attempts.attempts(limit=1000))
        refused = await self.ask(number)
        assert (refused.status, refused.problem, refused.json.get("limit")) == (429, "limit_reached", limit), refused
        retry_at = str(refused.json["retry_at"])
        assert int(refused.headers["Retry-After"]) > 0
        assert f"(limit {limit}); try again in " in refused.json["detail"]
        if number is None:
            step = (await self._web.get(binding(), self._user)).json["next"]["revalidate"]
            assert (step["allowed"], step["code"], step["limit"]) == (False, "limit_reached", limit)
        form = {"csrf": self._csrf, **({} if number is None else {"number": number})}
        for language in LANGUAGES:
            path = f"/{'revalidate' if number is None else 'bind'}?lang={language}"
            page = await self._web.ask("POST", path, self._browser, data=form)
            assert page.status == 429
            assert str(texts(language)(f"limit.{limit}")) in page.text
            assert f'datetime="{retry_at}"' in page.text
        assert len(await self.world.store.attempts.attempts(limit=1000)) == before  # to be refused costs nothing
        return datetime.fromisoformat(retry_at).timestamp()

    async def told_without_a_time(self, code: str, number: str | None = None, limit: str | None = None) -> None:
        """The request is refused by what has no time at which it lifts, or none that may be told."""
        refused = await self.ask(number)
        found = (refused.problem, refused.json.get("limit"), refused.json.get("retry_at"))
        assert found == (code, limit, None), refused
        form = {"csrf": self._csrf, **({} if number is None else {"number": number})}
        for language in LANGUAGES:
            path = f"/{'revalidate' if number is None else 'bind'}?lang={language}"
            page = await self._web.ask("POST", path, self._browser, data=form)
            assert page.status == refused.status
            assert str(texts(language)(f"limit.{limit}" if limit else f"refusal.{code}")) in page.text

    async def lifts(
        self, limit: str, number: str | None = None, at: float | None = None, outcome: Outcome = Outcome.NO_ANSWER,
        tries: int = 0,
    ) -> None:  # fmt: skip
        """It is told, still holds just before its time, and lifts at its time. *at*: when that must be (POSIX)."""
        when = await self.told(limit, number)
        if at is not None:
            assert when == pytest.approx(at, abs=2.0)
        await self.pass_time(when - JUST - await self.now())
        assert await self.told(limit, number) == when
        await self.pass_time(when - await self.now())
        await self._end(await self.ask(number), outcome, tries)

    async def others(
        self, calls: int, account: str = "acme", client: str | None = None, outcome: Outcome = Outcome.BUSY
    ) -> list[float]:
        """So many calls of other people, to numbers all over the country; return when they were accepted."""
        times = []
        for n in range(calls):
            number = f"+1{213 + n % 3}{200 + n}{3000 + n}"
            attempt_id = await self.world.dial(f"other{n % 10}", number, account=account, client=client)
            assert await self.world.store.attempts.finish(attempt_id, Verdict(outcome, FAULTS[outcome]))
            times.append((await self.world.store.attempts.attempt(attempt_id)).created_at.timestamp())
        return times


Tell = Callable[..., AbstractAsyncContextManager[Story]]


@pytest.fixture
def tell(dsn: str, tmp_path: Path) -> Tell:
    """Begin a story under the limits as they are delivered, but for those given; `**LOOSE` are those never reached."""

    @asynccontextmanager
    async def story(**limits: Any) -> AsyncIterator[Story]:
        every = {**msgspec.to_builtins(Limits()), **limits}
        async with running_web(config_for(dsn, tmp_path, limits=every)) as web:
            await web.users("1001", *(f"other{n}" for n in range(10)))
            await web.installation.store.directory.add_account("acme")
            await web.users(*(f"other{n}" for n in range(10)), account="acme")
            browser = await web.cookie("1001")
            csrf = (await web.get("/v1/session", browser)).json["csrf"]
            yield Story(web, browser, csrf)

    return story


async def test_a_day_under_the_limits_as_they_are_delivered(tell: Tell) -> None:
    """A phone that nobody hears, then other numbers, until the day is over."""
    async with tell() as user:
        await user.call(A)
        await user.lifts("number_wait_s", at=await user.now() + 60)
        await user.lifts("number_wait_s", at=await user.now() + 120)
        await user.lifts("number_hour", at=user.times[0] + HOUR)  # longer than the five minutes to wait
        await user.lifts("number_wait_s", at=await user.now() + 900)
        assert await user.told("number_day") == pytest.approx(user.times[0] + DAY, abs=2)
        await user.call(B)
        await user.call(C)
        # Three numbers in a day: a fourth may come when the first was not called for a day.
        assert await user.told("user_new_numbers_day", D) == pytest.approx(user.times[4] + DAY, abs=2)
        await user.lifts("number_wait_s", at=await user.now() + 60)  # C once more, which is no new one
        assert len([at for at in user.times if at > await user.now() - HOUR]) == 5
        await user.lifts("user_hour", B, at=user.times[3] + HOUR)
        await user.pass_time(HOUR)
        await user.call(C)
        assert len(user.times) == 10
        await user.lifts("user_day", B, at=user.times[0] + DAY, outcome=Outcome.VERIFIED)
        await user.lifts("user_new_numbers_day", D, at=user.times[4] + DAY)  # and B stays proven until then


async def test_the_wait_grows_from_call_to_call_and_begins_anew_after_a_proof(tell: Tell) -> None:
    async with tell(**{**LOOSE, "number_wait_s": list(Limits().number_wait_s)}) as user:
        await user.call(A)
        for seconds in (60, 120, 300, 900, 900):
            await user.lifts("number_wait_s", at=await user.now() + seconds)
        await user.lifts("number_wait_s", at=await user.now() + 900, outcome=Outcome.VERIFIED)
        await user.call(None)  # at once
        await user.lifts("number_wait_s", at=await user.now() + 60)
        await user.pass_time(DAY + 1)
        await user.call(None)
        await user.lifts("number_wait_s", at=await user.now() + 60)


async def test_numbers_that_differ_in_the_last_digits_only(tell: Tell) -> None:
    async with tell(**{**LOOSE, "prefix_hour": 5}) as user:
        for n in range(5):
            await user.call(f"{A[:-1]}{n}")
        await user.lifts("prefix_hour", f"{A[:-1]}7", at=user.times[0] + HOUR)
    assert LOOSE["system_prefix_hour"] == 1000


async def test_the_same_on_the_whole_system(tell: Tell) -> None:
    async with tell(**{**LOOSE, "system_prefix_hour": 5}) as user:
        for n in range(5):
            await user.call(f"{A[:-1]}{n}")
        await user.lifts("system_prefix_hour", f"{A[:-1]}7", at=user.times[0] + HOUR)


@pytest.mark.parametrize(("limit", "most", "seconds"), [("user_hour", 5, HOUR), ("user_day", 10, DAY)])
async def test_as_many_calls_as_a_user_may_have(tell: Tell, limit: str, most: int, seconds: float) -> None:
    async with tell(**{**LOOSE, limit: most}) as user:
        for _ in range(most):
            await user.call(A)
            await user.pass_time(60)
        await user.lifts(limit, at=user.times[0] + seconds)
        await user.lifts(limit, at=user.times[1] + seconds)  # a window slides


@pytest.mark.parametrize(
    ("limit", "most", "seconds"), [("user_uncalled_hour", 10, HOUR), ("user_uncalled_day", 30, DAY)]
)
async def test_as_many_requests_as_a_user_may_take_back(tell: Tell, limit: str, most: int, seconds: float) -> None:
    async with tell(**{**LOOSE, limit: most}) as user:
        first = await user.now()
        for _ in range(most):
            assert (await user.ask(A)).status == 202
            await user.cancel()
        await user.lifts(limit, at=first + seconds)
        await user.call(B)


@pytest.mark.parametrize(("limit", "most", "seconds"), [("number_hour", 3, HOUR), ("number_day", 5, DAY)])
async def test_as_many_calls_as_a_number_may_get(tell: Tell, limit: str, most: int, seconds: float) -> None:
    async with tell(**{**LOOSE, limit: most}) as user:
        for _ in range(most):
            await user.call(A)
            await user.pass_time(60)
        await user.lifts(limit, at=user.times[0] + seconds)
        await user.call(B)  # another number may be called all the while


async def test_an_office_behind_one_address(tell: Tell) -> None:
    async with tell(**{**LOOSE, "address_hour": 10}) as user:
        first, *_ = await user.others(10, client="127.0.0.1")
        await user.lifts("address_hour", A, at=first + HOUR)


@pytest.mark.parametrize(
    ("limit", "most", "seconds", "account"),
    [
        ("account_hour", 20, HOUR, "default"),
        ("account_day", 100, DAY, "default"),
        ("system_hour", 30, HOUR, "acme"),
        ("system_day", 200, DAY, "acme"),
    ],
)
async def test_a_busy_organisation(tell: Tell, limit: str, most: int, seconds: float, account: str) -> None:
    async with tell(**{**LOOSE, limit: most}) as user:
        first, *_ = await user.others(most - 1, account)
        await user.call(A)  # the last one that there is room for
        await user.lifts(limit, at=first + seconds)


async def test_the_minutes_of_a_day(tell: Tell) -> None:
    async with tell(**LOOSE) as user:
        ledger, spent = user.world.store.attempts, {}
        for n in range(2):
            attempt_id = await user.world.answer(f"other{n}", f"+1213555{n:04}", account="acme")
            await user.world.finish(attempt_id, Outcome.HUNG_UP)
            spent[attempt_id] = 3550
        await ledger.bill(spent)  # of the 7,200 seconds are 100 left, and a call may take 180
        bucket = await user.now() // BUCKET_S * BUCKET_S
        await user.lifts("system_minutes_day", A, at=bucket + BUCKET_S + DAY)


@pytest.mark.parametrize(
    ("limit", "rules", "account"),
    [
        ("account_breaker", {"breaker_calls": 20, "system_breaker_calls": 0}, "default"),
        ("system_breaker", {"breaker_calls": 0, "system_breaker_calls": 20}, "acme"),
    ],
)
async def test_calls_of_others_that_prove_nothing(tell: Tell, limit: str, rules: dict[str, int], account: str) -> None:
    async with tell(**LOOSE, **rules) as user:
        await user.others(20, account, outcome=Outcome.HUNG_UP)
        await user.lifts(limit, A, at=await user.now() + HOUR, outcome=Outcome.VERIFIED)
        await user.others(19, account, outcome=Outcome.HUNG_UP)  # the proof ended it, and it counts anew
        await user.call(None)


async def test_wrong_entries_lock_out_for_an_hour_and_then_for_a_day(tell: Tell) -> None:
    """The user reads the code from an old page: three wrong entries in each call, ten in all."""
    async with tell(**LOOSE) as user:
        for seconds in (HOUR, DAY):
            for tries in (3, 3, 3, 1):
                await user.call(A, Outcome.WRONG_CODE, tries)
            await user.lifts("user_failed_tries", at=await user.now() + seconds)
        await user.call(None, Outcome.VERIFIED, 1)
        for tries in (3, 3, 3, 1):  # after a proof it begins anew
            await user.call(A, Outcome.WRONG_CODE, tries)
        await user.lifts("user_failed_tries", at=await user.now() + HOUR)


async def test_too_many_failures_in_a_row_are_the_administrators_business(tell: Tell) -> None:
    """Somebody guesses on and on, and waits as long as it takes: no time lifts it."""
    async with tell(**LOOSE, user_failed_tries=0, user_failed_stop=8) as user:
        await user.call(A, Outcome.WRONG_CODE, 3)
        await user.call(A, Outcome.WRONG_CODE, 3)
        await user.call(A, Outcome.BUSY)
        await user.call(A, Outcome.HUNG_UP)
        await user.call(A, Outcome.NO_INPUT)
        await user.told_without_a_time("limit_reached", limit="user_failed_stop")
        await user.pass_time(400 * DAY)
        await user.told_without_a_time("limit_reached", A, limit="user_failed_stop")
        assert (await user.reset()).status == 200
        await user.call(None, Outcome.VERIFIED)
        [audit] = await user.world.sql("SELECT who, reason FROM binding_ivr.audit WHERE action = 'user.unlocked'")
        assert audit == {"who": "key:admin", "reason": "it is hers"}


async def test_a_number_that_answers_and_proves_nothing_is_the_administrators_business(tell: Tell) -> None:
    """A voicemail, three days in a row. No time lifts it, and nobody is told why: it may be about other people."""
    async with tell() as user:
        for _ in range(3):
            await user.call(A, Outcome.NO_INPUT)
            await user.pass_time(DAY)
        await user.told_without_a_time("try_later")
        await user.told_without_a_time("try_later", A)
        await user.pass_time(31 * DAY)
        await user.told_without_a_time("try_later")
        assert (await user.reset(A)).status == 200
        await user.call(None, Outcome.VERIFIED)
        [audit] = await user.world.sql("SELECT who, reason FROM binding_ivr.audit WHERE action = 'number.unlocked'")
        assert audit == {"who": "key:admin", "reason": "it is hers"}


async def test_an_administrator_lifts_a_users_limits(tell: Tell) -> None:
    async with tell(**{**LOOSE, "user_hour": 2}) as user:
        for _ in range(2):
            await user.call(A)
        await user.told("user_hour")
        assert (await user.reset()).status == 200
        await user.call(A)


async def test_one_call_at_a_time(tell: Tell) -> None:
    async with tell(**LOOSE) as user:
        assert (await user.ask(A)).status == 202
        await user.told_without_a_time("call_in_progress", B)
        await user.cancel()
        await user.call(A)
        await user.world.accept("other1", B, account="acme")
        await user.told_without_a_time("try_later", B)  # of somebody else's call nothing else may be said
        await user.world.store.attempts.cancel("acme", "other1", REHEARSAL)
        await user.call(B)


async def test_a_full_queue_is_empty_again_after_a_minute(tell: Tell) -> None:
    async with tell(**LOOSE, queue_length=5, queue_s=60) as user:
        for n in range(7):  # two that the node could call, and five more
            await user.world.accept(f"other{n}", f"+1213555{n:04}", account="acme", queue_length=5)
        await user.told_without_a_time("queue_full", A)
        await user.pass_time(61)
        async with asyncio.timeout(20 * SLOW):  # a node ends what waited too long, and so does the next request
            while {one.outcome for one in await user.world.store.attempts.attempts()} != {Outcome.EXPIRED}:
                await asyncio.sleep(0.02)
        await user.call(A)


def test_every_limit_that_refuses_has_its_chapter() -> None:
    text = Path(__file__).read_text()
    told = {name for name in SENTENCES if text.count(f'"{name}"') > (name in LOOSE)}
    assert set(SENTENCES) - told == set()
