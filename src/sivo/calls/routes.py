"""Calls over the API: CDRs, traces, transcripts."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from sivo.api.context import Context
from sivo.api.page import Cursor, Limit, decode_id, page
from sivo.audit.log import record
from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.calls import own, plan_routes
from sivo.calls.explained import explained, snapshot_of
from sivo.calls.trace import ONE, PAGE, cdr, trace
from sivo.config import state
from sivo.db.scopes import Connection
from sivo.identity.access import Permission, Principal, require
from sivo.transcription import segments

Reader = Annotated[Principal, Depends(require(Permission.CALLS_READ))]
Inspector = Annotated[Principal, Depends(require(Permission.CONFIG_INSPECT))]
#: Traces and transcripts hold what was said, so reading them is recorded.
Tracer = Annotated[Principal, Depends(require(Permission.CALLS_TRACE))]
Listener = Annotated[Principal, Depends(require(Permission.TRANSCRIPTS_READ))]


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/calls``."""
    router = APIRouter(tags=["calls"])
    router.routes.extend(plan_routes.make_router(context).routes)

    @router.get("/api/calls")
    async def list_calls(who: Reader, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        """CDRs of the tenant, newest first, in the tenant's time zone; an agent sees their own."""
        after = decode_id(cursor)
        async with context.database.tenant(who.tenant_id) as connection:
            zone = await timezone(connection, who.tenant_id, context.settings)
            rows = await connection.fetch(PAGE, after, limit + 1, *await own.within(connection, who))
        return page([cdr(row, zone) for row in rows], limit, lambda row: [row["id"]])

    @router.get("/api/calls/{call_id}")
    async def get_call(call_id: UUID, who: Reader) -> dict[str, Any]:
        """One CDR."""
        async with context.database.tenant(who.tenant_id) as connection:
            zone = await timezone(connection, who.tenant_id, context.settings)
            row = await connection.fetchrow(ONE, call_id) if await own.sees(connection, who, call_id) else None
        if row is None:
            raise _unknown(call_id)
        return cdr(row, zone)

    @router.get("/api/calls/{call_id}/trace")
    async def get_trace(call_id: UUID, who: Tracer) -> dict[str, Any]:
        """Why the call went as it did: SIP, route, configuration, turns, decisions, deliveries, end."""
        async with context.database.tenant(who.tenant_id) as connection:
            zone = await timezone(connection, who.tenant_id, context.settings)
            found = await trace(connection, call_id, zone)
            if found is not None:
                await record(connection, who.author.did("access", "trace.read", "call", call_id))
        if found is None:
            raise _unknown(call_id)
        return found

    @router.get("/api/calls/{call_id}/config")
    async def get_call_config(
        call_id: UUID, who: Inspector, key: Annotated[str | None, Query(max_length=100)] = None
    ) -> dict[str, Any]:
        """Why keys had their value on this call: those that it read, or the one that `key` names."""
        async with context.database.tenant(who.tenant_id) as connection:
            body, reads = await snapshot_of(connection, who.tenant_id, call_id)
        if key is not None:
            return explained(body, reads, key, who.role)
        names = [one["key"] for one in reads if one["key"] in body["values"]]
        return {name: explained(body, reads, name, who.role) for name in names}

    @router.get("/api/calls/{call_id}/transcript")
    async def get_transcript(call_id: UUID, who: Listener) -> list[dict[str, Any]]:
        """Who said what, in the order in which it was said; an agent reads their own calls. Reading is recorded."""
        async with context.database.tenant(who.tenant_id) as connection:
            if not await own.sees(connection, who, call_id):
                raise _unknown(call_id)
            await record(connection, who.author.did("access", "transcript.read", "call", call_id))
            return await segments.of_call(connection, call_id)

    return router


async def timezone(connection: Connection, tenant_id: UUID, settings: Settings) -> str:
    """``tenant.timezone`` as it is now: CDRs are rendered by it, whatever it was during the call."""
    tenant = await state.known_tenant(connection, tenant_id)
    resolver = await state.resolver(connection, tenant, settings)
    return str(resolver.effective("tenant.timezone").value)


def _unknown(call_id: UUID) -> SivoError:
    return SivoError("NOT_FOUND", f"there is no call {call_id}", where="call")
