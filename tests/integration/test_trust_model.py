"""Trust comes from a call that was answered with the code and from nothing else, whatever is done in which order."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from binding_ivr.errors import BindingError
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import BindingStatus, OwnNumber, SuspendReason, User
from tests.integration.conftest import hash_of

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from uuid import UUID

    from tests.integration.conftest import World

STEPS = 25
EXAMPLES = 120
_FRESH = itertools.count()
"""Each run of steps has an account and numbers of its own, so that none must be cleared away."""

USERS = ("1001", "1002")
Held = tuple[str, str]
"""A user and a number."""
Asked: TypeAlias = "tuple[str, int, UUID | None]"
"""Who asked for a call to which number, and the call, if it was accepted."""


class Trust(RuleBasedStateMachine):
    """Two users and two numbers. `proven` holds whose proof of a number is the last word on it."""

    world: World
    loop: asyncio.AbstractEventLoop
    calls = Bundle("calls")
    users = st.sampled_from(USERS)
    numbers = st.sampled_from([0, 0, 0, 1])

    def __init__(self) -> None:
        super().__init__()
        run = next(_FRESH)
        self.account = f"a{run}"
        self.proven: dict[int, str] = {}
        self.suspended: set[str] = set()
        self.number = [f"+1202{5550000 + 2 * run + n}" for n in (0, 1)]
        self.do(self.world.store.directory.add_account(self.account))
        for user in USERS:
            self.put(user)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run it on the loop of the store; None when it was refused."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)
        except BindingError:
            return None

    def put(self, user: str) -> None:
        self.do(self.world.store.directory.add_user(User(self.account, user, (user,), "en", "")))

    def trusted(self) -> set[Held]:
        """Whom the tables trust with what."""
        rows = self.do(
            self.world.sql(
                "SELECT user_id, number FROM binding_ivr.bindings WHERE account = $1 AND status = 'verified'",
                self.account,
            )
        )
        return {(row["user_id"], row["number"]) for row in rows}

    def void_of(self, user: str) -> None:
        """Every proof of the user is void."""
        self.proven = {number: owner for number, owner in self.proven.items() if owner != user}

    @rule(target=calls, user=users, number=numbers, replace=st.sampled_from(["at_once", "when_verified"]))
    def ask(self, user: str, number: int, replace: str = "at_once") -> Asked:
        return self.asked(user, number, replace)

    def asked(self, user: str, number: int, replace: str = "at_once") -> Asked:
        work = self.world.answer(user, self.number[number], account=self.account, replace=replace)
        return user, number, self.do(work)

    @rule(call=calls, outcome=st.sampled_from([Outcome.VERIFIED, Outcome.REPORTED, Outcome.HUNG_UP]))
    def end(self, call: Asked, outcome: Outcome) -> None:
        self.ended(call, outcome)

    def ended(self, call: Asked, outcome: Outcome) -> None:
        user, number, attempt = call
        if attempt is None or not self.do(self.world.finish(attempt, outcome)):
            return
        # It may have been taken away during the call.
        if outcome is Outcome.VERIFIED and (user, self.number[number]) in self.trusted():
            self.void_of(user)
            self.proven[number] = user
        if outcome is Outcome.REPORTED:
            if self.proven.get(number) == user:
                del self.proven[number]
            self.do(self.world.store.suppressions.remove(hash_of(self.number[number])))

    @rule(user=users, number=numbers)
    def ask_and_prove(self, user: str, number: int) -> None:
        self.prove(user, number)

    def prove(self, user: str, number: int) -> None:
        self.ended(self.asked(user, number), Outcome.VERIFIED)

    @precondition(lambda self: self.proven)
    @rule(data=st.data())
    def take_over(self, data: st.DataObject) -> None:
        """Another user proves a number, be its holder suspended at the moment or not."""
        number = data.draw(st.sampled_from(sorted(self.proven)))
        other = next(user for user in USERS if user != self.proven[number])
        self.prove(other, number)

    @precondition(lambda self: self.proven)
    @rule(data=st.data())
    def suspend(self, data: st.DataObject) -> None:
        user = data.draw(st.sampled_from(sorted(set(self.proven.values()))))
        self.do(self.world.store.bindings.suspend(self.account, user, SuspendReason.ADMIN, self.world.actor))
        self.suspended.add(user)

    @precondition(lambda self: self.proven)
    @rule(data=st.data())
    def grow_old(self, data: st.DataObject) -> None:
        user = data.draw(st.sampled_from(sorted(set(self.proven.values()))))
        self.do(self.world.store.bindings.suspend(self.account, user, SuspendReason.AGED, self.world.actor))
        binding = self.do(self.world.store.bindings.get(self.account, user))
        if binding is not None and binding.reason == SuspendReason.AGED:
            self.void_of(user)

    @rule(target=calls, user=users)
    def go_back(self, user: str) -> Asked:
        """To the number before the present one, if there is a way back: that takes a call, too."""
        binding = self.do(self.world.store.bindings.get(self.account, user))
        if binding is None or binding.previous_number is None:
            return user, 0, None
        return self.asked(user, self.number.index(binding.previous_number))

    @precondition(lambda self: self.suspended)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        user = data.draw(st.sampled_from(sorted(self.suspended)))
        before = self.do(self.world.store.bindings.get(self.account, user))
        status = self.do(self.world.store.bindings.resume(self.account, user, self.world.actor))
        self.suspended.discard(user)
        if before is not None and before.reason == SuspendReason.ADMIN and before.number is not None:
            was_proven = self.proven.get(self.number.index(before.number)) == user
            assert (status == BindingStatus.VERIFIED) == was_proven, "what was put by comes back, and nothing else"

    @precondition(lambda self: self.proven)
    @rule(data=st.data(), how=st.sampled_from(["number", "user"]))
    def remove(self, data: st.DataObject, how: str) -> None:
        user = data.draw(st.sampled_from(sorted(set(self.proven.values()))))
        if how == "number":
            self.do(self.world.store.bindings.remove(self.account, user, self.world.actor))
        else:
            self.do(self.world.store.directory.remove_user(self.account, user, self.world.actor))
            self.put(user)
        self.suspended.discard(user)
        self.void_of(user)

    @precondition(lambda self: self.proven)
    @rule(data=st.data(), how=st.sampled_from(["own number", "suppressed"]))
    def forbid_for_a_while(self, data: st.DataObject, how: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.proven)))
        text, store = self.number[number], self.world.store
        if how == "own number":
            own = OwnNumber(self.account, "did", text)
            self.do(store.directory.add_own_number(own, self.world.actor))
        else:
            self.do(store.suppressions.add(text, hash_of(text), "admin", "test", self.world.actor))
        assert not {held for held in self.trusted() if held[1] == text}
        if how == "own number":
            self.do(store.directory.remove_own_number(own))
        else:
            self.do(store.suppressions.remove(hash_of(text)))
        self.proven.pop(number, None)

    @invariant()
    def whoever_is_trusted_has_proven_it_last(self) -> None:
        assert self.trusted() <= {(user, self.number[number]) for number, user in self.proven.items()}


async def test_trust_comes_from_a_proof_alone(world: World) -> None:
    Trust.world, Trust.loop = world, asyncio.get_running_loop()
    how = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(run_state_machine_as_test, Trust, settings=how)


async def test_resume_gives_nothing_back_that_another_has_proven(world: World) -> None:
    """The story that the model was made for: the other one need not have the number any more."""
    number, bindings = "+12025559998", world.store.bindings
    await world.users(*USERS)
    await world.prove("1001", number)
    await bindings.suspend("default", "1001", SuspendReason.ADMIN, world.actor)
    await world.prove("1002", number)
    await bindings.remove("default", "1002", world.actor)
    assert await bindings.resume("default", "1001", world.actor) != BindingStatus.VERIFIED
