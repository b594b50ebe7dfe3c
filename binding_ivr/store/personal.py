"""All that is held about one person, handed over or forgotten; and the audit as it is read. It knows no key."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from binding_ivr.errors import NotFoundError, Refusal
from binding_ivr.model.actors import Actor
from binding_ivr.model.audit import AuditKind
from binding_ivr.model.rows import AuditRow
from binding_ivr.policy.masking import HashOf
from binding_ivr.store.audit import audit_row, write
from binding_ivr.store.bindings import forget
from binding_ivr.store.database import OnDatabase, Transaction
from binding_ivr.store.retention import masked_text

EXPORTS: Mapping[str, str] = {
    "user": "export_user",
    "binding": "export_binding",
    "attempts": "export_attempts",
    "lockout": "export_lockout",
    "audit": "export_audit",
    "moves": "export_moves",
    "events": "export_events",
    "sessions": "export_sessions",
    "signin_links": "export_signin_links",
    "replies": "export_replies",
}
"""The parts of an export, each with its query."""
_ONE = {"user", "binding"}
NAMING = ("email", "extension", "actor_who", "actor_address", "client", "changed_by")
"""Facts of audit rows that name a person; the database knows them too (`binding_ivr.audit_may_become`)."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of a person: the pseudonym, and how many rows of each kind it stands in now."""

    pseudonym: str
    attempts: int
    audit: int
    events_waiting: int
    """Events that their receivers do not have yet: they name the user until they are delivered or given up."""


class PgPersonal(OnDatabase):
    """Data about persons. Every method raises what `Database` raises."""

    async def export(self, account: str, user_id: str, actor: Actor | None = None) -> dict[str, Any]:
        """Return all that is held about a user, also one who was removed; it is audited. Raises NotFoundError."""
        told: dict[str, Any] = {}
        async with self._db.transaction(actor) as tx:
            await _known(tx, account, user_id)
            await write(tx, AuditKind.USER_EXPORTED, account, user_id)
            for part, query in EXPORTS.items():
                rows = [msgspec.json.decode(row["item"]) for row in await tx.rows(query, account, user_id)]
                told[part] = (rows[0] if rows else None) if part in _ONE else rows
        return told

    async def erase(self, account: str, user_id: str, pseudonym: str, hash_of: HashOf, actor: Actor) -> Erased:
        """Remove a user and all that names the user; what is counted stays under *pseudonym*.

        Raises NotFoundError, and Refusal `call_in_progress` while a call to the user is in flight.
        """
        async with self._db.transaction(actor) as tx:
            await _known(tx, account, user_id)
            await forget(tx, account, user_id)
            if await tx.row("live_attempt_of", account, user_id) is not None:
                raise Refusal("call_in_progress", "a call is in progress; wait until it ends, or cancel it")
            await tx.run("remove_user", account, user_id)
            await tx.run("erase_binding", account, user_id)
            await tx.run("forgive_failed_tries", account, user_id)
            attempts: list[UUID] = [
                row["attempt_id"] for row in await tx.rows("erase_attempts", account, user_id, pseudonym)
            ]
            await tx.rows("erase_moves", account, user_id)
            await tx.rows("remove_web_sessions_of", account, user_id)
            await tx.rows("forget_replies_of", account, user_id, attempts)
            waiting = await _erase_events(tx, account, user_id, hash_of)
            audit = await _erase_audit(tx, account, user_id, pseudonym, hash_of)
        return Erased(pseudonym, len(attempts), audit, waiting)

    async def audit(
        self,
        *,
        account: str | None = None,
        user_id: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
        action: str | None = None,
    ) -> list[AuditRow]:
        """Return up to *limit* audit rows, newest first, optionally of one account or user, since a time or of a kind.

        *action* is a kind, or the first word of several.
        """
        rows = await self._db.rows("audit", account, user_id, since, limit, action)
        return [audit_row(row) for row in rows]


async def _known(tx: Transaction, account: str, user_id: str) -> None:
    row = await tx.row("user_is_known", account, user_id)
    if row is None or not row["known"]:
        raise NotFoundError(f"nothing is held about a user {user_id} of account {account}")


async def _erase_events(tx: Transaction, account: str, user_id: str, hash_of: HashOf) -> int:
    """Forget what was told; shorten the numbers in what is still to be told, and return how much that is."""
    await tx.rows("forget_told_events", account, user_id)
    waiting = await tx.rows("events_of_user", account, user_id)
    short = {row["event_id"]: text for row in waiting if (text := masked_text(row["payload"], hash_of)) is not None}
    await tx.run("mask_events", list(short), list(short.values()))
    return len(waiting)


async def _erase_audit(tx: Transaction, account: str, user_id: str, pseudonym: str, hash_of: HashOf) -> int:
    details: dict[int, str] = {}
    for row in await tx.rows("audit_to_erase", account, user_id):
        facts = msgspec.json.decode(masked_text(row["detail"], hash_of) or row["detail"], type=dict[str, Any])
        if "user_id" in facts:
            facts["user_id"] = pseudonym
        for name in NAMING:
            facts.pop(name, None)
        details[row["id"]] = msgspec.json.encode(facts).decode()
    done = await tx.row("erase_audit", account, user_id, pseudonym, list(details), list(details.values()))
    assert done is not None
    return int(done["changed"])
