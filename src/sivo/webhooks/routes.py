"""Webhook deliveries over the API: what was sent, what is dead, and sending it again."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Response, status

from sivo.api.context import Context
from sivo.api.page import Cursor, Limit, decode, page
from sivo.audit import log as audit
from sivo.base.errors import SivoError
from sivo.identity.access import Permission, Principal, require
from sivo.webhooks import deliveries, endpoint_routes
from sivo.webhooks.fan_out import put_test

DeliveryState = Literal["pending", "delivered", "dead", "cancelled"]


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/webhook-deliveries``, and the tester of an endpoint."""
    router = APIRouter(tags=["webhooks"])

    @router.get("/api/webhook-deliveries")
    async def list_deliveries(
        who: Annotated[Principal, Depends(require(Permission.WEBHOOKS_READ))],
        state: DeliveryState | None = None,
        endpoint_id: UUID | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        """Deliveries of the tenant, newest first; ``state=dead`` is the dead-letter queue."""
        after = decode(cursor, 1)
        before = _uuid(after[0]) if after else None
        async with context.database.tenant(who.tenant_id) as connection:
            rows = await deliveries.listing(
                connection, limit=limit + 1, before=before, state=state, endpoint_id=endpoint_id
            )
        return page(rows, limit, lambda row: [row["id"]])

    @router.get("/api/webhook-deliveries/{delivery_id}/payload")
    async def download(
        delivery_id: UUID, who: Annotated[Principal, Depends(require(Permission.WEBHOOKS_WRITE))]
    ) -> Response:
        """The JSON document of a delivery that has not arrived yet, byte for byte as it is signed."""
        async with context.database.tenant(who.tenant_id) as connection:
            body = await deliveries.payload(connection, delivery_id)
        return Response(body, media_type="application/json")

    @router.post("/api/webhook-deliveries/{delivery_id}/replay", status_code=status.HTTP_202_ACCEPTED)
    async def replay(
        delivery_id: UUID, who: Annotated[Principal, Depends(require(Permission.WEBHOOKS_WRITE))]
    ) -> dict[str, str]:
        """Send a dead delivery again, from the first attempt and with the same event id."""
        async with context.database.tenant(who.tenant_id) as connection:
            await deliveries.replay(connection, delivery_id, context.clock.now())
            entry = who.author.did("update", "webhook.replayed", "webhook_delivery", delivery_id)
            await audit.record(connection, entry, context.clock.now())
        return {"id": str(delivery_id), "state": "pending"}

    @router.post("/api/webhooks/{endpoint_id}/test", status_code=status.HTTP_202_ACCEPTED)
    async def test(
        endpoint_id: UUID, who: Annotated[Principal, Depends(require(Permission.WEBHOOKS_WRITE))]
    ) -> dict[str, str]:
        """Send ``webhook.test`` to one endpoint."""
        async with context.database.tenant(who.tenant_id) as connection:
            await endpoint_routes.known(connection, who.tenant_id, endpoint_id)
            return {"event_id": await put_test(connection, who.tenant_id, endpoint_id)}

    endpoint_routes.add(router, context)
    return router


def _uuid(value: Any) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise SivoError("VALIDATION_FAILED", "this is not a cursor of this listing", where="query.cursor") from None
