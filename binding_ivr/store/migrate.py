"""Brings the schema to the version of the code. It runs plain SQL files and does not go back."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from binding_ivr.errors import ConfigError
from binding_ivr.log import get_logger
from binding_ivr.resources import data_dir
from binding_ivr.store.database import Database, Link
from binding_ivr.store.queries import queries

log = get_logger()

MIGRATION_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of sql/migrations/."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """The checksum that is kept with the applied file."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_migrations(folder: Path | None = None) -> list[Migration]:
    """Return the files in the order of their names; *folder* defaults to the package's own."""
    folder = folder or data_dir("sql") / "migrations"
    return [Migration(file.stem, file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.sql"))]


def still_to_do(files: list[Migration], applied: dict[str, str]) -> list[Migration]:
    """Return the files that were not applied yet.

    Raises ConfigError when an applied file was changed since, or when the database knows files that this version of
    the code does not (the database is newer).
    """
    known = {file.name for file in files}
    newer = sorted(set(applied) - known)
    if newer:
        raise ConfigError(
            f"the database is newer than this binding_ivr: it has the migration {newer[-1]}; install the newer version"
        )
    for file in files:
        if applied.get(file.name, file.sha256) != file.sha256:
            raise ConfigError(
                f"migration {file.name} was changed after it was applied; restore the file of the release "
                "(changes belong in a new file)"
            )
    return [file for file in files if file.name not in applied]


async def pending(db: Database, folder: Path | None = None) -> list[str]:
    """Return the names of the migrations that are still to be applied. Raises ConfigError as `still_to_do`."""
    async with db.link() as link:
        return [file.name for file in still_to_do(load_migrations(folder), await _applied(link))]


async def migrate(db: Database, folder: Path | None = None) -> list[str]:
    """Apply what is missing, each file in a transaction, one process at a time; return the applied names.

    Raises ConfigError as `still_to_do`, or when the database user may not create the schema.
    """
    files = load_migrations(folder)
    async with db.link() as link:
        if not still_to_do(files, await _applied(link)):
            return []  # the usual start: no lock, and no right to create anything is needed
        await link.execute(queries()["migration_lock"], timeout=MIGRATION_TIMEOUT_S)
        try:
            return await _apply(link, files)
        finally:
            if not link.is_closed():
                await link.execute(queries()["migration_unlock"])


async def _applied(link: Link) -> dict[str, str]:
    if not await link.fetchval(queries()["migrations_table_exists"]):
        return {}
    return {row["name"]: row["sha256"] for row in await link.fetch(queries()["applied_migrations"])}


async def _apply(link: Link, files: list[Migration]) -> list[str]:
    if not await link.fetchval(queries()["migrations_table_exists"]):
        async with link.transaction():
            await link.execute(queries()["create_schema"])
            await link.execute(queries()["create_migrations_table"])
    done: list[str] = []
    for file in still_to_do(files, await _applied(link)):
        async with link.transaction():
            await link.execute(file.text, timeout=MIGRATION_TIMEOUT_S)
            await link.execute(queries()["note_migration"], file.name, file.sha256)
        log.info("migration.applied", migration=file.name)
        done.append(file.name)
    return done
