"""Draws mutants of the pure parts, tries each against the unit tests, and names those that none of them notices.

`python -m tests.mutants [--all] [--count N] [--seed N] [--only PART-OF-A-PATH] [--workers N]`. It fails when a mutant
survives that survivors.toml does not name, or when fewer than 90 % are killed.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mutants import known, trial
from tests.mutants.changes import Mutant, changes_of
from tests.mutants.trial import Result

ROOT = Path(__file__).resolve().parents[2]
TESTS: dict[str, tuple[str, ...]] = {
    "binding_ivr/call/asking.py": ("machine", "asking"),
    "binding_ivr/call/commands.py": ("machine",),
    "binding_ivr/call/desk.py": ("enrol_machine",),
    "binding_ivr/call/desk_words.py": ("enrol_machine",),
    "binding_ivr/call/digits.py": ("machine", "asking"),
    "binding_ivr/call/enrol.py": ("enrol_machine",),
    "binding_ivr/call/events.py": ("machine",),
    "binding_ivr/call/machine.py": ("machine", "asking"),
    "binding_ivr/model/outcome.py": ("machine",),
    "binding_ivr/call/prompts.py": ("prompts_catalogue",),
    "binding_ivr/call/rules.py": ("machine", "asking"),
    "binding_ivr/policy/breaker.py": ("breaker",),
    "binding_ivr/policy/callers.py": ("callers",),
    "binding_ivr/policy/code.py": ("policy", "asking"),
    "binding_ivr/policy/digitset.py": ("digitset", "dialplan_lock"),
    "binding_ivr/policy/hours.py": ("hours",),
    "binding_ivr/policy/lifecycle.py": ("lifecycle",),
    "binding_ivr/policy/limits.py": ("limits",),
    "binding_ivr/policy/lock.py": ("dialplan_lock",),
    "binding_ivr/policy/masking.py": ("masking",),
    "binding_ivr/policy/numbers.py": ("policy", "exceptions", "number_decisions"),
    "binding_ivr/policy/reading.py": ("policy", "exceptions", "number_decisions", "number_writings"),
    "binding_ivr/policy/renumbered.py": ("number_writings", "callers"),
    "binding_ivr/policy/own.py": ("policy", "lifecycle", "number_decisions"),
    "binding_ivr/policy/plan.py": ("dialplan_lock", "exceptions"),
    "binding_ivr/policy/ranges.py": ("policy", "exceptions", "number_decisions"),
    "binding_ivr/policy/routes.py": ("policy",),
    "binding_ivr/policy/zones.py": ("hours",),
    "binding_ivr/asterisk/agi/protocol.py": ("agi_protocol",),
}
"""The modules that are mutated, and the unit tests (`tests/unit/test_NAME.py`) that are about them."""
AGAIN = (Result.SURVIVED, Result.ANEW)
COUNT, SEED, LEAST = 250, 11, 0.9


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--all", action="store_true", help="try every mutant")
    parser.add_argument("--count", type=int, default=COUNT, help="how many are drawn (%(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the draw (%(default)s)")
    parser.add_argument("--only", default="", help="modules whose path holds this")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="at a time (%(default)s)")
    return parser.parse_args()


def draw(root: Path, paths: Sequence[str], options: argparse.Namespace) -> list[Mutant]:
    """Return the mutants to try, in the order of their modules."""
    changes = [change for path in paths for change in changes_of(root, path)]
    if not options.all:
        chosen = random.Random(options.seed).sample(range(len(changes)), min(options.count, len(changes)))
        changes = [changes[at] for at in sorted(chosen)]
    made = {mutant.name: mutant for change in changes if (mutant := change.made()) is not None}
    return list(made.values())


def copied(into: Path) -> Path:
    """Copy the tree to *into*, so that nobody edits it under our hands."""
    leave = shutil.ignore_patterns(".*", "__pycache__", "build", "dist")
    return Path(shutil.copytree(ROOT, into / "tree", ignore=leave, symlinks=True))


def try_all(root: Path, paths: Sequence[str], mutants: Sequence[Mutant], workers: int) -> dict[known.Name, Result]:
    """Return what became of each mutant."""
    os.chdir(root)
    sys.path.insert(0, str(root))
    trial.prepare()
    about = {path: [f"tests/unit/test_{name}.py" for name in TESTS[path]] for path in paths}
    files = sorted({file for path in paths for file in about[path]})
    reached = root / "reached.json"

    def measure() -> int:
        trial.measure(root, files, paths, reached)
        return 0

    _, status = os.waitpid(trial.fork(measure), 0)
    if status:
        raise SystemExit("the unit tests fail without any mutant; run: make unit")
    reach, modules = trial.read_reach(reached, about)
    told = Told(len(mutants))
    exchanging = trial.Exchanging(mutants, reach, workers, told)
    exchanging.try_all(files, root / "tried.json")
    # Outside of functions an exchange may change less than the mutant does: what survives is tried once more.
    again = [mutant for mutant in mutants if not mutant.where and exchanging.found[mutant.name] in AGAIN]
    trial.preload(modules)
    return exchanging.found | trial.results(trial.anew(again, reach), workers, Told(len(again)))


class Told:
    """Shows how far it is."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._done = 0
        self._out = os.fdopen(os.dup(1), "w")  # the children have none

    def __call__(self, mutant: Mutant, result: Result) -> None:
        self._done += 1
        if result is Result.SURVIVED or self._done % 100 == 0:
            print(f"[{self._done}/{self._number}] {result}: {mutant}", file=self._out, flush=True)


def summary(mutants: Sequence[Mutant], found: dict[known.Name, Result]) -> tuple[list[Mutant], list[Mutant], float]:
    """Print a line a module; return survivors that are not known, known ones that were killed, and the share killed."""
    reasons = known.read()
    print(f"\n{'module':44}{'drawn':>7}{'killed':>8}{'survived':>10}{'known':>7}")
    counted = [mutant for mutant in mutants if found[mutant.name] is not Result.VOID]
    for path in [*dict.fromkeys(mutant.path for mutant in counted), ""]:
        here = [mutant for mutant in counted if path in ("", mutant.path)]
        survived = [mutant for mutant in here if found[mutant.name] is Result.SURVIVED]
        named = sum(mutant.name in reasons for mutant in survived)
        killed = len(here) - len(survived)
        print(f"{path or 'all':44}{len(here):7}{killed:8}{len(survived):10}{named:7}")
    survived = [mutant for mutant in counted if found[mutant.name] is Result.SURVIVED]
    print(f"{len(mutants) - len(counted)} more cannot even be imported and do not count.")
    new = [mutant for mutant in survived if mutant.name not in reasons]
    dead = [mutant for mutant in counted if mutant not in survived and mutant.name in reasons]
    return new, dead, 1 - len(survived) / max(1, len(counted))


def main() -> int:
    """Do it; return the exit status."""
    options, began = arguments(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="binding-ivr-mutants-") as folder:
        root = copied(Path(folder))
        paths = [path for path in TESTS if options.only in path]
        mutants = draw(root, paths, options)
        which = "all" if options.all else f"drawn with seed {options.seed}"
        print(f"{len(mutants)} mutants, {which}; which tests reach what is measured first", flush=True)
        found = try_all(root, paths, mutants, options.workers)
        os.chdir(ROOT)
    new, dead, share = summary(mutants, found)
    print(f"{share:.1%} killed in {time.monotonic() - began:.0f} s")
    for mutant in dead:
        print(f"\nsurvivors.toml names it, but it was killed; take it out: {mutant}")
    if options.all and not options.only and (gone := set(known.read()) - {mutant.name for mutant in mutants}):
        print("\nsurvivors.toml names what is no mutant any more:", *gone, sep="\n")
    if new:
        print(
            f"\n{len(new)} survivors that survivors.toml does not name. Write a test, or name them with the reason:\n"
        )
        print(known.written(new))
    return 1 if new or share < LEAST else 0


if __name__ == "__main__":
    sys.exit(main())
