"""What the web keeps: API keys, sessions, links, used-up tokens, replies. It knows no secret in clear."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from binding_ivr.model.actors import Actor, ActorKind, Source
from binding_ivr.model.rows import BindingStatus, Credential, KeyRow, SessionRow, User
from binding_ivr.store.database import OnDatabase, actor_text
from binding_ivr.store.rows import made


@dataclass(frozen=True, slots=True)
class Reply:
    """What is kept under an Idempotency-Key; `mine`: this call entered it, or took it over from one that died."""

    request: bytes
    attempt_id: UUID
    status: int | None
    body: bytes = field(repr=False)
    mine: bool


@dataclass(frozen=True, slots=True)
class FoundUser:
    """A user with the status of the binding."""

    user: User
    status: BindingStatus
    number: str | None = field(repr=False)
    since: datetime | None


class PgWeb(OnDatabase):
    """The web's own tables. Every method raises what `Database` raises."""

    # --- API keys

    async def key(self, key_id: str) -> KeyRow | None:
        """Return one key by its visible id."""
        row = await self._db.row("api_key", key_id)
        return None if row is None else made(KeyRow, row)

    async def keys(self) -> list[KeyRow]:
        """Return all keys by name."""
        return [made(KeyRow, row) for row in await self._db.rows("api_keys")]

    async def add_key(
        self,
        key_id: str,
        name: str,
        scopes: Sequence[str],
        digest: bytes,
        days: int | None,
        *,
        only_first: bool = False,
        actor: Actor | None = None,
    ) -> bool:
        """Add a key that ends in *days* (None: never); False when its name is taken, or there is any (*only_first*)."""
        query = "add_first_api_key" if only_first else "add_api_key"
        async with self._db.transaction(actor) as tx:
            return await tx.row(query, key_id, name, list(scopes), digest, days) is not None

    async def remove_key(self, name: str, actor: Actor | None = None) -> bool:
        """Remove a key and its sessions; False when there is none of that name."""
        async with self._db.transaction(actor) as tx:
            return await tx.row("remove_api_key", name) is not None

    async def any_key(self) -> bool:
        """Return whether there is any key."""
        row = await self._db.row("any_api_key")
        return row is not None and bool(row["there"])

    async def used(self, key_id: str) -> None:
        """Note that a key was used."""
        await self._db.run("note_api_key_use", key_id)

    # --- sessions, links, tokens

    async def session(self, digest: bytes) -> SessionRow | None:
        """Return a session that has not expired."""
        row = await self._db.row("web_session", digest)
        return None if row is None else made(SessionRow, row)

    async def add_session(
        self,
        digest: bytes,
        account: str,
        user_id: str,
        key_id: str | None,
        signed_in_at: datetime,
        until: datetime,
        actor: Actor | None = None,
    ) -> None:
        """Keep a session."""
        async with self._db.transaction(actor) as tx:
            await tx.run("add_web_session", digest, account, user_id, key_id, signed_in_at, until)

    async def remove_session(self, digest: bytes, actor: Actor | None = None) -> None:
        """End a session, if there is one."""
        async with self._db.transaction(actor) as tx:
            await tx.run("remove_web_session", digest)

    async def add_link(
        self, digest: bytes, account: str, user_id: str, seconds: float, actor: Actor | None = None
    ) -> datetime | None:
        """Keep a sign-in link and return when it expires; None for an unknown user."""
        async with self._db.transaction(actor) as tx:
            row = await tx.row("add_signin_link", digest, account, user_id, seconds)
        return None if row is None else row["expires_at"]

    async def use_link(self, digest: bytes, address: str = "") -> tuple[str, str] | None:
        """Use up a link; return account and user, None when it is unknown, used or expired.

        *address* is where it is used, by the user whom it names.
        """
        async with self._db.transaction() as tx:
            row = await tx.row("signin_link", digest)
            if row is None:
                return None
            who = Actor(ActorKind.USER, row["user_id"], Source.WEB, address, by="link")
            await tx.run("set_actor", actor_text(who))
            row = await tx.row("use_signin_link", digest)
        return (row["account"], row["user_id"]) if row is not None and row["alive"] else None

    async def spend(self, digest: bytes, until: datetime) -> bool:
        """Use up a token; False when it was used up before."""
        return await self._db.row("spend_token", digest, until) is not None

    async def spent(self, digest: bytes) -> bool:
        """Return whether a token was used up."""
        row = await self._db.row("token_is_spent", digest)
        return row is not None and bool(row["there"])

    async def ended(
        self, credentials: Collection[Credential], users: Collection[tuple[str, str]]
    ) -> set[Credential | tuple[str, str]]:
        """Return which *credentials* no longer let anybody in, and which *users* (account and id) are gone."""
        kinds: dict[str, list[Credential | tuple[str, str]]] = {
            "session": [each for each in credentials if each.session],
            "key": [each for each in credentials if each.key_id],
            "token": [each for each in credentials if each.token],
            "user": list(users),
        }
        rows = await self._db.rows(
            "ended_credentials",
            [each.session for each in credentials if each.session],
            [each.key_id for each in credentials if each.key_id],
            [each.token for each in credentials if each.token],
            [account for account, _ in users],
            [user_id for _, user_id in users],
        )
        return {kinds[row["kind"]][row["at"] - 1] for row in rows}

    # --- replies

    async def begin_reply(self, caller: str, digest: bytes, request: bytes, attempt_id: UUID) -> Reply:
        """Enter a request under the digest of its Idempotency-Key, or return what is kept there."""
        row = await self._db.row("begin_reply", caller, digest, request, attempt_id)
        mine = row is not None
        if row is None:
            row = await self._db.row("kept_reply", caller, digest)
        if row is None:  # it was forgotten between the two; whoever asks again enters it
            return Reply(request, attempt_id, None, b"", False)
        return Reply(row["request"], row["attempt_id"], row["status"], row["body"], mine)

    async def finish_reply(self, caller: str, digest: bytes, status: int, body: bytes) -> None:
        """Keep the reply; it must hold no access code."""
        await self._db.run("finish_reply", caller, digest, status, body)

    async def forget_reply(self, caller: str, digest: bytes) -> None:
        """Give the key free, if there is no reply."""
        await self._db.run("forget_reply", caller, digest)

    async def purge(self) -> None:
        """Delete what has expired."""
        await self._db.run("purge_web")

    # --- views

    async def search_users(self, account: str | None, text: str, after: str, limit: int) -> list[FoundUser]:
        """Return up to *limit* users whose id, extension or e-mail holds *text*, by id after *after*."""
        rows = await self._db.rows("search_users", account, text, after, limit)
        return [made(FoundUser, row, user=made(User, row)) for row in rows]
