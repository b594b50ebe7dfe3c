"""Turns what the installation knows into the bodies of the API, with an entity tag. It decides only who sees a code."""

import hashlib
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from binding_ivr.app.view import Shown, View
from binding_ivr.errors import Refusal
from binding_ivr.store import FoundUser
from binding_ivr.web.api import schema
from binding_ivr.web.auth.access import accounts_of
from binding_ivr.web.auth.identity import Identity

T = TypeVar("T")


def sees_code(identity: Identity) -> bool:
    """The user sees the code, and a portal that speaks for its users; an administrator who looks on does not."""
    return (identity.is_user and not identity.is_admin) or bool(accounts_of(identity))


def shaped(shape: type[T], found: object) -> T:
    """Return what was *found* as a body: the fields of *shape* are attributes of it, and other attributes stay out."""
    return msgspec.convert(found, shape, from_attributes=True)


def attempt(shown: Shown, *, with_code: bool) -> schema.Attempt:
    """One attempt for its user."""
    row = shown.attempt
    return schema.Attempt(
        id=row.attempt_id,
        state=row.state,
        digits=row.digits,
        outcome=row.outcome,
        fault=row.fault,
        tries=row.tries,
        code=shown.code if with_code else None,
        created_at=row.created_at,
        answered_at=row.answered_at,
        ended_at=row.ended_at,
        shown_until=row.shown_until,
        expires_at=row.expires_at,
    )


def binding(view: View, *, with_code: bool) -> schema.Binding:
    """The binding for its user."""
    row = view.binding
    return schema.Binding(
        account=row.account,
        user_id=row.user_id,
        status=row.status,
        reason=row.reason,
        number=row.number,
        number_written=view.number_written,
        pending_number=row.pending_number,
        pending_number_written=view.pending_written,
        since=row.since,
        verified_at=row.verified_at,
        stale_since=row.stale_at,
        verify_by=view.life.verify_by,
        undo=_undo(view),
        last_attempt=attempt(view.last, with_code=with_code) if view.last is not None else None,
        next=schema.Next(
            bind=_step(view.bind),
            revalidate=_step(view.revalidate),
            undo=view.life.undo is not None,
            cancel=view.can_cancel,
            remove=view.can_remove,
        ),
        caller_ids=list(view.caller_ids),
    )


def etag(body: schema.Binding) -> str:
    """An entity tag of all but the code: a digest of six digits would give them away."""
    last = body.last_attempt
    facts = msgspec.to_builtins(body)
    if last is not None:
        facts["last_attempt"]["code"] = last.code is not None
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:32]


def _undo(view: View) -> schema.Undo | None:
    offer = view.life.undo
    if offer is None:
        return None
    return schema.Undo(
        number=offer.number,
        number_written=view.undo_written or offer.number,
        changed_at=offer.changed_at,
        changed_by=offer.changed_by,
        until=offer.until,
    )


def _step(refusal: Refusal | None) -> schema.Step:
    if refusal is None:
        return schema.Step(allowed=True)
    return schema.Step(
        allowed=False,
        code=refusal.code,
        detail=str(refusal),
        limit=refusal.limit,
        retry_at=None if refusal.retry_at is None else datetime.fromtimestamp(refusal.retry_at, UTC),
    )


def user_entry(row: FoundUser) -> schema.UserEntry:
    """One user of a list."""
    user = row.user
    return schema.UserEntry(
        user.account,
        user.user_id,
        list(user.extensions),
        user.language,
        user.email,
        row.status,
        row.number,
        row.since,
    )


def session(identity: Identity) -> schema.Session:
    """Who is asking."""
    return schema.Session(
        kind=identity.kind,
        account=identity.account,
        user_id=identity.user_id,
        scopes=sorted(identity.scopes),
        name=identity.name,
        signed_in_at=identity.signed_in_at,
        expires_at=identity.expires_at,
        csrf=identity.csrf,
    )
