"""Calling hours: the zones a number may be in, whether it is an hour for calls there, and when the next one begins."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers.timezone import time_zones_for_number

from binding_ivr.config import Config
from binding_ivr.errors import ConfigError
from binding_ivr.policy.hours import CallingHours, calling_hours
from binding_ivr.policy.routes import stored
from binding_ivr.policy.zones import zones_of
from tests.unit.test_number_decisions import decisions

NEW_YORK, LONDON, ADELAIDE = "America/New_York", "Europe/London", "Australia/Adelaide"
DAY = calling_hours("08:00-21:00", [])


def at(zone: str, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def open_at(hours: CallingHours, zone: str, text: str, region: str = "US") -> bool:
    return hours.is_open([zone], region, at(zone, text))


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        ("08:00-21:00", ["08:00", "12:00", "20:59:59"], ["07:59:59", "21:00", "00:00", "03:00"]),
        ("22:00-06:00", ["22:00", "23:59", "00:00", "05:59"], ["06:00", "21:59", "12:00"]),
        ("09:30-24:00", ["09:30", "23:59:59"], ["00:00", "09:29"]),
        ("00:00-24:00", ["00:00", "23:59:59", "12:00"], []),
    ],
)
def test_hours_of_a_day(hours: str, inside: list[str], outside: list[str]) -> None:
    read = calling_hours(hours, [])
    assert all(open_at(read, NEW_YORK, f"2026-11-23T{time}") for time in inside)
    assert not any(open_at(read, NEW_YORK, f"2026-11-23T{time}") for time in outside)
    assert read.is_always == (hours == "00:00-24:00")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("hours", "8-21", 'call.hours: \'8-21\' are not hours such as "08:00-21:00"; "00:00-24:00" is always'),
        ("hours", "08:00-24:01", "are not hours"),
        ("hours", "24:00-08:00", "are not hours"),
        ("hours", "08:00-08:00", "end when they begin"),
        ("quiet", ["sunday"], "call.quiet: 'sunday' is not a quiet day"),
        ("quiet", ["02-30"], "is not a quiet day"),
        ("quiet", ["2026-02-29"], "is not a quiet day"),
        ("quiet", ["us:12-25"], "is not a quiet day"),
        ("quiet", ["12/25"], "is not a quiet day"),
    ],
)
def test_what_cannot_be_is_told(key: str, value: object, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Config().for_account({"call": {key: value}})
    assert told in str(refused.value)


def test_the_next_hour() -> None:
    night = at(NEW_YORK, "2026-11-23T03:12:30")
    assert DAY.next_open([NEW_YORK], "US", night) == at(NEW_YORK, "2026-11-23T08:00")
    evening = at(NEW_YORK, "2026-11-23T21:00")
    assert DAY.next_open([NEW_YORK], "US", evening) == at(NEW_YORK, "2026-11-24T08:00")
    noon = at(NEW_YORK, "2026-11-23T12:00")
    assert DAY.next_open([NEW_YORK], "US", noon) == noon


def test_a_number_of_several_zones_is_called_when_it_is_day_in_all_of_them() -> None:
    zones = [NEW_YORK, "America/Los_Angeles"]
    assert not DAY.is_open(zones, "US", at(NEW_YORK, "2026-11-23T10:00"))
    assert DAY.is_open(zones, "US", at(NEW_YORK, "2026-11-23T11:00"))
    assert not DAY.is_open(zones, "US", at(NEW_YORK, "2026-11-23T21:00"))
    assert DAY.next_open(zones, "US", at(NEW_YORK, "2026-11-23T21:00")) == at(NEW_YORK, "2026-11-24T11:00")
    opposite = ["Pacific/Auckland", "Europe/Madrid"]  # 12 hours apart: 13 hours of day never meet for long
    short = calling_hours("09:00-17:00", [])
    assert short.next_open(opposite, "NZ", at(LONDON, "2026-11-23T12:00")) is None


def test_quiet_days() -> None:
    quiet = calling_hours("08:00-21:00", ["sun", "12-25", "2026-12-24", "GB:12-26", "US:holidays"])
    assert not open_at(quiet, NEW_YORK, "2026-11-22T12:00")  # a Sunday
    assert open_at(quiet, NEW_YORK, "2026-11-23T12:00")
    assert not open_at(quiet, NEW_YORK, "2026-11-26T12:00")  # Thanksgiving
    assert open_at(quiet, LONDON, "2026-11-26T12:00", "GB")
    assert not open_at(quiet, LONDON, "2026-12-26T12:00", "GB")
    assert open_at(quiet, NEW_YORK, "2026-12-26T12:00")
    assert not open_at(quiet, NEW_YORK, "2027-12-25T12:00")
    assert open_at(quiet, NEW_YORK, "2027-12-23T12:00")
    # Thursday to Sunday, over which all of it lies
    eve = at(LONDON, "2026-12-24T09:00")
    assert quiet.next_open([LONDON], "GB", eve) == at(LONDON, "2026-12-28T08:00")
    assert not quiet.is_always
    assert not calling_hours("00:00-24:00", ["sun"]).is_always
    everything = calling_hours("08:00-21:00", ["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
    assert everything.next_open([LONDON], "GB", eve) is None


def test_a_quiet_day_that_ends_at_midnight_lifts_then() -> None:
    nights = calling_hours("00:00-24:00", ["sun"])
    assert nights.next_open([LONDON], "GB", at(LONDON, "2026-11-22T12:00")) == at(LONDON, "2026-11-23T00:00")


def test_the_next_hour_is_looked_for_in_31_days() -> None:
    now = at(LONDON, "2026-06-01T22:00")
    days = [(now + timedelta(days=day)).date().isoformat() for day in range(32)]
    but_one = calling_hours("08:00-21:00", days[:-1])
    assert but_one.next_open([LONDON], "GB", now) == at(LONDON, f"{days[-1]}T08:00")
    assert calling_hours("08:00-21:00", days).next_open([LONDON], "GB", now) is None


def test_moments_are_told_in_utc() -> None:
    for time in ("12:00", "22:00"):
        found = DAY.next_open([ADELAIDE], "AU", at(ADELAIDE, f"2026-06-01T{time}"))
        assert found is not None
        assert found.tzinfo is UTC


def test_hours_without_quiet_days() -> None:
    always = CallingHours(0, 24 * 60)
    assert always.is_always
    assert always.is_open([NEW_YORK], "US", at(NEW_YORK, "2026-11-22T03:00"))
    assert not CallingHours(0, 60).is_always
    assert not CallingHours(1, 24 * 60).is_always


def test_a_region_whose_holidays_are_not_known_has_none() -> None:
    hours = calling_hours("08:00-21:00", ["holidays"])
    assert open_at(hours, LONDON, "2026-12-25T12:00", "XX")
    assert not open_at(hours, LONDON, "2026-12-25T12:00", "GB")


def test_clocks_that_are_put_forward() -> None:
    """New York, 8 March 2026: 02:00 becomes 03:00."""
    gap = calling_hours("02:30-21:00", [])
    assert not open_at(gap, NEW_YORK, "2026-03-08T01:59")
    opens = gap.next_open([NEW_YORK], "US", at(NEW_YORK, "2026-03-08T01:00"))
    assert opens == datetime(2026, 3, 8, 7, 0, tzinfo=UTC)  # the moment of the change: 03:00 there
    morning = DAY.next_open([NEW_YORK], "US", at(NEW_YORK, "2026-03-07T22:00"))
    assert morning == datetime(2026, 3, 8, 12, 0, tzinfo=UTC)  # 08:00 of summer time


def test_clocks_that_are_put_back() -> None:
    """New York, 1 November 2026: 02:00 becomes 01:00; half past one comes twice."""
    twice = calling_hours("01:30-21:00", [])
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert twice.next_open([NEW_YORK], "US", datetime(2026, 11, 1, 5, 0, tzinfo=UTC)) == first
    assert twice.is_open([NEW_YORK], "US", first + timedelta(minutes=29))
    assert not twice.is_open([NEW_YORK], "US", first + timedelta(minutes=30))  # the clock shows one again
    assert twice.is_open([NEW_YORK], "US", first + timedelta(minutes=60))


def test_half_an_hour_and_a_date_line() -> None:
    assert open_at(DAY, ADELAIDE, "2026-04-05T08:00", "AU")  # summer time ended in this night, by an hour
    lord_howe = "Australia/Lord_Howe"  # puts its clocks forward by half an hour
    assert calling_hours("02:15-21:00", []).next_open([lord_howe], "AU", at(lord_howe, "2026-10-04T00:00")) == datetime(
        2026, 10, 3, 15, 30, tzinfo=UTC
    )
    kiritimati = "Pacific/Kiritimati"
    assert open_at(DAY, kiritimati, "2026-11-24T08:00", "KI")


ZONES = st.lists(
    st.sampled_from([NEW_YORK, LONDON, ADELAIDE, "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca"]),
    min_size=1,
    max_size=3,
)
HOURS = st.sampled_from(["08:00-21:00", "22:00-06:00", "02:30-03:15", "00:00-24:00", "01:30-23:00", "00:00-00:30"])
QUIET = st.lists(st.sampled_from(["sun", "mon", "2026-03-29", "10-25", "holidays"]), max_size=3)


@settings(max_examples=150)
@given(HOURS, QUIET, ZONES, st.integers(0, 365 * 24 * 60))
def test_the_next_hour_is_one_and_there_is_none_before(
    hours: str, quiet: list[str], zones: list[str], minute: int
) -> None:
    read = calling_hours(hours, quiet)
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    opens = read.next_open(zones, "GB", now)
    if opens is None:
        assert not read.is_open(zones, "GB", now)
        return
    assert opens >= now
    assert read.is_open(zones, "GB", opens)
    before = [now + timedelta(minutes=10 * step) for step in range(int((opens - now).total_seconds() // 600))]
    assert not any(read.is_open(zones, "GB", moment) for moment in before)


# --- zones of numbers


@pytest.mark.parametrize(
    ("number", "region", "zones"),
    [
        ("+12025550123", "US", (NEW_YORK,)),
        ("+13105550123", "US", ("America/Los_Angeles",)),
        ("+15005550123", "US", (NEW_YORK, "America/Los_Angeles")),
        ("+18005550123", "US", (NEW_YORK, "America/Los_Angeles")),
        ("+18762101234", "JM", ("America/Jamaica",)),
        ("+79123456789", "RU", ("Europe/Moscow", "Asia/Novosibirsk")),
        ("+77011234567", "KZ", ("Asia/Almaty",)),
        ("+61412345678", "AU", ("Australia/Sydney", "Australia/Perth")),
        ("+4915123456789", "DE", ("Europe/Berlin",)),
        ("+34612345678", "ES", ("Atlantic/Canary", "Europe/Madrid")),
        ("+881612345678", "", ("Etc/UTC",)),
    ],
)
def test_zones_of_a_number(number: str, region: str, zones: tuple[str, ...]) -> None:
    assert zones_of(number, region) == zones


@pytest.mark.parametrize("region", ["CA", "US", "PR", "JM", "BS", "GU", "VI", "TT", "AS", "MP", "SX"])
def test_a_number_of_1_without_an_area_is_where_most_people_of_its_country_live(region: str) -> None:
    """Read as a toll-free number, which has all the zones of +1; each is a real one, and close to the region's own."""
    zones = zones_of("+18005550123", region)
    assert len(zones) == (2 if region in ("CA", "US") else 1)
    own = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.FIXED_LINE)
    assert own is not None
    summer = datetime(2026, 7, 1, tzinfo=UTC)
    there = {summer.astimezone(ZoneInfo(zone)).utcoffset() for zone in time_zones_for_number(own)}
    offsets = [summer.astimezone(ZoneInfo(zone)).utcoffset() for zone in zones]
    assert len(set(offsets)) == len(zones)
    assert there & set(offsets) or region in ("CA", "US")


def test_every_region_that_shares_its_zones_with_others_has_few_and_real_ones() -> None:
    for code, number, several in (
        (1, "+18005550123", {"CA", "US"}),
        (61, "+61412345678", {"AU"}),
        (7, "+79123456789", {"RU"}),
    ):
        for region in phonenumbers.region_codes_for_country_code(code):
            zones = zones_of(number, region)
            assert len(zones) == (2 if region in several else 1), region
            assert all(ZoneInfo(zone).key == zone for zone in zones)


def test_canada_is_called_when_it_is_day_from_toronto_to_vancouver() -> None:
    assert zones_of("+18005550123", "CA") == ("America/Toronto", "America/Vancouver")


def test_every_number_of_the_world_can_be_called_at_some_hour_of_every_day() -> None:
    numbers = {row.expected for row in decisions() if row.expected.startswith("+")}
    assert len(numbers) > 200
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    for number in numbers:
        region = stored(number).region
        zones = zones_of(number, region)
        assert zones != ("Etc/UTC",)
        opens = DAY.next_open(zones, region, noon)
        assert opens is not None
        assert opens - noon < timedelta(days=1)
        offsets = [noon.astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0) for zone in zones]
        assert max(offsets) - min(offsets) <= timedelta(hours=4)
    assert date(2026, 6, 1) == noon.date()
