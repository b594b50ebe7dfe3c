"""The names of every recording, in the groups that play them. It plays none."""

from enum import StrEnum


class PromptGroup(StrEnum):
    """Who plays a prompt."""

    CALL = "call"  # the validation call
    DIGITS = "digits"  # numbers read out digit by digit
    HOTSWITCH = "hotswitch"  # the dialplan that moves live calls


_PREFIXES = {"digit_": PromptGroup.DIGITS, "hs_": PromptGroup.HOTSWITCH}


class Prompt(StrEnum):
    """A recording that may be played. The value is the file's base name in every language."""

    GREETING = "greeting"  # who calls; the first second of the call, so that call screening hears speech
    REASON = "reason"  # why: somebody asked to link this number to a desk extension
    ASK_CODE = "ask_code"  # enter the access code shown on the screen; star if it was not you
    WRONG_CODE = "wrong_code"  # a whole entry that was not the code
    INCOMPLETE = "incomplete"  # an entry with too few digits
    VERIFIED = "verified"  # thank you, verified, goodbye
    NO_MORE_TRIES = "no_more_tries"  # that was the last try; ask for a new call; goodbye
    NO_INPUT = "no_input"  # nothing was entered; goodbye
    REPORTED = "reported"  # thank you for telling us; no more calls; goodbye
    PROBLEM = "problem"  # a technical problem; the page shows the result; goodbye

    DIGIT_0 = "digit_0"
    DIGIT_1 = "digit_1"
    DIGIT_2 = "digit_2"
    DIGIT_3 = "digit_3"
    DIGIT_4 = "digit_4"
    DIGIT_5 = "digit_5"
    DIGIT_6 = "digit_6"
    DIGIT_7 = "digit_7"
    DIGIT_8 = "digit_8"
    DIGIT_9 = "digit_9"
    DIGIT_PLUS = "digit_plus"  # the + of an international number

    HS_ACCEPT = "hs_accept"  # a call is being moved to this phone; the accept key takes it
    HS_NO_NUMBER = "hs_no_number"  # no verified cell phone number
    HS_SUSPENDED = "hs_suspended"  # the number must be verified again
    HS_FAILED = "hs_failed"  # not moved; still connected
    HS_CALLING = "hs_calling"  # the cell phone is being called
    HS_CALLING_DESK = "hs_calling_desk"  # the desk phone is being called
    HS_IN_PROGRESS = "hs_in_progress"  # the call is being moved already
    HS_PIN = "hs_pin"  # enter the PIN, then pound
    HS_PIN_WRONG = "hs_pin_wrong"
    HS_PIN_LOCKED = "hs_pin_locked"  # too many wrong PINs
    HS_NO_CALL = "hs_no_call"  # nothing to move to this phone
    HS_CHOOSE = "hs_choose"  # several calls; a list follows
    HS_FOR_CALL = "hs_for_call"  # a number follows
    HS_PRESS = "hs_press"  # a digit follows
    HS_UNKNOWN_PARTY = "hs_unknown_party"  # instead of the number
    HS_CALL_BACK = "hs_call_back"  # hang up; this phone is called back
    HS_CONFIRM_PULL = "hs_confirm_pull"  # the call waits for the accept key
    HS_NEW_PIN = "hs_new_pin"  # enter a new PIN
    HS_NEW_PIN_AGAIN = "hs_new_pin_again"
    HS_PIN_SET = "hs_pin_set"
    HS_PIN_MISMATCH = "hs_pin_mismatch"  # the two entries differ
    HS_PIN_WEAK = "hs_pin_weak"
    HS_LIMIT = "hs_limit"  # as many moved calls as are allowed

    @property
    def group(self) -> PromptGroup:
        """Return who plays it."""
        return next((group for prefix, group in _PREFIXES.items() if self.startswith(prefix)), PromptGroup.CALL)
