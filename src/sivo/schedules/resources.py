"""Schedules as tenants edit them: hours for each weekday, holidays, exceptions, a time zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator

from sivo.config.kinds import Body, ResourceKind, Unique, register_kind
from sivo.config.types import Zone
from sivo.config.values import Name
from sivo.schedules.hours import DAYS, Hours, Schedule, minutes_of

Opens = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Closes = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
ZoneName = Annotated[str, AfterValidator(Zone().check), WithJsonSchema(Zone().schema())]


class DayHours(BaseModel):
    """Open from ``open`` up to ``close``; a ``close`` before ``open`` is on the next day, ``24:00`` is midnight."""

    model_config = ConfigDict(extra="forbid")

    open: Opens
    close: Closes

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.open == self.close:
            raise ValueError("opens and closes at the same time; use 00:00 to 24:00 for the whole day")
        return self


class Week(BaseModel):
    """Hours of each weekday; null or a missing day: closed."""

    model_config = ConfigDict(extra="forbid")

    mon: DayHours | None = None
    tue: DayHours | None = None
    wed: DayHours | None = None
    thu: DayHours | None = None
    fri: DayHours | None = None
    sat: DayHours | None = None
    sun: DayHours | None = None


class SpecialDay(BaseModel):
    """One date with hours of its own, whatever weekday or holiday it is; without hours it is closed."""

    model_config = ConfigDict(extra="forbid")

    date: date
    hours: DayHours | None = None
    note: Annotated[str, StringConstraints(max_length=200)] = ""


class ScheduleBody(Body):
    """Opening hours, for any number of DIDs. Exceptions beat holidays, holidays beat the weekly hours."""

    name: Name
    #: Whose wall clock the hours are of; the key ``tenant.timezone`` where it is absent.
    timezone: ZoneName | None = None
    hours: Annotated[Week, Field(default_factory=Week)]
    #: Dates that are closed.
    holidays: Annotated[list[date], Field(max_length=500, default_factory=list)]
    exceptions: Annotated[list[SpecialDay], Field(max_length=500, default_factory=list)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        dates = [one.date for one in self.exceptions]
        twice = next((day for day in dates if dates.count(day) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice.isoformat()} has two exceptions")
        self.holidays = sorted(set(self.holidays))
        self.exceptions = sorted(self.exceptions, key=lambda one: one.date)
        return self


SCHEDULE = register_kind(
    ResourceKind(
        name="schedule",
        plural="schedules",
        model=ScheduleBody,
        unique=(Unique("schedule.name", ("name",)),),
    )
)


def schedule_of(resource_id: UUID, tenant_id: UUID, body: Mapping[str, Any], tenant_zone: str) -> Schedule:
    """A stored body as :mod:`sivo.schedules.hours` decides by it."""
    week: Mapping[str, Any] = body.get("hours") or {}
    return Schedule(
        id=resource_id,
        tenant_id=tenant_id,
        name=str(body["name"]),
        zone=ZoneInfo(str(body.get("timezone") or tenant_zone)),
        weekly=tuple(_hours(week.get(day)) for day in DAYS),
        holidays=frozenset(date.fromisoformat(day) for day in body.get("holidays") or ()),
        exceptions={date.fromisoformat(one["date"]): _hours(one.get("hours")) for one in body.get("exceptions") or ()},
    )


def _hours(found: Mapping[str, Any] | None) -> Hours | None:
    return Hours(minutes_of(found["open"]), minutes_of(found["close"])) if found else None
