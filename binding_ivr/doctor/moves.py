"""What doctor looks at of the history of moves: whether the dialplan notes them and somebody reads the list."""

from binding_ivr.asterisk.ami.client import AmiClient
from binding_ivr.config import Config
from binding_ivr.doctor.checks import Check, ok, warn
from binding_ivr.mirror import moves
from binding_ivr.model.moves import MoveList
from binding_ivr.store import Store

CHECK = "moves"
MANY = 100
"""So many entries that nobody read are more than what is just being noted."""


async def examine(config: Config, ami: AmiClient, store: Store | None) -> list[Check]:
    """Check it; nothing where Asterisk has no hot-switch dialplan, or the contexts cannot be looked up."""
    if not (await ami.action("ShowDialPlan", {"Context": "hotswitch-move"})).success:
        return []
    if not (await ami.action("ShowDialPlan", {"Context": "hotswitch-noting"})).success:
        return [
            warn(
                CHECK,
                "Asterisk has an older hotswitch.conf, which does not note moves of calls: copy this version's, "
                "then: asterisk -rx 'dialplan reload'",
            )
        ]
    waiting = await moves.waiting(ami)
    if store is None:
        return [warn(CHECK, f"{waiting} wait in AstDB; the database must work first")]
    own = next((one for one in await store.moves.lists(moves.ALIVE_S) if one.node == config.node), None)
    if waiting and (own is None or not own.alive):
        return [
            warn(CHECK, f"{waiting} wait in AstDB: the service of this node does not read them; run: binding-ivr serve")
        ]
    if waiting > MANY:
        return [warn(CHECK, f"{waiting} wait in AstDB, more than should: see the service's log for `moves.wait`")]
    return [ok(CHECK, f"noted by the dialplan, {waiting} wait{_lost(own)}")]


def _lost(own: MoveList | None) -> str:
    if own is None:
        return ""
    why = {"without a place in AstDB": own.lost_full, "not readable": own.lost_bad, "too many at once": own.lost_flood}
    told = [f"{count} {what}" for what, count in why.items() if count]
    return f"; never kept: {', '.join(told)}" if told else ""
