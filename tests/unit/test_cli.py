"""Commands: each is known by its name, says what it takes, and imports only what it needs."""

import argparse
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from binding_ivr.cli import main, named
from binding_ivr.cli.parser import build_parser

LONGEST_S = 120
STORE = {"asyncpg", "binding_ivr.store"}
AMI = {"binding_ivr.asterisk", "panoramisk"}
NOTICES = {"aiosmtplib", "jinja2", "prometheus_client"}
NEEDED: dict[str, set[str]] = {
    "access": STORE,
    "check_config": set(),
    "commands": STORE,
    "demo": STORE | {"aiohttp", "panoramisk", "binding_ivr.lab"},
    "dialplan": STORE | {"binding_ivr.policy.lock"},
    "doctor": STORE | AMI | NOTICES | {"aiohttp", "binding_ivr.policy.lock"},
    "exception": STORE,
    "export": STORE | AMI | {"prometheus_client"},
    "lab": {"panoramisk", "binding_ivr.lab"},
    "limit": STORE,
    "manage": STORE,
    "migrate": STORE,
    "number": STORE,
    "notice": STORE | AMI | NOTICES,
    "outbox": STORE,
    "personal": STORE,
    "prompts": {"binding_ivr.prompts"},
    "resync": STORE | AMI | {"prometheus_client"},
    "serve": STORE
    | AMI
    | NOTICES
    | {"aiohttp", "jwt", "segno", "binding_ivr.delivery.wire.http", "binding_ivr.web.server"},
}
"""What takes long to import, and which module of commands needs it."""
DEAR = set().union(*NEEDED.values()) | {"holidays", "rich", "structlog", "schemathesis"}


def commands(parser: argparse.ArgumentParser, *words: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(words, name of the function) of every command below *parser*."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for word, inner in action.choices.items():
            yield from commands(inner, *words, word)
    if not below:
        yield words, parser.get_default("run")


COMMANDS = dict(commands(build_parser()))


def python(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=LONGEST_S, check=False
    )


RUN = """
import atexit, sys
from binding_ivr.cli import main
atexit.register(lambda: print(*sys.modules, file=open(sys.argv[1], "w")))
sys.exit(main(sys.argv[2:]))
"""


def run(folder: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run a command in a fresh interpreter; return how it ended and all modules that it had imported by then."""
    listed = folder / "modules"
    done = python(RUN, str(listed), *words)
    return done, set(listed.read_text().split())


@pytest.mark.parametrize("name", sorted(set(COMMANDS.values())))
def test_every_name_leads_to_a_command(name: str) -> None:
    function = named(name)
    assert inspect.iscoroutinefunction(function)
    assert list(inspect.signature(function).parameters) == ["options"]


@pytest.mark.parametrize("words", [(), *COMMANDS], ids=" ".join)
def test_every_command_says_what_it_takes(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {' '.join(('binding-ivr', *words))} ")


def test_the_table_of_needs_is_whole() -> None:
    assert set(NEEDED) == {name.split(".")[0] for name in COMMANDS.values()}


@pytest.mark.parametrize("module", sorted(NEEDED))
def test_a_command_imports_only_what_it_needs(module: str) -> None:
    done = python(
        "import importlib, sys; importlib.import_module(sys.argv[1]); print(*sys.modules)", f"binding_ivr.cli.{module}"
    )
    assert done.returncode == 0, done.stderr
    assert DEAR & set(done.stdout.split()) == NEEDED[module]


@pytest.mark.parametrize(
    ("words", "status"),
    [(("--version",), 0), (("--help",), 0), (("bind", "--help"), 0), (("bind", "1001"), 2), ((), 2)],
)
def test_who_asks_for_help_waits_for_no_import(words: tuple[str, ...], status: int, tmp_path: Path) -> None:
    done, modules = run(tmp_path, *words)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert {name for name in modules if name.split(".")[0] == "binding_ivr"} == {
        "binding_ivr",
        "binding_ivr.call",
        "binding_ivr.call.prompts",
        "binding_ivr.cli",
        "binding_ivr.cli.parser",
        "binding_ivr.errors",
    }
    assert not modules & {"asyncio", "msgspec", "phonenumbers", *DEAR}


@pytest.mark.parametrize(
    "words", [("lookup", "1001"), ("status", "1001"), ("bind", "1001", "+12025550123")], ids=" ".join
)
def test_a_command_that_reaches_for_the_database_imports_no_more(words: tuple[str, ...], tmp_path: Path) -> None:
    """All that comes before the first query is done: configuration, log, keys, the use cases."""
    path = tmp_path / "binding-ivr.toml"
    path.write_text(
        f"[database]\ndsn = {json.dumps(f'postgresql:///none?host={tmp_path}')}\n"
        '[code]\nnumber_key = "a key for tests of 32 characters"\n'
    )
    done, modules = run(tmp_path, *words, "--config", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("binding-ivr: PostgreSQL"), done.stderr
    assert done.stderr.count("\n") == 1
    assert DEAR & modules == STORE


def test_a_fault_of_the_configuration_is_told_in_one_line(tmp_path: Path) -> None:
    done, modules = run(tmp_path, "check-config", "--config", str(tmp_path / "none.toml"))
    assert done.returncode == 1
    assert done.stderr == f"binding-ivr: {tmp_path}/none.toml: no such configuration file\n"
    assert not DEAR & modules


LINES = """
import json, sys
from binding_ivr.log import get_logger, set_up
log = get_logger()
set_up("console", "debug")
set_up("json", "warning")
assert "structlog" not in sys.modules
log.info("too.low")
log.warning("told", calls=1)
log.bind(attempt="a").error("bound")
assert "structlog" in sys.modules
set_up("json", "error")
log.warning("too.low.now")
"""


def test_the_first_line_is_written_as_the_last_set_up_said() -> None:
    done = python(LINES)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["level"]) for line in told] == [("told", "warning"), ("bound", "error")]
    assert (told[0]["calls"], told[1]["attempt"]) == (1, "a")
