"""What the use cases and the calls need from the world, named by need. Only shapes; no behaviour lives here."""

from binding_ivr.ports.ledger import AttemptLedger, Changes, ClaimedAttempt, NewAttempt
from binding_ivr.ports.lookups import Lookups
from binding_ivr.ports.telephony import (
    CallOrder,
    ChannelFacts,
    Channels,
    Conversation,
    Conversations,
    Desk,
    DeskCaller,
    DeskConversation,
    DeskDialogue,
    EventSink,
    PlaceError,
    Telephony,
)

__all__ = [
    "AttemptLedger",
    "CallOrder",
    "Changes",
    "ChannelFacts",
    "Channels",
    "ClaimedAttempt",
    "Conversation",
    "Conversations",
    "Desk",
    "DeskCaller",
    "DeskConversation",
    "DeskDialogue",
    "EventSink",
    "Lookups",
    "NewAttempt",
    "PlaceError",
    "Telephony",
]
