"""Who works here: what everybody may know of a colleague, agents included, so that calls can be passed on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from sivo.api.page import Cursor, Limit, decode_id, page
from sivo.config import state
from sivo.identity.access import Permission, Principal, require
from sivo.identity.service import Identity


def add(router: APIRouter, identity: Identity) -> None:
    """Add it."""

    @router.get("/api/colleagues")
    async def colleagues(
        who: Annotated[Principal, Depends(require(Permission.COLLEAGUES_READ))],
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        """Active users of the tenant: name, role and extension."""
        async with identity.database.tenant(who.tenant_id) as connection:
            rows = await state.resources(connection, who.tenant_id, "user", decode_id(cursor), limit + 1)
        found = page(rows, limit, lambda row: [str(row.id)])
        shown = [
            {
                "id": str(one.id),
                "name": one.body["name"],
                "role": one.body["role"],
                "extension": one.body.get("extension"),
            }
            for one in found["items"]
            if one.body.get("active", True)
        ]
        return {**found, "items": shown}
