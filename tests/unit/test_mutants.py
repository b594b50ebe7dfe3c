"""The mutants themselves: what is changed in a module, what is left alone, and the list of known survivors."""

from pathlib import Path

from tests.mutants import __main__ as run
from tests.mutants import known
from tests.mutants.changes import Mutant, changes_of

SOURCE = '''"""A module."""

from enum import Enum, auto
from typing import assert_never

LIMIT = 3
Number = int | None


class Colour(Enum):
    """A set."""

    RED = auto()
    BLUE = auto()


def tried(x: Number, colour: Colour) -> int:
    """Do it."""
    assert x is not None
    match colour:
        case Colour.RED if x < LIMIT:
            raise ValueError("a sentence for people")
        case Colour.RED | Colour.BLUE:
            return x
        case _:
            assert_never(colour)
'''

CHANGES = {
    ("", "LIMIT = 3", "LIMIT = 4"),
    ("", "LIMIT = 3", "LIMIT = None"),
    ("tried", "case Colour.RED if x < LIMIT:", "case Colour.RED:"),
    ("tried", "case Colour.RED if x < LIMIT:", "case Colour.RED if x <= LIMIT:"),
    ("tried", "case Colour.RED if x < LIMIT:", "case Colour.RED if x >= LIMIT:"),
    ("tried", 'case Colour.RED if x < LIMIT: raise ValueError("a sentence for people")', ""),
    ("tried", 'raise ValueError("a sentence for people")', "pass"),
    ("tried", 'raise ValueError("a sentence for people")', "raise ValueError(None)"),
    ("tried", "case Colour.RED | Colour.BLUE: return x", ""),
    ("tried", "return x", "return None"),
}


def mutants_of(folder: Path, source: str) -> list[Mutant]:
    (folder / "module.py").write_text(source)
    made = [change.made() for change in changes_of(folder, "module.py")]
    return [mutant for mutant in made if mutant is not None]


def test_what_is_changed_and_what_is_left_alone(tmp_path: Path) -> None:
    found = mutants_of(tmp_path, SOURCE)
    assert {(mutant.where, mutant.was, mutant.now) for mutant in found} == CHANGES
    assert len(found) == len(CHANGES)


def test_a_mutant_keeps_its_name_when_lines_move(tmp_path: Path) -> None:
    before = {mutant.name for mutant in mutants_of(tmp_path, SOURCE)}
    assert {mutant.name for mutant in mutants_of(tmp_path, f"{SOURCE}\n\nOTHER = True\n")} > before


def test_equal_changes_in_one_function_are_told_apart(tmp_path: Path) -> None:
    twice = "def f(a, b):\n    g(a)\n    g(a)\n"
    found = [(mutant.was, mutant.now, mutant.nth) for mutant in mutants_of(tmp_path, twice)]
    assert sorted(found) == [
        ("g(a)", "g(None)", 1), ("g(a)", "g(None)", 2), ("g(a)", "pass", 1), ("g(a)", "pass", 2),
    ]  # fmt: skip


def test_every_known_survivor_has_a_reason_and_is_in_a_module_that_is_mutated() -> None:
    reasons = known.read()
    assert reasons
    assert {path for path, *_ in reasons} <= set(run.TESTS)
    assert all(len(reason) > 10 for reason in reasons.values())


def test_every_pure_module_is_mutated_and_has_its_tests() -> None:
    pure = {
        str(path.relative_to(run.ROOT))
        for room in ("call", "policy")
        for path in (run.ROOT / "binding_ivr" / room).glob("*.py")
    }
    shapes_only = {
        "binding_ivr/call/__init__.py",
        "binding_ivr/policy/__init__.py",
        "binding_ivr/policy/limit_state.py",
    }
    assert pure - shapes_only <= set(run.TESTS)
    for path, tests in run.TESTS.items():
        assert (run.ROOT / path).is_file()
        assert all((run.ROOT / f"tests/unit/test_{name}.py").is_file() for name in tests)
