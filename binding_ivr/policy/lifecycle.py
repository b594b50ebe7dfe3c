"""Pure rules of a binding's life after its proof: until when it is trusted, and until when a change can be undone."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from binding_ivr.errors import Refusal
from binding_ivr.model.actors import ActorKind, Who
from binding_ivr.policy.own import OwnNumbers, is_own
from binding_ivr.policy.routes import stored

Changer = Literal["user", "administrator", "system"]


class LifeLike(Protocol):
    """What these rules must know of a binding (`model.rows.BindingRow`). Times are aware."""

    @property
    def user_id(self) -> str:
        """Whose binding it is."""

    @property
    def trusted(self) -> bool:
        """True while the number is trusted."""

    @property
    def number(self) -> str | None:
        """The present number, E.164."""

    @property
    def pending_number(self) -> str | None:
        """The number that waits for its proof next to a trusted one."""

    @property
    def verified_at(self) -> datetime | None:
        """The last proof of the present number."""

    @property
    def stale_at(self) -> datetime | None:
        """When its user was told that the proof grows old."""

    @property
    def suspend_at(self) -> datetime | None:
        """What was told then as the end of the trust."""

    @property
    def previous_number(self) -> str | None:
        """The last proven number before the present one."""

    @property
    def changed_at(self) -> datetime | None:
        """When it was replaced or removed."""

    @property
    def changed_by(self) -> Who | None:
        """By whom."""

    @property
    def read_at(self) -> datetime | None:
        """When this was read, by the clock of everything."""


@dataclass(frozen=True, slots=True)
class Undo:
    """A proven number that the user may go back to, by the usual proof, until *until*."""

    number: str = field(repr=False)
    changed_at: datetime
    changed_by: Changer
    until: datetime


@dataclass(frozen=True, slots=True)
class Life:
    """What time will do to a binding: when its trust ends without a new proof, and what it can go back to."""

    verify_by: datetime | None = None
    undo: Undo | None = None


class Rules(Protocol):
    """What is needed of `[binding]`."""

    @property
    def stale_days(self) -> int:
        """Days until a proof is old."""

    @property
    def suspend_days(self) -> int:
        """Days after that until the trust ends."""

    @property
    def undo_h(self) -> int:
        """Hours for which a change can be undone."""


def life_of(life: LifeLike, rules: Rules) -> Life:
    """Return what time will do to a binding under *rules*, as it was read."""
    return Life(verify_by(life, rules.stale_days, rules.suspend_days), undo(life, rules.undo_h))


def verify_by(life: LifeLike, stale_days: int, suspend_days: int) -> datetime | None:
    """Return the moment at which the trust ends unless the number is proven again; None when it does not.

    *stale_days* and *suspend_days* are `[binding]`'s, 0: never. What the user was told once is kept.
    """
    if not life.trusted:
        return None
    if life.stale_at is not None:
        return life.suspend_at
    if life.verified_at is None or not stale_days or not suspend_days:
        return None
    return life.verified_at + timedelta(days=stale_days + suspend_days)


def undo(life: LifeLike, undo_h: int) -> Undo | None:
    """Return what the user may go back to for *undo_h* hours after a change; None when there is nothing (any more)."""
    if (
        life.previous_number is None
        or life.changed_at is None
        or life.previous_number
        in (
            life.number,
            life.pending_number,
        )
    ):
        return None
    until = life.changed_at + timedelta(hours=undo_h)
    if life.read_at is None or life.read_at >= until:
        return None
    return Undo(life.previous_number, life.changed_at, changer(life.changed_by, life.user_id), until)


def changer(who: Who | None, user_id: str) -> Changer:
    """Return what the user *user_id* may know of *who* changed their binding: administrators are not named to users."""
    if who is None or who.kind is ActorKind.SYSTEM:
        return "system"
    return "user" if who.is_user(user_id) else "administrator"


def has_become_own(e164: str, own: OwnNumbers) -> bool:
    """Return whether a number that was accepted before is one of the PBX's own now."""
    return is_own(e164, _national(e164), own)


def may_be_dialled_as(e164: str) -> tuple[str, ...]:
    """Return the texts that an own number (other than a pattern) must equal to be this number."""
    return (e164, e164[1:], _national(e164))


def _national(e164: str) -> str:
    try:
        return stored(e164).national
    except Refusal:  # no numbering plan holds it any more
        return e164[1:]
