"""One verdict per call: outcome and fault, and the one table from hangup cause and SIP cause to them."""

from dataclasses import dataclass, field
from enum import StrEnum


class AttemptState(StrEnum):
    """Where an attempt is. Only `ended` has an outcome."""

    QUEUED = "queued"
    DIALING = "dialing"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


class Outcome(StrEnum):
    """How an attempt ended; the same word in the row, the log line, the metric label, the API and the page."""

    VERIFIED = "verified"
    WRONG_CODE = "wrong_code"
    NO_INPUT = "no_input"
    HUNG_UP = "hung_up"
    REPORTED = "reported"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    CONGESTION = "congestion"
    CANCELED = "canceled"
    EXPIRED = "expired"
    FAILED = "failed"


class Fault(StrEnum):
    """Who must act for the next call to go better. The unknown counts as ours."""

    CALLEE = "callee"
    NETWORK = "network"
    POLICY = "policy"
    US = "us"


FAULTS: dict[Outcome, Fault] = {
    Outcome.VERIFIED: Fault.CALLEE,  # nobody failed; the callee brought the call to its end
    Outcome.WRONG_CODE: Fault.CALLEE,
    Outcome.NO_INPUT: Fault.CALLEE,
    Outcome.HUNG_UP: Fault.CALLEE,
    Outcome.REPORTED: Fault.CALLEE,
    Outcome.BUSY: Fault.CALLEE,
    Outcome.NO_ANSWER: Fault.CALLEE,
    Outcome.DECLINED: Fault.CALLEE,
    Outcome.UNREACHABLE: Fault.NETWORK,
    Outcome.CONGESTION: Fault.NETWORK,
    Outcome.CANCELED: Fault.CALLEE,
    Outcome.EXPIRED: Fault.POLICY,
    Outcome.FAILED: Fault.US,
}
"""The fault that belongs to each outcome when nothing says otherwise."""

_BY_SIP = {
    603: Outcome.DECLINED,  # Decline
    607: Outcome.DECLINED,  # Unwanted (RFC 8197); arrives as cause 127
    608: Outcome.DECLINED,  # Rejected (RFC 8688); arrives as cause 127
}

_BY_CAUSE = {
    1: Outcome.UNREACHABLE,  # unallocated number
    3: Outcome.UNREACHABLE,  # no route to destination
    22: Outcome.UNREACHABLE,  # number changed
    28: Outcome.UNREACHABLE,  # invalid number format
    17: Outcome.BUSY,
    18: Outcome.NO_ANSWER,  # no user responding
    19: Outcome.NO_ANSWER,  # no answer; the ring timeout too
    21: Outcome.DECLINED,  # call rejected
    27: Outcome.CONGESTION,  # destination out of order
    34: Outcome.CONGESTION,  # no circuit available
    38: Outcome.CONGESTION,  # network out of order
    41: Outcome.CONGESTION,  # temporary failure
    42: Outcome.CONGESTION,  # switching equipment congestion
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one call ended.

    `tries` counts the entries that were compared or given up as incomplete, 0 to the configured number.
    `cause` is the ITU-T Q.850 hangup cause, `tech_cause` the SIP status, None when there was none.
    `detail` is a short English sentence for the operator; never a number, never a digit of the code.
    `rang` and `answered`: how far the call came.
    """

    outcome: Outcome
    fault: Fault
    tries: int = 0
    cause: int | None = None
    tech_cause: int | None = None
    detail: str = ""
    rang: bool = field(default=False, compare=False)
    answered: bool = field(default=False, compare=False)


def of_unanswered(cause: int | None, tech_cause: int | None) -> tuple[Outcome, Fault]:
    """Return outcome and fault of a call that ended before it was answered.

    *cause* is the Q.850 cause of ARI's ChannelDestroyed, *tech_cause* its SIP status (Asterisk 22.7 and newer).
    What neither table knows counts as ours: `failed`/`us`.
    """
    outcome = _BY_SIP.get(tech_cause or 0) or _BY_CAUSE.get(cause or 0) or Outcome.FAILED
    return outcome, FAULTS[outcome]
