"""Routes about one endpoint: how it is doing, switching it on again, rotating its signing secret."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, status

from sivo.api.context import Context
from sivo.audit.log import record
from sivo.base.errors import SivoError
from sivo.config import state
from sivo.config.change import Update
from sivo.config.http import Reason
from sivo.db.scopes import Connection
from sivo.identity.access import Permission, Principal, require
from sivo.webhooks import health
from sivo.webhooks.resources import OVERLAP, WEBHOOK_ENDPOINT, signing_secret


def add(router: APIRouter, context: Context) -> None:
    """Routes below ``/api/webhooks/{id}``."""

    @router.get("/api/webhooks/{endpoint_id}/health")
    async def show_health(
        endpoint_id: UUID, who: Annotated[Principal, Depends(require(Permission.WEBHOOKS_READ))]
    ) -> dict[str, Any]:
        """Whether the endpoint takes what it is sent; after lasting failure it is ``disabled``, with the reason."""
        async with context.database.tenant(who.tenant_id) as connection:
            await known(connection, who.tenant_id, endpoint_id)
            return await health.shown(connection, endpoint_id)

    @router.post("/api/webhooks/{endpoint_id}/enable")
    async def enable(
        endpoint_id: UUID, who: Annotated[Principal, Depends(require(Permission.WEBHOOKS_WRITE))]
    ) -> dict[str, Any]:
        """Switch an endpoint on again that lasting failure switched off; what it missed waits in the dead letters."""
        async with context.database.tenant(who.tenant_id) as connection:
            await known(connection, who.tenant_id, endpoint_id)
            if await health.enable(connection, endpoint_id):
                entry = who.author.did("update", "webhook.enabled", WEBHOOK_ENDPOINT.name, endpoint_id)
                await record(connection, entry, context.clock.now())
            return await health.shown(connection, endpoint_id)

    @router.post("/api/webhooks/{endpoint_id}/rotate-secret")
    async def rotate_secret(
        endpoint_id: UUID, reason: Reason, who: Annotated[Principal, Depends(require(Permission.WEBHOOKS_WRITE))]
    ) -> dict[str, Any]:
        """A new signing secret, answered this once; for 24 hours every request is signed with the old one as well."""
        secret = signing_secret()
        change = Update(WEBHOOK_ENDPOINT.name, endpoint_id, {"secret": secret})
        await context.resources.apply(who.tenant_id, who.author, reason, [change])
        return {"secret": secret, "overlap_sec": int(OVERLAP.total_seconds())}

    @router.delete("/api/webhooks/{endpoint_id}/previous-secret", status_code=status.HTTP_204_NO_CONTENT)
    async def drop_previous(
        endpoint_id: UUID, who: Annotated[Principal, Depends(require(Permission.WEBHOOKS_WRITE))]
    ) -> None:
        """Stop signing with the replaced secret now: it leaked, or every receiver has the new one."""
        async with context.database.tenant(who.tenant_id) as connection:
            endpoint = await known(connection, who.tenant_id, endpoint_id)
            name = WEBHOOK_ENDPOINT.vault_name(endpoint.id, endpoint.body, "secret")
            if await context.vault.drop_previous(who.tenant_id, name, connection=connection):
                entry = who.author.did("delete", "webhook.previous_secret_dropped", WEBHOOK_ENDPOINT.name, endpoint_id)
                await record(connection, entry, context.clock.now())


async def known(connection: Connection, tenant_id: UUID, endpoint_id: UUID) -> state.Resource:
    """The endpoint, in the tenant's scope. NOT_FOUND when the tenant has none of that id."""
    found = (await state.resources_by_id(connection, tenant_id, [endpoint_id])).get(endpoint_id)
    if found is None or found.kind != WEBHOOK_ENDPOINT.name:
        raise SivoError("NOT_FOUND", f"there is no webhook endpoint {endpoint_id}", where="webhook_endpoint")
    return found
