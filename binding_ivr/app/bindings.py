"""The use cases of a binding: accept a number, call again, cancel, forget, tell. Everybody comes here."""

import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from binding_ivr.app.allowances import allowed, client
from binding_ivr.app.codes import Codes
from binding_ivr.app.number_check import Findings, NumberCheck, explained
from binding_ivr.app.view import Begun, Shown, View, view_of
from binding_ivr.config import Config
from binding_ivr.errors import NotFoundError, Refusal, StatementRefused
from binding_ivr.model.actors import Actor, Source, system
from binding_ivr.model.outcome import AttemptState
from binding_ivr.model.regions import expand
from binding_ivr.model.rows import AttemptRow, BindingRow, BindingStatus, SuspendReason
from binding_ivr.policy.hours import CallingHours, calling_hours
from binding_ivr.policy.lifecycle import undo
from binding_ivr.policy.limits import call_in_progress
from binding_ivr.policy.numbers import NumberRules, PhoneNumber, is_denied_alone, judge
from binding_ivr.policy.own import own_numbers
from binding_ivr.policy.ranges import Excepted
from binding_ivr.policy.reading import Typed, candidates, read
from binding_ivr.policy.routes import serving, stored
from binding_ivr.policy.zones import zones_of
from binding_ivr.ports import NewAttempt
from binding_ivr.store import BindingFacts, Store

if TYPE_CHECKING:
    from binding_ivr.metrics import Metrics  # what it is made with takes long to import, and commands count nothing

NOBODY = system(Source.WEB)


class Bindings:
    """The use cases on one store.

    Those that begin an attempt take `attempt_id`, by which a request that is sent again finds what it began before.
    """

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

    async def bind(
        self,
        account: str,
        user_id: str,
        number: str,
        actor: Actor,
        *,
        now: bool = False,
        attempt_id: UUID | None = None,
    ) -> Begun:
        """Accept *number* (national or international writing) for the user and start an attempt.

        *now*: call even outside calling hours, for the user said so; else that is Refusal `outside_hours`.
        Raises Refusal (see policy.numbers, policy.limits and the store's `accept`) and NotFoundError.
        """

        async def begin(new_id: UUID) -> Begun:
            typed, facts, config = await self._read(account, user_id, number)
            with self._refusals_counted():
                return await self._begin(config, facts, typed, facts.own, actor, new_id, now=now)

        return await self._once(attempt_id, actor, begin)

    async def revalidate(
        self, account: str, user_id: str, actor: Actor, *, now: bool = False, attempt_id: UUID | None = None
    ) -> Begun:
        """Call the present number again, with a new code. Raises like `bind`, and Refusal `no_number`."""

        def present(binding: BindingRow, _: Config) -> str:
            if number := binding.pending_number or binding.number:
                return number
            raise _no_number()

        return await self._again(account, user_id, actor, present, attempt_id, now=now)

    async def undo(
        self, account: str, user_id: str, actor: Actor, *, now: bool = False, attempt_id: UUID | None = None
    ) -> Begun:
        """Call the proven number that was changed or removed last, within `[binding] undo_h`; its proof restores it.

        Raises like `bind`, and Refusal `no_undo`.
        """

        def earlier(binding: BindingRow, config: Config) -> str:
            if offer := undo(binding, config.binding.undo_h):
                return offer.number
            raise Refusal("no_undo", "you can no longer go back to the earlier number; enter it as a new one")

        return await self._again(account, user_id, actor, earlier, attempt_id, now=now)

    async def _again(
        self,
        account: str,
        user_id: str,
        actor: Actor,
        which: Callable[[BindingRow, Config], str],
        attempt_id: UUID | None,
        *,
        now: bool,
    ) -> Begun:
        """Call a number that the binding knows: the one that *which* names."""

        async def begin(new_id: UUID) -> Begun:
            facts = await self._store.bindings.facts(account, user_id)
            config = self._config.for_account(facts.known_settings)
            binding = facts.known
            with self._refusals_counted():
                typed = read(which(binding, config), config.number.default_region)
                own = await self._store.directory.own_numbers_for_check(candidates(typed))
                kinds = [(number.kind, number.value) for number in own]
                return await self._begin(config, facts, typed, kinds, actor, new_id, now=now)

        return await self._once(attempt_id, actor, begin)

    async def _once(self, attempt_id: UUID | None, actor: Actor, begin: Callable[[UUID], Awaitable[Begun]]) -> Begun:
        """Begin an attempt; what is refused although it is there was begun by the same request, sent before."""
        try:
            return await begin(attempt_id or self._new_id())
        except (Refusal, StatementRefused):
            if attempt_id is None:
                raise
            try:
                shown = await self.attempt(attempt_id)
            except NotFoundError:
                shown = None
            if shown is None:
                raise
        row = shown.attempt
        return Begun(row, shown.code, await self.view(row.account, row.user_id, actor))

    async def _read(self, account: str, user_id: str, text: str) -> tuple[Typed, BindingFacts, Config]:
        """Read a number, and all that it is judged by.

        What national writing means is known only by the account's settings: the installation's region is tried, and
        where the account's is another that reads it differently, it is all read once more.
        """
        typed = read(text, self._config.number.default_region)
        texts = candidates(typed)
        facts = await self._store.bindings.facts(account, user_id, texts)
        config = self._config.for_account(facts.known_settings)
        if config.number.default_region != typed.region:
            typed = read(text, config.number.default_region)
            if not candidates(typed) <= texts:
                facts = await self._store.bindings.facts(account, user_id, candidates(typed))
        return typed, facts, config

    async def _begin(
        self,
        config: Config,
        facts: BindingFacts,
        typed: Typed,
        own: Sequence[tuple[str, str]],
        actor: Actor,
        attempt_id: UUID,
        *,
        now: bool,
    ) -> Begun:
        """Judge a number by what was read, and start an attempt. *own* may loop back, and our own caller IDs do."""
        number = _judged(config, facts, typed, own)
        if refusal := _no_route(config, number):
            raise refusal
        if not now and (refusal := outside_hours(config, number, facts.read_at)):
            raise refusal
        new = self._new(config, facts.account, facts.user_id, number.e164, actor, attempt_id, denied=number.denied)
        binding = await self._store.attempts.accept(new, self._codes.of_number(number.e164))
        assert binding.last_attempt is not None
        shown, busy = self.shown(binding.last_attempt), call_in_progress()
        return Begun(shown.attempt, shown.code, view_of(config, binding, shown, busy, busy))

    @contextlib.contextmanager
    def _refusals_counted(self) -> Iterator[None]:
        try:
            yield
        except Refusal as refusal:
            if self._metrics is not None:
                self._metrics.refusals.labels(refusal.limit or refusal.code).inc()
            raise

    async def view(self, account: str, user_id: str, actor: Actor = NOBODY) -> View:
        """Everything about the user's binding now; what may be done next is for *actor*. Raises NotFoundError."""
        facts = await self._store.bindings.facts(account, user_id)
        binding = facts.known
        config = self._config.for_account_or_default(facts.known_settings)
        last = self.shown(binding.last_attempt) if binding.last_attempt else None
        bind = again = call_in_progress() if last is not None and last.attempt.outcome is None else None
        if bind is None:  # while a call runs, the rules need not be asked
            bind, again = await self._next_steps(facts, binding, config, actor)
        return view_of(config, binding, last, bind, again)

    async def _next_steps(
        self, facts: BindingFacts, binding: BindingRow, config: Config, actor: Actor
    ) -> tuple[Refusal | None, Refusal | None]:
        """Return what stands now against a call to a new number, and to the present one: the very rules of `accept`.

        *config* is the account's. None: nothing does. It foretells; what decides is the request.
        """
        number = binding.pending_number or binding.number
        denied = number is not None and is_denied_alone(number, number_rules(config, facts.excepted))
        new = self._new(config, facts.account, facts.user_id, number or "", actor, self._new_id(), denied=denied)
        bind, again = await self._store.attempts.foresee(new, self._codes.of_number(number) if number else None)
        if again is None:
            again = _no_number() if number is None else _hours_now(number, config, facts.read_at)
        return bind, again

    async def check(
        self, account: str, text: str, actor: Actor, user_id: str = "", *, now: bool = False
    ) -> NumberCheck:
        """Tell step by step what `bind` would say to a number; nothing is written, and nobody is called.

        Without *user_id* only what holds for everybody is asked. Raises NotFoundError.
        """
        typed, facts, config = await self._read(account, user_id, text)
        whose = f"of user {facts.known.user_id}" if user_id else ""
        rules = number_rules(config, facts.excepted)
        try:
            number = _judged(config, facts, typed, facts.own)
        except Refusal as refusal:
            return explained(typed, rules, config, refusal, whose=whose)
        number_hash = self._codes.of_number(number.e164)
        new = self._new(config, account, user_id, number.e164, actor, self._new_id(), denied=number.denied)
        _, limit = await self._store.attempts.foresee(new, number_hash)
        found = Findings(
            number,
            _no_route(config, number),
            None if now else outside_hours(config, number, facts.read_at),
            await self._store.suppressions.has(number_hash),
            limit,
        )
        return explained(typed, rules, config, found, whose=whose)

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

    def _new(
        self, config: Config, account: str, user_id: str, number: str, actor: Actor, attempt_id: UUID, *, denied: bool
    ) -> NewAttempt:
        return NewAttempt(
            attempt_id=attempt_id,
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


def _judged(config: Config, facts: BindingFacts, typed: Typed, own: Sequence[tuple[str, str]]) -> PhoneNumber:
    """Return the number that the policy of *config* (the account's) accepts. Raises Refusal."""
    callers = [("did", route.caller_id) for route in config.routes if route.caller_id]
    return judge(typed, number_rules(config, facts.excepted), own_numbers([*own, *callers]))


def _no_route(config: Config, number: PhoneNumber) -> Refusal | None:
    if serving(config.routes, number.region):
        return None
    return Refusal("no_route", "numbers in this country cannot be called from here; ask your administrator")


def hours_of(config: Config) -> CallingHours:
    """Return when numbers of *config* (an account's) may be called."""
    return calling_hours(config.call.hours, config.call.quiet)


def _hours_now(number: str, config: Config, now: datetime) -> Refusal | None:
    with contextlib.suppress(Refusal):  # a number that no plan holds any more is told when it is called
        return outside_hours(config, stored(number), now)
    return None


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
