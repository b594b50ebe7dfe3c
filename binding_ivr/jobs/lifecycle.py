"""Ages bindings by the configuration of their accounts, and ends those whose number became the PBX's own.

One run does what is due now; when to run, and on which node, is a matter of jobs/schedule.py.
"""

from collections import Counter

from binding_ivr.config import Config
from binding_ivr.jobs.schedule import Turn
from binding_ivr.log import get_logger
from binding_ivr.store import Store
from binding_ivr.store.lifecycle import BATCH, PAGE

log = get_logger()


class Lifecycle:
    """The job `lifecycle`."""

    name = "lifecycle"

    def __init__(self, config: Config, store: Store) -> None:
        """Go by *config* and the accounts' own settings in *store*."""
        self._config = config
        self._store = store

    async def run(self, turn: Turn) -> Counter[str]:
        """Do all that is due; return how many bindings: `stale`, `aged`, `renewed`, `own_number`, `undo_ended`.

        Raises BindingError.
        """
        done: Counter[str] = Counter()
        for account in await self._store.directory.accounts():
            rules = self._config.for_account_or_default(account.settings).binding
            await self._age(account.account, rules.stale_days, rules.suspend_days, rules.undo_h, turn, done)
        done["own_number"] = await self._end_own(turn)
        for what, count in sorted(done.items()):
            if count:
                log.info("lifecycle.done", what=what, bindings=count)
        return done

    async def _age(
        self, account: str, stale_days: int, suspend_days: int, undo_h: int, turn: Turn, done: Counter[str]
    ) -> None:
        life = self._store.lifecycle
        done["renewed"] += await turn.all(lambda: life.renew_stale(account, stale_days, suspend_days), BATCH)
        if stale_days:
            done["stale"] += await turn.all(lambda: life.mark_stale(account, stale_days, suspend_days), BATCH)
        done["aged"] += await turn.all(lambda: life.suspend_aged(account), BATCH)
        done["undo_ended"] += await turn.all(lambda: life.forget_previous(account, undo_h), BATCH)

    async def _end_own(self, turn: Turn) -> int:
        """Look at every number in use: what was added in psql, or at the moment of a request, is found here."""
        ended, after = 0, ""
        callers = [("did", route.caller_id) for route in self._config.routes if route.caller_id]
        own = await self._store.lifecycle.all_own_numbers(callers)
        while True:
            page = await self._store.lifecycle.page_in_use(after)
            found = [number for number in page if own.has(number)]
            if found:
                ended += await self._store.lifecycle.end_own(found, own)
            if len(page) < PAGE:
                return ended
            after = page[-1]
            await turn.keep()
