"""What a mirror of the trusted numbers must hold, in pages or by change; it knows no AstDB and keeps no position."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from binding_ivr.store.database import OnDatabase

PAGE = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a mirror; `value` None means that the key must not be there.

    Of the kind `ext` it leads from an extension (`name` of `account`) to an E.164 number, of the kind `num` from a
    number's digits (`name`, `account` empty) to `<account>/<extension>` with the user's lowest extension.
    """

    kind: str
    account: str
    name: str = field(repr=False)
    value: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class MirrorState:
    """How a node's mirror stands, as the node told last. `alive`: it told within the time that was asked for."""

    node: str
    alive: bool
    detail: str
    behind: int | None
    compare_from: datetime | None
    keys: int
    put: int
    deleted: int


class PgMirror(OnDatabase):
    """Reads for mirrors. Every method raises what `Database` raises."""

    async def position(self) -> tuple[int, datetime]:
        """Return the number of the latest change, and the server's time."""
        row = await self._db.row("mirror_position")
        assert row is not None
        return row["change_seq"], row["now"]

    async def behind(self, position: int) -> int:
        """Return how many keys were marked by changes after *position*."""
        row = await self._db.row("mirror_behind", position)
        assert row is not None
        return int(row["behind"])

    async def changes(self, position: int, most: int) -> tuple[int, list[Entry]]:
        """Return the keys that changes after *position* may have touched, with their present values, oldest first.

        With them comes the position to go on from. About *most* are returned: a change is never cut in two.
        """
        rows = await self._db.rows("mirror_changes", position, most)
        entries = [Entry(row["kind"], row["account"], row["name"], row["value"]) for row in rows]
        return (rows[-1]["change_seq"] if rows else position), entries

    async def numbers_of(self, users: Sequence[str]) -> dict[str, str]:
        """Return the numbers that *users* (`account/extension`) have, trusted or to be trusted again when confirmed."""
        pairs = [user.partition("/") for user in users]
        rows = await self._db.rows("mirror_numbers_of", [p[0] for p in pairs], [p[2] for p in pairs])
        return {f"{row['account']}/{row['extension']}": row["number"] for row in rows}

    async def everything(self) -> AsyncIterator[list[Entry]]:
        """Yield all entries there must be, in pages. A change meanwhile may be in it or not: its mark tells."""
        after = ("", "")
        while True:
            rows = await self._db.rows("mirror_page", *after, PAGE)
            entries: list[Entry] = []
            for row in rows:
                account, number, extensions = row["account"], row["number"], row["extensions"]
                entries += [Entry("ext", account, extension, number) for extension in extensions]
                if extensions:
                    entries.append(Entry("num", "", number.removeprefix("+"), f"{account}/{extensions[0]}"))
            if entries:
                yield entries
            if len(rows) < PAGE:
                return
            after = (rows[-1]["account"], rows[-1]["user_id"])

    async def forget_marks(self, age_s: float) -> None:
        """Forget the marks that are older than *age_s* seconds."""
        await self._db.run("forget_mirror_marks", age_s)

    # --- what the nodes tell each other

    async def tell(self, node: str, detail: str, behind: int | None) -> None:
        """Note how *node*'s mirror stands."""
        await self._db.run("tell_mirror", node, detail, behind)

    async def tell_compared(self, node: str, since: datetime, keys: int, put: int, deleted: int) -> None:
        """Note that *node*'s mirror was wholly compared, beginning at *since*."""
        await self._db.run("tell_compared", node, since, keys, put, deleted)

    async def tell_gone(self, node: str) -> None:
        """Note that *node* keeps no mirror any more."""
        await self._db.run("mirror_gone", node)

    async def states(self, within_s: float) -> list[MirrorState]:
        """Return what every node told last, by name."""
        return [MirrorState(**row) for row in await self._db.rows("mirrors", within_s)]

    async def ask_to_compare(self) -> datetime:
        """Ask every running node to compare its whole mirror; return the server's time of the asking."""
        row = await self._db.row("ask_to_compare")
        assert row is not None
        asked_at: datetime = row["asked_at"]
        return asked_at
