"""The constraints of the migrated tables agree with the forms in Python."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.forms_table import cases

if TYPE_CHECKING:
    from tests.integration.conftest import World

# Somebody who writes SQL may begin a name with a dot. No look-up finds it and no mirror keeps it.
COLUMNS = {
    ("accounts", "account"): ("account", ("dot",)),
    ("users", "user_id"): ("user_id", ()),
    ("users", "language"): ("language", ()),
    ("extensions", "extension"): ("extension", ("dot",)),
    ("bindings", "number"): ("e164", ()),
    ("bindings", "pending_number"): ("e164", ()),
    ("bindings", "previous_number"): ("e164", ()),
    ("attempts", "number"): ("e164", ()),
    ("number_exceptions", "prefix"): ("prefix", ()),
    ("api_keys", "name"): ("key_name", ()),
    ("moves", "account"): ("account", ("dot",)),
    ("moves", "extension"): ("extension", ("dot",)),
}
OTHERS = {
    ("own_numbers", "value"),  # any of three forms; the store asks for the one of its kind
    ("api_keys", "key_id"), ("jobs", "job"),
    ("caller_plan", "country"), ("caller_plan", "national"), ("caller_plan", "international"),
    ("notice_channel", "name"),
    ("moves", "move_id"), ("moves", "call_id"), ("moves", "leg_id"),
}  # fmt: skip
LOOSE = {"state": "'queued'"}
"""What else a constraint looks at."""


async def _constraints(world: World) -> dict[tuple[str, str], str]:
    """The expression of each check with a pattern, by table and the column that is matched."""
    rows = await world.sql(
        "SELECT c.relname, pg_get_expr(k.conbin, k.conrelid) AS expr FROM pg_constraint k"
        " JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE k.contype = 'c' AND n.nspname = 'binding_ivr'"
    )
    found = {}
    for row in rows:
        if match := re.search(r'"?(\w+)"? ~ ', row["expr"]):
            found[row["relname"], match[1]] = row["expr"]
    return found


async def test_every_pattern_of_the_tables_is_a_form(world: World) -> None:
    told = await _constraints(world)
    assert set(told) == set(COLUMNS) | OTHERS


async def test_the_tables_agree(world: World) -> None:
    told = await _constraints(world)
    for place, (form, but) in COLUMNS.items():
        loose = "".join(f", {value}::text AS {name}" for name, value in LOOSE.items() if name != place[1])
        for case in cases(form, but=but):
            [row] = await world.sql(
                f"SELECT ({told[place]}) AS good FROM (SELECT $1::text AS {place[1]}{loose}) AS probe",
                case.text,
            )
            assert row["good"] is case.good, (place, case)


async def test_the_question_for_a_caller_agrees(world: World) -> None:
    for case in cases("caller"):
        [row] = await world.sql("SELECT binding_ivr.caller_writings($1, '', '', '') AS said", case.text)
        assert bool(row["said"]) is case.good, case


async def test_a_reason_has_the_same_length(world: World) -> None:
    rows = await world.sql(
        "SELECT pg_get_expr(conbin, conrelid) AS expr FROM pg_constraint WHERE contype = 'c'"
        " AND conrelid = 'binding_ivr.number_exceptions'::regclass AND pg_get_expr(conbin, conrelid) LIKE '%(reason)%'"
    )
    [expr] = [row["expr"] for row in rows]
    for length, good in ((2, False), (3, True), (200, True), (201, False)):
        [row] = await world.sql(f"SELECT ({expr}) AS good FROM (SELECT $1::text AS reason) AS p", "x" * length)
        assert row["good"] is good
