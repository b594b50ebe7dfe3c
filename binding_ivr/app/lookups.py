"""Answers the dialplan's look-ups from the store: one answer for every door. It never raises and never guesses."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any

from binding_ivr.config import Config
from binding_ivr.errors import BindingError, Refusal
from binding_ivr.log import get_logger
from binding_ivr.model import forms
from binding_ivr.model.lookups import LookupAnswer, LookupStatus
from binding_ivr.model.rows import BindingStatus
from binding_ivr.model.times import iso
from binding_ivr.policy.callers import caller_plan
from binding_ivr.policy.routes import dial_string, serving, stored
from binding_ivr.store import Store, TrustedRow

if TYPE_CHECKING:
    from binding_ivr.metrics import Metrics

log = get_logger()

ANSWER_S = 1.5
"""Less than the 2 s for which the dialplan waits, so that it hears ERROR and not nothing."""

_NONE = LookupAnswer(LookupStatus.NONE)
_ERROR = LookupAnswer(LookupStatus.ERROR)


class StoreLookups:
    """Implements `ports.Lookups`."""

    def __init__(self, config: Config, store: Store, metrics: "Metrics | None" = None) -> None:
        """Look up in *store*; routes of *config* (and of the account) make the dial string; *metrics* count answers."""
        self._config = config
        self._store = store
        self._metrics = metrics
        self._plan = caller_plan(config.number.default_region)

    async def trusted_number(self, account: str, extension: str) -> LookupAnswer:
        """The trusted number of an extension; SUSPENDED when its binding is suspended."""
        if not forms.fits(forms.ACCOUNT, account) or not forms.fits(forms.EXTENSION, extension):
            return self._counted("trusted_number", _NONE)
        return await self._asked("trusted_number", self._store.bindings.trusted_number(account, extension))

    async def trusted_caller(self, number: str) -> LookupAnswer:
        """The extension whose user's trusted number is *number*, written as trunks do (see `policy.callers`)."""
        if not forms.fits(forms.CALLER, number):
            return self._counted("trusted_caller", _NONE)
        return await self._asked("trusted_caller", self._store.bindings.trusted_caller(number, self._plan))

    async def _asked(self, question: str, query: Awaitable[TrustedRow | None]) -> LookupAnswer:
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = self._answer(await query)
        except (BindingError, TimeoutError) as error:
            log.warning("lookup.failed", question=question, reason=str(error) or type(error).__name__)
            answer = _ERROR
        return self._counted(question, answer)

    def _answer(self, row: TrustedRow | None) -> LookupAnswer:
        if row is None:
            return _NONE
        if row.status is not BindingStatus.VERIFIED or row.number is None:
            suspended = row.status is BindingStatus.SUSPENDED
            return LookupAnswer(LookupStatus.SUSPENDED, since=iso(row.since)) if suspended else _NONE
        return LookupAnswer(
            LookupStatus.FOUND,
            number=row.number,
            dial=self._dial(row.settings, row.number),
            account=row.account,
            extension=row.extension,
            since=iso(row.since),
        )

    def _dial(self, settings: Mapping[str, Any], e164: str) -> str:
        """The dial string of the first route of these settings that serves the number; empty when none does."""
        routes = self._config.for_account_or_default(settings).routes
        try:
            number = stored(e164)
        except Refusal:  # its numbering plan has changed: it is the user's all the same
            return ""
        served = serving(routes, number.region)
        return dial_string(served[0].endpoint, number) if served else ""

    def _counted(self, question: str, answer: LookupAnswer) -> LookupAnswer:
        if self._metrics is not None:
            self._metrics.lookups.labels(question, answer.status).inc()
        return answer
