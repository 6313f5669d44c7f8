"""``GET /api/schedules/{id}/at``: is it open then, by which rule, and until when?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from sivo.api.context import Context
from sivo.config import state
from sivo.identity.access import Permission, Principal, require
from sivo.schedules.hours import Schedule, next_change, verdict
from sivo.schedules.moments import moment
from sivo.schedules.resources import schedule_of

Time = Annotated[
    str | None, Query(max_length=40, description="ISO 8601; without an offset by the clock of the place. Default: now.")
]


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/schedules``."""
    router = APIRouter(tags=["schedules"])

    @router.get("/api/schedules/{resource_id}/at")
    async def schedule_at(
        resource_id: UUID,
        who: Annotated[Principal, Depends(require(Permission.RESOURCES_READ))],
        time: Time = None,
    ) -> dict[str, Any]:
        """Open or closed at a time, with the rule that says so and the next change."""
        found = await context.resources.get(who.tenant_id, "schedule", resource_id)
        async with context.database.tenant(who.tenant_id) as connection:
            tenant = await state.known_tenant(connection, who.tenant_id)
            resolver = await state.resolver(connection, tenant, context.settings)
        zone = str(resolver.effective("tenant.timezone").value)
        schedule = schedule_of(found.id, who.tenant_id, found.body, zone)
        return told(schedule, moment(time, schedule.zone, context.clock.now()))

    return router


def told(schedule: Schedule, at: datetime) -> dict[str, Any]:
    """The answer as JSON; times by the clock of the place, with their offset."""
    found, until = verdict(schedule, at), next_change(schedule, at)
    return {
        "schedule": str(schedule.id),
        "name": schedule.name,
        "timezone": schedule.zone.key,
        "time": at.astimezone(schedule.zone).isoformat(timespec="seconds"),
        "open": found.open,
        "rule": found.rule,
        "reason": found.reason,
        "until": until.astimezone(schedule.zone).isoformat(timespec="seconds") if until else None,
    }
