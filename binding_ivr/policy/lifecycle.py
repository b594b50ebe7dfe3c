"""Pure rules of a binding's life after its proof: until when it is trusted, and until when a change can be undone."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from binding_ivr.errors import Refusal
from binding_ivr.model.actors import ActorKind, Who
from binding_ivr.model.rows import BindingRow
from binding_ivr.policy.own import OwnNumbers, is_own
from binding_ivr.policy.routes import stored

Changer = Literal["user", "administrator", "system"]


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


def life_of(life: BindingRow, stale_days: int, suspend_days: int, undo_h: int) -> Life:
    """Return what time will do to a binding, as it was read, under these rules of `[binding]`."""
    return Life(verify_by(life, stale_days, suspend_days), undo(life, undo_h))


def verify_by(life: BindingRow, stale_days: int, suspend_days: int) -> datetime | None:
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


def undo(life: BindingRow, undo_h: int) -> Undo | None:
    """Return what the user may go back to for *undo_h* hours after a change; None when there is nothing (any more)."""
    earlier = life.previous_number
    if earlier is None or life.changed_at is None or earlier in (life.number, life.pending_number):
        return None
    until = life.changed_at + timedelta(hours=undo_h)
    if life.read_at is None or life.read_at >= until:
        return None
    return Undo(earlier, life.changed_at, changer(life.changed_by, life.user_id), until)


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
    except Refusal:  # it is of no country any more
        return e164[1:]
