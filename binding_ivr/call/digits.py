"""One entry of the access code, digit by digit: complete, incomplete or still open. It compares nothing."""

from dataclasses import dataclass
from enum import Enum, auto

CODE_DIGITS = "0123456789"
END_KEY = "#"
REPORT_KEY = "*"


class EntryState(Enum):
    """What one more key made of the entry."""

    OPEN = auto()  # more digits may come
    COMPLETE = auto()  # all digits are there
    INCOMPLETE = auto()  # `#` ended it too early
    REPORTED = auto()  # `*`: "I did not ask for this"


@dataclass(slots=True)
class Entry:
    """Collects exactly *length* digits (6 to 10); never a window that slides over a longer stream."""

    length: int
    digits: str = ""

    def press(self, key: str) -> EntryState:
        """Take one DTMF key. `#` before the first digit and the keys A to D are ignored."""
        if key == REPORT_KEY:
            return EntryState.REPORTED
        if key == END_KEY:
            return EntryState.INCOMPLETE if self.digits else EntryState.OPEN
        if key in CODE_DIGITS:
            self.digits += key
        return EntryState.COMPLETE if len(self.digits) >= self.length else EntryState.OPEN

    def clear(self) -> None:
        """Begin the next entry."""
        self.digits = ""
