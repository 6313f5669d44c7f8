"""Is it open? A pure decision over a schedule and an instant, which says by which rule it was made.

A date is governed by one rule: its exception, else its holiday, else the weekly hours of its weekday. Hours that close
before they open run into the next day; they end at midnight where that day has an exception or a holiday of its own.
Where clocks are put back, an opening counts from the first time that they show it, and a closing from the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sivo.schedules.wall_clock import leaves, reaches

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: How far :func:`next_change` looks, in days.
HORIZON = 400
_DAY = timedelta(days=1)
EXCEPTION, HOLIDAY, WEEKLY = "exception", "holiday", "weekly"


@dataclass(frozen=True, slots=True)
class Hours:
    """Open from ``opens`` up to ``closes``, in minutes after midnight; 1440 is midnight at the end of the day.

    ``closes`` before ``opens``: on the next day.
    """

    opens: int
    closes: int

    def __str__(self) -> str:
        return f"{_clock(self.opens)}-{_clock(self.closes)}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """``weekly`` from Monday on, None = closed; ``exceptions`` likewise by date."""

    id: UUID
    tenant_id: UUID
    name: str
    zone: ZoneInfo
    weekly: tuple[Hours | None, ...]
    holidays: frozenset[date] = frozenset()
    exceptions: Mapping[date, Hours | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rule`` is ``exception``, ``holiday`` or ``weekly``; ``reason`` is for people."""

    open: bool
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Period:
    """Open from ``start`` up to ``end`` (instants)."""

    start: datetime
    end: datetime
    day: date
    rule: str
    hours: Hours


def verdict(schedule: Schedule, at: datetime) -> Verdict:
    """Whether ``schedule`` is open at ``at`` (any instant with an offset)."""
    at = at.astimezone(UTC)
    today = at.astimezone(schedule.zone).date()
    running = _running(schedule, at)
    if running is not None:
        where = f"{running.day.isoformat()} ({DAYS[running.day.weekday()]})"
        return Verdict(True, running.rule, f"{schedule.name}: {running.rule} hours of {where} are {running.hours}")
    rule, hours = _rule(schedule, today)
    said = f"{today.isoformat()} ({DAYS[today.weekday()]})"
    why = f"{rule} hours of {said} are {hours}" if hours else f"closed on {said} by {_NAMES[rule]}"
    return Verdict(False, rule, f"{schedule.name}: {why}")


_NAMES = {EXCEPTION: "an exception", HOLIDAY: "a holiday", WEEKLY: "its weekly hours"}


def next_change(schedule: Schedule, at: datetime) -> datetime | None:
    """When it opens or closes next (UTC); None when it does not within :data:`HORIZON` days."""
    at = at.astimezone(UTC)
    first = at.astimezone(schedule.zone).date() - _DAY
    running = _running(schedule, at)
    end = running.end if running else None
    for offset in range(HORIZON):
        period = _period(schedule, first + offset * _DAY)
        if period is None:
            continue
        if end is None:
            if period.start > at:
                return period.start
        elif period.start <= end < period.end:
            end = period.end
        elif period.start > end:
            return end
    return end if end is not None and end < at + (HORIZON - 3) * _DAY else None


def _running(schedule: Schedule, at: datetime) -> _Period | None:
    today = at.astimezone(schedule.zone).date()
    # A day longer than 24 hours may still have yesterday's last hour in it, and clocks put back at midnight tomorrow's.
    for day in (today, today - _DAY, today + _DAY):
        period = _period(schedule, day)
        if period is not None and period.start <= at < period.end:
            return period
    return None


def _rule(schedule: Schedule, day: date) -> tuple[str, Hours | None]:
    if day in schedule.exceptions:
        return EXCEPTION, schedule.exceptions[day]
    if day in schedule.holidays:
        return HOLIDAY, None
    return WEEKLY, schedule.weekly[day.weekday()]


def _period(schedule: Schedule, day: date) -> _Period | None:
    rule, hours = _rule(schedule, day)
    if hours is None:
        return None
    closes = hours.closes
    if closes < hours.opens:
        own = _rule(schedule, day + _DAY)[0] != WEEKLY
        closes = 24 * 60 if own else closes + 24 * 60
    start = reaches(schedule.zone, _wall(day, hours.opens))
    end = leaves(schedule.zone, _wall(day, closes))
    return _Period(start, end, day, rule, hours) if start < end else None


def _wall(day: date, minutes: int) -> datetime:
    return datetime.combine(day, time()) + timedelta(minutes=minutes)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def minutes_of(text: str) -> int:
    """Minutes after midnight of ``HH:MM``; ``24:00`` is 1440. Raises ValueError."""
    hours, _, minutes = text.partition(":")
    found = int(hours) * 60 + int(minutes)
    if not (0 <= int(minutes) < 60 and 0 <= found <= 24 * 60):
        raise ValueError(f"{text} is no time of day")
    return found
