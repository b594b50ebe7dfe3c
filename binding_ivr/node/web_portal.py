"""The use cases as the web asks for them, behind `web.portal.Portal`. It knows no request and no credential."""

import contextlib
import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import msgspec

from binding_ivr.app.allowances import in_force
from binding_ivr.app.bindings import Shown
from binding_ivr.app.exceptions import add_exception, remove_exception
from binding_ivr.app.installation import Installation
from binding_ivr.app.personal import erase
from binding_ivr.config import Config
from binding_ivr.errors import BindingError, ConfigError, NotFoundError, Refusal
from binding_ivr.model.actors import Actor, Source, system
from binding_ivr.model.changes import ChangeHandler
from binding_ivr.model.lookups import LookupAnswer
from binding_ivr.model.rows import Account, AttemptRow, AuditRow, BindingRow, BindingStatus, NumberException, User
from binding_ivr.policy import limits
from binding_ivr.policy.lifecycle import life_of
from binding_ivr.policy.limit_state import LimitState, Reset
from binding_ivr.policy.numbers import as_people_write_it
from binding_ivr.policy.routes import serving, stored
from binding_ivr.ports import Lookups
from binding_ivr.store.faults import StatementRefused
from binding_ivr.web.portal import Erasure, Step, SuppressedNumber, UserRow, View

P = ParamSpec("P")
T = TypeVar("T")
_MAY = Step(True)
NOBODY = system(Source.WEB)


def told(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Turn a value that PostgreSQL does not take (a NUL sign, for example) into a Refusal `invalid`."""

    @functools.wraps(method)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(*args, **kwargs)
        except StatementRefused as refused:
            if refused.is_bad_value:
                raise Refusal("invalid", "a value has characters that cannot be stored") from None
            raise

    return wrapped


class InstallationPortal:
    """Implements `web.portal.Portal` on an open installation."""

    def __init__(
        self, installation: Installation, lookups: Lookups, readiness: Callable[[], Awaitable[Mapping[str, str]]]
    ) -> None:
        """*readiness* tells for each part `ok` or what is wrong."""
        self._installation = installation
        self._store = installation.store
        self._lookups = lookups
        self._readiness = readiness

    # --- one user's binding

    @told
    async def view(self, account: str, user_id: str, actor: Actor | None = None) -> View:
        """See Portal."""
        binding = await self._installation.bindings.status(account, user_id)
        config = await self._config_of(account)
        bind, again = await self._next(config, binding, actor or NOBODY)
        return View(
            binding=binding,
            last=self._installation.bindings.shown(binding.last_attempt) if binding.last_attempt else None,
            number_written=_written(binding.number),
            pending_written=_written(binding.pending_number),
            bind=bind,
            revalidate=again,
            caller_ids=_caller_ids(config, binding.pending_number or binding.number),
            life=(life := life_of(binding, config.binding)),
            undo_written=_written(life.undo.number) if life.undo else None,
        )

    async def _next(self, config: Config, binding: BindingRow, actor: Actor) -> tuple[Step, Step]:
        """What stands against a call to a new number, and to the present one."""
        if binding.last_attempt is not None and binding.last_attempt.outcome is None:
            busy = _step(limits.call_in_progress())  # as the rules say, without asking again while a call runs
            return busy, busy
        bind, again = await self._installation.bindings.next_steps(binding, config, actor)
        return _step(bind), _step(again)

    @told
    async def bind(
        self, account: str, user_id: str, number: str, actor: Actor, attempt_id: UUID, *, now: bool = False
    ) -> Shown:
        """See Portal."""
        bindings = self._installation.bindings.choosing(attempt_id)
        return await self._begun(attempt_id, bindings.bind(account, user_id, number, actor, now=now))

    @told
    async def revalidate(
        self, account: str, user_id: str, actor: Actor, attempt_id: UUID, *, now: bool = False
    ) -> Shown:
        """See Portal."""
        bindings = self._installation.bindings.choosing(attempt_id)
        return await self._begun(attempt_id, bindings.revalidate(account, user_id, actor, now=now))

    @told
    async def undo(self, account: str, user_id: str, actor: Actor, attempt_id: UUID, *, now: bool = False) -> Shown:
        """See Portal."""
        bindings = self._installation.bindings.choosing(attempt_id)
        return await self._begun(attempt_id, bindings.undo(account, user_id, actor, now=now))

    async def _begun(self, attempt_id: UUID, asked: Awaitable[Shown]) -> Shown:
        """Await *asked*; what it refuses although the attempt is there was begun by the same request, sent before."""
        try:
            return await asked
        except (Refusal, StatementRefused):
            try:
                return await self._installation.bindings.attempt(attempt_id)
            except NotFoundError:
                pass
            raise

    @told
    async def cancel(self, account: str, user_id: str, actor: Actor) -> None:
        """See Portal."""
        await self._installation.bindings.cancel(account, user_id, actor)

    @told
    async def remove(self, account: str, user_id: str, actor: Actor) -> None:
        """See Portal."""
        await self._installation.bindings.remove(account, user_id, actor)

    @told
    async def suspend(self, account: str, user_id: str, actor: Actor) -> None:
        """See Portal."""
        await self._installation.bindings.suspend(account, user_id, actor)

    @told
    async def resume(self, account: str, user_id: str, actor: Actor) -> BindingStatus:
        """See Portal."""
        return await self._installation.bindings.resume(account, user_id, actor)

    async def attempt(self, attempt_id: UUID) -> Shown:
        """See Portal."""
        return await self._installation.bindings.attempt(attempt_id)

    # --- lists and the directory

    @told
    async def attempts(
        self, *, account: str | None, user_id: str | None, since: datetime | None, limit: int
    ) -> Sequence[AttemptRow]:
        """See Portal."""
        return await self._store.attempts.attempts(account=account, user_id=user_id, since=since, limit=limit)

    async def accounts(self) -> Sequence[Account]:
        """See Portal."""
        return await self._store.directory.accounts()

    @told
    async def account(self, account: str) -> Account:
        """See Portal."""
        return await self._store.directory.account(account)

    @told
    async def put_account(self, account: str, settings: Mapping[str, Any]) -> bool:
        """See Portal."""
        try:
            self._installation.config.for_account(settings)
        except (ConfigError, TypeError, AttributeError) as error:
            raise Refusal("invalid", str(error)[:200] if isinstance(error, ConfigError) else "not settings") from None
        try:
            await self._store.directory.set_settings(account, settings)
        except NotFoundError:
            await self._store.directory.add_account(account, settings)
            return True
        return False

    @told
    async def users(self, account: str | None, text: str, after: str, limit: int) -> Sequence[UserRow]:
        """See Portal."""
        found = await self._store.web.search_users(account, text, after, limit)
        return [UserRow(row.user, row.status, row.number, row.since) for row in found]

    @told
    async def user(self, account: str, user_id: str) -> User:
        """See Portal."""
        return await self._store.directory.user(account, user_id)

    @told
    async def put_user(self, user: User, actor: Actor) -> bool:
        """See Portal."""
        added, _ = await self._store.directory.import_users([user], actor)
        return bool(added)

    @told
    async def remove_user(self, account: str, user_id: str, actor: Actor) -> None:
        """See Portal."""
        await self._store.directory.remove_user(account, user_id, actor)

    async def suppressions(self) -> Sequence[SuppressedNumber]:
        """See Portal."""
        rows = await self._store.suppressions.list()
        return [SuppressedNumber(row.number_hash.hex(), row.reason, row.who, row.created_at, row.note) for row in rows]

    @told
    async def suppress(self, number: str, actor: Actor) -> bool:
        """See Portal."""
        return await self._installation.bindings.suppress(number, actor)

    @told
    async def unsuppress(self, number: str, actor: Actor) -> None:
        """See Portal."""
        await self._installation.bindings.unsuppress(number, actor)

    # --- the audit, and what is held about a person

    @told
    async def audit(
        self, *, account: str | None, user_id: str | None, since: datetime | None, limit: int
    ) -> Sequence[AuditRow]:
        """See Portal."""
        return await self._store.personal.audit(account=account, user_id=user_id, since=since, limit=limit)

    @told
    async def export(self, account: str, user_id: str) -> Mapping[str, Any]:
        """See Portal."""
        return await self._store.personal.export(account, user_id)

    @told
    async def erase(self, account: str, user_id: str, actor: Actor) -> Erasure:
        """See Portal."""
        done = await erase(self._installation, account, user_id, actor)
        return Erasure(done.pseudonym, done.attempts, done.audit, done.events_waiting)

    async def exceptions(self) -> Sequence[NumberException]:
        """See Portal."""
        return await self._store.exceptions.all()

    @told
    async def add_exception(
        self, account: str, number: str, reason: str, until: datetime, actor: Actor, *, prefix: bool
    ) -> tuple[str, bool]:
        """See Portal."""
        excepted, _ = await add_exception(
            self._installation.config, self._store, account, number, reason, until, actor, prefix=prefix
        )
        return excepted.prefix, excepted.whole

    @told
    async def remove_exception(self, account: str, number: str, actor: Actor, *, prefix: bool) -> None:
        """See Portal."""
        await remove_exception(self._installation.config, self._store, account, number, actor, prefix=prefix)

    # --- settings, look-ups, health

    @told
    async def limits(self, account: str) -> Mapping[str, float | Sequence[float]]:
        """See Portal."""
        values = msgspec.to_builtins(in_force(await self._config_of(account), self._installation.config))
        return dict(values)

    async def limit_state(self) -> LimitState:
        """See Portal."""
        return await self._store.limits.state()

    @told
    async def reset_user(self, account: str, user_id: str, actor: Actor) -> Reset:
        """See Portal."""
        return await self._store.limits.reset_user(account, user_id, actor)

    @told
    async def reset_number(self, number: str, actor: Actor) -> Reset:
        """See Portal."""
        return await self._installation.bindings.reset_number(number, actor)

    @told
    async def resume_calls(self, account: str, actor: Actor) -> None:
        """See Portal."""
        await self._store.limits.resume(account, actor)

    @told
    async def settings(self, account: str) -> Mapping[str, Any]:
        """See Portal."""
        config = await self._config_of(account)
        return {
            "code_length": config.code.length,
            "caller_ids": _caller_ids(config, None),
            "languages": config.prompts.languages,
            "site_name": config.prompts.site_name,
            "default_region": config.number.default_region,
            "hours": config.call.hours,
            "step_up_minutes": config.auth.step_up_minutes,
        }

    async def trusted_number(self, account: str, extension: str) -> LookupAnswer:
        """See Portal."""
        return await self._lookups.trusted_number(account, extension)

    async def trusted_caller(self, number: str) -> LookupAnswer:
        """See Portal."""
        return await self._lookups.trusted_caller(number)

    async def health(self) -> Mapping[str, str]:
        """See Portal."""
        return await self._readiness()

    def watch(self, handler: ChangeHandler) -> Callable[[], None]:
        """See Portal."""
        return self._store.changes.subscribe(handler)

    async def _config_of(self, account: str) -> Config:
        settings = (await self._store.directory.account(account)).settings
        return self._installation.config.for_account_or_default(settings)


def _step(refusal: Refusal | None) -> Step:
    if refusal is None:
        return _MAY
    return Step(False, refusal.code, str(refusal), refusal.limit, refusal.retry_at)


def _written(e164: str | None) -> str | None:
    return as_people_write_it(e164) if e164 else None


def _caller_ids(config: Config, number: str | None) -> tuple[str, ...]:
    routes = list(config.routes)
    if number is not None:
        with contextlib.suppress(BindingError):
            routes = serving(config.routes, stored(number).region)
    return tuple(dict.fromkeys(route.caller_id for route in routes if route.caller_id))
