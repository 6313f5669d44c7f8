"""``GET /api/dids/{id}/at``: who answers a number then, and which schedules say so?"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends

from sivo.api.context import Context
from sivo.base.errors import SivoError
from sivo.config import state
from sivo.identity.access import Permission, Principal, require
from sivo.routing import answering
from sivo.routing.directory import Directory
from sivo.routing.loader import supposed
from sivo.routing.targets import told
from sivo.schedules.moments import moment
from sivo.schedules.routes import Time


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/dids``."""
    router = APIRouter(tags=["dids"])

    @router.get("/api/dids/{resource_id}/at")
    async def did_at(
        resource_id: UUID,
        who: Annotated[Principal, Depends(require(Permission.RESOURCES_READ))],
        time: Time = None,
    ) -> dict[str, Any]:
        """Who answers at a time, by the code that decides calls. Without an offset: by the tenant's clock."""
        async with context.database.tenant(who.tenant_id) as connection:
            row = await state.known_tenant(connection, who.tenant_id)
            resolver = await state.resolver(connection, row, context.settings)
            resources = await state.resources(connection, who.tenant_id)
        picture = supposed(row, resolver, resources)
        did = next((one for one in picture.dids if one.id == resource_id), None)
        if did is None:
            raise SivoError("NOT_FOUND", f"there is no did {resource_id}", where="did")
        zone = ZoneInfo(picture.tenant.timezone)
        at = moment(time, zone, context.clock.now())
        answer = answering.of_did(Directory([picture]), did, at)
        return {
            "did": str(did.id),
            "number": did.number,
            "time": at.astimezone(zone).isoformat(timespec="seconds"),
            "target": told(answer.target),
            "reason": answer.reason,
            "schedules": [gate.told() for gate in answer.gates],
        }

    return router
