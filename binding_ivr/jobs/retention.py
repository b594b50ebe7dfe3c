"""Keeps what is stored as short and as long as `[retention]` says. When to run, and on which node: jobs/schedule.py."""

import asyncio
from collections import Counter

from binding_ivr.config import Config
from binding_ivr.jobs.schedule import Turn
from binding_ivr.log import get_logger
from binding_ivr.policy.masking import HashOf
from binding_ivr.store import Store
from binding_ivr.store.retention import BATCH

log = get_logger()


class Retention:
    """The job `retention`. Its position is the id of the last audit row whose numbers were shortened."""

    name = "retention"

    def __init__(self, config: Config, store: Store, hash_of: HashOf) -> None:
        """Keep *store* by *config*; *hash_of* is the installation's keyed hash of a number."""
        self._keep = config.retention
        self._store = store.retention
        self._hash_of = hash_of

    async def run(self, turn: Turn) -> Counter[str]:
        """Do all that is due; return how many rows, by what was done. Raises BindingError."""
        keep, store = self._keep, self._store
        done: Counter[str] = Counter()
        done["attempts_masked"] = await turn.all(lambda: store.mask_attempts(keep.number_days), BATCH)
        done["attempts_masked"] += await turn.all(store.mask_erased, BATCH)
        done["attempts_deleted"] = await turn.all(lambda: store.forget_attempts(keep.row_days), BATCH)
        done["audit_masked"] = await self._mask_audit(turn)
        if keep.audit_days:
            done["audit_deleted"] = await turn.all(lambda: store.forget_audit(keep.audit_days), BATCH)
        done["events_masked"] = await turn.all(lambda: store.mask_events(keep.number_days, self._hash_of), BATCH)
        done["bindings_deleted"] = await turn.all(lambda: store.forget_gone_bindings(keep.row_days), BATCH)
        done["moves_deleted"] = await turn.all(lambda: store.forget_moves(keep.row_days), BATCH)
        done["exceptions_deleted"] = await turn.all(lambda: store.forget_exceptions(keep.row_days), BATCH)
        for what, count in sorted(done.items()):
            if count:
                log.info("retention.done", what=what, rows=count)
        await store.note_done({what: count for what, count in done.items() if count})
        return done

    async def _mask_audit(self, turn: Turn) -> int:
        total = 0
        while True:
            step = await self._store.mask_audit(turn.position, self._keep.number_days, self._hash_of)
            total += step.masked
            turn.position = step.last
            if step.seen < BATCH:
                return total
            await turn.keep()
            await asyncio.sleep(0)
