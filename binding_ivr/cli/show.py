"""How commands print: tables and plain lines for people, `--json` for programs. It fetches nothing."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from binding_ivr.model.times import iso


def json_line(value: Any) -> None:
    """Print *value* as one line of JSON."""
    print(msgspec.json.encode(value).decode(), flush=True)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print *rows*: as a JSON list, or in aligned columns under their names."""
    if as_json:
        json_line(rows)
        return
    texts = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(column), *(len(line[at]) for line in texts)]) for at, column in enumerate(columns)]
    for line in [list(columns), *texts]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def facts(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing: as a JSON object, or a line per fact that is not empty."""
    if as_json:
        json_line(values)
        return
    width = max(len(name) for name in values)
    for name, value in values.items():
        if value not in (None, "", {}):
            print(f"{name.replace('_', ' ').ljust(width)}  {_text(value)}")


def done(as_json: bool, **values: Any) -> int:
    """Print what was done: as a JSON object, or all in one line. Return the exit status."""
    if as_json:
        json_line(values)
    else:
        print(", ".join(f"{name} {value}" for name, value in values.items()))
    return 0


def note(text: str) -> None:
    """Print a remark on stderr, next to the output."""
    print(text, file=sys.stderr, flush=True)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return str(value)


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)
