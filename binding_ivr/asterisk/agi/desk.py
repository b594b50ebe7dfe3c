"""The way of a desk phone's FastAGI session to its dialogue: who may begin one, and how it ends; it decides nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from binding_ivr.asterisk.agi.edge import AgiRequest
from binding_ivr.asterisk.agi.talk import Talk, TalkTimes
from binding_ivr.log import get_logger
from binding_ivr.ports import ChannelFacts, Desk, DeskCaller, DeskDialogue

log = get_logger()

END_S = 12.0
"""How long a dialogue may take to end after its phone has gone, in seconds; a request under way has its own limit."""
ANY = "*"
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
        endpoint: str,
        contexts: Collection[str],
        behind: Callable[[AgiRequest], Awaitable[ChannelFacts | None]],
        refuse: Callable[[str, str], None],
    ) -> None:
        """Lead up to *most* phones at once to *desk*; see AgiServer for the others.

        *behind* finds the channel of a session. It must be in one of *contexts*, and of the endpoint that *endpoint*
        names with `{account}` and `{extension}`; `*` is any.
        """
        self._desk = desk
        self._prefix = prefix
        self._times = times
        self._is_late = is_late
        self._most = most
        self._endpoint = endpoint
        self._contexts = contexts
        self._behind = behind
        self._channels: set[str] = set()
        self._refuse = refuse

    @property
    def open(self) -> int:
        """How many dialogues are under way."""
        return len(self._channels)

    async def enrol(self, request: AgiRequest) -> None:
        """Serve one session, if it is a desk phone's: what it says of itself any program on the host could say."""
        query = request.hello.query
        if query is None or "extension" not in query:
            self._refuse("desk", "the dialplan's AGI line for /enrol must give extension= once, percent-encoded")
            return
        caller = DeskCaller(
            channel=_plain(request.hello.headers.get("agi_channel", "")),
            account=query.get("account") or "default",
            extension=query["extension"],
            language=request.hello.language,
        )
        channel_id = request.hello.channel_id
        if not await self._is_phone_of(request, caller):
            return
        if channel_id in self._channels:  # only now: nobody takes a place, or a phone's, by naming it
            self._refuse("desk", "its channel has a session already")
        elif self.open >= self._most:
            self._refuse("desks", f"more than {self._most} desk phones at once ([agi] desks)")
        else:
            self._channels.add(channel_id)
            try:
                await self._serve(request, self._desk.dialogue(caller))
            finally:
                self._channels.discard(channel_id)

    async def _is_phone_of(self, request: AgiRequest, caller: DeskCaller) -> bool:
        channel = await self._behind(request)
        if channel is None:
            self._refuse("desk", "not a channel of our Asterisk, or its ARI cannot be asked")
            return False
        if not channel.is_up or channel.context not in self._contexts:
            self._refuse("desk", "its channel is not up in a context of [agi] desk_contexts")
            return False
        wanted = self._endpoint.replace("{account}", caller.account).replace("{extension}", caller.extension)
        if self._endpoint != ANY and channel.endpoint != wanted:
            self._refuse("desk", "its endpoint is not the extension's by [agi] desk_endpoint")
            return False
        return True

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
