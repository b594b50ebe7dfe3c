"""The history of moves of calls: kept once each, listed, and how the lists stand that they come from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from binding_ivr.model.moves import Move, MoveList, MoveRow
from binding_ivr.store.database import OnDatabase
from binding_ivr.store.rows import made

Kept = Literal["kept", "known", "flood"]
"""What became of a move: it is new, or was there, or there are too many of its extension."""


@dataclass(frozen=True, slots=True)
class Lost:
    """How many entries of a node's list were never stored so far, by why."""

    full: int
    bad: int
    flood: int


class PgMoves(OnDatabase):
    """Moves of calls. Every method raises what `Database` raises."""

    async def keep(self, move: Move, node: str, most: int) -> Kept:
        """Keep *move* as *node* read it, unless it is known, or *most* of its extension in the hour before are kept.

        Calls that moved and those that did not are counted apart.
        """
        row = await self._db.row(
            "keep_move",
            move.move_id,
            move.account,
            move.extension,
            move.kind,
            move.outcome,
            move.proof,
            move.call_id,
            move.leg_id,
            node,
            move.started_at,
            move.ended_at,
            most,
        )
        assert row is not None
        result: Kept = row["result"]
        return result

    async def moves(
        self,
        *,
        account: str | None = None,
        user_id: str | None = None,
        extension: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[MoveRow]:
        """Return up to *limit* moves, the latest first, optionally of an account, user or extension or since a time."""
        return [made(MoveRow, row) for row in await self._db.rows("moves", account, user_id, extension, since, limit)]

    async def tell(self, node: str, waiting: int, listed: int | None, bad: int, flood: int) -> Lost:
        """Note how *node*'s list stands; return how many of its entries were lost so far.

        *listed*: how far the dialplan has counted those without a place. *bad* and *flood* are new ones.
        """
        row = await self._db.row("tell_move_list", node, waiting, listed, bad, flood)
        assert row is not None
        return Lost(row["lost_full"], row["lost_bad"], row["lost_flood"])

    async def lists(self, within_s: float) -> list[MoveList]:
        """Return what every node told last of its list, by name."""
        return [made(MoveList, row) for row in await self._db.rows("move_lists", within_s)]
