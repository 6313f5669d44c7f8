"""``/api/audit``: who did, read or tried what in a tenant; exported and verified."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, Field

from sivo.api.context import Context
from sivo.api.page import Cursor, Limit, decode_id, page
from sivo.audit import csv_export, log_chain, reading
from sivo.audit.log import record
from sivo.audit.reading import Filter
from sivo.audit.sealer import Sealer
from sivo.audit.walk import Report
from sivo.config.kinds import PLATFORM_ID
from sivo.identity.access import Caller, CallerGate, Permission

Reader = Annotated[Caller, Depends(CallerGate(Permission.AUDIT_READ))]
Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))]
Text = Annotated[str, Query(max_length=200, pattern="^[^\\u0000]+$")]


def filter_of(
    from_: Annotated[Moment | None, Query(alias="from", description="Not before (ISO 8601 with offset).")] = None,
    to: Annotated[Moment | None, Query(description="Before.")] = None,
    user: Annotated[Text | None, Query(description="Id or e-mail address of who did it.")] = None,
    action: Literal["create", "update", "delete", "access"] | None = None,
    event: Annotated[Text | None, Query(description="For example `login.failed`.")] = None,
    resource_type: Text | None = None,
    resource_id: Text | None = None,
    cross_tenant: Annotated[bool, Query(description="Only what people from outside the tenant did.")] = False,
) -> Filter:
    """The filter that the query names."""
    return Filter(from_, to, user, action, event, resource_type, resource_id, cross_tenant)


FilterQuery = Annotated[Filter, Depends(filter_of)]


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/audit``. A superadmin at large who names no tenant reads the platform's own log."""
    router = APIRouter(prefix="/api/audit", tags=["audit"])
    sealer = Sealer(context.database, context.resources.ledger_key, log_chain.checkpoint_folder(context.settings))

    @router.get("")
    async def list_entries(
        who: Reader, wanted: FilterQuery, limit: Limit = 50, cursor: Cursor = None
    ) -> dict[str, Any]:
        """Entries, newest first. `seq` is null for the second until an entry is chained."""
        before = decode_id(cursor)
        async with context.database.tenant(_log_of(who)) as connection:
            rows = await reading.entries(connection, wanted, before, limit + 1)
        found = page(rows, limit, lambda row: [str(row["id"])])
        return {**found, "items": [reading.shown(row) for row in found["items"]]}

    @router.get("/export.csv", response_class=StreamingResponse, responses={200: {"content": {"text/csv": {}}}})
    async def export(who: Reader, wanted: FilterQuery) -> StreamingResponse:
        """The same entries as CSV. That somebody took them stands in the log from now on."""
        tenant_id = _log_of(who)
        diff = {name: (None, value) for name, value in wanted.said().items()}
        async with context.database.tenant(tenant_id) as connection:
            await record(connection, who.author.did("access", "audit.exported", "audit_log", tenant_id, diff))
        return StreamingResponse(
            csv_export.lines(context.database, tenant_id, wanted),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="audit.csv"', "Cache-Control": "no-store"},
        )

    @router.get("/verify")
    async def verify(who: Reader) -> dict[str, Any]:
        """Chain what waits, then recompute the tenant's chain; a superadmin who names no tenant gets every chain."""
        if who.tenant_id is not None:
            return _body(who.tenant_id, await verify_log(context, sealer, who.tenant_id))
        reports = [_body(one, await verify_log(context, sealer, one)) async for one in _everybody(context)]
        return {"ok": all(one["ok"] for one in reports), "chains": reports}

    return router


async def verify_log(context: Context, sealer: Sealer, tenant_id: UUID) -> Report:
    """Check the log of one tenant (or of the platform) with everything that was recorded until now."""
    await sealer.seal(tenant_id)
    async with context.database.tenant(tenant_id) as connection:
        checkpoints = log_chain.checkpoint_folder(context.settings)
        return await log_chain.verify(connection, tenant_id, context.resources.ledger_key, checkpoints)


async def _everybody(context: Context) -> AsyncIterator[UUID]:
    yield PLATFORM_ID
    for row in await context.resources.tenants():
        yield row.id


def _log_of(who: Caller) -> UUID:
    return who.tenant_id if who.tenant_id is not None else PLATFORM_ID


def _body(tenant_id: UUID, report: Report) -> dict[str, Any]:
    return {**report.body(), "tenant": str(tenant_id)}
