"""The call's shell and the dispatcher, against fakes: order of steps, leaks, loss of PostgreSQL, recovery."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from binding_ivr.call import events as ev
from binding_ivr.config import Code, Config, Route
from binding_ivr.dialing.channels import ChannelBudget
from binding_ivr.dialing.dispatcher import Dispatcher
from binding_ivr.dialing.orders import orders, spoken
from binding_ivr.metrics import Metrics
from binding_ivr.model.changes import Change, ChangeKind
from binding_ivr.model.channels import LONGEST, is_of, new_name, prefix_of
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.ports import PlaceError
from tests.unit.fakes import FakeChanges, FakeConversations, FakeLedger, FakeTelephony, attempt, attempt_of, until

CODE = "112334"
ROUTES = (
    Route("main", "PJSIP/{e164}@trunk", ("US",), "+12025550100", 2),
    Route("spare", "Local/{national}@spare", ("*",), "", 2),
)


class Scene:
    def __init__(self, keys: str = CODE, routes: tuple[Route, ...] = ROUTES, code: Code | None = None) -> None:
        self.telephony = FakeTelephony()
        self.conversations = FakeConversations(keys)
        self.ledger = FakeLedger()
        self.changes = FakeChanges()
        self.metrics = Metrics()
        self.dispatcher = Dispatcher(
            Config(routes=routes, code=code or Code()),
            ledger=self.ledger,
            changes=self.changes,
            telephony=self.telephony,
            conversations=self.conversations,
            code_of=lambda _: CODE,
            agi_address=lambda: "127.0.0.1:4573",
            metrics=self.metrics,
            version="0",
            gate_keys=lambda count: "705"[:count],
        )

    def ask(self, number: str = "+12025550123", **call: object) -> UUID:
        new = replace(attempt(number), settings={"call": call})
        self.ledger.queued.append(new)
        self.changes.tell(Change(ChangeKind.QUEUED))
        return new.attempt_id

    def outcomes(self) -> list[Outcome]:
        return [verdict.outcome for verdict in self.ledger.finished.values()]

    def channels(self, attempt_id: UUID) -> list[str]:
        """The channels that were ordered for an attempt and that its call listens to."""
        ordered = [order.channel_id for order in self.telephony.placed if attempt_of(order) == attempt_id]
        return [channel for channel in ordered if channel in self.telephony.sinks]

    async def answer(self, attempt_id: UUID) -> None:
        await until(lambda: bool(self.channels(attempt_id)))
        [channel] = self.channels(attempt_id)
        self.telephony.sinks[channel](ev.Ringing())
        self.telephony.sinks[channel](ev.Answered())


@asynccontextmanager
async def scene(keys: str = CODE, routes: tuple[Route, ...] = ROUTES, code: Code | None = None) -> AsyncIterator[Scene]:
    made = Scene(keys, routes, code)
    await made.dispatcher.start()
    try:
        yield made
    finally:
        await made.dispatcher.stop()
        assert made.dispatcher.active == 0
        assert not made.telephony.sinks
        assert all(conversation.closed for conversation in made.conversations.all)


async def test_a_call_from_claim_to_verdict() -> None:
    async with scene() as h:
        await h.answer(h.ask())
        await until(lambda: h.outcomes() == [Outcome.VERIFIED] and h.dispatcher.active == 0)
        order = h.telephony.placed[0]
        assert (order.endpoint, order.caller_id, order.ring_s, order.max_s) == (
            "PJSIP/+12025550123@trunk",
            "+12025550100",
            30,
            180,
        )
        assert order.variables["BINDING_AGI"] == "127.0.0.1:4573"
        assert h.telephony.handed == [order.channel_id]
        assert h.conversations.all[0].said[-1] == ("verified",)
        assert h.telephony.channels == []
        assert (
            h.metrics.registry.get_sample_value(
                "binding_ivr_attempts_total", {"outcome": "verified", "fault": "callee"}
            )
            == 1.0
        )


async def test_hardened_mode_asks_only_after_the_opening() -> None:
    async with scene(code=Code(reveal="on_answer")) as h:
        await h.answer(h.ask())
        await until(lambda: h.outcomes() == [Outcome.VERIFIED])
        assert h.conversations.all[0].said[:2] == [("greeting", "reason"), ("ask_code",)]


async def test_an_account_can_have_a_gate() -> None:
    async with scene(keys="17" + CODE) as h:
        await h.answer(h.ask(gate=True))
        await until(lambda: h.outcomes() == [Outcome.NO_INPUT])
        assert h.conversations.all[0].said[:4] == [
            ("greeting", "reason", "gate"),
            ("digit_7",),
            ("gate",),
            ("digit_0",),
        ]
    async with scene(keys="10" + CODE) as h:
        await h.answer(h.ask(gate=True))
        await until(lambda: h.outcomes() == [Outcome.VERIFIED])
        assert h.conversations.all[0].said[4] == ("ask_code",)
    async with scene() as h:
        await h.answer(h.ask(gate=False))
        await until(lambda: h.outcomes() == [Outcome.VERIFIED])
        assert h.conversations.all[0].said[0] == ("greeting", "reason", "ask_code")


async def test_progress_is_reported() -> None:
    async with scene(keys="") as h:
        await h.answer(h.ask())
        await until(lambda: (AttemptState.ANSWERED, 0) in h.ledger.reports)


async def test_the_next_route_is_tried_when_the_first_cannot_place() -> None:
    async with scene() as h:
        h.telephony.refuse = [PlaceError("Asterisk has no such endpoint")]
        attempt_id = h.ask()
        await until(lambda: len(h.telephony.placed) == 2)
        first, second = h.telephony.placed
        assert second.endpoint == "Local/2025550123@spare"
        assert attempt_of(first) == attempt_of(second) == attempt_id
        assert (first.channel_id, first.secret) != (second.channel_id, second.secret)


async def test_no_route_serves_the_region() -> None:
    async with scene(routes=ROUTES[:1]) as h:
        h.ask("+447400123456")
        await until(lambda: h.outcomes() == [Outcome.FAILED])
        assert "route" in next(iter(h.ledger.finished.values())).detail


async def test_all_channels_in_use() -> None:
    async with scene(keys="", routes=(Route("main", "PJSIP/{e164}@trunk", ("*",), "", 1),)) as h:
        h.ask("+12025550123")
        h.ask("+12025550124")
        await until(lambda: h.outcomes() == [Outcome.CONGESTION])


async def test_not_more_than_allowed_at_once() -> None:
    async with scene(keys="*") as h:
        for last in range(4):
            h.ask(f"+1202555012{last}")
        await until(lambda: len(h.telephony.placed) == 2)
        assert len(h.ledger.queued) == 2
        await h.answer(attempt_of(h.telephony.placed[0]))
        await until(lambda: len(h.telephony.placed) >= 3)


async def test_cancel_reaches_the_call() -> None:
    async with scene(keys="") as h:
        h.ask()
        await until(lambda: len(h.telephony.placed) == 1)
        (attempt_id,) = [attempt_of(o) for o in h.telephony.placed]
        h.ledger.canceled.add(attempt_id)
        h.changes.tell(Change(ChangeKind.CANCEL))
        await until(lambda: h.outcomes() == [Outcome.CANCELED] and h.dispatcher.active == 0)
        assert h.telephony.channels == []


async def test_a_notice_alone_ends_no_call() -> None:
    """Any login of the database may notify; that somebody wants the call to end stands in its row."""
    async with scene(keys="") as h:
        h.ask()
        await until(lambda: len(h.telephony.placed) == 1)
        (attempt_id,) = [attempt_of(o) for o in h.telephony.placed]
        asked = h.ledger.asked_for_cancels
        h.changes.tell(Change(ChangeKind.CANCEL, attempt_id=attempt_id))
        await until(lambda: h.ledger.asked_for_cancels > asked)
        assert h.dispatcher.active == 1
        assert h.outcomes() == []


async def test_a_cancel_whose_notice_was_lost_and_an_attempt_that_was_taken_are_found() -> None:
    async with scene(keys="") as h:
        h.ask("+12025550123")
        h.ask("+12025550124")
        await until(lambda: len(h.telephony.placed) == 2)
        first, second = (attempt_of(order) for order in h.telephony.placed)
        assert first is not None
        assert second is not None
        h.ledger.canceled = {first}
        h.ledger.lost = {second}
        h.changes.tell(Change(ChangeKind.RESYNC))
        await h.dispatcher.upkeep()
        await until(lambda: h.dispatcher.active == 0)
        assert h.ledger.finished[first].outcome is Outcome.CANCELED
        assert h.ledger.finished[second].outcome is Outcome.FAILED


async def test_a_verdict_survives_the_loss_of_postgresql() -> None:
    async with scene() as h:
        h.ledger.down = 3
        await h.answer(h.ask())
        await until(lambda: h.outcomes() == [Outcome.VERIFIED])


async def test_a_verdict_whose_row_is_gone_does_not_hold_the_call() -> None:
    async with scene() as h:
        h.ledger.gone = True
        await h.answer(h.ask())
        await until(lambda: h.telephony.hung_up != [] and h.dispatcher.active == 0)
        assert h.ledger.finished == {}
        assert h.conversations.all[0].said[-1] == ("problem",)


async def test_nothing_is_claimed_while_asterisk_is_away() -> None:
    async with scene() as h:
        h.telephony.ready = False
        h.ask()
        await until(lambda: not h.dispatcher._claims.woken)
        assert h.telephony.placed == []
        h.telephony.ready = True
        await h.dispatcher.recover()
        await until(lambda: len(h.telephony.placed) == 1)


async def test_what_a_crash_left_behind_is_ended() -> None:
    h = Scene()
    left, channel = uuid4(), new_name("binding_ivr")
    h.ledger.left_behind = [left]
    h.telephony.channels = [channel, "1700000000.12", new_name("other")]
    await h.dispatcher.start()
    await h.dispatcher.recover()
    await h.dispatcher.stop()
    assert h.ledger.finished[left].outcome is Outcome.FAILED
    assert h.telephony.hung_up == [channel]


async def test_it_runs_only_once_its_start_is_through() -> None:
    """A node is not ready before: whatever fails until then ends the service."""
    h = Scene()
    told = [h.dispatcher.running]
    await h.dispatcher.start()
    told.append(h.dispatcher.running)
    await h.dispatcher.stop()
    told.append(h.dispatcher.running)
    assert told == [False, True, False]


async def test_stop_ends_every_call_with_a_verdict() -> None:
    async with scene(keys="") as h:
        h.ask()
        await until(lambda: len(h.telephony.placed) == 1)
    assert h.outcomes() == [Outcome.FAILED]
    assert h.telephony.channels == []


async def test_drain_lets_calls_end_by_themselves() -> None:
    async with scene() as h:
        attempt_id = h.ask()
        await until(lambda: bool(h.channels(attempt_id)))
        h.telephony.sinks[h.channels(attempt_id)[0]](ev.Ended(17, 486))
        await h.dispatcher.drain()
        assert h.outcomes() == [Outcome.BUSY]
        h.ask("+12025550124")
        assert len(h.telephony.placed) == 1


def test_orders_hold_only_validated_numbers() -> None:
    with pytest.raises(Exception, match="not a phone number"):
        orders(attempt("+1202&SIP/evil"), Config(routes=ROUTES), "127.0.0.1:4573")
    assert "2025550123" not in repr(orders(attempt(), Config(routes=ROUTES), "127.0.0.1:4573"))


def test_the_language_spoken() -> None:
    installed = ("en", "es")
    assert [spoken(wanted, installed) for wanted in ("es", "es-MX", "ES_mx", "fr", "")] == [
        "es",
        "es",
        "es",
        "en",
        "en",
    ]


@pytest.mark.parametrize("app", ["b", "binding_ivr", "binding-ivr-of-node-1", "binding-ivr-of-node-2", "a" * 40])
def test_a_channels_name_tells_whose_it_is_and_no_more(app: str) -> None:
    names = {new_name(app) for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert len(name) == LONGEST
        assert len(name) - len(prefix_of(app)) >= 18
        assert is_of(app, name)
        assert not is_of("other", name)
        assert not is_of(app, name + ";2")  # the far half of a Local channel
    assert not is_of(app, "1700000000.12")
    assert not is_of(app, "")


def test_applications_with_a_long_beginning_in_common_are_told_apart() -> None:
    assert prefix_of("binding-ivr-of-node-1") != prefix_of("binding-ivr-of-node-2")


def test_neither_secret_nor_number_is_shown() -> None:
    [routed, *_] = orders(attempt(), Config(routes=ROUTES), "127.0.0.1:4573")
    assert routed.order.secret in routed.order.variables["BINDING_ATTEMPT"]
    assert routed.order.secret not in repr(routed)


def test_a_route_gives_its_channels_back() -> None:
    budget = ChannelBudget()
    give_back = budget.take("main", 1)
    assert give_back is not None
    assert budget.take("main", 1) is None
    give_back()
    assert budget.take("main", 1) is not None
