"""The credentials that the web checks: API keys, sessions, sign-in links, used-up tokens. Only digests are stored."""

from collections.abc import Collection
from datetime import datetime

from binding_ivr.model.actors import Actor
from binding_ivr.model.rows import Credential, KeyRow, SessionRow
from binding_ivr.model.secrets import digest_of, new_secret, same, split_key
from binding_ivr.store import Store


class StoredCredentials:
    """Everything is in the store, so it holds on any node. Every method raises UnavailableError."""

    def __init__(self, store: Store) -> None:
        """Look into *store*."""
        self._web = store.web

    async def key(self, text: str) -> KeyRow | None:
        """Return the API key *text*, None when there is none; and note that it is used, unless it has ended."""
        parts = split_key(text)
        row = await self._web.key(parts[0]) if parts else None
        if row is None or parts is None or not same(row.digest, parts[1]):
            return None
        if row.use_is_due and not row.has_ended:
            await self._web.used(row.key_id)
        return row

    async def session(self, cookie: str) -> SessionRow | None:
        """Return a session that has not expired."""
        return await self._web.session(digest_of(cookie))

    async def open_session(self, session: SessionRow, key_id: str | None, actor: Actor | None = None) -> str:
        """Keep a session and return its cookie; that of a key ends with the key."""
        cookie = new_secret()
        await self._web.add_session(
            digest_of(cookie), session.account, session.user_id, key_id, session.signed_in_at, session.expires_at, actor
        )
        return cookie

    async def close_session(self, cookie: str, actor: Actor | None = None) -> None:
        """End a session; unknown ones are ignored."""
        await self._web.remove_session(digest_of(cookie), actor)

    async def redeem_link(self, text: str, address: str = "") -> tuple[str, str] | None:
        """Use up a sign-in link; return account and user id, None when it is unknown, used or expired."""
        return await self._web.use_link(digest_of(text), address)

    async def spend(self, digest: bytes, until: datetime) -> bool:
        """Use up a token that lives until *until*; False when it was used up before."""
        return await self._web.spend(digest, until)

    async def spent(self, digest: bytes) -> bool:
        """Return whether a token was used up."""
        return await self._web.spent(digest)

    async def ended(
        self, credentials: Collection[Credential], users: Collection[tuple[str, str]]
    ) -> set[Credential | tuple[str, str]]:
        """Return which *credentials* no longer let anybody in, and which *users* (account and id) are gone."""
        return await self._web.ended(credentials, users)
