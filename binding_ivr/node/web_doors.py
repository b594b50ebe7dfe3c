"""The doors of the web and its kept replies, on the store. It checks no request."""

from datetime import datetime
from uuid import UUID

from binding_ivr.model.rows import KeyRow, SessionRow
from binding_ivr.store import Store
from binding_ivr.web.portal import KeptReply


class StoredDoors:
    """Implements `web.portal.Doors` and `Replies` on the store."""

    def __init__(self, store: Store) -> None:
        """Everything is in *store*, so it holds on any node."""
        self._web = store.web

    async def key(self, key_id: str) -> KeyRow | None:
        """See Doors."""
        return await self._web.key(key_id)

    async def used(self, key_id: str) -> None:
        """See Doors."""
        await self._web.used(key_id)

    async def session(self, digest: bytes) -> SessionRow | None:
        """See Doors."""
        return await self._web.session(digest)

    async def open_session(self, digest: bytes, session: SessionRow, key_id: str | None) -> None:
        """See Doors."""
        await self._web.add_session(
            digest, session.account, session.user_id, key_id, session.signed_in_at, session.expires_at
        )

    async def close_session(self, digest: bytes) -> None:
        """See Doors."""
        await self._web.remove_session(digest)

    async def redeem_link(self, digest: bytes) -> tuple[str, str] | None:
        """See Doors."""
        return await self._web.use_link(digest)

    async def spend(self, digest: bytes, until: datetime) -> bool:
        """See Doors."""
        return await self._web.spend(digest, until)

    async def spent(self, digest: bytes) -> bool:
        """See Doors."""
        return await self._web.spent(digest)

    async def begin(self, caller: str, digest: bytes, request: bytes, attempt_id: UUID) -> KeptReply:
        """See Replies."""
        row = await self._web.begin_reply(caller, digest, request, attempt_id)
        return KeptReply(row.request, row.attempt_id, row.status, row.body, row.mine)

    async def finish(self, caller: str, digest: bytes, status: int, body: bytes) -> None:
        """See Replies."""
        await self._web.finish_reply(caller, digest, status, body)

    async def forget(self, caller: str, digest: bytes) -> None:
        """See Replies."""
        await self._web.forget_reply(caller, digest)
