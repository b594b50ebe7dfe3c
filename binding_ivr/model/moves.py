"""A move of a call by Call Hot-switch, as the dialplan notes it and the history keeps it. Only shapes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class MoveKind(StrEnum):
    """Which way a call was to go, and who asked."""

    TO_CELL = "to_cell"
    """By the code, from the desk phone to the cell phone."""
    TO_DESK = "to_desk"
    """By the code, from the cell phone to the desk phone."""
    PULL = "pull"
    """A call to the access number takes the call over to the cell phone."""
    DESK_PULL = "desk_pull"
    """The desk phone dials a code and takes the call back from the cell phone."""


class MoveOutcome(StrEnum):
    """How it ended; the same word in the dialplan's note, the row, the metric label, the API and the page."""

    MOVED = "moved"
    """The other party talks with the new phone."""
    NOT_TAKEN = "not_taken"
    """The new phone rang, or was answered, but nobody took the call."""
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    """The phone network or the trunk did not put the call through."""
    GONE = "gone"
    """The call was over, or had gone elsewhere, before the new phone took it."""
    NO_NUMBER = "no_number"
    SUSPENDED = "suspended"
    LIMIT = "limit"
    """Too many calls are moved already."""
    FAILED = "failed"
    """The number could not be looked up or may not be called, or the desk phone is not registered."""
    NO_CALL = "no_call"
    """There was no call to pull."""
    NOT_PROVEN = "not_proven"
    """The caller did not show what HOTSWITCH_PROOF asks for."""
    WRONG_PIN = "wrong_pin"
    LOCKED = "locked"
    """After too many wrong PINs nobody is asked for one."""
    TOO_SOON = "too_soon"
    """Nobody was called back, because somebody was a short time ago."""
    HUNG_UP = "hung_up"
    """The caller hung up before a PIN was keyed."""


class MoveProof(StrEnum):
    """What a pull was proven by, or was asked for last: words of HOTSWITCH_PROOF; empty for all else."""

    EMPTY = ""
    STIR = "stir"
    VERSTAT = "verstat"
    PIN = "pin"
    CALLBACK = "callback"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Move:
    """One move or pull, over.

    `call_id` is the other party's linkedid, `leg_id` the new leg's uniqueid; either may be empty.
    """

    move_id: str
    kind: MoveKind
    outcome: MoveOutcome
    proof: MoveProof
    account: str
    extension: str
    started_at: datetime
    ended_at: datetime
    call_id: str
    leg_id: str


@dataclass(frozen=True, slots=True)
class MoveRow:
    """One row of the history. `user_id` is empty when nobody had the extension; `node` is the service that read it."""

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


@dataclass(frozen=True, slots=True)
class MoveList:
    """How a node's list of moves stands, as the node told last.

    `waiting` entries were not stored yet; the others never were: they found no place in the list, could not be read, or
    were more of one extension in an hour than are kept.
    """

    node: str
    alive: bool
    read_at: datetime
    waiting: int
    lost_full: int
    lost_bad: int
    lost_flood: int
