"""Single numbers: never to be called, allowed for a time against the policy, or freed from their limits."""

from datetime import datetime, timedelta

from binding_ivr.app.codes import Codes
from binding_ivr.config import Config
from binding_ivr.errors import Refusal
from binding_ivr.model import forms
from binding_ivr.model.actors import Actor
from binding_ivr.policy.limit_state import Reset
from binding_ivr.policy.numbers import all_of, exceptable
from binding_ivr.policy.ranges import Excepted
from binding_ivr.store import Store

LONGEST = timedelta(days=366)
"""An exception that nobody looks at again once a year has become a rule; rules stand in the configuration."""


class Numbers:
    """The use cases on one store."""

    def __init__(self, config: Config, store: Store, codes: Codes) -> None:
        """Serve the installation of *config*."""
        self._config = config
        self._store = store
        self._codes = codes

    async def suppress(self, number: str, actor: Actor) -> bool:
        """Have a number never called again, nor trusted; False when it was already suppressed.

        Raises Refusal for no number. It does not tell whether anybody has it: the audit does. Of a writing that may
        stand for two numbers, both.
        """
        found = [
            await self._store.suppressions.add(e164, self._codes.of_number(e164), "admin", actor.who, actor)
            for e164 in self._meant(number)
        ]
        return any(found)

    async def unsuppress(self, number: str, actor: Actor) -> None:
        """Allow a number again, or what the list shows in its place: the hash. Raises NotFoundError and Refusal."""
        is_hash = forms.fits(forms.NUMBER_HASH, number)
        hashes = [bytes.fromhex(number)] if is_hash else self._hashes(number)
        there = [one for one in hashes if await self._store.suppressions.has(one)]
        for number_hash in there or hashes[:1]:
            await self._store.suppressions.remove(number_hash, actor)

    async def suppressed(self, number: str) -> bool:
        """Return whether a number is suppressed. Raises Refusal for no number."""
        return any([await self._store.suppressions.has(number_hash) for number_hash in self._hashes(number)])

    async def reset(self, number: str, actor: Actor) -> Reset:
        """Let the calls to a number count no more for it, and lift its lock. Raises Refusal for no number."""
        done = [await self._store.limits.reset_number(number_hash, actor) for number_hash in self._hashes(number)]
        return Reset(sum(one.calls for one in done), sum(one.locks for one in done))

    async def add_exception(
        self, account: str, text: str, reason: str, until: datetime | timedelta, actor: Actor, *, prefix: bool = False
    ) -> tuple[Excepted, datetime]:
        """Allow a number (any writing), or with *prefix* all that begins so, until a time or for a while.

        An empty *account* means all. Raises NotFoundError (account) and Refusal: for what no exception lifts, a reason
        of fewer than 3 or more than 200 characters, an end that has passed or is more than 366 days ahead.
        """
        excepted = exceptable(text, await self._region(account), whole=not prefix)
        said = forms.check_reason(reason)
        now = (await self._store.clock.read()).now
        end = now + until if isinstance(until, timedelta) else until
        if not now < end <= now + LONGEST:
            raise Refusal("invalid", f"an exception must end in the future, within {LONGEST.days} days")
        await self._store.exceptions.put(account, excepted.prefix, said, end, actor, whole=excepted.whole)
        return excepted, end

    async def remove_exception(self, account: str, text: str, actor: Actor, *, prefix: bool = False) -> Excepted:
        """End an exception now. Raises NotFoundError and Refusal."""
        excepted = exceptable(text, await self._region(account), whole=not prefix)
        await self._store.exceptions.remove(account, excepted.prefix, actor, whole=excepted.whole)
        return excepted

    async def _region(self, account: str) -> str:
        """The region of national writing."""
        settings = (await self._store.directory.account(account)).settings if account else {}
        return self._config.for_account_or_default(settings).number.default_region

    def _hashes(self, number: str) -> list[bytes]:
        return [self._codes.of_number(e164) for e164 in self._meant(number)]

    def _meant(self, text: str) -> list[str]:
        """E.164 of all that a writing may stand for (in Argentina a landline and a cell phone): each is treated so."""
        return [number.e164 for number in all_of(text, self._config.number.default_region)]
