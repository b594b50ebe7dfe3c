"""Pure: do calls at the phone network stay within the configured limits? It counts by their times, not by our rows."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from binding_ivr.config import Limits
from tests.abuse.carrier import Leg

HOUR, DAY = 3600.0, 86_400.0
SLACK_S = 65.0
"""Calls count when they are accepted and may leave a queue's wait later: a window is so much shorter here."""


def most_in(times: Iterable[float], seconds: float) -> int:
    """Return the most of *times* that lie within any *seconds*."""
    sorted_times = sorted(times)
    most = begin = 0
    for end, time in enumerate(sorted_times):
        while time - sorted_times[begin] >= seconds:
            begin += 1
        most = max(most, end - begin + 1)
    return most


def seconds_in(legs: Sequence[Leg], seconds: float) -> int:
    """Return the most billed seconds of calls that came within any *seconds*."""
    ordered = sorted(legs, key=lambda leg: leg.at)
    most = total = begin = 0
    for leg in ordered:
        total += leg.seconds
        while leg.at - ordered[begin].at >= seconds:
            total -= ordered[begin].seconds
            begin += 1
        most = max(most, total)
    return most


def broken(legs: Sequence[Leg], limits: Limits) -> list[str]:
    """Return a sentence for each limit of the system, of a number or of its neighbours that *legs* are above."""
    found = []
    groups: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in ("system", "number", "prefix")}
    for leg in legs:
        groups["system"][""].append(leg.at)
        groups["number"][leg.number].append(leg.at)
        groups["prefix"][leg.number[:-4]].append(leg.at)
    for scope, name, seconds in (
        ("system", "system_hour", HOUR),
        ("system", "system_day", DAY),
        ("number", "number_hour", HOUR),
        ("number", "number_day", DAY),
        ("prefix", "system_prefix_hour", HOUR),
    ):
        allowed = int(getattr(limits, name))
        most = max((most_in(times, seconds - SLACK_S) for times in groups[scope].values()), default=0)
        if most > allowed:
            found.append(f"{name}: {most} calls, {allowed} allowed")
    minutes = seconds_in(legs, DAY - SLACK_S) / 60
    if minutes > limits.system_minutes_day:
        found.append(f"system_minutes_day: {minutes:.0f} minutes, {limits.system_minutes_day} allowed")
    return found


def used(legs: Sequence[Leg], limits: Limits) -> str:
    """Tell how much of the system's budget the busiest hour and day took."""
    times = [leg.at for leg in legs]
    minutes = seconds_in(legs, DAY) / 60
    return (
        f"busiest hour {most_in(times, HOUR)} of {limits.system_hour} calls, busiest day {most_in(times, DAY)} of "
        f"{limits.system_day} calls and {minutes:.1f} of {limits.system_minutes_day} minutes"
    )


def above(times: Iterable[float], name: str, limits: Limits, what: str) -> list[str]:
    """Return a sentence when calls of one *what* at *times* are above its limit *name* (ending `_hour` or `_day`)."""
    allowed = int(getattr(limits, name))
    most = most_in(times, (HOUR if name.endswith("_hour") else DAY) - SLACK_S)
    return [f"{name}: {most} calls of one {what}, {allowed} allowed"] if most > allowed else []
