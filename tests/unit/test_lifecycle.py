"""A binding's life after its proof: until when it is trusted, what a change can be taken back to, and who is named."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.model.actors import Who
from binding_ivr.model.rows import BindingRow, BindingStatus
from binding_ivr.policy.lifecycle import (
    Life,
    Undo,
    changer,
    has_become_own,
    life_of,
    may_be_dialled_as,
    undo,
    verify_by,
)
from binding_ivr.policy.own import OwnNumbers

PROVEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANGED = datetime(2026, 5, 1, 9, tzinfo=UTC)
OLD, NEW = "+12025550123", "+442079460958"
DAYS = timedelta(days=1)


RULES = (300, 14, 24)
"""`[binding]`: stale_days, suspend_days, undo_h."""


def bound(*, trusted: bool = True, **facts: Any) -> BindingRow:
    """A binding as it was read: proven, trusted and never changed, unless something else is said."""
    usual = {"number": NEW, "pending_number": None, "verified_at": PROVEN, "read_at": PROVEN}
    status = BindingStatus.VERIFIED if trusted else BindingStatus.SUSPENDED
    known = {"account": "default", "user_id": "1001", "status": status, "reason": None, "since": None}
    return BindingRow(**{**known, "last_attempt": None, **usual, **facts})


def changed(by: str | None = "user:1001", read_after: timedelta | None = timedelta(0)) -> BindingRow:
    """A binding whose number was changed from OLD to NEW, and read some time later."""
    return bound(
        previous_number=OLD,
        changed_at=CHANGED,
        changed_by=None if by is None else Who.read(by),
        read_at=None if read_after is None else CHANGED + read_after,
    )


# --- until when it is trusted


def test_trust_ends_when_the_proof_is_old_and_the_time_after_the_notice_is_over() -> None:
    assert verify_by(bound(), 300, 14) == PROVEN + 314 * DAYS


@pytest.mark.parametrize(("stale_days", "suspend_days"), [(0, 14), (300, 0), (0, 0)])
def test_zero_days_mean_never(stale_days: int, suspend_days: int) -> None:
    assert verify_by(bound(), stale_days, suspend_days) is None


def test_what_the_user_was_told_once_is_kept_whatever_the_rules_say_now() -> None:
    told = bound(stale_at=PROVEN + 300 * DAYS, suspend_at=PROVEN + 330 * DAYS)
    for days in ((300, 14), (10, 5), (0, 0)):
        assert verify_by(told, *days) == PROVEN + 330 * DAYS
    no_end = bound(stale_at=PROVEN + 300 * DAYS, suspend_at=None)
    assert verify_by(no_end, 300, 14) is None


def test_what_is_not_trusted_or_was_never_proven_cannot_lose_its_trust() -> None:
    assert verify_by(bound(trusted=False), 300, 14) is None
    assert verify_by(bound(trusted=False, stale_at=PROVEN, suspend_at=PROVEN + DAYS), 300, 14) is None
    assert verify_by(bound(verified_at=None), 300, 14) is None


@given(st.integers(1, 1000), st.integers(1, 1000), st.integers(0, 2000))
def test_a_newer_proof_and_longer_rules_never_end_the_trust_sooner(stale: int, suspend: int, later: int) -> None:
    ends = verify_by(bound(), stale, suspend)
    newer = verify_by(bound(verified_at=PROVEN + later * DAYS), stale, suspend)
    longer = verify_by(bound(), stale + 1, suspend)
    assert ends is not None
    assert newer == ends + later * DAYS
    assert longer == ends + DAYS
    assert ends > PROVEN + stale * DAYS


# --- the way back


def test_a_change_can_be_taken_back_for_as_many_hours_as_allowed() -> None:
    way_back = Undo(OLD, CHANGED, "user", CHANGED + timedelta(hours=24))
    assert undo(changed(), 24) == way_back
    assert undo(changed(read_after=timedelta(hours=24, microseconds=-1)), 24) == way_back
    assert undo(changed(read_after=timedelta(hours=24)), 24) is None
    assert undo(changed(read_after=timedelta(hours=25)), 24) is None
    assert undo(changed(read_after=timedelta(hours=25)), 48) is not None
    assert undo(changed(), 0) is None


def test_a_removed_number_can_be_taken_back_too() -> None:
    assert undo(replace(changed(), number=None), 24) == Undo(OLD, CHANGED, "user", CHANGED + timedelta(hours=24))


@pytest.mark.parametrize(
    "row",
    [
        bound(),  # was never changed
        bound(previous_number=OLD),
        replace(changed(), previous_number=None),
        replace(changed(), number=OLD),  # is back already
        replace(changed(), pending_number=OLD),  # is on its way back
        changed(read_after=None),  # nobody knows what time it is there
    ],
)
def test_where_there_is_nothing_to_go_back_to(row: BindingRow) -> None:
    assert undo(row, 24) is None


def test_both_are_told_together() -> None:
    row = changed(by="system")
    assert life_of(row, *RULES) == Life(
        PROVEN + 314 * DAYS, Undo(OLD, CHANGED, "system", CHANGED + timedelta(hours=24))
    )
    assert life_of(bound(), 0, 14, 24) == Life() == Life(None, None)


def test_the_old_number_is_in_no_representation() -> None:
    assert OLD[1:] not in repr(life_of(changed(), *RULES))


@pytest.mark.parametrize(
    ("who", "told"),
    [
        ("user:1001", "user"),
        ("user:1002", "administrator"),  # a user who acts for another
        ("admin:default/1001", "administrator"),
        ("key:1001", "administrator"),
        ("cli:root", "administrator"),
        ("sql:1001", "administrator"),
        ("system", "system"),
        ("", "system"),
    ],
)
def test_users_learn_what_kind_of_person_made_a_change_and_no_more(who: str, told: str) -> None:
    assert changer(Who.read(who), "1001") == told
    back = undo(changed(by=who), 24)
    assert back is not None
    assert back.changed_by == told


def test_a_change_by_nobody_who_is_known_was_the_systems() -> None:
    back = undo(changed(by=None), 24)
    assert back is not None
    assert back.changed_by == "system"


# --- numbers that have become the PBX's own

NATIONAL = {"+12025550123": "2025550123", "+442079460958": "2079460958", "+390612345678": "0612345678"}


@pytest.mark.parametrize(("e164", "national"), NATIONAL.items())
def test_a_number_becomes_own_in_each_writing_in_which_it_may_be_dialled(e164: str, national: str) -> None:
    assert may_be_dialled_as(e164) == (e164, e164[1:], national)
    assert has_become_own(e164, OwnNumbers(dids={e164}))
    assert has_become_own(e164, OwnNumbers(extensions={e164[1:]}))
    assert has_become_own(e164, OwnNumbers(extensions={national}))
    assert has_become_own(e164, OwnNumbers(patterns={f"_{e164[1:-2]}XX"}))
    assert not has_become_own(e164, OwnNumbers(extensions={"1001"}, dids={"+12025550199"}, patterns={"_1303XXXXXXX"}))
    assert not has_become_own(e164, OwnNumbers())


def test_a_number_that_its_plan_does_not_hold_is_compared_as_others_are() -> None:
    assert may_be_dialled_as("+15551230001") == ("+15551230001", "15551230001", "5551230001")


def test_a_number_of_no_country_is_compared_as_it_stands() -> None:
    gone = "+9991234567"
    assert may_be_dialled_as(gone) == (gone, gone[1:], gone[1:])
    assert has_become_own(gone, OwnNumbers(extensions={gone[1:]}))
    assert not has_become_own(gone, OwnNumbers(extensions={gone[2:]}))
