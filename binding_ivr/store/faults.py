"""Translates what asyncpg raises into the package's own errors. It knows no query and no password."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import asyncpg

from binding_ivr.errors import BindingError, ConfigError, StatementRefused, UnavailableError

BAD_DSN = "[database] dsn is not a PostgreSQL DSN; write postgresql://user:password@host:5432/name"

_OPERATOR_ACTS: tuple[tuple[type[asyncpg.PostgresError], str], ...] = (
    (asyncpg.InvalidAuthorizationSpecificationError, "refuses the user or its password; check [database] dsn"),
    (asyncpg.InvalidCatalogNameError, "has no such database; create it, or check [database] dsn"),
    (
        asyncpg.InsufficientPrivilegeError,
        "does not give this user a privilege that is needed; grant it, or check [database] dsn",
    ),
    (asyncpg.UndefinedTableError, "lacks the tables; run: binding-ivr migrate"),
    (asyncpg.UndefinedColumnError, "has older tables than this version needs; run: binding-ivr migrate"),
    (asyncpg.InvalidSchemaNameError, "lacks the schema; run: binding-ivr migrate"),
    (asyncpg.UndefinedFunctionError, "has older functions than this version needs; run: binding-ivr migrate"),
)

_PASSES: tuple[type[asyncpg.PostgresError], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, terminated by the administrator
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.TransactionRollbackError,  # deadlock, serialisation
    asyncpg.PostgresSystemError,
)


def describe(dsn: str) -> str:
    """Return `PostgreSQL at host:port/database` of a DSN, without user and password; never fails."""
    try:
        parts = urlsplit(dsn)
        host = parts.hostname or parse_qs(parts.query).get("host", ["localhost"])[0]
        port = f":{parts.port}" if parts.port else ""
        return f"PostgreSQL at {host}{port}/{parts.path.lstrip('/')}".rstrip("/")
    except ValueError:
        return "PostgreSQL"


@contextmanager
def translated(server: str) -> Iterator[None]:
    """Turn asyncpg's and the socket's errors into ConfigError, UnavailableError or StatementRefused.

    *server* begins the sentence. The original is not chained: its text may quote numbers of the row or the DSN.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _of_server(server, error) from None
    except (OSError, TimeoutError, asyncpg.InternalClientError) as error:
        raise _silent(server, error) from None
    except asyncpg.ClientConfigurationError:
        raise ConfigError(BAD_DSN) from None
    except asyncpg.InterfaceError as error:
        if isinstance(error, ValueError):  # a wrong argument of ours, not the connection
            raise StatementRefused("22000", "unfit argument", "") from None
        raise _silent(server, error) from None


@contextmanager
def connecting(server: str) -> Iterator[None]:
    """Like `translated`, while a connection is opened: what is refused then is a part of the DSN."""
    try:
        with translated(server):
            yield
    except StatementRefused as error:
        raise ConfigError(
            f"{server} refuses the connection (SQLSTATE {error.sqlstate}); check [database] dsn and its parameters"
        ) from None
    except (ValueError, TypeError):  # asyncpg's own, for parts of a DSN that it cannot read
        raise ConfigError(BAD_DSN) from None


def _silent(server: str, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"{server} does not answer ({type(error).__name__}); check that it runs, and [database] dsn"
    )


def _of_server(server: str, error: asyncpg.PostgresError) -> BindingError:
    for kind, sentence in _OPERATOR_ACTS:
        if isinstance(error, kind):
            return ConfigError(f"{server} {sentence}")
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return UnavailableError(f"{server} takes no changes, as a standby does; check [database] dsn")
    if isinstance(error, asyncpg.QueryCanceledError):
        return UnavailableError(f"{server} canceled a statement, for it took too long or somebody asked; try again")
    if isinstance(error, _PASSES):
        return _silent(server, error)
    constraint = getattr(error, "constraint_name", None) or ""
    return StatementRefused(error.sqlstate or "", type(error).__name__, constraint)
