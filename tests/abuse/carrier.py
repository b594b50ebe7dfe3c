"""What the phone network counts: the calls that reached it, how long they stood, and which of them cost extra.

It asks the phone network alone. Which number is costly is written down here once more on purpose, so that a hole in
the service's own policy is not repeated by its judge.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

import phonenumbers
from phonenumbers import PhoneNumberType

from binding_ivr.lab import Lab, LabError
from binding_ivr.lab.asterisk.records import cdr

SETTLED_S = 200.0
"""How long the longest call may take to end: the service's own limit and what hangs on it."""
COSTLY_KINDS = (PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST)
COSTLY = re.compile(r"\+(870|881|882|883|878|979|808|1900|1[2-9][0-9]{2}976)")
"""Satellites, international networks and premium services by calling code; of +1 also 900 and the 976 exchanges."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A call that reached the phone network: when it came (POSIX, the simulated clock) and its billed seconds."""

    number: str = field(repr=False)
    at: float
    seconds: int
    answered: bool


def is_costly(number: str) -> bool:
    """Tell whether a call to *number* (E.164) costs more than one to an ordinary phone of its country."""
    if COSTLY.match(number):
        return True
    return phonenumbers.number_type(phonenumbers.parse(number)) in COSTLY_KINDS


def records(lab: Lab, caller_id: str) -> list[tuple[str, Leg]]:
    """Return the id and the call of each record that shows *caller_id*, the oldest first, by the real clock."""
    found = []
    for row in cdr(lab.carrier.folder / "log"):
        if row["src"] == caller_id:
            at = datetime.strptime(row["start"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
            answered = row["disposition"] == "ANSWERED"
            found.append((row["uniqueid"], Leg(f"+{row['userfield']}", at, int(row["billsec"]), answered)))
    return found


async def settled(lab: Lab, numbers: Collection[str]) -> None:
    """Wait until every call that reached one of *numbers* has ended and its record is written.

    The dialplan counts a call when it comes, the record comes when it ends; LabError when they do not meet.
    """
    try:
        async with asyncio.timeout(SETTLED_S):
            while True:
                came = await received(lab)
                ended = Counter(f"+{row['userfield']}" for row in cdr(lab.carrier.folder / "log"))
                if all(ended[number] >= came[number] for number in numbers):
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise LabError("calls are still up at the phone network; see `core show channels` there") from None


async def received(lab: Lab) -> Counter[str]:
    """Return how many calls have reached each number (E.164), those under way included."""
    listed = await lab.carrier.rx("database show lab/calls")
    return Counter({f"+{digits}": int(n) for digits, n in re.findall(r"/lab/calls/([0-9]+)\s*: ([0-9]+)", listed)})
