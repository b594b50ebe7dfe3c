"""One mutant at a time against the tests that reach it: in a forked child, which dies with what it changed.

A changed function is exchanged in a process that has collected all tests already. What is outside of functions works
while it is imported, so for that a child imports everything anew. No file is written.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import EnumType, StrEnum
from pathlib import Path
from typing import Any

import coverage
import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.mutants.changes import Mutant

PYTEST = [
    "-q",
    "-x",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
    "--hypothesis-profile=mutants",
]
LOUD = "MUTANTS_LOUD"
"""Set in the environment, it lets the children speak."""
MODULES_S = 30.0
"""What importing and collecting may take in a child that begins anew."""
EXAMPLES = 30
"""Of a property, while it is measured what the tests reach."""
BYTES = 4 << 30
"""Memory that a mutant which grows without end may take."""


class Result(StrEnum):
    """What became of a mutant. `void`: its module cannot be imported, so it proves nothing and does not count."""

    KILLED = "killed"
    SURVIVED = "survived"
    TIMEOUT = "timeout"
    VOID = "void"
    ANEW = "anew"
    """What it changed cannot be exchanged: a child that imports everything anew must try it."""


_EXIT = {0: Result.SURVIVED, 1: Result.KILLED, 3: Result.VOID, 4: Result.ANEW}
_IMPORT_FAILED, _NOT_EXCHANGED = 3, 4


@dataclass(frozen=True, slots=True)
class Reach:
    """Which tests reach which lines of a module, how long each takes in seconds, and the files of tests about it."""

    tests: Mapping[str, Mapping[int, Sequence[str]]]
    seconds: Mapping[str, float]
    files: Mapping[str, Sequence[str]]

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests that may notice *mutant*, the quickest first. What is imported may reach any of them."""
        lines = self.tests[mutant.path]
        found = {test for line in mutant.lines for test in lines.get(line, ())} if mutant.where else self._about(mutant)
        return sorted(found, key=lambda test: (self.seconds[test], test))

    def _about(self, mutant: Mutant) -> set[str]:
        files = self.files[mutant.path]
        return {test for test in self.seconds if test.split("::")[0] in files}

    def limit(self, tests: Sequence[str]) -> float:
        """Return the seconds after which a mutant counts as one that does not end."""
        return 20.0 + 10.0 * sum(self.seconds[test] for test in tests)


def prepare() -> None:
    """Make hypothesis find the same each time, and not spend time on making it small."""
    settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


# --- forks -----------------------------------------------------------------------------------------------------


def fork(work: Callable[[], int], limit: float | None = None) -> int:
    """Start *work* in a child that is quiet, and return its pid. Its exit status is what *work* returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    status = 2
    try:
        if limit is not None:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(limit) + 1)
        if not os.environ.get(LOUD):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        status = work()
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def results(
    started: Iterator[tuple[Mutant, int]], workers: int, tell: Callable[[Mutant, Result], None]
) -> dict[tuple[Any, ...], Result]:
    """Wait for the children of *started*, at most *workers* at a time."""
    running: dict[int, Mutant] = {}
    found: dict[tuple[Any, ...], Result] = {}

    def wait() -> None:
        pid, status = os.wait()
        mutant = running.pop(pid)
        if os.WIFSIGNALED(status):
            result = Result.TIMEOUT if os.WTERMSIG(status) == signal.SIGALRM else Result.KILLED
        else:
            result = _EXIT.get(os.WEXITSTATUS(status), Result.KILLED)
        found[mutant.name] = result
        tell(mutant, result)

    for mutant, pid in started:
        running[pid] = mutant
        if len(running) >= workers:
            wait()
    while running:
        wait()
    return found


def _bounded() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))


# --- which test reaches what -----------------------------------------------------------------------------------


def measure(root: Path, files: Sequence[str], paths: Sequence[str], into: Path) -> None:
    """Run all tests of *files* with coverage of *paths* and write to *into* what reaches what. Ends the process."""
    cover = coverage.Coverage(data_file=None, include=[str(root / path) for path in paths], config_file=False)

    class Measure:
        def __init__(self) -> None:
            self.seconds: dict[str, float] = {}

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
            cover.switch_context(item.nodeid)
            yield

        def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
            for item in items:  # some examples show what a test reaches as well as many
                test = getattr(item, "obj", None)
                if (own := getattr(test, "_hypothesis_internal_use_settings", None)) is not None:
                    test.__dict__["_hypothesis_internal_use_settings"] = settings(own, max_examples=EXAMPLES)

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
            if report.failed:
                print(report.longreprtext, file=sys.__stderr__)

    plugin = Measure()
    cover.start()
    status = pytest.main([*PYTEST, *files], plugins=[plugin])
    cover.stop()
    if status:
        raise SystemExit(f"the tests fail without any mutant ({status})")
    data = cover.get_data()
    tests = {
        path: {
            line: [test for test in found if test in plugin.seconds]
            for line, found in data.contexts_by_lineno(str(root / path)).items()
        }
        for path in paths
    }
    modules = sorted(name for name in sys.modules if name.split(".")[0] not in ("binding_ivr", "tests", "__main__"))
    into.write_text(json.dumps({"tests": tests, "seconds": plugin.seconds, "modules": modules}))


def read_reach(path: Path, files: Mapping[str, Sequence[str]]) -> tuple[Reach, list[str]]:
    """Return what `measure` wrote, and the foreign modules that the tests import."""
    read = json.loads(path.read_text())
    tests = {module: {int(line): found for line, found in lines.items()} for module, lines in read["tests"].items()}
    return Reach(tests, read["seconds"], files), read["modules"]


# --- a changed function ----------------------------------------------------------------------------------------


class Exchanging:
    """A plugin that runs no test itself: with all of them collected, it tries each mutant in a child."""

    def __init__(self, mutants: Sequence[Mutant], reach: Reach, workers: int, tell: Callable[[Mutant, Result], None]):
        self._mutants = mutants
        self._reach = reach
        self._workers = workers
        self._tell = tell
        self.found: dict[tuple[Any, ...], Result] = {}

    def try_all(self, files: Sequence[str], into: Path) -> None:
        """Try them, with the tests of *files* collected in a child: nothing of ours is imported here."""

        def work() -> int:
            pytest.main([*PYTEST, "-s", *files], plugins=[self])
            into.write_text(json.dumps([self.found[mutant.name] for mutant in self._mutants]))
            return 0

        os.waitpid(fork(work), 0)
        read = json.loads(into.read_text())
        self.found = {mutant.name: Result(found) for mutant, found in zip(self._mutants, read, strict=True)}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        self.found = results(self._start(session, items), self._workers, self._tell)
        return True

    def _start(self, session: pytest.Session, items: Mapping[str, pytest.Item]) -> Iterator[tuple[Mutant, int]]:
        for mutant in self._mutants:
            names = self._reach.of(mutant)
            chosen = [items[name] for name in names if name in items]

            def work(mutant: Mutant = mutant, chosen: Sequence[pytest.Item] = chosen) -> int:
                _bounded()
                exchange(mutant)
                return _run(session, chosen)

            yield mutant, fork(work, self._reach.limit(names))


def _run(session: pytest.Session, items: Sequence[pytest.Item]) -> int:
    session.config.pluginmanager.unregister(name="terminalreporter")
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return 1
    return 0


def exchange(mutant: Mutant) -> None:
    """Give the functions of the mutant's module the code and the defaults that they have in its source.

    What else has another value there is changed wherever it was imported to. Ends the process when that cannot be done.
    """
    name = module_name(mutant.path)
    module = sys.modules[name]
    changed = types.ModuleType(name)
    changed.__file__ = module.__file__
    try:
        exec(compile(mutant.source, str(module.__file__), "exec"), changed.__dict__)
    except Exception:
        os._exit(_IMPORT_FAILED)
    ours = dict(_functions(name, vars(module)))
    for where, function in _functions(name, vars(changed)):
        ours[where].__code__ = function.__code__
        ours[where].__defaults__ = function.__defaults__
        ours[where].__kwdefaults__ = function.__kwdefaults__
    if not mutant.where:
        _exchange_values(vars(module), vars(changed))


def _exchange_values(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    classes = [
        value.__name__ for value in ours.values() if isinstance(value, type) and value.__module__ == ours["__name__"]
    ]
    for name, new in theirs.items():
        old = ours.get(name)
        if isinstance(old, EnumType) and list(map(repr, old)) != list(map(repr, new)):
            os._exit(_NOT_EXCHANGED)
        if (
            name.startswith("__")
            or isinstance(old, type | types.FunctionType | types.ModuleType)
            or repr(old) == repr(new)
        ):
            continue
        if any(f"{word}(" in repr(new) for word in classes):
            os._exit(_NOT_EXCHANGED)  # objects of a class that is another one now
        for module in list(sys.modules.values()):
            if module.__name__.split(".")[0] in ("binding_ivr", "tests") and vars(module).get(name) is old:
                setattr(module, name, new)


def _functions(module: str, names: Mapping[str, Any]) -> Iterator[tuple[str, types.FunctionType]]:
    for value in list(names.values()):
        if isinstance(value, type) and value.__module__ == module:
            yield from _functions(module, vars(value))
            continue
        for found in (value, *(getattr(value, part, None) for part in ("fget", "__func__", "__wrapped__"))):
            if isinstance(found, types.FunctionType) and found.__module__ == module:
                yield found.__qualname__, found


# --- what works while it is imported ---------------------------------------------------------------------------


class _Chosen:
    """A plugin that keeps the tests that are asked for, in that order."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        found = {item.nodeid: item for item in items}
        items[:] = [found[name] for name in self._names if name in found]


class _Source(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds the changed module in place of the file."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        self._name = module_name(mutant.path)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        spec = importlib.util.spec_from_loader(fullname, self, origin=str(Path(self._mutant.path).resolve()))
        assert spec is not None
        spec.has_location = True
        return spec

    def get_source(self, fullname: str) -> str:
        return self._mutant.source


def preload(modules: Sequence[str]) -> None:
    """Import foreign modules once for all children."""
    for name in modules:
        with suppress(BaseException):
            importlib.import_module(name)


def anew(mutants: Sequence[Mutant], reach: Reach) -> Iterator[tuple[Mutant, int]]:
    """Start a child for each mutant, which imports ours from the beginning."""
    for mutant in mutants:
        names = reach.of(mutant)

        def work(mutant: Mutant = mutant, names: Sequence[str] = names) -> int:
            _bounded()
            sys.meta_path.insert(0, _Source(mutant))
            try:
                importlib.import_module(module_name(mutant.path))
            except Exception:
                return _IMPORT_FAILED
            files = list(dict.fromkeys(name.split("::")[0] for name in names))
            status = pytest.main([*PYTEST, *files], plugins=[_Chosen(names)])
            return 0 if status in (0, 5) else 1

        yield mutant, fork(work, MODULES_S + reach.limit(names))


def module_name(path: str) -> str:
    """Return the dotted name of the module at *path*."""
    return path.removesuffix(".py").replace("/", ".")
