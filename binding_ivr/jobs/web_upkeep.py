"""Deletes what the web needs no more (expired sessions, links, used-up tokens, replies); tells which keys end soon."""

import logging
from datetime import UTC, datetime

from binding_ivr.app.signin import SOON_DAYS, days_left
from binding_ivr.background import Loop, Trouble
from binding_ivr.log import get_logger
from binding_ivr.store import PgWeb

log = get_logger()

PAUSE_S = 600.0
DAY_S = 24 * 3600.0


def upkeep(web: PgWeb) -> Loop:
    """Return a loop that deletes every PAUSE_S seconds, on each node at its own moment."""
    trouble = Trouble(begins="web.purge_waits", ends="web.purge_goes_on", level=logging.INFO)
    return Loop(
        "web upkeep",
        web.purge,
        poll_s=PAUSE_S,
        fault="web.purge_failed",
        ill=trouble.ill,
        well=trouble.well,
        at_once=False,
        scattered=True,
    )


def reminder(web: PgWeb) -> Loop:
    """Return a loop that logs which API keys soon come to their end, at the start and then once a day."""
    return Loop("API keys", lambda: remind(web), poll_s=DAY_S, fault="web.keys_not_read")


async def remind(web: PgWeb) -> None:
    """Log the keys that end within SOON_DAYS, or have ended."""
    for key in await web.keys():
        left = days_left(key, datetime.now(UTC))
        if not left:
            log.warning("web.key_ended", key=key.name)
        elif left <= SOON_DAYS:
            log.warning("web.key_ends", key=key.name, days=int(left))
