"""The names of every recording, in the groups that play them. It plays none."""

from enum import StrEnum


class PromptGroup(StrEnum):
    """Who plays a prompt."""

    CALL = "call"  # the validation call
    DIGITS = "digits"  # numbers read out digit by digit, by the other two
    HOTSWITCH = "hotswitch"  # the dialplan that moves live calls
    ENROL = "enrol"  # the desk phone at which a user enters a cell phone number


_PREFIXES = {"digit_": PromptGroup.DIGITS, "hs_": PromptGroup.HOTSWITCH, "enrol_": PromptGroup.ENROL}


class Prompt(StrEnum):
    """A recording that may be played. The value is the file's base name in every language."""

    GREETING = "greeting"  # who calls; the first second of the call, so that call screening hears speech
    REASON = "reason"  # why: somebody asked to link this number to a desk extension
    GATE = "gate"  # star if it was not you, else press; a digit follows
    ASK_CODE = "ask_code"  # enter the access code shown on the screen; star if it was not you
    ASK_CODE_DESK = "ask_code_desk"  # the same, for the code that the desk phone says
    WRONG_CODE = "wrong_code"  # a whole entry that was not the code
    INCOMPLETE = "incomplete"  # an entry with too few digits
    VERIFIED = "verified"  # thank you, verified, goodbye
    NO_MORE_TRIES = "no_more_tries"  # that was the last try; ask for a new call; goodbye
    NO_INPUT = "no_input"  # nothing was entered; goodbye
    REPORTED = "reported"  # thank you for telling us; no more calls; goodbye
    PROBLEM = "problem"  # a technical problem; the result may be another; goodbye

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

    ENROL_ENTER = "enrol_enter"  # enter the cell phone number, then pound
    ENROL_ENTERED = "enrol_entered"  # the entry follows
    ENROL_CONFIRM = "enrol_confirm"  # 1: right, 2: enter it again
    ENROL_CURRENT = "enrol_current"  # the last digits of the verified number follow
    ENROL_UNVERIFIED = "enrol_unverified"  # the last digits of a number that is not verified follow
    ENROL_MENU = "enrol_menu"  # 1: verify it again, 2: a new number
    ENROL_CODE = "enrol_code"  # the access code follows
    ENROL_THEN = "enrol_then"  # the cell phone is called; enter this code there; stay for the result
    ENROL_ANSWER_FIRST = "enrol_answer_first"  # the cell phone is called; answer it, then the code is told
    ENROL_REPEAT = "enrol_repeat"  # any key: the code again
    ENROL_WAIT = "enrol_wait"  # all lines are busy
    ENROL_CALLING = "enrol_calling"
    ENROL_RINGING = "enrol_ringing"
    ENROL_ANSWERED = "enrol_answered"  # enter this code there
    ENROL_VERIFIED = "enrol_verified"
    ENROL_WRONG_CODE = "enrol_wrong_code"
    ENROL_NO_CODE = "enrol_no_code"  # answered, but no whole code was entered
    ENROL_NOT_REACHED = "enrol_not_reached"  # busy, no answer, declined, not in service
    ENROL_REPORTED = "enrol_reported"  # the callee did not want it
    ENROL_FAILED = "enrol_failed"  # the call could not be completed; nobody's fault there
    ENROL_NOT_A_NUMBER = "enrol_not_a_number"
    ENROL_NOT_ALLOWED = "enrol_not_allowed"  # a kind or country that is not allowed
    ENROL_OWN_NUMBER = "enrol_own_number"  # a number of the telephone system itself
    ENROL_TRY_LATER = "enrol_try_later"  # this number is not called now
    ENROL_LIMIT = "enrol_limit"  # as many calls as allowed
    ENROL_IN_PROGRESS = "enrol_in_progress"  # a call asked for before is not over
    ENROL_SUSPENDED = "enrol_suspended"  # by the administrator
    ENROL_NO_USER = "enrol_no_user"  # no user has this extension
    ENROL_PROBLEM = "enrol_problem"  # a technical problem
    ENROL_NO_ENTRY = "enrol_no_entry"  # nothing was pressed
    ENROL_GOODBYE = "enrol_goodbye"

    @property
    def group(self) -> PromptGroup:
        """Return who plays it."""
        return next((group for prefix, group in _PREFIXES.items() if self.startswith(prefix)), PromptGroup.CALL)
