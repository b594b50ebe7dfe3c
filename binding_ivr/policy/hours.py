"""When numbers may be called: hours of their own day, and days off. Time comes in as an argument."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from binding_ivr.model.daytimes import DAY_MINUTES, HOLIDAYS, WEEKDAYS, read_hours, read_quiet

HORIZON_DAYS = 31
"""So far ahead the next hour is looked for."""
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Days on which nobody is called, in one ISO *region* or (empty) everywhere.

    *what* is a weekday (`sun`), a day of every year (`12-25`), a date (`2026-12-24`) or `holidays`.
    """

    region: str
    what: str

    def covers(self, day: date, region: str) -> bool:
        """True when nobody in *region* is called on *day*, a date there."""
        if self.region and self.region != region:
            return False
        if self.what == HOLIDAYS:
            return day in _holidays(region, day.year)
        return self.what in (WEEKDAYS[day.weekday()], day.strftime("%m-%d"), day.isoformat())


@dataclass(frozen=True, slots=True)
class CallingHours:
    """From minute *start* to before minute *end* of the day; over midnight when *end* is not later than *start*."""

    start: int
    end: int
    quiet: tuple[Quiet, ...] = ()

    @property
    def is_always(self) -> bool:
        """True when there is nothing to look at."""
        return (self.start, self.end) == (0, DAY_MINUTES) and not self.quiet

    def is_open(self, zones: Sequence[str], region: str, now: datetime) -> bool:
        """True when it is an hour for calls in every one of *zones* at *now* (aware), on no quiet day of *region*."""
        return all(self._is_open_at(now.astimezone(ZoneInfo(zone)), region) for zone in zones)

    def next_open(self, zones: Sequence[str], region: str, now: datetime) -> datetime | None:
        """Return the next moment (UTC) at which `is_open`, *now* included; None when there is none within 31 days."""
        if self.is_open(zones, region, now):
            return now.astimezone(UTC)
        begins = sorted({moment for zone in zones for moment in self._begins(ZoneInfo(zone), now) if moment > now})
        return next((moment for moment in begins if self.is_open(zones, region, moment)), None)

    def _is_open_at(self, local: datetime, region: str) -> bool:
        minute = local.hour * 60 + local.minute
        begun, ended = minute >= self.start, minute >= self.end
        inside = begun and not ended if self.start < self.end else begun or not ended
        return inside and not any(quiet.covers(local.date(), region) for quiet in self.quiet)

    def _begins(self, zone: ZoneInfo, now: datetime) -> Iterator[datetime]:
        """The moments at which hours or days begin in *zone*: `is_open` can turn true at no other."""
        today = now.astimezone(zone).date()
        for day in range(HORIZON_DAYS + 1):
            for minute in (0, self.start):
                yield _moment(zone, today + timedelta(days=day), minute)


def calling_hours(hours: str, quiet: Sequence[str]) -> CallingHours:
    """Return what `[call] hours` and `quiet` say. Raises ValueError."""
    start, end = read_hours(hours)
    return CallingHours(start, end, tuple(Quiet(*read_quiet(entry)) for entry in quiet))


def _moment(zone: ZoneInfo, day: date, minute: int) -> datetime:
    """Return the first moment (UTC) of *day* in *zone* at which its clocks show *minute* or later.

    Where clocks are put forward over it, that is the moment when they are put forward.
    """
    wall = datetime(day.year, day.month, day.day, minute // 60, minute % 60)
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    # There is no such time: read by the clock before the change it lies after the gap. Clocks change on whole minutes.
    after = moment.astimezone(zone).utcoffset()
    while (moment - _MINUTE).astimezone(zone).utcoffset() == after:
        moment -= _MINUTE
    return moment


@lru_cache(maxsize=256)
def _holidays(region: str, year: int) -> frozenset[date]:
    """The public holidays of a whole region; none where they are not known."""
    import holidays  # a large package that most installations never use

    try:
        return frozenset(holidays.country_holidays(region, years=year))
    except NotImplementedError:
        return frozenset()
