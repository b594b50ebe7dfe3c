"""The mutants that are known to survive, each with the reason: tests/mutants/survivors.toml."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.mutants.changes import Mutant

FILE = Path(__file__).with_name("survivors.toml")
Name = tuple[str, str, str, str, int]


def read() -> Mapping[Name, str]:
    """Return the reason for each name. Raises ValueError for one without a reason, or that is there twice."""
    found: dict[Name, str] = {}
    for path, entries in tomllib.loads(FILE.read_text("utf-8")).items():
        for entry in entries:
            name = (path, entry.get("in", ""), entry["was"], entry["now"], entry.get("nth", 1))
            if not entry.get("why") or name in found:
                raise ValueError(f"{FILE.name}: {name} has no reason, or is there twice")
            found[name] = entry["why"]
    return found


def written(mutants: Iterable[Mutant]) -> str:
    """Return entries for new survivors as they stand in the file, without their reasons."""
    return "\n".join(map(_entry, mutants))


def _entry(mutant: Mutant) -> str:
    lines = [f'[["{mutant.path}"]]']
    lines += [f"in = {_text(mutant.where)}"] if mutant.where else []
    lines += [f"was = {_text(mutant.was)}", f"now = {_text(mutant.now)}"]
    lines += [f"nth = {mutant.nth}"] if mutant.nth > 1 else []
    return "\n".join([*lines, 'why = ""', ""])


def _text(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
