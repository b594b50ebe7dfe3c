"""The counting rules: never above a limit in any window, always told which and when it lifts, and it does lift then."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binding_ivr import config as settings_of
from binding_ivr.app.allowances import allowed
from binding_ivr.config import Config
from binding_ivr.errors import Refusal
from binding_ivr.model.addresses import client_of
from binding_ivr.policy.breaker import CLOSED, Breaker, Rules
from binding_ivr.policy.limits import (
    ALERTS,
    BREAKERS,
    BUCKET_S,
    DAY,
    HOUR,
    MAY_BE_OFF,
    SENTENCES,
    SYSTEM_WIDE,
    WINDOWS,
    Chain,
    Facts,
    Limits,
    call_in_progress,
    check,
    failures,
    in_words,
    probes,
    suspended,
    try_later,
)
from binding_ivr.web.problems import problem_of
from tests.unit.limit_model import Call, facts_of, in_scope

NOW = 1_000_000.0
CALLEES = ("number", "prefix", "system_prefix")
SMALL = Limits(
    {
        "number_hour": 3, "number_day": 5, "prefix_hour": 4, "system_prefix_hour": 5, "user_hour": 5, "user_day": 8,
        "user_new_numbers_day": 3, "user_uncalled_hour": 4, "user_uncalled_day": 6,
        "address_hour": 6, "account_hour": 7, "account_day": 12, "system_hour": 9,
        "system_day": 14, "system_minutes_day": 30,
    },
    (60.0, 120.0, 300.0, 900.0),
    180,
)  # fmt: skip


def refused(limits: Limits, facts: Facts, *, of_number: bool = True) -> Refusal | None:
    try:
        check(limits, facts, of_number=of_number)
    except Refusal as refusal:
        return refusal
    return None


def test_the_one_that_lifts_last_is_named() -> None:
    limits = Limits({"user_hour": 3, "user_day": 5})
    facts = Facts(NOW, reached={"user_hour": NOW - 1200})
    found = refused(limits, facts)
    assert found is not None
    assert (found.code, found.limit, found.retry_at, found.retry_in) == ("limit_reached", "user_hour", NOW + 2400, 2400)
    assert "limit user_hour" in str(found)
    assert "40 min" in str(found)
    facts = Facts(NOW, reached={"user_hour": NOW - 1200, "user_day": NOW - 8000})
    found = refused(limits, facts)
    assert found is not None
    assert (found.limit, found.retry_at) == ("user_day", NOW - 8000 + DAY)


@pytest.mark.parametrize("name", [*WINDOWS, "user_new_numbers_day", "system_minutes_day"])
def test_a_limit_of_zero_never_passes_and_names_no_time(name: str) -> None:
    found = refused(Limits({name: 0}, reserve_s=1), Facts(NOW))
    assert found is not None
    assert (found.code, found.limit, found.retry_at) == ("limit_reached", name, None)
    assert "ask your administrator" in str(found)


@pytest.mark.parametrize("name", [name for name, window in WINDOWS.items() if "number" in name or "prefix" in name])
def test_calls_of_others_look_like_a_suppressed_number(name: str) -> None:
    limits = Limits({name: 3})
    of_others = refused(limits, Facts(NOW, reached={name: NOW - 5}))
    hidden = refused(limits, Facts(NOW, hidden=True))
    assert of_others is not None
    assert hidden is not None
    assert problem_of(of_others).document() == problem_of(hidden).document() == problem_of(try_later()).document()
    own = refused(limits, Facts(NOW, reached={name: NOW - 5}, own={name: NOW - 5}))
    assert own is not None
    assert (own.limit, own.retry_at) == (name, NOW - 5 + HOUR * (24 if "day" in name else 1))
    assert refused(limits, Facts(NOW, reached={name: NOW - 5}, hidden=True), of_number=False) is None


def test_a_users_own_limit_is_told_before_anything_about_the_number() -> None:
    found = refused(Limits({"user_hour": 1}), Facts(NOW, reached={"user_hour": NOW - 5}, hidden=True))
    assert found is not None
    assert found.limit == "user_hour"


@pytest.mark.parametrize(("calls", "wait"), [(1, 60), (2, 120), (3, 300), (4, 900), (5, 900), (50, 900)])
def test_the_wait_for_the_same_number_grows(calls: int, wait: int) -> None:
    limits = Limits(wait_s=(60.0, 120.0, 300.0, 900.0))
    chain = Chain(calls, NOW - 10)
    own = refused(limits, Facts(NOW, chain=chain, own_chain=chain))
    assert own is not None
    assert (own.limit, own.retry_at) == ("number_wait_s", NOW - 10 + wait)
    of_others = refused(limits, Facts(NOW, chain=chain))
    assert of_others is not None
    assert (of_others.code, of_others.limit, of_others.retry_at) == ("try_later", None, None)
    assert refused(limits, Facts(NOW - 10 + wait, chain=chain, own_chain=chain)) is None
    assert refused(Limits(), Facts(NOW, chain=chain, own_chain=chain)) is None


def test_a_lockout_is_told_until_it_ends() -> None:
    found = refused(Limits(), Facts(NOW, locked_until=NOW + 1800))
    assert found is not None
    assert (found.limit, found.retry_at) == ("user_failed_tries", NOW + 1800)
    assert refused(Limits(), Facts(NOW, locked_until=NOW)) is None


def test_a_stop_is_told_without_an_end_and_0_stops_nobody() -> None:
    stopped = Facts(NOW, stopped=True, locked_until=NOW + 1800)
    found = refused(Limits({"user_failed_stop": 100}), stopped)
    assert found is not None
    assert (found.code, found.limit, found.retry_at) == ("limit_reached", "user_failed_stop", None)
    assert "ask your administrator" in str(found)
    assert refused(Limits({"user_failed_stop": 0}), Facts(NOW, stopped=True)) is None
    assert refused(Limits({"user_failed_stop": 100}), Facts(NOW)) is None


@pytest.mark.parametrize(
    ("tries", "answered", "ours", "counts"),
    [(3, True, False, 3), (1, True, True, 1), (0, True, False, 1), (0, True, True, 0), (0, False, False, 0)],
)
def test_a_failure_is_an_entry_or_else_an_answer_in_vain(tries: int, answered: bool, ours: bool, counts: int) -> None:
    assert failures(tries, answered=answered, ours=ours) == counts


def test_new_numbers_are_counted_but_not_the_known_ones() -> None:
    limits = Limits({"user_new_numbers_day": 3})
    others = [NOW - 10, NOW - 20, NOW - 30]
    found = refused(limits, Facts(NOW, other_numbers=others))
    assert found is not None
    assert (found.limit, found.retry_at) == ("user_new_numbers_day", NOW - 30 + DAY)
    assert refused(limits, Facts(NOW, other_numbers=others, is_new=False)) is None
    assert refused(limits, Facts(NOW, other_numbers=others[:2])) is None
    assert refused(limits, Facts(NOW, other_numbers=others), of_number=False) is None


def test_the_minute_budget_holds_what_calls_in_flight_may_cost() -> None:
    limits = Limits({"system_minutes_day": 10}, reserve_s=180)
    assert refused(limits, Facts(NOW, reserved=420)) is None
    in_flight = refused(limits, Facts(NOW, reserved=421))
    assert in_flight is not None
    assert (in_flight.limit, in_flight.retry_at) == ("system_minutes_day", NOW + 180)
    spent = [(NOW - 3600, 300.0), (NOW - 1800, 121.0)]
    day = refused(limits, Facts(NOW, spent=spent))
    assert day is not None
    assert day.retry_at == NOW - 3600 + 600 + DAY
    never = refused(Limits({"system_minutes_day": 2}, reserve_s=180), Facts(NOW))
    assert never is not None
    assert never.retry_at is None


def test_what_need_not_be_bounded_has_no_bound_at_zero() -> None:
    config = Config(limits=settings_of.Limits(user_uncalled_hour=0, user_hour=0))
    most = allowed(config, config).most
    assert "user_uncalled_hour" not in most
    assert (most["user_uncalled_day"], most["user_hour"]) == (30, 0)
    assert set(WINDOWS) > MAY_BE_OFF


def test_an_address_counts_as_its_customer_has_it() -> None:
    assert client_of("192.0.2.7") == "192.0.2.7"
    assert client_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert client_of("2001:db8:1:2:aaaa::1") == client_of("2001:db8:1:2:bbbb::9") == "2001:db8:1:2::/64"
    assert client_of("2001:db8:1:3::1") != client_of("2001:db8:1:2::1")
    assert client_of("fe80::1%eth0") == "fe80::/64"
    assert client_of("") is None
    assert client_of("unix") is None


def test_durations_are_rounded_up() -> None:
    told = [in_words(s) for s in (0.2, 45, 89.5, 91, 300, 5400, 5401, 86_400, 172_800, 172_801)]
    assert told == ["1 s", "45 s", "90 s", "2 min", "5 min", "90 min", "2 h", "24 h", "48 h", "3 days"]


def test_every_limit_has_a_sentence() -> None:
    assert set(WINDOWS) < set(SENTENCES)
    assert set(SENTENCES) > SYSTEM_WIDE


# --- the table of limits, as docs/limits.md has it

TABLE = {
    "number_hour": ("number", HOUR),
    "number_day": ("number", DAY),
    "prefix_hour": ("prefix", HOUR),
    "system_prefix_hour": ("system_prefix", HOUR),
    "user_hour": ("user", HOUR),
    "user_day": ("user", DAY),
    "user_uncalled_hour": ("uncalled", HOUR),
    "user_uncalled_day": ("uncalled", DAY),
    "address_hour": ("address", HOUR),
    "account_hour": ("account", HOUR),
    "account_day": ("account", DAY),
    "system_hour": ("system", HOUR),
    "system_day": ("system", DAY),
}


def test_each_window_counts_what_the_documentation_says() -> None:
    assert {name: (window.scope, window.seconds) for name, window in WINDOWS.items()} == TABLE
    assert (HOUR, DAY, BUCKET_S) == (3600, 86_400, 600)
    others = {"number_wait_s", "user_new_numbers_day", "system_minutes_day", *BREAKERS}
    others |= {"user_failed_tries", "user_failed_stop"}
    assert set(SENTENCES) == set(TABLE) | others
    assert BREAKERS == ("account_breaker", "system_breaker")
    assert {"system_hour", "system_day", "system_prefix_hour", "system_minutes_day"} == SYSTEM_WIDE
    assert {"prefix_hour", "system_prefix_hour", "system_minutes_day", "user_failed_stop"} == ALERTS


@pytest.mark.parametrize("name", [name for name, (scope, _) in TABLE.items() if scope not in CALLEES])
def test_a_window_of_the_asker_or_the_line_lifts_when_its_oldest_call_leaves_it(name: str) -> None:
    seconds = TABLE[name][1]
    found = refused(Limits({name: 3}), Facts(NOW, reached={name: NOW - 100}))
    assert found is not None
    assert (found.code, found.limit, found.retry_at) == ("limit_reached", name, NOW - 100 + seconds)
    assert found.retry_in == seconds - 100
    assert str(found).startswith(SENTENCES[name])
    assert refused(Limits({name: 3}), Facts(NOW)) is None
    assert refused(Limits({}), Facts(NOW, reached={name: NOW - 100})) is None, "no limit of that name"


def test_names_that_are_no_windows_limit_nothing_here() -> None:
    assert refused(Limits({"number_unproven": 0, "user_hour": 5}), Facts(NOW, own={"user_hour": NOW})) is None


# --- what lifts last


def test_of_the_numbers_own_limits_too_the_last_to_lift_is_told() -> None:
    limits = Limits({"number_hour": 3, "number_day": 5, "user_hour": 5})
    facts = Facts(NOW, own={"number_hour": NOW - 60, "number_day": NOW - 3000}, reached={"user_hour": NOW - 60})
    found = refused(limits, facts)
    assert found is not None
    assert (found.limit, found.retry_at) == ("number_day", NOW - 3000 + DAY)
    without = refused(limits, facts, of_number=False)
    assert without is not None
    assert without.limit == "user_hour"


def test_what_is_not_told_goes_to_the_log_by_the_limit_that_lifts_last() -> None:
    limits = Limits({"number_hour": 3, "prefix_hour": 5, "number_day": 5}, wait_s=(60.0,))
    facts = Facts(NOW, reached={"number_hour": NOW - 60, "number_day": NOW - 60, "prefix_hour": NOW})
    found = refused(limits, facts)
    assert found is not None
    assert (found.code, found.untold) == ("try_later", "number_day")
    waits = refused(limits, Facts(NOW, chain=Chain(1, NOW)))
    assert waits is not None
    assert (waits.code, waits.untold) == ("try_later", "number_wait_s")
    hidden = refused(limits, Facts(NOW, hidden=True))
    assert hidden is not None
    assert (hidden.code, hidden.untold) == ("try_later", "")


def test_a_chain_without_an_end_or_a_call_makes_nobody_wait() -> None:
    limits = Limits(wait_s=(60.0,))
    for chain in (Chain(), Chain(0, NOW), Chain(1, None)):
        assert refused(limits, Facts(NOW, chain=chain, own_chain=chain)) is None


# --- new numbers and minutes


def test_a_new_number_waits_for_the_one_that_uses_up_the_allowance() -> None:
    others = [NOW - 10.0 * n for n in range(1, 6)]
    for most in (1, 2, 5):
        found = refused(Limits({"user_new_numbers_day": most}), Facts(NOW, other_numbers=others))
        assert found is not None
        assert found.retry_at == others[most - 1] + DAY
    assert refused(Limits({"user_new_numbers_day": 6}), Facts(NOW, other_numbers=others)) is None


def test_minutes_lift_when_enough_of_them_are_a_day_old() -> None:
    limits = Limits({"system_minutes_day": 10}, reserve_s=60)
    spent = [(NOW - 7200, 100.0), (NOW - 3600, 200.0), (NOW - 600, 300.0)]
    found = refused(limits, Facts(NOW, spent=spent))
    assert found is not None
    assert found.retry_at == NOW - 7200 + 600 + DAY, "the first alone makes room"
    more = refused(Limits({"system_minutes_day": 10}, reserve_s=120), Facts(NOW, spent=spent))
    assert more is not None
    assert more.retry_at == NOW - 3600 + 600 + DAY
    all_of_it = refused(Limits({"system_minutes_day": 10}, reserve_s=600), Facts(NOW, spent=spent))
    assert all_of_it is not None
    assert all_of_it.retry_at == NOW - 600 + 600 + DAY
    fits = Facts(NOW, spent=[(NOW - 600, 540.0)])
    assert refused(limits, fits) is None
    short = refused(Limits({"system_minutes_day": 10}, reserve_s=10), Facts(NOW, spent=fits.spent, reserved=60.0))
    assert short is not None
    assert short.retry_at == NOW + 60, "calls in flight: a minute at least"
    full = refused(
        Limits({"system_minutes_day": 10}, reserve_s=120), Facts(NOW, spent=[(NOW - 600, 480.0)], reserved=1.0)
    )
    assert full is not None
    assert full.retry_at == NOW + 120, "what was spent leaves room for it, only those in flight do not"


# --- the breakers

PAUSED = Breaker(paused_until=NOW + 600, pauses=1)
HALF_OPEN = Breaker(paused_until=NOW - 1, pauses=1)
PROBED = Breaker(paused_until=NOW - 1, pauses=1, probe_until=NOW + 90)


@pytest.mark.parametrize("name", BREAKERS)
def test_a_paused_breaker_is_told_and_one_that_is_off_is_not_looked_at(name: str) -> None:
    limits, facts = Limits(breakers={name: Rules(calls=20)}), Facts(NOW, breakers={name: PAUSED})
    found = refused(limits, facts, of_number=False)
    assert found is not None
    assert (found.limit, found.retry_at) == (name, NOW + 600)
    assert refused(Limits(breakers={name: Rules(calls=0)}), facts) is None
    waiting = refused(limits, Facts(NOW, breakers={name: PROBED}))
    assert waiting is not None
    assert waiting.retry_at == NOW + 90
    assert refused(limits, Facts(NOW, breakers={name: HALF_OPEN})) is None


def test_the_call_that_a_half_open_breaker_lets_pass_is_its_probe() -> None:
    limits = Limits(breakers={"account_breaker": Rules(calls=20), "system_breaker": Rules(calls=60)})
    facts = Facts(NOW, breakers={"account_breaker": HALF_OPEN, "system_breaker": CLOSED})
    assert probes(limits, facts) == ["account_breaker"]
    assert probes(limits, Facts(NOW, breakers={"account_breaker": CLOSED, "system_breaker": PAUSED})) == []
    both = Facts(NOW, breakers={"account_breaker": HALF_OPEN, "system_breaker": HALF_OPEN})
    assert probes(limits, both) == ["account_breaker", "system_breaker"]
    assert probes(Limits(breakers={"account_breaker": Rules()}), facts) == []


# --- words


def test_refusals_that_are_no_limits() -> None:
    told = [(refusal.code, refusal.limit) for refusal in (try_later(), call_in_progress(), suspended())]
    assert told == [("try_later", None), ("call_in_progress", None), ("suspended", None)]
    assert try_later("number_hour").untold == "number_hour"
    assert "number_hour" not in str(try_later("number_hour"))


NUMBERS = ["+15551230001", "+15551230002", "+15551239999", "+15551240001", "+441632960001", "+15551230003"]
ASKS = st.lists(
    st.tuples(
        st.sampled_from([1.0, 30.0, 61.0, 200.0, 700.0, 1800.0, 4000.0, 20_000.0]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["1", "2", "3"]),
        st.sampled_from(NUMBERS),
        st.sampled_from([None, "192.0.2.1", "192.0.2.2"]),
        st.sampled_from(["verified", "wrong_code", "busy", "congestion", "us", "canceled_early", "long"]),
    ),
    max_size=60,
)


def end(call: Call, how: str) -> None:
    """End a call as the trigger give_back does."""
    seconds = {"verified": 30, "wrong_code": 60, "long": 180}.get(how, 0)
    call.ended_at = call.at + {"canceled_early": 1, "us": 1, "congestion": 1}.get(how, 20) + seconds
    call.billed_s = seconds
    call.verified = how == "verified"
    call.counted = how not in ("congestion", "us", "canceled_early")
    call.counted_number = how not in ("congestion", "us", "canceled_early")
    call.counted_line = call.counted_again = how not in ("us", "canceled_early")
    call.uncalled = how in ("us", "canceled_early")


@settings(max_examples=150)
@given(ASKS)
def test_never_above_a_limit_in_any_window(asks: list[tuple[float, str, str, str, str | None, str]]) -> None:
    calls: list[Call] = []
    now = NOW
    for pause, account, user, number, client, how in asks:
        now += pause
        ask = Call(now, account, user, number, client, reserved_s=SMALL.reserve_s)
        refusal = refused(SMALL, facts_of(calls, ask, SMALL, now))
        if refusal is None:
            calls.append(ask)
            end(ask, how)
            now = max(now, ask.ended_at or now)
        elif refusal.retry_at is not None:
            assert refusal.limit in SENTENCES
            assert refusal.retry_at > now
            early = refused(SMALL, facts_of(calls, ask, SMALL, refusal.retry_at - 0.001))
            assert early is not None
            later = refused(SMALL, facts_of(calls, ask, SMALL, refusal.retry_at))
            assert later is None or later.code == "try_later"  # others' calls may hold it on: that is not told
        else:
            assert refusal.code == "try_later"
    check_history(calls)


def check_history(calls: list[Call]) -> None:
    for name, window in WINDOWS.items():
        for ask in calls:
            inside = [c for c in calls if ask.at - window.seconds < c.at <= ask.at and in_scope(window.scope, c, ask)]
            assert len(inside) <= SMALL.most[name], name
    for ask in calls:
        day = [c for c in calls if ask.at - DAY < c.at <= ask.at]
        mine = {c.number for c in day if (c.account, c.user) == (ask.account, ask.user) and c.counted_again}
        assert len(mine) <= SMALL.most["user_new_numbers_day"]
        assert sum(c.billed_s or 0 for c in day) <= SMALL.most["system_minutes_day"] * 60
    for number in NUMBERS:
        chained = [c for c in calls if c.number == number and c.counted_again]
        for before, after in pairwise(chained):
            assert before.ended_at is not None
            assert before.verified or after.at - before.ended_at >= SMALL.wait_s[0]
