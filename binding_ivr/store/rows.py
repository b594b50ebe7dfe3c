"""Turns database rows into the dataclasses of model and ports. It runs no query."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from binding_ivr.errors import NotFoundError
from binding_ivr.model.actors import Who, read_source
from binding_ivr.model.rows import AttemptRow, BindingRow, BindingStatus, SuspendReason
from binding_ivr.ports import ClaimedAttempt
from binding_ivr.store.database import Row

T = TypeVar("T")


def made(shape: type[T], row: Row, **decoded: Any) -> T:
    """Return *row* as *shape*, by the names of its columns, with what was *decoded* in the place of some.

    Columns that *shape* does not know stay out.
    """
    return msgspec.convert({**dict(row), **decoded}, shape)


def binding_row(row: Row, last: AttemptRow | None) -> BindingRow:
    """Return one binding as read with its *last* attempt."""
    return BindingRow(
        account=row["account"],
        user_id=row["user_id"],
        status=BindingStatus(row["status"]),
        reason=SuspendReason(row["reason"]) if row["reason"] else None,
        number=row["bound_number"],
        pending_number=row["pending_number"],
        since=row["since"],
        last_attempt=last,
        verified_at=row["verified_at"],
        stale_at=row["stale_at"],
        suspend_at=row["suspend_at"],
        previous_number=row["previous_number"],
        changed_at=row["changed_at"],
        changed_by=Who.read(row["changed_by"]) if row["changed_by"] is not None else None,
        read_at=row["read_at"],
    )


def claimed_attempt(row: Row) -> ClaimedAttempt:
    """Return one attempt that was just claimed."""
    source = read_source(row["actor_source"])
    return made(ClaimedAttempt, row, settings=settings(row["settings"]), source=source)


def settings(text: str) -> Mapping[str, Any]:
    """Return the settings of an account from their JSON text."""
    return msgspec.json.decode(text, type=dict[str, Any])


def no_account(account: str) -> NotFoundError:
    """Return the error for an account that is not there."""
    return NotFoundError(f"there is no account {account}; add it with: binding-ivr account add {account}")


def no_user(account: str, user_id: str) -> NotFoundError:
    """Return the error for a user who is not there."""
    return NotFoundError(
        f"there is no user {user_id} in account {account}; add it with: "
        f"binding-ivr user add {user_id} --account {account}"
    )
