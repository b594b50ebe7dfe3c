"""Sets up structlog for the service and the commands, hands out loggers, and how a number is written in logs."""

import logging
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, TextIO

_waiting: list[Callable[[], None]] = []
"""What `set_up` asked for while structlog was not imported; it is done at the first line."""


class Logger:
    """A logger of structlog's, which is imported at the first line: it takes long, and most commands write none."""

    def __getattr__(self, name: str) -> Any:
        """Return the method *name* of structlog's logger."""
        structlog = import_module("structlog")
        for configure in tuple(_waiting):
            configure()
        _waiting.clear()
        return getattr(structlog.get_logger(), name)


def get_logger() -> Logger:
    """Return what a module logs by."""
    return Logger()


def masked(number: str) -> str:
    """Return *number* as a log may show it: the country prefix's first sign and the last two digits."""
    return f"{number[:2]}…{number[-2:]}" if len(number) > 6 else "…"


def set_up(log_format: str = "auto", level: str = "info") -> None:
    """Write log lines to standard error, as JSON or for people; `auto` decides by whether it is a terminal."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    configure = partial(_configure, sys.stderr, as_json, logging.getLevelName(level.upper()))
    if "structlog" in sys.modules:
        configure()
    else:
        _waiting[:] = [configure]
    # Libraries below speak through the standard module; their chatter is of use only when something is wrong.
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s", force=True
    )


def _configure(stream: TextIO, as_json: bool, level: int) -> None:
    import structlog

    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    processors.append(structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
