"""The parts of the store that need no database: loading queries and migrations, descriptions, changes."""

import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from binding_ivr.errors import ConfigError, StatementRefused, UnavailableError
from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.changes import Change, ChangeKind
from binding_ivr.ports import AttemptLedger, Changes
from binding_ivr.resources import data_dir
from binding_ivr.store.attempts import PgAttempts
from binding_ivr.store.changes import PgChanges, decode
from binding_ivr.store.database import actor_text, check_dsn
from binding_ivr.store.faults import describe, translated
from binding_ivr.store.migrate import Migration, load_migrations, still_to_do
from binding_ivr.store.queries import load, parse, queries

LEDGER: Callable[..., AttemptLedger] = PgAttempts  # mypy compares them with the ports
CHANGES: Callable[..., Changes] = PgChanges


def test_every_query_is_loaded() -> None:
    assert {"claim_attempts", "accept_facts", "trusted_number", "ping"} <= set(queries())
    assert queries() is queries()


def test_a_block_is_its_statement() -> None:
    text = "-- about the file\n-- name: one\n-- a note\nSELECT 1;\n\n-- name: two\nSELECT 2;\n"
    assert parse(text, "x.sql") == {"one": "-- a note\nSELECT 1;", "two": "SELECT 2;"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-- name: one\n\n-- name: two\nSELECT 2;", "one has no statement"),
        ("-- name: one\nSELECT 1", "one has no statement"),
        ("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;", "one is there twice"),
    ],
)
def test_a_malformed_file_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text, "x.sql")


def test_a_name_is_used_in_one_file_only(tmp_path: Path) -> None:
    for name in ("a.sql", "b.sql"):
        (tmp_path / name).write_text("-- name: one\nSELECT 1;")
    with pytest.raises(ValueError, match=r"b\.sql: the query one is there twice"):
        load(tmp_path)


def test_migrations_are_in_order_and_numbered_without_gaps() -> None:
    names = [file.name for file in load_migrations()]
    assert [int(name.split("_")[0]) for name in names] == list(range(1, len(names) + 1))


def test_what_is_still_to_do() -> None:
    one, two = Migration("0001_a", "SELECT 1;"), Migration("0002_b", "SELECT 2;")
    assert still_to_do([one, two], {}) == [one, two]
    assert still_to_do([one, two], {"0001_a": one.sha256}) == [two]
    with pytest.raises(ConfigError, match="0001_a was changed"):
        still_to_do([one, two], {"0001_a": two.sha256})
    with pytest.raises(ConfigError, match="newer"):
        still_to_do([one], {"0001_a": one.sha256, "0002_b": two.sha256})


@pytest.mark.parametrize(
    ("dsn", "text"),
    [
        ("postgresql://me:hunter2@db.example.org:6432/calls", "PostgreSQL at db.example.org:6432/calls"),
        ("postgresql://me:hunter2@/calls?host=/run/pg", "PostgreSQL at /run/pg/calls"),
        ("postgresql://me:hunter2@db.example.org", "PostgreSQL at db.example.org"),
        ("postgresql://me:hunter2@[::1/x", "PostgreSQL"),
        ("postgresql://me:hunter2@localhost:port/x", "PostgreSQL"),
    ],
)
def test_a_server_is_described_without_its_password(dsn: str, text: str) -> None:
    assert describe(dsn) == text


def test_a_dsn_is_an_address() -> None:
    check_dsn("postgres://localhost/x")
    with pytest.raises(ConfigError) as caught:
        check_dsn("password=hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(), UnavailableError),
        (TimeoutError(), UnavailableError),
        (asyncpg.CannotConnectNowError("starting up"), UnavailableError),
        (asyncpg.AdminShutdownError("bye"), UnavailableError),
        (asyncpg.TooManyConnectionsError("full"), UnavailableError),
        (asyncpg.DeadlockDetectedError("x"), UnavailableError),
        (asyncpg.InterfaceError("connection is closed"), UnavailableError),
        (asyncpg.InvalidPasswordError("password authentication failed"), ConfigError),
        (asyncpg.InvalidCatalogNameError("x"), ConfigError),
        (asyncpg.InsufficientPrivilegeError("x"), ConfigError),
        (asyncpg.UndefinedTableError("x"), ConfigError),
        (asyncpg.UniqueViolationError("Key (number)=(+15551230001) already exists"), StatementRefused),
        (asyncpg.DataError("+15551230001 is not a number"), StatementRefused),
        (asyncpg.exceptions._base.DataError("invalid input: '+15551230001'"), StatementRefused),
    ],
)
def test_errors_are_translated_and_quote_no_number(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, translated("PostgreSQL at x"):
        raise error
    assert "5551230001" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_errors_of_others_pass() -> None:
    with pytest.raises(KeyError), translated("PostgreSQL"):
        raise KeyError("x")


def test_what_a_refused_statement_was() -> None:
    assert StatementRefused("23514", "CheckViolationError", "a").is_bad_value
    assert StatementRefused("22P02", "x", "").is_bad_value
    assert StatementRefused("23503", "x", "").is_missing_reference
    assert not StatementRefused("23505", "x", "").is_bad_value


def test_the_kinds_of_changes_are_those_that_the_sql_notifies() -> None:
    told: set[str] = set()
    for part in ("migrations", "queries"):
        for file in sorted((data_dir("sql") / part).glob("*.sql")):
            text = file.read_text()
            if "pg_notify" in text or "binding_ivr.notice(" in text:
                told |= set(re.findall(r"""(?:'kind', |"kind":|kind text := |kind := )['"](\w+)['"]""", text))
    assert told == set(ChangeKind) - {ChangeKind.RESYNC}  # that one is ours, when the connection is new


def test_notices_are_read_leniently() -> None:
    attempt_id = uuid4()
    text = f'{{"kind": "attempt", "attempt_id": "{attempt_id}", "digits": 3, "later": []}}'
    assert decode(text) == Change(ChangeKind.ATTEMPT, attempt_id=attempt_id, digits=3)
    for bad in (
        "",
        "x",
        "1",
        "{}",
        '{"kind": null}',
        '{"kind": "queued", "attempt_id": "y"}',
        '{"kind": "of_tomorrow"}',
    ):
        assert decode(bad) is None


def test_an_actor_is_json() -> None:
    text = actor_text(Actor(ActorKind.CLI, '"root"', Source.CLI, "::1"))
    assert text == '{"who":"cli:\\"root\\"","source":"cli","address":"::1","attempt_id":null,"reason":""}'
