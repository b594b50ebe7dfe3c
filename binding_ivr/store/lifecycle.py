"""What time and new own numbers do to bindings, in small batches that wait for nobody. It knows no configuration."""

from collections.abc import Iterable
from dataclasses import dataclass

from binding_ivr.model.actors import system
from binding_ivr.policy.lifecycle import has_become_own
from binding_ivr.policy.own import own_numbers
from binding_ivr.store.database import OnDatabase
from binding_ivr.store.endings import PAGE, end_all, in_use, own_among

BATCH = 200
BY_TIME = system(reason="time")
BY_OWN_NUMBER = system(reason="own number")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many bindings there are: by status, and of the verified ones those whose proof grows old."""

    by_status: dict[str, int]
    stale: int


class PgLifecycle(OnDatabase):
    """The life of all bindings. Every method raises what `Database` raises.

    Rows that somebody else has locked are left for the next round. A method that takes an account does at most BATCH
    bindings and returns how many; it is to be called again while it returns BATCH.
    """

    async def renew_stale(self, account: str, stale_days: int, suspend_days: int) -> int:
        """Bring those that are stale in line with `[binding]` as it is now; never to an earlier end than was told."""
        return await self._batch("renew_stale", account, stale_days, suspend_days)

    async def mark_stale(self, account: str, stale_days: int, suspend_days: int) -> int:
        """Mark as stale what was proven *stale_days* (1 or more) ago; its user is told (event `binding.stale`)."""
        return await self._batch("mark_stale", account, stale_days, suspend_days)

    async def suspend_aged(self, account: str) -> int:
        """Suspend (`aged`) what has come to the end that its user was told."""
        return await self._batch("suspend_aged", account)

    async def forget_previous(self, account: str, undo_h: int) -> int:
        """Forget the old numbers of changes that can be undone no more."""
        return await self._batch("forget_previous", account, undo_h)

    async def _batch(self, query: str, *values: object) -> int:
        async with self._db.transaction(BY_TIME) as tx:
            return len(await tx.rows(query, *values, BATCH))

    async def page_in_use(self, after: str) -> list[str]:
        """Return up to PAGE numbers after *after* that are bound, wait for their proof, or are being called."""
        async with self._db.transaction() as tx:
            return await in_use(tx, None, after)

    async def all_own_numbers(self, also: Iterable[tuple[str, str]]) -> "OwnCheck":
        """Return a check against all own numbers, and *also* (kind and value)."""
        rows = [(row["kind"], row["value"]) for row in await self._db.rows("every_own_number")]
        return OwnCheck([*rows, *also])

    async def end_own(self, numbers: list[str], configured: "OwnCheck") -> int:
        """Suspend the bindings of *numbers* and end their calls; looked at again under the lock of own numbers."""
        async with self._db.transaction(BY_OWN_NUMBER) as tx:
            await tx.run("lock_own_numbers")
            still = set(await own_among(tx, numbers))
            bindings, _ = await end_all(tx, (), [one for one in numbers if one in still or configured.has(one)])
            return bindings

    async def counts(self) -> Counts:
        """Count all bindings."""
        rows = await self._db.rows("binding_counts")
        return Counts({row["status"]: row["bindings"] for row in rows}, sum(row["stale"] for row in rows))


class OwnCheck:
    """Numbers of the PBX, to be compared with many."""

    def __init__(self, kinds_and_values: Iterable[tuple[str, str]]) -> None:
        """Compare with these."""
        self._own = own_numbers(kinds_and_values)

    def has(self, e164: str) -> bool:
        """Return whether *e164* is one of them."""
        return has_become_own(e164, self._own)


__all__ = ["BATCH", "PAGE", "Counts", "OwnCheck", "PgLifecycle"]
