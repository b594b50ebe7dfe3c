"""Reads what an instance wrote about its calls: call detail records and channel events. It writes none."""

import csv
from pathlib import Path

CDR_COLUMNS = (
    "accountcode",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
    "uniqueid",
    "userfield",
)
CEL_COLUMNS = (
    "event",
    "time",
    "caller",
    "exten",
    "context",
    "channel",
    "app",
    "uniqueid",
    "linkedid",
    "peer",
    "extra",
)


def cdr(log: Path) -> list[dict[str, str]]:
    """Return the call detail records under the log folder *log*, the oldest first; times are UTC."""
    return _rows(log / "cdr-csv/Master.csv", CDR_COLUMNS)


def cel(log: Path) -> list[dict[str, str]]:
    """Return the channel events under the log folder *log*, the oldest first; `time` is seconds since the epoch."""
    return _rows(log / "cel-custom/Master.csv", CEL_COLUMNS)


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as lines:
        # A line that is just being written is short, and comes whole the next time.
        return [dict(zip(columns, row, strict=True)) for row in csv.reader(lines) if len(row) == len(columns)]
