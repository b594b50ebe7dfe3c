"""The rules of one validation call: timings, counts and switches. They decide nothing by themselves."""

from dataclasses import dataclass

GATE_ROUNDS = 3
"""How often the gate asks for its key."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The timings and counts of DESIGN section 5. Seconds; counts are 1 or more; `length` is 6 to 10 digits."""

    length: int = 6
    tries: int = 3
    ring_s: float = 30.0
    first_digit_s: float = 10.0
    loops: int = 5
    next_digit_s: float = 5.0
    max_s: float = 120.0
    routes: int = 1
    at_desk: bool = False  # the desk phone tells the code, not a screen
    hardened: bool = False  # what is keyed before the code was asked for counts for nothing
