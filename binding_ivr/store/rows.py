"""Turns database rows into the dataclasses of the ports. It runs no query."""

from collections.abc import Mapping
from typing import Any

import msgspec

from binding_ivr.model.actors import Who, read_source
from binding_ivr.model.outcome import AttemptState, Fault, Outcome
from binding_ivr.model.rows import AttemptRow, BindingRow, BindingStatus, SuspendReason, User
from binding_ivr.ports import ClaimedAttempt
from binding_ivr.store.database import Row


def attempt_row(row: Row) -> AttemptRow:
    """Return one attempt as stored."""
    return AttemptRow(
        attempt_id=row["attempt_id"],
        account=row["account"],
        user_id=row["user_id"],
        number=row["number"],
        state=AttemptState(row["state"]),
        digits=row["digits"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        fault=Fault(row["fault"]) if row["fault"] else None,
        tries=row["tries"],
        cause=row["cause"],
        tech_cause=row["tech_cause"],
        detail=row["detail"],
        key_id=row["key_id"],
        node=row["node"],
        created_at=row["created_at"],
        answered_at=row["answered_at"],
        ended_at=row["ended_at"],
        not_before=row["not_before"],
        shown_until=row["shown_until"],
        expires_at=row["expires_at"],
        read_at=row["read_at"],
    )


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
    return ClaimedAttempt(
        attempt_id=row["attempt_id"],
        account=row["account"],
        user_id=row["user_id"],
        number=row["number"],
        language=row["language"],
        key_id=row["key_id"],
        expires_at=row["expires_at"],
        settings=settings(row["settings"]),
        failed_tries=row["failed_tries"],
        source=read_source(row["actor_source"]),
    )


def user_row(row: Row) -> User:
    """Return one user; the extensions shortest and lowest first."""
    return User(
        account=row["account"],
        user_id=row["user_id"],
        extensions=tuple(row["extensions"]),
        language=row["language"],
        email=row["email"],
    )


def settings(text: str) -> Mapping[str, Any]:
    """Return the settings of an account from their JSON text."""
    return msgspec.json.decode(text, type=dict[str, Any])
