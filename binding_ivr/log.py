"""Sets up structlog for the service and the commands, and how a number is written in logs."""

import logging
import sys
from typing import Any

import structlog


def masked(number: str) -> str:
    """Return *number* as a log may show it: the country prefix's first sign and the last two digits."""
    return f"{number[:2]}…{number[-2:]}" if len(number) > 6 else "…"


def set_up(log_format: str = "auto", level: str = "info") -> None:
    """Write log lines to standard error, as JSON or for people; `auto` decides by whether it is a terminal."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    processors.append(structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries below speak through the standard module; their chatter is of use only when something is wrong.
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s", force=True
    )
