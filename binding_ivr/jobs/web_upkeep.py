"""Deletes what the web keeps and needs no more: expired sessions, links, used-up tokens, replies."""

import logging

from binding_ivr.background import Loop, Trouble
from binding_ivr.store import PgWeb

PAUSE_S = 600.0


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
