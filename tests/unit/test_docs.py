"""The operator's pages say what the code says: log events, metrics, outcomes, and commands that can be typed."""

import ast
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest
from prometheus_client import Counter

from binding_ivr.app.live import OUTCOMES
from binding_ivr.asterisk.ami.client import AmiState
from binding_ivr.asterisk.ari.link import LinkState
from binding_ivr.cli.parser import build_parser
from binding_ivr.metrics import Metrics
from binding_ivr.model.audit import AuditKind
from binding_ivr.model.outcome import FAULTS

ROOT = Path(__file__).resolve().parents[2]
NEWCOMERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = [*NEWCOMERS, *sorted((ROOT / "docs").glob("*.md"))]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
LINKS: dict[str, type[LinkState] | type[AmiState]] = {"ari": LinkState, "ami": AmiState}
NOT_A_SERVICE = {"lab", "prompts"}
"""Packages whose loggers no running service uses."""


@cache
def section(heading: str) -> str:
    """The text under a second-level heading of operations.md."""
    text = (ROOT / "docs/operations.md").read_text()
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"operations.md lacks the section {heading}"
    return found[1]


def first_column(heading: str) -> set[str]:
    """What stands in backquotes in the first column of the tables under *heading*."""
    rows = [line for line in section(heading).splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


def logged_events() -> set[str]:
    """Every event that the code logs, by its syntax tree."""
    events: set[str] = set()
    for path in (ROOT / "binding_ivr").rglob("*.py"):
        if path.relative_to(ROOT / "binding_ivr").parts[0] in NOT_A_SERVICE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Loop", "Trouble"):
                named = [word.value for word in node.keywords if word.arg in ("begins", "ends", "fault")]
                events |= {str(ast.literal_eval(value)) for value in named}
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if node.func.attr not in LEVELS or ast.unparse(node.func.value).split(".")[-1] not in ("log", "_log"):
                continue
            event = node.args[node.func.attr == "log"]  # log.log(level, event)
            if ast.unparse(event) in ("self._begins", "self._ends", "self._fault"):
                continue  # of a Loop or its Trouble: named where it is made
            if isinstance(event, ast.Constant):
                events.add(str(event.value))
            else:  # names that are put together: a connection's states, of which two are not told this way
                link = re.fullmatch(r"f'(ari|ami)\.\{state\.value\}'", ast.unparse(event))
                assert link, f"{path.name}: {ast.unparse(event)}"
                states = {state.value for state in LINKS[link[1]]} - {"connecting", "connected"}
                events |= {f"{link[1]}.{state}" for state in states}
    return events


def test_every_log_event_is_explained() -> None:
    assert first_column("Log events") == logged_events()


def test_every_metric_is_explained() -> None:
    metrics = Metrics()
    names = set()
    for family in metrics.registry.collect():
        names.add(family.name + ("_total" if family.type == "counter" else ""))
    assert first_column("Metrics") == names
    assert isinstance(metrics.attempts, Counter)


def test_every_outcome_is_explained_with_its_fault_and_its_sentence() -> None:
    rows = [line.split(" | ") for line in section("Outcomes").splitlines() if line.startswith("| `")]
    told = {row[0].strip("| `"): (row[1].strip("` "), row[2]) for row in rows}
    assert told == {outcome.value: (FAULTS[outcome].value, OUTCOMES[outcome]) for outcome in FAULTS}


def test_every_kind_of_the_audit_is_explained() -> None:
    rows = [line for line in (ROOT / "docs/audit.md").read_text().splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", row.split(" | ")[0] + row)}
    assert {kind.value for kind in AuditKind} <= told


def ours(line: str) -> list[list[str]]:
    """The arguments of each call of our program in a shell line."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return []  # prose, or another language
    calls: list[list[str]] = [[]]
    for word in words:
        if word in ("|", "||", "&&", "&", ";", ">", ">>", "2>&1"):
            calls.append([])
        else:
            calls[-1].append(word)
    found = []
    for call in calls:
        while call and (call[0] == "$" or re.fullmatch(r"[A-Z_]+=.*", call[0])):
            call = call[1:]
        if call[:2] == ["sudo", "-u"]:
            call = call[3:]
        if call[:3] == ["docker", "compose", "exec"]:
            call = call[4:]
        if call and Path(call[0]).name == "binding-ivr" and len(call) > 1:
            found.append(call[1:])
    return found


def commands() -> list[tuple[str, str]]:
    """(page, arguments) of everything on the pages that calls our program."""
    found = []
    for page in PAGES:
        text = page.read_text()
        fenced = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        lines = [line for block in fenced for line in block.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        found += [(page.name, shlex.join(words)) for line in lines for words in ours(line)]
    return sorted(set(found))


@pytest.mark.parametrize(("page", "arguments"), commands())
def test_every_command_can_be_typed(page: str, arguments: str) -> None:
    words = shlex.split(arguments)
    if words[0] in ("…", "...", "COMMAND"):
        return
    if words == ["--version"]:
        with pytest.raises(SystemExit) as ended:
            build_parser().parse_args(words)
        assert ended.value.code == 0
    else:
        assert build_parser().parse_args(words).run


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in [*PAGES, *(ROOT / "docs/decisions").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if not re.match(r"[a-z]+:", target):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


SYSTEM = {"apt-get", "git", "install", "ln", "pipx", "pre-commit", "python3"}
"""What a newcomer has, or gets by the line itself."""


def shell_lines(page: Path) -> list[str]:
    """Every command of the page's shell blocks, one of several in a line each by itself."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [part for line in lines for part in line.partition(" #")[0].split("&&") if part.strip()]


def make_targets(text: str) -> set[str]:
    """What *text* asks of make."""
    return set(re.findall(r"\bmake ((?!with\b|sure\b)[a-z0-9]+)\b", text))


@pytest.mark.parametrize("page", NEWCOMERS, ids=lambda page: page.name)
def test_a_newcomers_commands_name_only_what_there_is(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    quoted = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    asked = make_targets("\n".join([*shell_lines(page), *(text for text in quoted if text.startswith("make "))]))
    assert asked <= targets
    for line in shell_lines(page):
        words = shlex.split(line)
        program, *arguments = [word for word in words if not re.fullmatch(r"[A-Z]+=\S*", word)]
        name = Path(program).name
        assert name in {*SYSTEM, "make", "pip", "pytest", "binding-ivr"}, line
        for word in arguments:
            if found := re.fullmatch(r"\.\[([a-z,]+)\]", word):
                assert set(found[1].split(",")) <= extras, line
            elif word.startswith(("tests/", "docs/", "dialplan/", "binding_ivr/")):
                assert (ROOT / word).exists(), line
        if name == "pytest" and "-k" in arguments:
            [file, wanted] = [word for word in arguments if word != "-k"]
            assert re.search(rf"def test_\w*{wanted}", (ROOT / file).read_text()), line


def test_every_path_that_contributing_names_exists() -> None:
    text = re.sub(r"```.*?```", "", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.DOTALL)
    places = {word for word in re.findall(r"`([^`\s]+)`", text) if "/" in word or word.endswith((".md", ".toml"))}
    assert len(places) > 30
    assert [place for place in sorted(places) if not (ROOT / place).exists()] == []
    for kind in ("limit", "refusal", "prompt", "configuration key"):
        assert f"\n### A new {kind}\n" in text


def test_every_test_that_a_page_names_is_there() -> None:
    test = re.compile(r"`(tests/[a-z_0-9/]+\.py)::(\w+)`")
    named = [(page, *found) for page in PAGES for found in test.findall(page.read_text())]
    assert len(named) > 8
    for page, file, name in named:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{page.name}: {name}"


def test_every_option_of_the_hotswitch_is_explained() -> None:
    read = set(re.findall(r"\bHOTSWITCH_[A-Z_]+", (ROOT / "dialplan/hotswitch.conf").read_text()))
    readme = (ROOT / "dialplan/README.md").read_text()
    table = readme.partition("\n## Options\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(HOTSWITCH_[A-Z_]+)`", table, re.MULTILINE)) == read
    page = (ROOT / "docs/hotswitch.md").read_text()
    assert set(re.findall(r"\bHOTSWITCH_[A-Z_]+", page)) <= read


def test_what_users_hear_is_what_is_said() -> None:
    said = [text["en"] for name, text in load_texts().items() if name.startswith("hs_")]
    rows = (ROOT / "docs/hotswitch.md").read_text().partition("\n## What a user hears")[2].partition("\n## ")[0]
    quoted = [
        sentence
        for row in rows.splitlines()
        if row.startswith("| ")
        for sentence in re.findall(r'"([^"]+)"', row.split(" | ")[0])
    ]
    assert len(quoted) > 8
    for sentence in quoted:
        start = sentence.removesuffix("...").rstrip(" .")
        assert any(text.startswith(start) for text in said), sentence


def load_texts() -> dict[str, dict[str, str]]:
    return tomllib.loads((ROOT / "dialplan/prompts/texts.toml").read_text())


def named_modules() -> list[tuple[str, str, str]]:
    """(page, path below the package, what it is to have or nothing) of every module that a page names."""
    found = []
    pages = [*PAGES, *sorted((ROOT / "docs/decisions").glob("*.md"))]
    for page in pages:
        for path, name in re.findall(r"`(?:binding_ivr/)?([a-z_]+/[a-z_/]+\.py)(?:: ([\w.]+))?`", page.read_text()):
            found.append((page.name, path, name))
    return sorted(set(found))


@pytest.mark.parametrize(("page", "path", "name"), named_modules())
def test_a_module_that_a_page_names_is_there_and_has_what_is_said(page: str, path: str, name: str) -> None:
    file = next((ROOT / base / path for base in ("binding_ivr", "") if (ROOT / base / path).is_file()), None)
    assert file, f"{page}: there is no {path}"
    module = ast.parse(file.read_text())
    for part in name.split(".") if name else ():
        inside = [
            node for node in ast.walk(module) if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        assert part in {node.name for node in inside}, f"{page}: {path} has no {part}"
