"""Refused sign-ins and credentials without a session: told at once, then counted, within bounds for the whole node."""

import random
from collections import Counter

import pytest

from binding_ivr.model.audit import AuditEntry, AuditKind
from binding_ivr.web.auth.identity import Identity
from binding_ivr.web.auth.witness import (
    HOUR,
    MOST_CLIENTS,
    OTHERS,
    PLACES_PER_DAY,
    ROWS_PER_HOUR,
    Refusals,
    Sightings,
    way_of,
)


def told(entries: list[AuditEntry]) -> list[tuple[str, int]]:
    """Address and count of each row."""
    assert {entry.kind for entry in entries} <= {AuditKind.SIGNIN_REFUSED}
    return [(entry.actor.address, entry.detail["count"]) for entry in entries]


def test_the_first_is_told_at_once_and_the_others_as_a_count_after_an_hour() -> None:
    refusals = Refusals()
    assert told(refusals.note("192.0.2.1", "bad_key", 0)) == [("192.0.2.1", 1)]
    for second in range(1, 100):
        assert refusals.note("192.0.2.1", "bad_token", second) == []
    assert refusals.due(HOUR - 1) == []
    [row] = refusals.due(HOUR)
    assert (row.actor.address, row.detail) == ("192.0.2.1", {"why": "bad_token", "count": 99})
    assert refusals.due(2 * HOUR) == []
    assert told(refusals.note("192.0.2.1", "bad_key", 2 * HOUR)) == [("192.0.2.1", 1)]


def test_a_single_one_has_no_second_row() -> None:
    refusals = Refusals()
    refusals.note("192.0.2.1", "bad_key", 0)
    assert refusals.due(HOUR) == []


@pytest.mark.parametrize("clients", [3, 1000, 1_000_000])
def test_no_flood_writes_more_than_so_many_rows_in_any_hour_and_each_refusal_is_counted(clients: int) -> None:
    dice, refusals, times, counted = random.Random(clients), Refusals(), list[float](), Counter[bool]()
    for step in range(20_000):
        now = step * 2.0
        rows = refusals.note(f"{dice.randrange(clients)}", "bad_key", now)
        if step % 30 == 0:
            rows += refusals.due(now)
        times += [now for _ in rows]
        for row in rows:
            counted[row.actor.address == OTHERS] += row.detail["count"]
    for begin in times:
        assert sum(begin <= at < begin + HOUR for at in times) <= ROWS_PER_HOUR
    last = refusals.due(times[-1] + 10 * HOUR, all_of_them=True)
    counted[False] += sum(row.detail["count"] for row in last)
    assert counted.total() == 20_000
    assert (counted[True] > 0) == (clients > MOST_CLIENTS)


def of(kind: str, *, ambient: bool = False) -> Identity:
    names = {"account": "default", "user_id": "1001"} if kind in ("user", "proxy") else {"name": "portal"}
    return Identity(kind=kind, ambient=ambient, **names)  # type: ignore[arg-type]


def test_by_what_somebody_signs_in() -> None:
    ways = [way_of(who) for who in (of("proxy", ambient=True), of("user"), of("key"), of("first_run"))]
    assert ways == ["header", "token", "key", "key"]
    assert [way_of(of(kind, ambient=True)) for kind in ("user", "key")] == ["", ""]


def test_a_credential_is_told_once_a_day_and_from_a_few_addresses() -> None:
    sightings = Sightings()
    [row] = sightings.note(of("user"), "192.0.2.1", 0)
    assert (row.kind, row.actor.who, row.actor.address) == (AuditKind.SIGNIN_SEEN, "user:1001", "192.0.2.1")
    assert (row.account, row.user_id, row.detail) == ("default", "1001", {"by": "token"})
    assert sightings.note(of("user"), "192.0.2.1", 86_399) == []
    assert len(sightings.note(of("proxy", ambient=True), "192.0.2.1", 1)) == 1
    assert sightings.note(of("user", ambient=True), "192.0.2.1", 1) == []
    found = [sightings.note(of("user"), f"198.51.100.{n}", 2) for n in range(50)]
    assert sum(map(len, found)) == PLACES_PER_DAY - 1
    assert len(sightings.note(of("user"), "192.0.2.1", 86_401)) == 1


def test_a_customer_of_ipv6_has_one_address() -> None:
    sightings = Sightings()
    assert len(sightings.note(of("key"), "2001:db8::1", 0)) == 1
    assert sightings.note(of("key"), "2001:db8::2", 0) == []
