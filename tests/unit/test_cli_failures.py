"""No command ends in a traceback: each is given a database that fails, in every way, and faults of our own."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import asyncpg
import pytest
import structlog

from binding_ivr import cli
from binding_ivr.cli import main
from binding_ivr.cli.parser import build_parser
from binding_ivr.lab.command import to_toml
from binding_ivr.model.daytimes import ALWAYS
from binding_ivr.store.migrate import load_migrations
from binding_ivr.store.queries import queries
from tests.unit.test_cli import COMMANDS

NUMBER = "+12025550123"
PARSER = build_parser()  # made once: it takes longer than most commands
WHY = ("--reason", "asked by phone")
ID = "5f1f0a52-7f0b-4f0e-9b0f-0d6f2f6d7a11"
WITHOUT_DATABASE = {
    ("check-config",), ("demo",), ("lab", "up"), ("lab", "down"), ("lab", "status"), ("prompts", "list"),
    ("prompts", "build"), ("dialplan", "key"),
}  # fmt: skip
"""Commands that ask no database of the configuration (the demonstration makes its own)."""
WORDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("serve",): (),
    ("migrate",): (),
    ("doctor",): (),
    ("resync",): (),
    ("outbox", "list"): (),
    ("outbox", "retry"): ("--all",),
    ("outbox", "drop"): (ID,),
    ("notice", "test"): ("1001",),
    ("bind",): ("1001", NUMBER),
    ("revalidate",): ("1001", "--wait"),
    ("undo",): ("1001",),
    ("status",): ("1001",),
    ("cancel",): ("1001",),
    ("remove",): ("1001",),
    ("suspend",): ("1001",),
    ("resume",): ("1001",),
    ("lookup",): ("1001",),
    ("attempts",): ("--since", "12h"),
    ("moves",): ("1001", "--since", "12h"),
    ("audit",): (),
    ("export",): ("1001",),
    ("erase",): ("1001", *WHY),
    ("suppress", "add"): (NUMBER,),
    ("suppress", "remove"): (NUMBER,),
    ("suppress", "check"): (NUMBER,),
    ("suppress", "list"): (),
    ("account", "add"): ("sales",),
    ("account", "list"): (),
    ("account", "set"): ("sales", "limits.user_hour", "5"),
    ("user", "add"): ("1001",),
    ("user", "remove"): ("1001",),
    ("user", "list"): (),
    ("user", "import"): ("users.csv",),
    ("link",): ("1001",),
    ("api-key", "add"): ("boss", "--scope", "admin"),
    ("api-key", "list"): (),
    ("api-key", "remove"): ("boss",),
    ("own-number", "add"): (NUMBER,),
    ("own-number", "remove"): (NUMBER,),
    ("own-number", "list"): (),
    ("own-number", "import"): ("own.csv",),
    ("exception", "add"): (NUMBER, *WHY),
    ("exception", "remove"): (NUMBER,),
    ("number", "check"): (NUMBER,),
    ("exception", "list"): (),
    ("dialplan", "policy"): (),
    ("limits", "show"): (),
    ("limits", "reset-user"): ("1001", *WHY),
    ("limits", "reset-number"): (NUMBER, *WHY),
    ("limits", "resume"): WHY,
}
"""What each command needs to reach the database."""

AT_THE_DOOR = {
    ConnectionRefusedError(111, "Connection refused"): "does not answer (ConnectionRefusedError)",
    TimeoutError(): "does not answer (TimeoutError)",  # who accepts and says nothing
    asyncpg.InvalidPasswordError("for user me"): "refuses the user or its password",
    asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry"): "refuses the user or its password",
    asyncpg.InvalidCatalogNameError("x"): "has no such database",
    asyncpg.CannotConnectNowError("starting up"): "does not answer (CannotConnectNowError)",
    asyncpg.TooManyConnectionsError("sorry"): "does not answer (TooManyConnectionsError)",
    asyncpg.UndefinedObjectError('unrecognized configuration parameter "connect_timeout"'): "[database] dsn",
    ValueError("invalid literal for int() with base 10: 'hunter2'"): "[database] dsn",
    asyncpg.ClientConfigurationError("hunter2"): "[database] dsn",
}
BAD_VALUE = re.compile("a value has characters that cannot be stored|PostgreSQL refused a statement")
BAD_FORM = re.compile("a value has a form that is not allowed|PostgreSQL refused a statement")
AT_A_STATEMENT: dict[Exception, str | re.Pattern[str]] = {
    asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"): "does not answer",
    ConnectionResetError(104, "Connection reset by peer"): "does not answer",
    TimeoutError(): "does not answer",
    asyncpg.AdminShutdownError("terminating connection"): "does not answer",
    asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"): "takes no changes",
    asyncpg.QueryCanceledError("statement timeout"): "canceled a statement",
    asyncpg.InsufficientPrivilegeError("permission denied"): "a privilege",
    asyncpg.UndefinedTableError("x"): "lacks the tables; run: binding-ivr migrate",
    asyncpg.InvalidSchemaNameError("x"): "lacks the schema; run: binding-ivr migrate",
    asyncpg.CharacterNotInRepertoireError(NUMBER): BAD_VALUE,
    asyncpg.CheckViolationError(NUMBER): BAD_FORM,
    asyncpg.UniqueViolationError(NUMBER): "PostgreSQL refused a statement",
    asyncpg.exceptions._base.DataError(NUMBER): BAD_VALUE,
}


class FailingPool:
    """A pool, and its only link, that answers what every command asks first; then each statement raises *error*."""

    def __init__(self, error: Exception, *, migrated: bool) -> None:
        self.error = error
        self.reached = False
        files = load_migrations()
        self.applied = [{"name": file.name, "sha256": file.sha256} for file in (files if migrated else files[:-1])]

    async def acquire(self, **_: Any) -> Self:
        return self

    async def release(self, _: Self) -> None:
        pass

    async def close(self) -> None:
        pass

    def terminate(self) -> None:
        pass

    def is_closed(self) -> bool:
        return True

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    def _answer(self, text: str, args: tuple[Any, ...]) -> Any:
        name = next((name for name, known in queries().items() if known == text), "")
        if name == "note_key":
            return {"digest": args[0]}
        answers = {
            "server_version": {"version_num": 180000, "version": "18.0"},
            "migrations_table_exists": True,
            "applied_migrations": self.applied,
            "key_check": None,
        }
        if name not in answers:
            self.reached = True
            raise self.error
        return answers[name]

    async def fetch(self, text: str, *args: Any, **_: Any) -> Any:
        return self._answer(text, args)

    fetchrow = fetchval = execute = fetch


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    configured = structlog.get_config()
    yield
    structlog.configure(**configured)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with what the commands need."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users.csv").write_text("user\n1001\n")
    (tmp_path / "own.csv").write_text(f"value\n{NUMBER}\n")
    tree: dict[str, Any] = {
        "service": {"node": "one", "state_dir": str(tmp_path / "state"), "log_level": "error"},
        "database": {"dsn": "postgresql://me:hunter2@127.0.0.1:1/x"},
        "code": {"number_key": "a key for tests of 32 characters"},
        "call": {"hours": ALWAYS},
        "web": {"port": 0, "public_url": "http://127.0.0.1:8080"},
        "auth": {"jwt_secret": "a secret for tests of 32 characters"},
        "ari": {"user": "u", "password": "p", "url": "http://127.0.0.1:1"},
        "routes": [{"name": "main", "endpoint": "PJSIP/{e164}@trunk", "regions": ["*"]}],
    }
    (tmp_path / "binding-ivr.toml").write_text(to_toml(tree))
    return tmp_path


class Failing:
    """Runs commands on a database that fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def run(self, words: tuple[str, ...], at_the_door: Exception | None, pool: FailingPool) -> tuple[str, str]:
        """Run the command, which must fail; return what it wrote."""

        async def create_pool(*_: Any, **__: Any) -> FailingPool:
            if at_the_door is not None:
                pool.reached = True
                raise at_the_door
            return pool

        async def connect(*_: Any, **__: Any) -> Any:
            raise at_the_door or pool.error

        self.monkeypatch.setattr(cli, "build_parser", lambda: PARSER)
        self.monkeypatch.setattr(asyncpg, "create_pool", create_pool)
        self.monkeypatch.setattr(asyncpg, "connect", connect)
        assert main([*words, *WORDS[words], "--config", "binding-ivr.toml"]) == 1
        assert pool.reached
        return self.capsys.readouterr()


@pytest.fixture
def failing(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Failing:
    return Failing(monkeypatch, capsys)


def check(words: tuple[str, ...], out: str, err: str, told: str | re.Pattern[str]) -> None:
    told = re.compile(re.escape(told)) if isinstance(told, str) else told
    assert "Traceback" not in out + err
    for secret in ("hunter2", NUMBER):
        assert secret not in out + err
    if words == ("doctor",):  # each fault is a line of its table
        assert any(told.search(line) for line in out.splitlines() if line.startswith("fail")), out
        assert err == ""
        return
    assert err.startswith("binding-ivr: ")
    assert err.count("\n") == 1, err
    if words == ("lookup",) and out:  # to the dialplan's question there is an answer
        assert out.startswith("status")
        assert "ERROR" in out
        assert "the database did not answer" in err
        return
    assert told.search(err)
    assert out == ""


def test_no_command_is_forgotten() -> None:
    assert set(WORDS) | WITHOUT_DATABASE == set(COMMANDS)
    assert not set(WORDS) & WITHOUT_DATABASE


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_database_that_cannot_be_reached(words: tuple[str, ...], failing: Failing) -> None:
    for error, told in AT_THE_DOOR.items():
        out, err = failing.run(words, error, FailingPool(error, migrated=True))
        check(words, out, err, told)


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_database_that_fails_at_a_statement(words: tuple[str, ...], failing: Failing) -> None:
    for error, told in AT_A_STATEMENT.items():
        out, err = failing.run(words, None, FailingPool(error, migrated=words != ("migrate",)))
        check(words, out, err, told)


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_fault_of_ours_is_one_line_without_its_text(words: tuple[str, ...], failing: Failing) -> None:
    error = KeyError(NUMBER)
    out, err = failing.run(words, None, FailingPool(error, migrated=words != ("migrate",)))
    assert err == (
        "binding-ivr: a fault of this program (KeyError), please report it; "
        "for the details set BINDING_IVR_DEBUG=1 and try again\n"
    )
    assert out == ""


def test_the_details_of_a_fault_can_be_had(failing: Failing) -> None:
    failing.monkeypatch.setitem(os.environ, "BINDING_IVR_DEBUG", "1")
    with pytest.raises(KeyError, match="12025550123"):
        failing.run(("status",), None, FailingPool(KeyError(NUMBER), migrated=True))


def test_what_the_system_refuses_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_: asyncio.Runner, command: Coroutine[Any, Any, int]) -> None:
        command.close()
        raise PermissionError(13, "Permission denied", "/etc/asterisk")

    monkeypatch.setattr(asyncio.Runner, "run", refuse)
    assert main(["status", "1001"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("binding-ivr: /etc/asterisk: Permission denied; for the details set BINDING_IVR_DEBUG=1")
    assert err.count("\n") == 1
