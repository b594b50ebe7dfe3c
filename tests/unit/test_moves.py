"""Entries of the list of moves are read strictly: other programs can write to AstDB too."""

from datetime import UTC, datetime, timedelta

import pytest

from binding_ivr.mirror.moves import count_of, read_entry
from binding_ivr.model.moves import Move, MoveKind, MoveOutcome, MoveProof

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
END = NOW.timestamp()
ENTRY = f"1,176449000012-77,pull,moved,pin,default/1001,{END - 9:.3f},1764490000.10,pbx-1764490000.12,{END - 1:.3f}"


def test_an_entry() -> None:
    assert read_entry(ENTRY, NOW) == Move(
        move_id="176449000012-77",
        kind=MoveKind.PULL,
        outcome=MoveOutcome.MOVED,
        proof=MoveProof.PIN,
        account="default",
        extension="1001",
        started_at=NOW - timedelta(seconds=9),
        ended_at=NOW - timedelta(seconds=1),
        call_id="1764490000.10",
        leg_id="pbx-1764490000.12",
    )


@pytest.mark.parametrize("kind", MoveKind)
@pytest.mark.parametrize("outcome", MoveOutcome)
def test_every_word(kind: MoveKind, outcome: MoveOutcome) -> None:
    move = read_entry(ENTRY.replace(",pull,moved,", f",{kind},{outcome},"), NOW)
    assert move is not None
    assert (move.kind, move.outcome) == (kind, outcome)


@pytest.mark.parametrize("proof", MoveProof)
def test_every_proof(proof: MoveProof) -> None:
    move = read_entry(ENTRY.replace(",pin,", f",{proof},"), NOW)
    assert move is not None
    assert move.proof is proof


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1,", "2,"),
        ("1,", ""),
        ("-77", ""),
        ("-77", "-77\n"),
        ("-77", "-٧"),
        ("176449000012", "1" * 41),
        ("pull", "push"),
        ("pull", "PULL"),
        ("moved", ""),
        (",pin,", ",password,"),
        ("default/1001", "default"),
        ("default/1001", "default/10 01"),
        ("default/1001", "../1001"),
        ("default/1001", "default/+12025550150"),
        ("default/1001", "default/" + "1" * 33),
        (".10,", ".10;x,"),
        (".10,", "." + "1" * 160 + ","),
        (f"{END - 1:.3f}", f"{END - 1:.3f}0"),
        (f"{END - 1:.3f}", f"{END - 1:.0f}"),
        (f"{END - 1:.3f}", "99999999999.000"),
        (f"{END - 1:.3f}", f"{END - 401 * 86400:.3f}"),
        (f"{END - 1:.3f}", f"{END + 2 * 86400:.3f}"),
        (f"{END - 9:.3f}", f"{END - 2 * 86400:.3f}"),
        (f"{END - 1:.3f}", f"{END - 1:.3f},more"),
    ],
)
def test_what_has_another_form_is_nothing(old: str, new: str) -> None:
    assert old in ENTRY
    assert read_entry(ENTRY.replace(old, new, 1), NOW) is None


def test_a_clock_that_was_set_back() -> None:
    move = read_entry(ENTRY.replace(f"{END - 9:.3f}", f"{END + 5:.3f}"), NOW)
    assert move is not None
    assert move.started_at == move.ended_at


@pytest.mark.parametrize(
    ("text", "count"),
    [(None, 0), ("", 0), ("7", 7), ("007", 7), ("-7", 7), ("x1y2", 12), ("9" * 40, 999_999_999_999_999), ("١", 0)],
)
def test_counts_are_read_as_the_dialplan_reads_them(text: str | None, count: int) -> None:
    assert count_of(text) == count
