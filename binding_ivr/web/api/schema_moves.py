"""The shapes of the API's lists of moves of calls."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from binding_ivr.model import forms
from binding_ivr.model.moves import MoveKind, MoveOutcome, MoveProof
from binding_ivr.web.api.schema import Name, UserId

Since = Annotated[datetime, Meta(tz=True, description="ISO 8601 with a time zone.")]
Limit = Annotated[int, Meta(ge=1, le=1000)]


class OwnMovesQuery(Struct, forbid_unknown_fields=True):
    """Which moves."""

    since: Since | None = None
    limit: Limit = 100


class MovesQuery(Struct, forbid_unknown_fields=True):
    """Which moves."""

    account: Name | None = None
    user_id: UserId | None = None
    extension: Annotated[str, Meta(pattern=forms.whole(forms.EXTENSION))] | None = None
    since: Since | None = None
    limit: Limit = 100


class MoveEntry(Struct):
    """How one move or pull of a call ended.

    `proof` is what a pull was proven by, or was asked for last. `call_id` is the other party's linkedid and `leg_id`
    the new leg's uniqueid in Asterisk's records; either may be empty. `user_id` is empty when nobody had the extension.
    """

    move_id: str
    account: str
    user_id: str
    extension: str
    kind: MoveKind
    outcome: MoveOutcome
    proof: MoveProof
    call_id: str
    leg_id: str
    node: str
    started_at: datetime
    ended_at: datetime


class Moves(Struct):
    """Moves and pulls, the latest first."""

    moves: list[MoveEntry]
