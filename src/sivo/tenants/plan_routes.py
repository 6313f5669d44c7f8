"""Routes about plans: what each includes, and what of a tenant would not fit into one."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from sivo.api.context import Context
from sivo.base.errors import SivoError
from sivo.config import all_kinds, state
from sivo.identity.access import Caller, CallerGate, Permission, Role
from sivo.tenants.plan_rule import standing
from sivo.tenants.plans import check_setting, definition, violations


def add(router: APIRouter, context: Context) -> None:
    """Add them below ``/api/tenants``."""
    all_kinds.load()
    check_setting(context.settings)

    @router.get("/{tenant_id}/plan")
    async def tenant_plan(
        tenant_id: UUID,
        caller: Annotated[Caller, Depends(CallerGate(Permission.TENANT_READ))],
        to: Annotated[str | None, Query(max_length=40, description="Another plan; the tenant's own if absent.")] = None,
    ) -> dict[str, Any]:
        """What the plan includes, what the tenant has, and everything that would not fit; staff see their own."""
        if caller.role is not Role.SUPERADMIN and caller.tenant_id != tenant_id:
            raise SivoError("NOT_FOUND", f"there is no tenant {tenant_id}", where="tenant")
        async with context.database.tenant(tenant_id) as connection:
            row = await state.known_tenant(connection, tenant_id)
            retentions, counts = await standing(connection, tenant_id)
        plan = definition(to or row.plan, context.settings)
        return {
            "current": row.plan,
            "plan": plan.body(),
            "resources": counts,
            "violations": [one.body() for one in violations(plan, retentions, counts)],
        }
