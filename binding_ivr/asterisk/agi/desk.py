"""The way of a desk phone's FastAGI session to its dialogue: who may begin one, and how it ends; it decides nothing."""

import asyncio
from collections.abc import Callable

from binding_ivr.asterisk.agi.edge import AgiRequest
from binding_ivr.asterisk.agi.talk import Talk, TalkTimes
from binding_ivr.log import get_logger
from binding_ivr.ports import Desk, DeskCaller, DeskDialogue

log = get_logger()

END_S = 12.0
"""How long a dialogue may take to end after its phone has gone, in seconds; a request under way has its own limit."""
_LONGEST_NAME = 80


class DeskRoute:
    """`/enrol?account=…&extension=…`: one dialogue per session, a bounded number of them."""

    def __init__(
        self,
        desk: Desk,
        *,
        prefix: str,
        times: TalkTimes,
        is_late: Callable[[], bool],
        most: int,
        refuse: Callable[[str, str], None],
    ) -> None:
        """Lead up to *most* phones at once to *desk*; see AgiServer for the others."""
        self._desk = desk
        self._prefix = prefix
        self._times = times
        self._is_late = is_late
        self._most = most
        self._refuse = refuse
        self._open = 0

    @property
    def open(self) -> int:
        """How many dialogues are under way."""
        return self._open

    async def enrol(self, request: AgiRequest) -> None:
        """Serve one session. Whoever may use the listener may name any extension: it is the operator's dialplan."""
        query = request.hello.query
        if query is None or "extension" not in query:
            self._refuse("desk", "the dialplan's AGI line for /enrol must give extension= once, percent-encoded")
            return
        if self._open >= self._most:
            self._refuse("desks", f"more than {self._most} desk phones at once ([agi] desks)")
            return
        caller = DeskCaller(
            channel=_plain(request.hello.headers.get("agi_channel", "")),
            account=query.get("account") or "default",
            extension=query["extension"],
            language=request.hello.language,
        )
        self._open += 1
        try:
            await self._serve(request, self._desk.dialogue(caller))
        finally:
            self._open -= 1

    async def _serve(self, request: AgiRequest, dialogue: DeskDialogue) -> None:
        talk = Talk(
            request.hello.channel_id,
            dialogue.post,
            prefix=self._prefix,
            times=self._times,
            forget=lambda _: None,
            is_late=self._is_late,
        )
        running = asyncio.create_task(dialogue.run(talk), name="desk-dialogue")
        running.add_done_callback(lambda task: _closed_if_failed(task, talk))
        try:
            await talk.run(request)
        finally:
            await _ended(running)


def _closed_if_failed(task: asyncio.Task[None], talk: Talk) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("desk.fault", exc_info=error)
        talk.close()


async def _ended(running: asyncio.Task[None]) -> None:
    """Wait for the end of the dialogue, which was told of the session's; end it when it takes too long."""
    try:
        await asyncio.wait((running,), timeout=END_S)
    finally:
        running.cancel()
        await asyncio.wait((running,))


def _plain(name: str) -> str:
    return "".join(sign for sign in name if sign.isprintable())[:_LONGEST_NAME]
