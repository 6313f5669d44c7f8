"""Routes of tenants: made and changed by operators, read by their own staff."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Response

from sivo.api.context import Context
from sivo.api.etag import etag, if_match
from sivo.api.page import Cursor, Limit, decode_id, page
from sivo.audit.log import record
from sivo.base.errors import SivoError
from sivo.config import state
from sivo.config.http import WAITS, JsonObject, Reason
from sivo.config.provision import create_tenant
from sivo.config.state import TenantRow
from sivo.identity.access import Caller, CallerGate, Operator, Permission, Role, operator
from sivo.tenants import lifecycle, lifecycle_routes, plan_routes
from sivo.tenants.resources import Tenant

Who = Annotated[Operator, Depends(operator(Permission.TENANTS_MANAGE))]


def shown(row: TenantRow) -> dict[str, Any]:
    """A tenant on the wire."""
    return {"id": str(row.id), **row.body(), "version": row.version, "created_at": row.created_at.isoformat()}


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/tenants``."""
    router = APIRouter(prefix="/api/tenants", tags=["tenants"])
    _add_reads(router, context)
    _add_writes(router, context)
    lifecycle_routes.add(router, context)
    plan_routes.add(router, context)
    return router


def _add_reads(router: APIRouter, context: Context) -> None:
    @router.get("")
    async def list_tenants(_who: Who, cursor: Cursor = None, limit: Limit = 50) -> dict[str, Any]:
        """All tenants."""
        rows = await context.resources.tenants(after=decode_id(cursor), limit=limit + 1)
        found = page(rows, limit, lambda row: [str(row.id)])
        return {**found, "items": [shown(row) for row in found["items"]]}

    @router.get("/by-slug/{slug}")
    async def tenant_by_slug(slug: str, _who: Who) -> dict[str, Any]:
        """The tenant with this slug."""
        return shown(await context.resources.tenant_by_slug(slug))

    @router.get("/{tenant_id}")
    async def get_tenant(
        tenant_id: UUID, response: Response, caller: Annotated[Caller, Depends(CallerGate(Permission.TENANT_READ))]
    ) -> dict[str, Any]:
        """One tenant with its host names; staff see their own."""
        if caller.role is not Role.SUPERADMIN and caller.tenant_id != tenant_id:
            raise SivoError("NOT_FOUND", f"there is no tenant {tenant_id}", where="tenant")
        row = await context.resources.tenant(tenant_id)
        async with context.database.tenant(tenant_id) as connection:
            effective = await state.resolver(connection, row, context.settings)
            if caller.tenant_id != tenant_id:  # an operator; who names the tenant in the header stands there already
                entry = caller.author.outside().did("access", "tenant.accessed", "tenant", tenant_id)
                await record(connection, entry, context.clock.now())
        response.headers["ETag"] = etag(row.version)
        hosts = {key: effective.effective(f"tenant.{key}").value for key in ("sip_domain", "dashboard_url")}
        return {**shown(row), **hosts}


def _add_writes(router: APIRouter, context: Context) -> None:
    @router.post("", status_code=201)
    async def create(who: Who, body: Tenant, reason: Reason, response: Response) -> dict[str, Any]:
        """Make a tenant; without a slug one is generated from the name."""
        if body.status == lifecycle.DELETING:
            raise SivoError("VALIDATION_FAILED", "a tenant is not made to be deleted", where="body.status")
        row = await create_tenant(context, body.slug, body.name, body.plan, who.author, reason, body.status)
        response.headers["ETag"] = etag(row.version)
        response.headers["Location"] = f"/api/tenants/{row.id}"
        return shown(row)

    @router.patch("/{tenant_id}", responses=WAITS)
    async def patch(
        who: Who,
        tenant_id: UUID,
        body: JsonObject,
        reason: Reason,
        response: Response,
        if_match_header: Annotated[str | None, Header(alias="If-Match", max_length=100)] = None,
    ) -> dict[str, Any]:
        """Change name, plan, slug or status (JSON merge patch). A suspended tenant takes no calls and no logins."""
        warnings = await lifecycle.change(
            context, tenant_id, who.author.outside(), reason, body, if_match(if_match_header)
        )
        row = await context.resources.tenant(tenant_id)
        response.headers["ETag"] = etag(row.version)
        return {**shown(row), "warnings": [one.body() for one in warnings]}
