"""Counts and sorts what the administrator's page shows. It asks nobody and writes no HTML."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from binding_ivr.app.view import View
from binding_ivr.errors import Refusal
from binding_ivr.log import masked
from binding_ivr.model.moves import MoveRow
from binding_ivr.model.outcome import AttemptState
from binding_ivr.model.rows import AttemptRow, AuditRow, BindingStatus
from binding_ivr.store import FoundUser


@dataclass(frozen=True, slots=True)
class Line:
    """One attempt of a table; the number is shortened."""

    account: str
    user_id: str
    number: str
    state: str
    digits: int
    outcome: str
    fault: str
    detail: str
    node: str
    at: str


@dataclass(frozen=True, slots=True)
class Held:
    """A user who may not be called now, by which limit or for which reason, and until when."""

    account: str
    user_id: str
    why: str
    until: str


@dataclass(frozen=True, slots=True)
class Today:
    """The attempts of a day."""

    live: Sequence[Line]
    ended: Sequence[Line]
    outcomes: Sequence[tuple[str, str, int]]
    """Outcome, fault and how many, the most frequent first."""
    people: Sequence[tuple[str, str]] = field(default=())
    """Account and user id of everybody who was called or asked for a call."""


def today(attempts: Sequence[AttemptRow], most: int) -> Today:
    """Sort the attempts of a day, newest first; *most* of the ended ones are listed."""
    ended = [attempt for attempt in attempts if attempt.state is AttemptState.ENDED]
    counted = Counter((_word(attempt.outcome), _word(attempt.fault)) for attempt in ended)
    return Today(
        live=[line(attempt) for attempt in attempts if attempt.state is not AttemptState.ENDED],
        ended=[line(attempt) for attempt in ended[:most]],
        outcomes=[(*pair, count) for pair, count in counted.most_common()],
        people=list(dict.fromkeys((attempt.account, attempt.user_id) for attempt in attempts)),
    )


def line(attempt: AttemptRow) -> Line:
    """Return *attempt* as a line of a table."""
    return Line(
        account=attempt.account,
        user_id=attempt.user_id,
        number=masked(attempt.number),
        state=attempt.state.value,
        digits=attempt.digits,
        outcome=_word(attempt.outcome),
        fault=_word(attempt.fault),
        detail=attempt.detail,
        node=attempt.node or "",
        at=stamp(attempt.created_at),
    )


@dataclass(frozen=True, slots=True)
class Done:
    """One line of the audit; there is no number in it."""

    at: str
    action: str
    account: str
    user_id: str
    who: str
    address: str
    reason: str


def done(row: AuditRow) -> Done:
    """Return *row* as a line of a table."""
    return Done(stamp(row.at), row.action, row.account, row.user_id, row.who, row.address, row.reason)


@dataclass(frozen=True, slots=True)
class Moved:
    """One move of a call, or a pull."""

    at: str
    account: str
    user_id: str
    extension: str
    kind: str
    outcome: str
    proof: str
    leg: str


def moved(row: MoveRow) -> Moved:
    """Return *row* as a line of a table."""
    return Moved(
        at=stamp(row.ended_at),
        account=row.account,
        user_id=row.user_id,
        extension=row.extension,
        kind=row.kind.value,
        outcome=row.outcome.value,
        proof=row.proof.value,
        leg=row.leg_id,
    )


def held(view: View) -> Held | None:
    """Return by what the user of *view* is held back; None for one who may be called, or is in a call."""
    for step in (view.revalidate, view.bind):
        if step is not None and (step.limit or step.retry_at is not None):
            return Held(view.binding.account, view.binding.user_id, step.limit or step.code, _until(step))
    return None


def statuses(users: Sequence[FoundUser]) -> Mapping[str, int]:
    """Count *users* by the status of their binding; every status is named."""
    counted = Counter(user.status for user in users)
    return {status.value: counted[status] for status in BindingStatus}


def stamp(at: datetime | None) -> str:
    """Write a time in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def _until(step: Refusal) -> str:
    return stamp(datetime.fromtimestamp(step.retry_at, UTC)) if step.retry_at is not None else ""


def _word(value: object) -> str:
    return str(getattr(value, "value", value) or "")
