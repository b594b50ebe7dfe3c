"""The use cases of a binding: accept a number, call again, cancel, forget, tell. Web and commands both come here."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from binding_ivr.app.allowances import allowed, client
from binding_ivr.app.codes import Codes
from binding_ivr.config import Config
from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.model import forms
from binding_ivr.model.actors import Actor
from binding_ivr.model.outcome import AttemptState
from binding_ivr.model.regions import expand
from binding_ivr.model.rows import AttemptRow, BindingRow, BindingStatus, SuspendReason
from binding_ivr.policy.hours import CallingHours, calling_hours
from binding_ivr.policy.lifecycle import Life, life_of
from binding_ivr.policy.limit_state import Reset
from binding_ivr.policy.numbers import (
    NumberRules,
    PhoneNumber,
    consider,
    is_denied_alone,
    keyed,
    parse,
    typed_digits,
)
from binding_ivr.policy.own import OwnNumbers, own_numbers
from binding_ivr.policy.ranges import Excepted
from binding_ivr.policy.routes import serving, stored
from binding_ivr.policy.zones import zones_of
from binding_ivr.ports import NewAttempt
from binding_ivr.store import Store

if TYPE_CHECKING:
    from binding_ivr.metrics import Metrics  # what it is made with takes long to import, and commands count nothing


@dataclass(frozen=True, slots=True)
class Shown:
    """An attempt as its user may see it: `code` is None while it must not be shown."""

    attempt: AttemptRow
    code: str | None = field(repr=False)


class Bindings:
    """The use cases on one store."""

    def __init__(
        self,
        config: Config,
        store: Store,
        codes: Codes,
        new_id: Callable[[], UUID] = uuid4,
        metrics: "Metrics | None" = None,
    ) -> None:
        """Serve the installation of *config*; *new_id* chooses the ids of attempts, *metrics* count what is refused."""
        self._metrics = metrics
        self._new_id = new_id
        self._config = config
        self._store = store
        self._codes = codes

    def choosing(self, attempt_id: UUID) -> "Bindings":
        """Return the same use cases, whose next attempt has *attempt_id*."""
        return Bindings(self._config, self._store, self._codes, lambda: attempt_id, self._metrics)

    async def bind(self, account: str, user_id: str, number: str, actor: Actor, *, now: bool = False) -> Shown:
        """Accept *number* (national or international writing) for the user and start an attempt.

        *now*: call even outside calling hours, for the user said so; else that is Refusal `outside_hours`.
        Raises Refusal (see policy.numbers, policy.limits and the store's `accept`) and NotFoundError.
        """
        config = await self._account_config(account)
        with self._refusals_counted():
            wanted = await self._acceptable(account, number, config, now=now)
            return await self._attempt(config, account, user_id, wanted, actor)

    async def bind_keyed(self, account: str, user_id: str, digits: str, actor: Actor, *, now: bool = False) -> Shown:
        """Like `bind`, for *digits* that were keyed in at a phone, as one would dial them there."""
        config = await self._account_config(account)
        with self._refusals_counted():
            wanted = await self._acceptable(account, keyed(digits, config.number.default_region), config, now=now)
            return await self._attempt(config, account, user_id, wanted, actor)

    async def revalidate(self, account: str, user_id: str, actor: Actor, *, now: bool = False) -> Shown:
        """Call the present number again, with a new code. Raises like `bind`, and Refusal `no_number`."""
        config = await self._account_config(account)
        binding = await self._store.bindings.get(account, user_id)
        number = binding.pending_number or binding.number
        with self._refusals_counted():
            if number is None:
                raise _no_number()
            wanted = await self._acceptable(account, number, config, now=now)
            return await self._attempt(config, account, user_id, wanted, actor)

    async def undo(self, account: str, user_id: str, actor: Actor, *, now: bool = False) -> Shown:
        """Call the proven number that was changed or removed last, within `[binding] undo_h`; its proof restores it.

        Raises like `bind`, and Refusal `no_undo`.
        """
        config = await self._account_config(account)
        offer = life_of(await self._store.bindings.get(account, user_id), config.binding).undo
        with self._refusals_counted():
            if offer is None:
                raise Refusal("no_undo", "you can no longer go back to the earlier number; enter it as a new one")
            wanted = await self._acceptable(account, offer.number, config, now=now)
            return await self._attempt(config, account, user_id, wanted, actor)

    @contextlib.contextmanager
    def _refusals_counted(self) -> Iterator[None]:
        try:
            yield
        except Refusal as refusal:
            if self._metrics is not None:
                self._metrics.refusals.labels(refusal.limit or refusal.code).inc()
            raise

    async def life(self, binding: BindingRow) -> Life:
        """Return what time will do to *binding* by the rules of its account."""
        settings = (await self._store.directory.account(binding.account)).settings
        return life_of(binding, self._config.for_account_or_default(settings).binding)

    async def cancel(self, account: str, user_id: str, actor: Actor) -> None:
        """End the call in flight. Raises NotFoundError when there is none."""
        await self._store.attempts.cancel(account, user_id, actor)

    async def remove(self, account: str, user_id: str, actor: Actor) -> None:
        """Forget the number. Raises NotFoundError when there is none."""
        if not await self._store.bindings.remove(account, user_id, actor):
            raise NotFoundError(f"user {user_id} has no number")

    async def suspend(self, account: str, user_id: str, actor: Actor) -> None:
        """Take the trust away until `resume`."""
        await self._store.bindings.suspend(account, user_id, SuspendReason.ADMIN, actor)

    async def resume(self, account: str, user_id: str, actor: Actor) -> BindingStatus:
        """End a suspension; return the status after it."""
        return await self._store.bindings.resume(account, user_id, actor)

    async def status(self, account: str, user_id: str) -> BindingRow:
        """Return the user's binding. Raises NotFoundError for an unknown user."""
        return await self._store.bindings.get(account, user_id)

    async def attempt(self, attempt_id: UUID) -> Shown:
        """Return an attempt as its user may see it now."""
        return self.shown(await self._store.attempts.attempt(attempt_id))

    def shown(self, attempt: AttemptRow) -> Shown:
        """Add the code while it lives and may be shown (`[code] reveal`)."""
        if attempt.state is AttemptState.ENDED:
            return Shown(attempt, None)
        answered = attempt.state is AttemptState.ANSWERED
        if not answered and (self._config.code.reveal == "on_answer" or attempt.read_at > attempt.shown_until):
            return Shown(attempt, None)
        return Shown(attempt, self._codes.of_attempt(attempt.attempt_id, attempt.key_id))

    async def suppress(self, number: str, actor: Actor) -> bool:
        """Have a number never called again, nor trusted; False when it was already suppressed.

        Raises Refusal for no number. It does not tell whether anybody has it: the audit does.
        """
        e164 = self._e164(number)
        return await self._store.suppressions.add(e164, self._codes.of_number(e164), "admin", actor.who, actor)

    async def unsuppress(self, number: str, actor: Actor) -> None:
        """Allow a number again, or what the list shows in its place: the hash. Raises NotFoundError and Refusal."""
        is_hash = forms.fits(forms.NUMBER_HASH, number)
        number_hash = bytes.fromhex(number) if is_hash else self._hash(number)
        await self._store.suppressions.remove(number_hash, actor)

    async def suppressed(self, number: str) -> bool:
        """Return whether a number is suppressed. Raises Refusal for no number."""
        return await self._store.suppressions.has(self._hash(number))

    async def reset_number(self, number: str, actor: Actor) -> Reset:
        """Let the calls to a number count no more for it, and lift its lock. Raises Refusal for no number."""
        return await self._store.limits.reset_number(self._hash(number), actor)

    def _hash(self, number: str) -> bytes:
        return self._codes.of_number(self._e164(number))

    def _e164(self, number: str) -> str:
        return parse(number, self._config.number.default_region).e164

    async def _account_config(self, account: str) -> Config:
        return self._config.for_account((await self._store.directory.account(account)).settings)

    async def _acceptable(self, account: str, text: str, config: Config, *, now: bool) -> PhoneNumber:
        number = consider(text, await self._number_rules(account, config), await self._own(text, config))
        if not serving(config.routes, number.region):
            raise Refusal("no_route", "numbers in this country cannot be called from here; ask your administrator")
        if not now:
            await self._check_hours(number, config)
        return number

    async def _number_rules(self, account: str, config: Config) -> NumberRules:
        excepted = [Excepted(row.prefix, row.whole) for row in await self._store.exceptions.active(account)]
        return number_rules(config, excepted)

    async def _check_hours(self, number: PhoneNumber, config: Config) -> None:
        if not hours_of(config).is_always and (refusal := outside_hours(config, number, await self._now())):
            raise refusal

    async def _now(self) -> datetime:
        return (await self._store.clock.read()).now

    async def _own(self, text: str, config: Config) -> OwnNumbers:
        """The numbers a call would loop back to: of every account, and our own caller IDs."""
        texts = {typed_digits(text)}
        with contextlib.suppress(Refusal):
            number = parse(text, config.number.default_region)
            texts |= {number.e164, number.digits, number.national}
        own = await self._store.directory.own_numbers_for_check(texts)
        callers = [("did", route.caller_id) for route in config.routes if route.caller_id]
        return own_numbers([(number.kind, number.value) for number in own] + callers)

    async def _attempt(self, config: Config, account: str, user_id: str, number: PhoneNumber, actor: Actor) -> Shown:
        new = self._new(config, account, user_id, number.e164, actor, denied=number.denied)
        return self.shown(await self._store.attempts.accept(new, self._codes.of_number(number.e164)))

    async def next_steps(
        self, binding: BindingRow, config: Config, actor: Actor
    ) -> tuple[Refusal | None, Refusal | None]:
        """Return what stands now against a call to a new number, and to the present one: the very rules of `accept`.

        *config* is the account's. None: nothing does. It foretells; what decides is the request.
        """
        number = binding.pending_number or binding.number
        denied = number is not None and await self._denied(binding.account, number, config)
        new = self._new(config, binding.account, binding.user_id, number or "", actor, denied=denied)
        bind, again = await self._store.attempts.foresee(new, self._codes.of_number(number) if number else None)
        if again is None:
            again = _no_number() if number is None else self._hours_now(binding, number, config)
        return bind, again

    def _hours_now(self, binding: BindingRow, number: str, config: Config) -> Refusal | None:
        if binding.read_at is None:
            return None
        with contextlib.suppress(Refusal):  # a number that no plan holds any more is told when it is called
            return outside_hours(config, stored(number), binding.read_at)
        return None

    async def _denied(self, account: str, number: str, config: Config) -> bool:
        return is_denied_alone(number, await self._number_rules(account, config))

    def _new(
        self, config: Config, account: str, user_id: str, number: str, actor: Actor, *, denied: bool
    ) -> NewAttempt:
        return NewAttempt(
            attempt_id=self._new_id(),
            account=account,
            user_id=user_id,
            number=number,
            key_id=self._codes.active_key,
            replace=config.binding.replace,
            delay_s=config.call.delay_s,
            shown_s=config.code.shown_s,
            attempt_s=config.code.attempt_s,
            queue_length=config.limits.queue_length,
            limits=allowed(config, self._config),
            actor=actor,
            client=client(actor),
            denied=denied,
        )


def hours_of(config: Config) -> CallingHours:
    """Return when numbers of *config* (an account's) may be called."""
    return calling_hours(config.call.hours, config.call.quiet)


def outside_hours(config: Config, number: PhoneNumber, now: datetime) -> Refusal | None:
    """Return why *number* is not called at *now* (aware) unless the user says so; None when it is an hour for calls."""
    hours, zones = hours_of(config), zones_of(number.e164, number.region)
    if hours.is_open(zones, number.region, now):
        return None
    opens = hours.next_open(zones, number.region, now)
    until = f" until {opens.astimezone(ZoneInfo(zones[0])):%Y-%m-%d %H:%M} local time" if opens else ""
    return Refusal(
        "outside_hours",
        f"it is outside calling hours where this number is{until}; use now (--now) to be called anyway",
        retry_at=opens.timestamp() if opens else None,
    )


def number_rules(config: Config, exceptions: Collection[Excepted] = ()) -> NumberRules:
    """Return which numbers *config* (an account's) allows, with the present *exceptions*."""
    number = config.number
    allowed = expand(number.regions)
    return NumberRules(number.default_region, allowed, number.types, number.deny, number.allow, exceptions)


def _no_number() -> Refusal:
    return Refusal("no_number", "there is no number to call; enter one first")
