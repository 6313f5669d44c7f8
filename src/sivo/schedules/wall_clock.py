"""Wall-clock times as instants, also on days when clocks are put forward or back (PEP 495). Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_MINUTE = timedelta(minutes=1)


def reaches(zone: ZoneInfo, wall: datetime) -> datetime:
    """The first instant (UTC) at which clocks show ``wall`` (naive) or have skipped it."""
    first, second = _both(zone, wall)
    return _skip(zone, second, first) if second < first else first


def leaves(zone: ZoneInfo, wall: datetime) -> datetime:
    """The instant (UTC) from which on no clock shows anything before ``wall``: the second one when it comes twice."""
    first, second = _both(zone, wall)
    if second < first:
        return _skip(zone, second, first)
    # Where clocks go back to `wall` exactly, what came before it is not repeated.
    repeated = second > first and (second - _MINUTE).astimezone(zone).replace(tzinfo=None) < wall
    return second if repeated else first


def _both(zone: ZoneInfo, wall: datetime) -> tuple[datetime, datetime]:
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second


def _skip(zone: ZoneInfo, early: datetime, late: datetime) -> datetime:
    """When clocks are put forward, between ``early`` (before) and ``late`` (after), to the second."""
    before = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)
