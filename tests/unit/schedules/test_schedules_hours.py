"""Opening hours: rules by precedence, nights, and days on which clocks are changed, in zones of every kind."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sivo.base.errors import SivoError
from sivo.schedules.hours import DAYS, Hours, Schedule, minutes_of, next_change, verdict
from sivo.schedules.moments import moment
from sivo.schedules.resources import ScheduleBody, schedule_of

OFFICE = {day: {"open": "09:00", "close": "18:00"} for day in DAYS[:5]}
#: Zones with the days on which their clocks change: by an hour, by half an hour, at midnight, southern, and never.
CHANGES = {
    "Europe/Madrid": (date(2026, 3, 29), date(2026, 10, 25)),
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
    "America/Havana": (date(2026, 3, 8), date(2026, 11, 1)),
    "Africa/Cairo": (date(2026, 4, 24), date(2026, 10, 30)),
    "America/Santiago": (date(2026, 4, 5), date(2026, 9, 6)),
    "Asia/Kolkata": (date(2026, 3, 29),),
}


def schedule(zone: str = "Europe/Madrid", hours: Any = None, **body: Any) -> Schedule:
    made = ScheduleBody.model_validate({"name": "Office", "timezone": zone, "hours": hours or {}, **body})
    return schedule_of(uuid4(), uuid4(), made.model_dump(mode="json"), "Asia/Tokyo")


def at(text: str, zone: str = "Europe/Madrid") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("when", "open_", "rule"),
    [
        ("2026-06-01T08:59:59", False, "weekly"),
        ("2026-06-01T09:00", True, "weekly"),
        ("2026-06-01T17:59:59", True, "weekly"),
        ("2026-06-01T18:00", False, "weekly"),
        ("2026-06-06T12:00", False, "weekly"),  # a Saturday
        ("2026-12-25T12:00", False, "holiday"),  # a Friday
        ("2026-12-24T12:00", True, "exception"),
        ("2026-12-24T14:00", False, "exception"),
        ("2026-12-06T11:00", True, "exception"),  # a Sunday and a holiday, opened all the same
        ("2026-12-07T12:00", False, "exception"),  # a Monday, closed by an exception
    ],
)
def test_exceptions_beat_holidays_beat_weekly_hours(when: str, open_: bool, rule: str) -> None:
    made = schedule(
        hours=OFFICE,
        holidays=["2026-12-25", "2026-12-06"],
        exceptions=[
            {"date": "2026-12-24", "hours": {"open": "09:00", "close": "14:00"}},
            {"date": "2026-12-06", "hours": {"open": "10:00", "close": "12:00"}, "note": "fair"},
            {"date": "2026-12-07"},
        ],
    )
    found = verdict(made, at(when))
    assert (found.open, found.rule) == (open_, rule)
    assert found.reason.startswith("Office: ")


def test_a_night_belongs_to_the_day_it_begins_on_and_ends_where_another_rule_begins() -> None:
    made = schedule(
        hours={"fri": {"open": "22:00", "close": "06:00"}},
        holidays=["2026-06-13"],
        exceptions=[{"date": "2026-06-20", "hours": {"open": "12:00", "close": "13:00"}}],
    )
    assert verdict(made, at("2026-06-06T05:59")).open and not verdict(made, at("2026-06-06T06:00")).open
    assert not verdict(made, at("2026-06-05T05:00")).open
    assert not verdict(made, at("2026-06-13T00:00")).open  # the holiday after the night
    assert next_change(made, at("2026-06-12T23:00")) == at("2026-06-13T00:00")
    assert [verdict(made, at(f"2026-06-20T{hour:02}:30")).open for hour in (1, 12)] == [False, True]


def test_the_zone_is_the_schedules_own_else_the_tenants() -> None:
    assert verdict(schedule("America/New_York", OFFICE), datetime(2026, 6, 1, 13, 0, tzinfo=UTC)).open
    made = schedule_of(
        uuid4(), uuid4(), ScheduleBody.model_validate({"name": "x"}).model_dump(mode="json"), "Asia/Tokyo"
    )
    assert made.zone.key == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("zone", "opens", "closes", "day", "length"),
    [
        ("Europe/Madrid", "00:00", "24:00", "2026-03-29", 23.0),
        ("Europe/Madrid", "00:00", "24:00", "2026-10-25", 25.0),
        ("Europe/Madrid", "02:30", "12:00", "2026-03-29", 9.0),  # 02:30 is skipped: open from 03:00 on
        ("Europe/Madrid", "01:00", "02:30", "2026-03-29", 1.0),
        ("Europe/Madrid", "02:30", "12:00", "2026-10-25", 10.5),  # from the first 02:30 on, without a gap
        ("Europe/Madrid", "01:00", "02:30", "2026-10-25", 2.5),  # up to the second
        ("Europe/Madrid", "01:00", "02:00", "2026-10-25", 1.0),  # not into the hour that is repeated
        ("Australia/Lord_Howe", "00:00", "24:00", "2026-04-05", 24.5),
        ("America/Havana", "00:00", "24:00", "2026-10-31", 24.0),
        ("America/Havana", "00:00", "24:00", "2026-11-01", 25.0),  # its midnight comes twice
        ("Africa/Cairo", "00:00", "24:00", "2026-04-24", 23.0),  # and this one never
    ],
)
def test_days_on_which_clocks_are_changed(zone: str, opens: str, closes: str, day: str, length: float) -> None:
    made = schedule(zone, exceptions=[{"date": day, "hours": {"open": opens, "close": closes}}])
    noon_before = at(f"{day}T12:00", zone) - timedelta(hours=36)
    start = next_change(made, noon_before)
    assert start is not None and verdict(made, start).open
    end = next_change(made, start)
    assert end is not None and not verdict(made, end).open
    assert end - start == timedelta(hours=length)


HOURS = st.none() | st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda one: one[0] != one[1])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Schedule, datetime]:
    zone = draw(st.sampled_from(sorted(CHANGES)))
    day = draw(st.sampled_from(CHANGES[zone]))
    near = [day + timedelta(days=offset) for offset in range(-2, 3)]

    def hours() -> Hours | None:
        found = draw(HOURS)
        return Hours(*found) if found else None

    made = Schedule(
        uuid4(),
        uuid4(),
        "Any",
        ZoneInfo(zone),
        tuple(hours() for _ in DAYS),
        frozenset(draw(st.sets(st.sampled_from(near), max_size=2))),
        {day: hours() for day in draw(st.sets(st.sampled_from(near), max_size=2))},
    )
    start = datetime.combine(near[0], datetime.min.time(), tzinfo=UTC)
    return made, start + timedelta(minutes=draw(st.integers(0, 5 * 1440)))


def by_the_wall(made: Schedule, instant: datetime) -> bool:
    """What somebody says who has a clock, a calendar and the rules; yesterday's night included."""
    wall = instant.astimezone(made.zone).replace(tzinfo=None)
    today, yesterday = wall.date(), wall.date() - timedelta(days=1)
    minutes = wall.hour * 60 + wall.minute

    def hours(day: date) -> Hours | None:
        if day in made.exceptions:
            return made.exceptions[day]
        return None if day in made.holidays else made.weekly[day.weekday()]

    own = hours(today)
    if own and (own.opens <= minutes < own.closes or (own.closes < own.opens <= minutes)):
        return True
    night = hours(yesterday)
    special = today in made.exceptions or today in made.holidays
    return not special and night is not None and night.closes < night.opens and minutes < night.closes


def repeated(made: Schedule, instant: datetime) -> bool:
    wall = instant.astimezone(made.zone)
    return wall.replace(fold=0).utcoffset() != wall.replace(fold=1).utcoffset()


@settings(max_examples=120, deadline=None)
@given(cases())
def test_it_is_open_when_the_wall_clock_says_so(case: tuple[Schedule, datetime]) -> None:
    made, instant = case
    found = verdict(made, instant).open
    if repeated(made, instant):
        assert found or not by_the_wall(made, instant)  # in an hour that comes twice: at least then
    else:
        assert found == by_the_wall(made, instant)


@settings(max_examples=50, deadline=None)
@given(cases(), st.floats(0, 1))
def test_nothing_changes_before_the_next_change(case: tuple[Schedule, datetime], part: float) -> None:
    made, instant = case
    found, until = verdict(made, instant).open, next_change(made, instant)
    if until is None:
        assert all(verdict(made, instant + timedelta(hours=hours)).open == found for hours in range(0, 24 * 21, 11))
        return
    assert until > instant
    assert verdict(made, until).open != found
    assert verdict(made, instant + (until - instant) * part * 0.999).open == found


def test_a_schedule_that_never_changes_says_so() -> None:
    always = {day: {"open": "00:00", "close": "24:00"} for day in DAYS}
    assert next_change(schedule(hours=always), at("2026-06-01T12:00")) is None
    assert next_change(schedule(), at("2026-06-01T12:00")) is None


@pytest.mark.parametrize(
    "body",
    [
        {"hours": {"mon": {"open": "09:00", "close": "09:00"}}},
        {"hours": {"mon": {"open": "9:00", "close": "18:00"}}},
        {"hours": {"mon": {"open": "24:00", "close": "18:00"}}},
        {"hours": {"monday": None}},
        {"timezone": "Europe/Atlantis"},
        {"holidays": ["2026-02-30"]},
        {"exceptions": [{"date": "2026-01-01"}, {"date": "2026-01-01", "hours": None}]},
    ],
)
def test_what_is_no_schedule_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ScheduleBody.model_validate({"name": "x", **body})


def test_moments_and_minutes_are_read() -> None:
    madrid, now = ZoneInfo("Europe/Madrid"), datetime(2026, 6, 1, tzinfo=UTC)
    assert moment(None, madrid, now) == now
    assert moment("2026-06-01T12:00", madrid, now) == datetime(2026, 6, 1, 10, tzinfo=UTC)
    assert moment("2026-06-01T12:00:00 02:00", madrid, now) == datetime(2026, 6, 1, 10, tzinfo=UTC)
    for wrong in ("soon", "9999-12-31T23:59", "0001-01-01T00:00"):
        with pytest.raises(SivoError, match="no time"):
            moment(wrong, madrid, now)
    with pytest.raises(ValueError, match="no time of day"):
        minutes_of("24:01")
