"""What commands tell of a binding, a call, a look-up: by names, for `--json` and tables. It prints nothing."""

from collections.abc import Mapping
from typing import Any

from binding_ivr.app.view import Shown, View
from binding_ivr.model.moves import MoveRow
from binding_ivr.model.rows import AttemptRow, AuditRow
from binding_ivr.model.times import iso


def attempt_facts(attempt: AttemptRow) -> dict[str, Any]:
    """An attempt for `--json` and tables; never its code."""
    return {
        "id": str(attempt.attempt_id),
        "account": attempt.account,
        "user_id": attempt.user_id,
        "number": attempt.number,
        "state": attempt.state.value,
        "digits": attempt.digits,
        "outcome": attempt.outcome.value if attempt.outcome else None,
        "fault": attempt.fault.value if attempt.fault else None,
        "tries": attempt.tries,
        "cause": attempt.cause,
        "tech_cause": attempt.tech_cause,
        "detail": attempt.detail,
        "created_at": iso(attempt.created_at),
        "answered_at": iso(attempt.answered_at) if attempt.answered_at else None,
        "ended_at": iso(attempt.ended_at) if attempt.ended_at else None,
        "expires_at": iso(attempt.expires_at),
    }


def binding_facts(view: View) -> dict[str, Any]:
    """A binding for `--json`."""
    binding, back = view.binding, view.life.undo
    return {
        "account": binding.account,
        "user_id": binding.user_id,
        "status": binding.status.value,
        "reason": binding.reason.value if binding.reason else None,
        "number": binding.number,
        "number_written": view.number_written,
        "pending_number": binding.pending_number,
        "since": iso(binding.since) if binding.since else None,
        "verified_at": iso(binding.verified_at) if binding.verified_at else None,
        "stale_since": iso(binding.stale_at) if binding.stale_at else None,
        "verify_by": iso(view.life.verify_by) if view.life.verify_by else None,
        "undo": {
            "number": back.number,
            "changed_at": iso(back.changed_at),
            "changed_by": back.changed_by,
            "until": iso(back.until),
        }
        if back
        else None,
        "last_attempt": attempt_facts(binding.last_attempt) if binding.last_attempt else None,
    }


def audit_facts(row: AuditRow) -> dict[str, Any]:
    """One line of the audit for `--json` and tables."""
    return {
        "id": row.id,
        "at": iso(row.at),
        "account": row.account,
        "user_id": row.user_id,
        "action": row.action,
        "who": row.who,
        "source": row.source,
        "address": row.address,
        "attempt_id": str(row.attempt_id) if row.attempt_id else None,
        "reason": row.reason,
        "detail": dict(row.detail),
    }


def move_facts(row: MoveRow) -> dict[str, Any]:
    """A move of a call for `--json` and tables."""
    return {
        "move_id": row.move_id,
        "account": row.account,
        "user_id": row.user_id,
        "extension": row.extension,
        "kind": row.kind.value,
        "outcome": row.outcome.value,
        "proof": row.proof.value,
        "call_id": row.call_id,
        "leg_id": row.leg_id,
        "node": row.node,
        "started_at": iso(row.started_at),
        "ended_at": iso(row.ended_at),
    }


def in_short(detail: Mapping[str, Any]) -> str:
    """Return the facts of an audit row that are not in its other columns, for a table."""
    told = {name: value for name, value in detail.items() if name not in _IN_COLUMNS and not name.endswith("_hash")}
    return " ".join(f"{name}={value}" for name, value in told.items())


_IN_COLUMNS = ("account", "user_id", "attempt_id")


def shown_facts(shown: Shown) -> dict[str, Any]:
    """A new attempt with its code, for the user who asked."""
    return {
        "id": str(shown.attempt.attempt_id),
        "code": shown.code,
        "state": shown.attempt.state.value,
        "expires_at": iso(shown.attempt.expires_at),
    }
