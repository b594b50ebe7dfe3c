"""Loads the named queries of sql/queries/. It does not run them."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from binding_ivr.resources import data_dir

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


def parse(text: str, origin: str) -> dict[str, str]:
    """Split one file into its `-- name: …` blocks. Raises ValueError for a block without a statement or used twice."""
    found: dict[str, str] = {}
    pieces = _NAME.split(text)
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        statement = body.strip()
        if not statement.endswith(";"):
            raise ValueError(f"{origin}: the query {name} has no statement that ends in a semicolon")
        if name in found:
            raise ValueError(f"{origin}: the query {name} is there twice")
        found[name] = statement
    return found


def load(folder: Path) -> Mapping[str, str]:
    """Return every query of the *.sql files in *folder* by name. Raises ValueError for a name used twice."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.sql")):
        for name, statement in parse(file.read_text(encoding="utf-8"), file.name).items():
            if name in found:
                raise ValueError(f"{file.name}: the query {name} is there twice")
            found[name] = statement
    return MappingProxyType(found)


@cache
def queries() -> Mapping[str, str]:
    """Return the queries that travel with the package; they are read once."""
    return load(data_dir("sql") / "queries")
