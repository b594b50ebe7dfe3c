"""What aiohttp's own server says, as log lines that quote no byte of a request: there may be a key in it."""

import logging

from aiohttp.http_exceptions import HttpProcessingError

from binding_ivr.log import get_logger

log = get_logger()


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | ConnectionError):
            log.debug("web.not_http", reason=type(error).__name__)
        elif error is not None:
            log.error("web.connection_fault", exc_info=error)


def server_logger() -> logging.Logger:
    """Return a logger for web.AppRunner."""
    logger = logging.Logger("binding_ivr.web.http", logging.WARNING)
    logger.addHandler(_Lines())
    return logger
