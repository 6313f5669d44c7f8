"""Routes by which a tenant is deleted, restored and taken along."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from sivo.api.context import Context
from sivo.audit import log as audit
from sivo.base.errors import SivoError
from sivo.config import state
from sivo.config.http import Reason
from sivo.identity.access import Caller, CallerGate, Operator, Permission, Role, operator, require_step_up
from sivo.storage.store import Objects
from sivo.tenants import lifecycle
from sivo.tenants.export import TenantExport
from sivo.tenants.lifecycle import TENANT_SHREDDED

Who = Annotated[Operator, Depends(operator(Permission.TENANTS_MANAGE))]
STEPPED_UP = [Depends(require_step_up)]


def add(router: APIRouter, context: Context) -> None:
    """Add them below ``/api/tenants``."""
    store = Objects.local(context.settings.object_dir)

    @router.delete("/{tenant_id}", status_code=202, dependencies=STEPPED_UP)
    async def delete_tenant(who: Who, tenant_id: UUID, reason: Reason) -> dict[str, Any]:
        """Refuse the tenant everywhere at once; after the grace its keys are destroyed and everything of it goes.

        Needs a reason (header `X-Change-Reason`). Until `delete_at` it can be restored and exported.
        """
        due = await lifecycle.delete(context, tenant_id, who.author.outside(), reason)
        return {"id": str(tenant_id), "status": lifecycle.DELETING, "delete_at": due.isoformat()}

    @router.post("/{tenant_id}/restore")
    async def restore_tenant(who: Who, tenant_id: UUID, reason: Reason) -> dict[str, Any]:
        """Take a deletion back while the grace lasts: the tenant is as it was before."""
        await lifecycle.restore(context, tenant_id, who.author.outside(), reason)
        row = await context.resources.tenant(tenant_id)
        return {"id": str(row.id), "status": row.status}

    @router.get(
        "/{tenant_id}/export",
        dependencies=STEPPED_UP,
        response_class=StreamingResponse,
        responses={200: {"content": {"application/x-tar": {}}}},
    )
    async def export_tenant(
        tenant_id: UUID,
        caller: Annotated[Caller, Depends(CallerGate(Permission.TENANT_EXPORT))],
        audio: Annotated[bool, Query(description="Also every recording, decrypted.")] = False,
    ) -> StreamingResponse:
        """Configuration, calls, transcripts and recordings as a tar; administrators get their own tenant's."""
        if caller.role is not Role.SUPERADMIN and caller.tenant_id != tenant_id:
            raise SivoError("NOT_FOUND", f"there is no tenant {tenant_id}", where="tenant")
        async with context.database.tenant(tenant_id) as connection:
            row = await state.known_tenant(connection, tenant_id)
            if await connection.fetchval("select shredded_at is not null from tenant where id = $1", tenant_id):
                raise SivoError(TENANT_SHREDDED, "the keys of this tenant are destroyed", where="tenant")
            told = {"audio": (None, audio)}
            entry = caller.author.did("access", "tenant.exported", "tenant", tenant_id, told)
            await audit.record(connection, entry, context.clock.now())
        made = TenantExport(context, tenant_id, store, audio)
        disposition = f'attachment; filename="{row.slug}.tar"'
        return StreamingResponse(
            made.pieces(), media_type="application/x-tar", headers={"Content-Disposition": disposition}
        )
