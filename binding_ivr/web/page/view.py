"""Turns a user's View into what the page's template shows. It asks nobody and writes no HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Literal

from binding_ivr.app.view import View
from binding_ivr.errors import Refusal
from binding_ivr.model.moves import MoveRow
from binding_ivr.model.outcome import AttemptState, Outcome
from binding_ivr.model.rows import AttemptRow, BindingStatus
from binding_ivr.policy.numbers import as_people_write_it

Stage = Literal["dialing", "ringing", "answered", "code", "verified"]
STAGES: tuple[Stage, ...] = ("dialing", "ringing", "answered", "code", "verified")
"""The progress line."""

GOOD_NEWS = timedelta(minutes=10)
"""So long the page speaks of a call that verified; after that the status alone says it."""
BAD_NEWS = timedelta(hours=24)
"""So long it says what to do after a call that did not."""

_TONES = {
    Outcome.VERIFIED: "good",
    Outcome.CANCELED: "neutral",
    Outcome.REPORTED: "bad",
    Outcome.UNREACHABLE: "bad",
    Outcome.FAILED: "bad",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as the template writes it: ISO 8601 for programs, UTC for readers without JavaScript."""

    iso: str
    text: str
    minutes: int
    """Until then, rounded up; 0 when it has passed."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why something cannot be done now: the keys of its sentence, and when it lifts if that is known."""

    key: str
    lifts: Moment | None = None

    @property
    def may_confirm(self) -> bool:
        """True when the user may have it done anyway, by saying so."""
        return self.key == "refusal.outside_hours"


@dataclass(frozen=True, slots=True)
class LiveCall:
    """The call in flight."""

    attempt: str
    number: str = field(repr=False)
    step: str
    """`queued`, `waiting` (for a free line), `dialing`, `ringing`, `answered` or `digits`."""
    digits: int
    code: str | None = field(repr=False)
    code_note: str
    """The key of the sentence next to the code, or in its place."""
    stages: Sequence[tuple[Stage, str]]
    """Each stage with `done`, `now` or `ahead`."""
    hides: Moment | None
    """When the code will no longer be shown."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the last call ended."""

    number: str = field(repr=False)
    outcome: str
    tone: str
    at: Moment | None
    prominent: bool
    """False when it is old news, or says what the status says already."""
    advise: bool


@dataclass(frozen=True, slots=True)
class WayBack:
    """A number that was changed or removed, and can be gone back to."""

    number: str = field(repr=False)
    changed: Moment | None
    changed_by: str
    until: Moment | None


@dataclass(frozen=True, slots=True)
class MoveLine:
    """A call that was moved, or was not."""

    kind: str
    outcome: str
    at: Moment | None


@dataclass(frozen=True, slots=True)
class Shows:
    """Everything that the template shows of a user's binding."""

    status: str
    reason: str | None
    since: Moment | None
    number: str | None = field(repr=False)
    pending: str | None = field(repr=False)
    live: LiveCall | None
    ending: Ending | None
    bind: Hindrance | None
    revalidate: Hindrance | None
    can_remove: bool
    callers: Sequence[str]
    code_length: int
    stale: bool
    """The proof grows old: the user is asked for a new one."""
    verify_by: Moment | None
    way_back: WayBack | None
    moves: Sequence[MoveLine] = ()
    """The latest moves of calls, the newest first."""


def shows(view: View, code_length: int, reveal: str, now: datetime) -> Shows:
    """Return what the page shows of *view* at *now*; *reveal* is `[code] reveal`."""
    binding = view.binding
    busy = view.can_cancel
    return Shows(
        status=binding.status.value,
        reason=binding.reason.value if binding.reason else None,
        since=moment(binding.since, now),
        number=view.number_written,
        pending=view.pending_written,
        live=_live(view, reveal, now) if busy else None,
        ending=None if busy or view.last is None else _ending(view, view.last.attempt, now),
        bind=hindrance(view.bind, now) if view.bind else None,
        revalidate=hindrance(view.revalidate, now) if view.revalidate else None,
        can_remove=view.can_remove,
        callers=[as_people_write_it(number) for number in view.caller_ids],
        code_length=code_length,
        stale=binding.stale_at is not None,
        verify_by=moment(view.life.verify_by, now),
        way_back=None if busy else _way_back(view, now),
    )


def move_lines(rows: Sequence[MoveRow], now: datetime) -> list[MoveLine]:
    """Return *rows* as the page lists them."""
    return [MoveLine(row.kind.value, row.outcome.value, moment(row.ended_at, now)) for row in rows]


def _way_back(view: View, now: datetime) -> WayBack | None:
    offer = view.life.undo
    if offer is None:
        return None
    return WayBack(
        view.undo_written or offer.number, moment(offer.changed_at, now), offer.changed_by, moment(offer.until, now)
    )


def _live(view: View, reveal: str, now: datetime) -> LiveCall:
    assert view.last is not None
    attempt, code = view.last.attempt, view.last.code
    answered = attempt.state is AttemptState.ANSWERED
    return LiveCall(
        attempt=str(attempt.attempt_id),
        number=as_people_write_it(attempt.number),
        step=_step(attempt),
        digits=attempt.digits,
        code=code,
        code_note=_code_note(code, answered, reveal, attempt.shown_until <= now),
        stages=_stages(attempt),
        hides=moment(attempt.shown_until, now) if code and not answered else None,
    )


def _step(attempt: AttemptRow) -> str:
    if attempt.waits_for_line:
        return "waiting"
    return "digits" if attempt.state is AttemptState.ANSWERED and attempt.digits else attempt.state.value


def _code_note(code: str | None, answered: bool, reveal: str, late: bool) -> str:
    if code:
        return "code.in_call" if answered else "code.key_in"
    return "code.on_answer" if reveal == "on_answer" and not answered and not late else "code.gone"


def _stages(attempt: AttemptRow) -> list[tuple[Stage, str]]:
    reached = {AttemptState.QUEUED: -1, AttemptState.DIALING: 0, AttemptState.RINGING: 1, AttemptState.ANSWERED: 3}
    now = reached.get(attempt.state, len(STAGES))
    return [(stage, "done" if at < now else "now" if at == now else "ahead") for at, stage in enumerate(STAGES)]


def _ending(view: View, attempt: AttemptRow, now: datetime) -> Ending | None:
    outcome, status = attempt.outcome, view.binding.status
    if outcome is None or status is BindingStatus.NONE:
        return None
    age = now - (attempt.ended_at or now)
    good = outcome is Outcome.VERIFIED
    return Ending(
        number=as_people_write_it(attempt.number),
        outcome=outcome.value,
        tone=_TONES.get(outcome, "warn"),
        at=moment(attempt.ended_at, now),
        prominent=age < GOOD_NEWS and status is BindingStatus.VERIFIED if good else age < BAD_NEWS,
        advise=view.revalidate is None or view.revalidate.code != "suspended",
    )


def hindrance(refusal: Refusal, now: datetime) -> Hindrance:
    """Return what the page says of a refusal."""
    at = refusal.retry_at
    lifts = moment(datetime.fromtimestamp(ceil(at), UTC), now) if at is not None else None
    return Hindrance(f"limit.{refusal.limit}" if refusal.limit else f"refusal.{refusal.code}", lifts)


def moment(at: datetime | None, now: datetime) -> Moment | None:
    """Return *at* as the template writes it."""
    if at is None:
        return None
    utc = at.astimezone(UTC)
    left = ceil((utc - now).total_seconds() / 60)
    return Moment(utc.strftime("%Y-%m-%dT%H:%M:%SZ"), utc.strftime("%Y-%m-%d %H:%M"), max(0, left))


def grouped(code: str) -> str:
    """Write a code in groups for reading: `482 913`, `4829 1357`, never a single digit alone."""
    size = 4 if len(code) % 4 == 0 else 3
    parts = [code[at : at + size] for at in range(0, len(code), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        tail = parts.pop(-2) + parts.pop()
        parts += [tail[:2], tail[2:]]
    return " ".join(parts)


def rules(limits: Mapping[str, float | Sequence[float]], known: Mapping[str, str]) -> list[tuple[str, int]]:
    """Return the limits that the page has a sentence for, with their numbers; 0 forbids and is not told.

    Of several numbers (the waits) it is the first.
    """
    first = {name: value[0] if isinstance(value, Sequence) and value else value for name, value in limits.items()}
    counts = {name: value for name, value in first.items() if not isinstance(value, Sequence)}
    return [(name, int(count)) for name, count in counts.items() if f"rule.{name}" in known and count >= 1]
