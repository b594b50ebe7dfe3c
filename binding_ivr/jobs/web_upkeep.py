"""Deletes what the web keeps and needs no more: expired sessions, links, used-up tokens, replies."""

import asyncio
import random

from binding_ivr.errors import BindingError
from binding_ivr.log import get_logger
from binding_ivr.store import PgWeb

log = get_logger()

PAUSE_S = 600.0


class Upkeep:
    """A task that deletes every PAUSE_S seconds, on each node at its own moment."""

    def __init__(self, web: PgWeb) -> None:
        """Delete in *web*."""
        self._web = web
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="web-upkeep")

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_S * (0.5 + random.random() / 2))  # noqa: S311 (no secret)
            try:
                await self._web.purge()
            except BindingError as error:
                log.info("web.purge_waits", reason=str(error))
            except Exception:
                log.exception("web.purge_failed")
