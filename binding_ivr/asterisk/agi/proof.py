"""Finds out whether a session's other end is Asterisk, and on which channel: what it says of itself can be made up."""

import asyncio
import hmac
import secrets
import time

from binding_ivr.asterisk.agi.edge import AgiRequest
from binding_ivr.log import get_logger
from binding_ivr.model.lookups import AGI_KEY
from binding_ivr.ports import ChannelFacts, Channels

log = get_logger()

WORD = "BINDING_PROOF"
GIVE_AGAIN_S = 10.0
LONGEST_S = 8.0
"""How long a desk phone waits for the proof, in silence."""


class Proof:
    """What only Asterisk can do: tell a key that all its channels can read, or leave a word on the very channel.

    Whoever has done it keeps its place when there are more sessions than `[agi] connections`.

    The key costs one question within the session, and needs no ARI at that moment. The word is fresh, and shows which
    channel it is; it is the way of a desk phone, and of an Asterisk that lost its key.
    """

    def __init__(self, key: str, *, reply_s: float) -> None:
        """Believe who knows *key*; each answer may take Asterisk *reply_s*. Without `channels` only the key counts."""
        self._key = key
        self._reply_s = reply_s
        self._given_at = float("-inf")
        self.channels: Channels | None = None
        """Who can look at Asterisk's channels; until it is there no desk phone is served."""

    async def give(self) -> None:
        """Give Asterisk the key, as a global variable: it is neither in a file nor in a line of its log."""
        self._given_at = time.monotonic()
        if self._key and self.channels is not None and not await self.channels.tell(AGI_KEY, self._key):
            log.warning("agi.key_not_given", detail="Asterisk took no key for look-ups; they are proven one by one")

    async def is_asterisk(self, request: AgiRequest) -> bool:
        """Return whether it is our Asterisk that asks. Raises what `AgiRequest.ask` raises."""
        if self._key and await self._knows(request, AGI_KEY, self._key):
            request.proven()
            return True
        if not await self._knows_word(request):
            return False
        request.proven()
        if time.monotonic() - self._given_at > GIVE_AGAIN_S:  # a reload of its dialplan can clear what it was given
            await self.give()
        return True

    async def channel(self, request: AgiRequest) -> ChannelFacts | None:
        """Return the channel whose session this is, None when it is not one or Asterisk cannot be asked.

        Raises what `AgiRequest.ask` raises, but for TimeoutError: then nobody can tell.
        """
        if self.channels is None:
            return None
        try:
            async with asyncio.timeout(LONGEST_S):  # ARI answers one after another, and others may have asked before
                known = await self._knows_word(request)
                if known:
                    request.proven()
                return await self.channels.channel(request.hello.channel_id) if known else None
        except TimeoutError:
            return None

    async def _knows_word(self, request: AgiRequest) -> bool:
        """Have the session leave a fresh value on its channel, and look there by ARI: only Asterisk can do it."""
        if self.channels is None:
            return False
        word = secrets.token_hex(16)
        await request.ask(f'SET VARIABLE {WORD} "{word}"', self._reply_s)
        left = await self.channels.variable(request.hello.channel_id, WORD)
        return left is not None and hmac.compare_digest(left.encode(), word.encode())

    async def _knows(self, request: AgiRequest, variable: str, secret: str) -> bool:
        answer = await request.ask(f"GET VARIABLE {variable}", self._reply_s)
        return hmac.compare_digest(answer.data.encode(), secret.encode())
