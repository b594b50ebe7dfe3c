"""Exceptions from the number policy, each with its reason and its end. What they may lift is decided by the policy."""

from datetime import datetime

from binding_ivr.errors import NotFoundError
from binding_ivr.model.actors import Actor
from binding_ivr.model.rows import NumberException
from binding_ivr.store.database import OnDatabase
from binding_ivr.store.rows import no_account


class PgExceptions(OnDatabase):
    """The list of exceptions. Every method raises what `Database` raises."""

    async def put(
        self, account: str, prefix: str, reason: str, expires_at: datetime, actor: Actor, *, whole: bool
    ) -> bool:
        """Allow *prefix* (E.164 with `+`), or the *whole* number, until *expires_at*; False when it replaced one.

        An empty *account* means all accounts. Raises NotFoundError for an unknown one.
        """
        async with self._db.transaction(actor) as tx:
            if account and await tx.row("account", account) is None:
                raise no_account(account)
            row = await tx.row("put_exception", account, prefix, whole, reason, actor.who, expires_at)
            assert row is not None
            return bool(row["added"])

    async def remove(self, account: str, prefix: str, actor: Actor, *, whole: bool) -> None:
        """End an exception now. Raises NotFoundError."""
        async with self._db.transaction(actor) as tx:
            if await tx.row("remove_exception", account, prefix, whole) is None:
                raise NotFoundError("there is no such exception; see: binding-ivr exception list")

    async def all(self) -> list[NumberException]:
        """Return all, those that have ended last."""
        return [NumberException(*row) for row in await self._db.rows("exceptions")]
