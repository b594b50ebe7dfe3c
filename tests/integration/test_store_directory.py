"""Accounts, users, extensions, own numbers, suppressions, and what the administrator does to a binding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.model.outcome import Outcome
from binding_ivr.model.rows import Account, BindingStatus, OwnNumber, SuspendReason, User
from binding_ivr.store import Store

if TYPE_CHECKING:
    from tests.integration.conftest import World

A, B = "+15551230001", "+15551230002"


async def test_accounts(store: Store) -> None:
    assert await store.directory.accounts() == [Account("default", {})]
    await store.directory.add_account("acme", {"binding": {"replace": "when_verified"}})
    with pytest.raises(Refusal, match="exists already"):
        await store.directory.add_account("acme")
    with pytest.raises(Refusal) as caught:
        await store.directory.add_account("a/b")
    assert caught.value.code == "invalid"
    await store.directory.set_settings("default", {"limits": {"number_hour": 9}})
    assert (await store.directory.account("default")).settings == {"limits": {"number_hour": 9}}
    assert [one.account for one in await store.directory.accounts()] == ["acme", "default"]
    for act in (store.directory.account("none"), store.directory.set_settings("none", {})):
        with pytest.raises(NotFoundError, match="binding-ivr account add none"):
            await act


async def test_users_and_their_extensions(store: Store) -> None:
    user = User("default", "alice@example.org", ("1001", "201"), "fr", "alice@example.org")
    await store.directory.add_user(user)
    found = await store.directory.user("default", "alice@example.org")
    assert found == User("default", "alice@example.org", ("201", "1001"), "fr", "alice@example.org")
    assert await store.directory.user_of_extension("default", "1001") == found
    assert await store.directory.users() == [found]
    assert await store.directory.users("acme") == []
    with pytest.raises(Refusal) as caught:
        await store.directory.add_user(user)
    assert caught.value.code == "exists"
    with pytest.raises(NotFoundError):
        await store.directory.user("default", "bob")
    with pytest.raises(NotFoundError):
        await store.directory.user_of_extension("default", "1002")
    with pytest.raises(NotFoundError, match="account add acme"):
        await store.directory.add_user(User("acme", "x", (), "", ""))


async def test_an_extension_belongs_to_one_user_of_an_account(store: Store, world: World) -> None:
    await store.directory.add_account("acme")
    await world.users("1001")
    await world.users("1001", account="acme")
    with pytest.raises(Refusal, match="the extension 1001 belongs to another user") as caught:
        await store.directory.add_user(User("default", "bob", ("1002", "1001"), "", ""))
    assert caught.value.code == "extension_taken"
    with pytest.raises(NotFoundError):  # all or nothing
        await store.directory.user("default", "bob")


async def test_importing_users_adds_and_changes(store: Store, world: World) -> None:
    await world.users("1001")
    rows = [User("default", "1001", ("1009",), "de", ""), User("default", "1002", ("1002",), "", "")]
    assert await store.directory.import_users(rows) == (1, 1)
    assert await store.directory.users() == rows
    bad = [User("default", "1003", (), "", ""), User("default", "10 04", (), "", "")]
    with pytest.raises(Refusal):
        await store.directory.import_users(bad)
    assert await store.directory.users() == rows


@pytest.mark.parametrize(
    "user",
    [
        User("default", "", (), "", ""),
        User("default", "a\r\nAction: x", (), "", ""),
        User("default", "x", ("10/1",), "", ""),
        User("default", "x", ("1\n",), "", ""),
        User("default", "x", (), "../en", ""),
        User("default", "x", (), "", "a\nb"),
    ],
)
async def test_a_malformed_user_is_refused(store: Store, user: User) -> None:
    with pytest.raises(Refusal) as caught:
        await store.directory.add_user(user)
    assert caught.value.code == "invalid"


async def test_removing_a_user_ends_everything(store: Store, world: World) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await world.accept("1001", A)
    await store.directory.remove_user("default", "1001", world.actor)
    assert await store.bindings.trusted_caller(A) is None
    assert await store.bindings.trusted_number("default", "1001") is None
    [attempt] = await store.attempts.attempts(limit=1)
    assert attempt.outcome is Outcome.CANCELED
    assert "binding.removed" in await world.events("1001")
    with pytest.raises(NotFoundError):
        await store.bindings.get("default", "1001")
    with pytest.raises(NotFoundError):
        await store.directory.remove_user("default", "1001", world.actor)
    await world.users("1001")
    assert (await store.bindings.get("default", "1001")).status is BindingStatus.NONE
    await world.prove("1001", A)


async def test_own_numbers(store: Store, world: World) -> None:
    await store.directory.add_account("acme")
    await world.users("1001")
    did = OwnNumber("acme", "did", A)
    pattern = OwnNumber("default", "pattern", "_1555999XXXX")
    other = OwnNumber("default", "extension", "7777")
    assert await store.directory.add_own_number(did) is True
    assert await store.directory.import_own_numbers([did, pattern, other]) == 2
    assert await store.directory.add_own_number(did) is False
    assert await store.directory.own_numbers() == [did, other, pattern]
    assert await store.directory.own_numbers("acme") == [did]
    check = store.directory.own_numbers_for_check
    assert await check({A, "5551230001"}) == [did, pattern]
    assert await check({"+15550001001", "1001"}) == [OwnNumber("default", "extension", "1001"), pattern]
    assert await check({"+15550007777", "7777"}) == [other, pattern]
    assert await check({B, ""}) == [pattern]
    await store.directory.remove_own_number(did)
    with pytest.raises(NotFoundError):
        await store.directory.remove_own_number(did)
    for bad in (
        OwnNumber("default", "did", "5551"),
        OwnNumber("default", "fax", "1"),
        OwnNumber("default", "did", A + "\n"),
    ):
        with pytest.raises(Refusal):
            await store.directory.add_own_number(bad)
    with pytest.raises(NotFoundError):
        await store.directory.add_own_number(OwnNumber("none", "did", A))


async def test_suppressions_hold_only_the_hash(store: Store, world: World) -> None:
    key = b"k" * 32
    assert await store.suppressions.add(A, key, "by letter", "cli:root") is True
    assert await store.suppressions.add(A, key, "again", "cli:root") is False
    [entry] = await store.suppressions.list()
    assert (entry.number_hash, entry.reason, entry.who) == (key, "by letter", "cli:root")
    assert await store.suppressions.has(key)
    await store.suppressions.remove(key)
    assert not await store.suppressions.has(key)
    with pytest.raises(NotFoundError):
        await store.suppressions.remove(key)


async def test_removing_a_binding(store: Store, world: World) -> None:
    await world.users("1001")
    assert await store.bindings.remove("default", "1001", world.actor) is False
    await world.prove("1001", A)
    assert await store.bindings.remove("default", "1001", world.actor) is True
    binding = await store.bindings.get("default", "1001")
    assert (binding.status, binding.number, binding.since) == (BindingStatus.NONE, None, None)
    assert await store.bindings.trusted_caller(A) is None
    assert (await world.events("1001"))[-1] == "binding.removed"
    attempt_id = await world.answer("1001", A)
    await store.bindings.remove("default", "1001", world.actor)
    assert await store.attempts.cancel_requests("node1") == [attempt_id]
    with pytest.raises(NotFoundError):
        await store.bindings.remove("default", "none", world.actor)


async def test_suspending_and_resuming(store: Store, world: World) -> None:
    await world.users("1001", "1002")
    await world.prove("1001", A)
    for _ in range(2):
        await store.bindings.suspend("default", "1001", SuspendReason.ADMIN, world.actor)
    trusted = await store.bindings.trusted_number("default", "1001")
    assert trusted is not None
    assert (trusted.status, trusted.number) == (BindingStatus.SUSPENDED, None)
    assert await store.bindings.trusted_caller(A) is None
    assert (await world.events("1001")).count("binding.suspended") == 1
    assert await store.bindings.resume("default", "1001", world.actor) is BindingStatus.VERIFIED
    assert await store.bindings.trusted_caller(A)
    assert await store.bindings.resume("default", "1001", world.actor) is BindingStatus.VERIFIED
    await store.bindings.suspend("default", "1001", SuspendReason.ADMIN, world.actor)
    await world.prove("1002", A)
    assert await store.bindings.resume("default", "1001", world.actor) is BindingStatus.PENDING
    assert (await store.bindings.trusted_caller(A)).user_id == "1002"  # type: ignore[union-attr]


@pytest.mark.parametrize("reason", [SuspendReason.AGED, SuspendReason.REPORTED, SuspendReason.TAKEN_OVER])
async def test_other_suspensions_end_in_a_new_proof(store: Store, world: World, reason: SuspendReason) -> None:
    await world.users("1001")
    await world.prove("1001", A)
    await store.bindings.suspend("default", "1001", reason, world.actor)
    assert await store.bindings.resume("default", "1001", world.actor) is BindingStatus.PENDING
    await world.prove("1001", A)


async def test_a_user_without_a_number_can_be_suspended(store: Store, world: World) -> None:
    await world.users("1001")
    await store.bindings.suspend("default", "1001", SuspendReason.ADMIN, world.actor)
    with pytest.raises(Refusal):
        await world.accept("1001", A)
    assert await store.bindings.resume("default", "1001", world.actor) is BindingStatus.NONE
    await world.accept("1001", A)
    for act in (
        store.bindings.suspend("default", "none", SuspendReason.ADMIN, world.actor),
        store.bindings.resume("default", "none", world.actor),
    ):
        with pytest.raises(NotFoundError):
            await act


async def test_lookups_answer_the_lowest_extension_of_the_account(store: Store, world: World) -> None:
    await store.directory.add_user(User("default", "alice", ("1001", "201", "1000"), "", ""))
    await store.directory.add_user(User("default", "bob", (), "", ""))
    await world.prove("alice", A)
    await world.prove("bob", B)
    trusted = await store.bindings.trusted_caller(A)
    assert trusted is not None
    assert (trusted.account, trusted.extension, trusted.user_id) == ("default", "201", "alice")
    assert await store.bindings.trusted_caller(B) is None
    for extension in ("1001", "201", "1000"):
        assert (await store.bindings.trusted_number("default", extension)).number == A  # type: ignore[union-attr]
    assert await store.bindings.trusted_number("default", "9") is None
    assert await store.bindings.trusted_number("acme", "201") is None
    assert A not in repr(trusted)
