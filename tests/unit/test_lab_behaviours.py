"""The behaviour table and the numbers it belongs to."""

import phonenumbers
import pytest

from binding_ivr.lab import behaviours
from binding_ivr.lab.behaviours import AREA_CODES, BY_NAME, TABLE, Script, dialplan_globals, number, script


def test_names_and_suffixes_are_unique() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)
    assert len({row.suffix for row in TABLE}) == len(TABLE)
    assert len(set(AREA_CODES)) == len(AREA_CODES) >= 12


def test_every_number_is_valid_and_unique() -> None:
    numbers = [number(row.name, index) for row in TABLE for index in range(len(AREA_CODES))]
    numbers += [number("right", index) for index in range(len(AREA_CODES), 1200)]
    assert len(set(numbers)) == len(numbers)
    for text in numbers:
        assert phonenumbers.is_valid_number(phonenumbers.parse(text)), text
        assert text[5:10] == "55501"


@pytest.mark.parametrize(("name", "index"), [("busy", len(AREA_CODES)), ("busy", -1), ("right", 1200)])
def test_numbers_end(name: str, index: int) -> None:
    with pytest.raises(ValueError, match="there are only"):
        number(name, index)


def test_unknown_behaviour_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown behaviour"):
        number("singing")


def test_a_script_is_one_line_of_ten_fields() -> None:
    assert script("right").line() == "right,0.100,,60,60,1.500,,,,"
    line = script("fast", after_ms=0, pace_ms=250, record=True, digits="777777#").line()
    assert line == "fast,0.100,0.000,,,0.250,1,777777#,,"


@pytest.mark.parametrize(
    "params", [{"digits": "12,3"}, {"digits": "x"}, {"gap_ms": -1}, {"after_ms": 600_001}, {"colour": 1}, {"name": "x"}]
)
def test_bad_parameters_are_refused(params: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"digits|milliseconds|unknown parameter"):
        Script("right").with_params(params)


def test_each_ending_has_a_script() -> None:
    lines = dict(line.split(" = ") for line in dialplan_globals().splitlines())
    assert len(lines) == 101
    assert lines["BEHAVIOUR_10"].startswith("busy,")
    assert lines["BEHAVIOUR_99"] == lines["BEHAVIOUR_50"] == BY_NAME["right"].script.line()
    assert lines["BEHAVIOUR_DESK"] == behaviours.DESK.line()
