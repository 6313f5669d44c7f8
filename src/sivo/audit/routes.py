"""``GET /api/ledger/verify``: whether the record of all changes is what it was; and the routes of the audit log."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends

from sivo.api.context import Context
from sivo.audit import log_routes
from sivo.audit.verify import Report, verify
from sivo.config import state
from sivo.config.kinds import PLATFORM_ID
from sivo.identity.access import Caller, CallerGate, Permission


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/ledger`` and ``/api/audit``."""
    router = APIRouter(tags=["audit"])
    router.routes.extend(log_routes.make_router(context).routes)

    @router.get("/api/ledger/verify")
    async def verify_ledger(caller: Annotated[Caller, Depends(CallerGate(Permission.LEDGER_VERIFY))]) -> dict[str, Any]:
        """Recompute the tenant's chain; a superadmin who names no tenant gets every chain of the platform."""
        if caller.tenant_id is not None:
            return (await verify_chain(context, caller.tenant_id)).body()
        reports = await verify_all(context)
        return {"ok": all(one.ok for one in reports), "chains": [one.body() for one in reports]}

    return router


async def verify_chain(context: Context, chain: UUID) -> Report:
    """Check the chain of one tenant (or of the platform)."""
    resources = context.resources
    async with context.database.tenant(chain) as connection:
        current = await state.ledger_targets(connection, chain)
        return await verify(connection, chain, resources.ledger_key, resources.checkpoints, current)


async def verify_all(context: Context) -> list[Report]:
    """Check every chain, those included that only a checkpoint still knows of."""
    known = {PLATFORM_ID, *context.resources.checkpoints.chains()}
    known |= {row.id for row in await context.resources.tenants()}
    return [await verify_chain(context, chain) for chain in sorted(known)]
