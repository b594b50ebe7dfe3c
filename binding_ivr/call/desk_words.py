"""Which recording the desk phone hears for an outcome, a refusal and a step of the call. It decides nothing."""

from binding_ivr.call.prompts import Prompt
from binding_ivr.model.outcome import AttemptState, Outcome

RESULT_PROMPT = {
    Outcome.VERIFIED: Prompt.ENROL_VERIFIED,
    Outcome.WRONG_CODE: Prompt.ENROL_WRONG_CODE,
    Outcome.NO_INPUT: Prompt.ENROL_NO_CODE,
    Outcome.HUNG_UP: Prompt.ENROL_NO_CODE,
    Outcome.REPORTED: Prompt.ENROL_REPORTED,
    Outcome.BUSY: Prompt.ENROL_NOT_REACHED,
    Outcome.NO_ANSWER: Prompt.ENROL_NOT_REACHED,
    Outcome.DECLINED: Prompt.ENROL_NOT_REACHED,
    Outcome.UNREACHABLE: Prompt.ENROL_NOT_REACHED,
    Outcome.CONGESTION: Prompt.ENROL_FAILED,
    Outcome.CANCELED: Prompt.ENROL_FAILED,
    Outcome.EXPIRED: Prompt.ENROL_FAILED,
    Outcome.FAILED: Prompt.ENROL_FAILED,
}

WRONG_NUMBER = {
    "not_a_number": Prompt.ENROL_NOT_A_NUMBER,
    "has_extension": Prompt.ENROL_NOT_A_NUMBER,
    "ambiguous_number": Prompt.ENROL_NOT_A_NUMBER,
    "not_valid": Prompt.ENROL_NOT_A_NUMBER,
    "own_number": Prompt.ENROL_OWN_NUMBER,
    "emergency_number": Prompt.ENROL_NOT_ALLOWED,
    "short_number": Prompt.ENROL_NOT_ALLOWED,
    "premium_number": Prompt.ENROL_NOT_ALLOWED,
    "satellite_number": Prompt.ENROL_NOT_ALLOWED,
    "service_number": Prompt.ENROL_NOT_ALLOWED,
    "prefix_denied": Prompt.ENROL_NOT_ALLOWED,
    "type_not_allowed": Prompt.ENROL_NOT_ALLOWED,
    "region_not_allowed": Prompt.ENROL_NOT_ALLOWED,
    "no_route": Prompt.ENROL_NOT_ALLOWED,
}
"""Refusals after which another number may be keyed in."""

REFUSED = {
    "limit_reached": Prompt.ENROL_LIMIT,
    "call_in_progress": Prompt.ENROL_IN_PROGRESS,
    "suspended": Prompt.ENROL_SUSPENDED,
}
"""Refusals that end the dialogue with words of their own. Any other says "try again later"."""

LATER = frozenset({"try_later", "queue_full", "no_number"})
"""Those others that are known: what must not tell about other users, a full queue, and a number removed meanwhile."""

STATE_PROMPT = {
    AttemptState.QUEUED: Prompt.ENROL_WAIT,
    AttemptState.DIALING: Prompt.ENROL_CALLING,
    AttemptState.RINGING: Prompt.ENROL_RINGING,
    AttemptState.ANSWERED: Prompt.ENROL_ANSWERED,
}


def spoken(digits: str) -> tuple[Prompt, ...]:
    """Return the prompts that read *digits* out."""
    return tuple(Prompt(f"digit_{digit}") for digit in digits)
