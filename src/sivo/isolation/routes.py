"""The isolation audit over the API: a tenant's administrator starts it and reads its signed report."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from sivo.api.context import Context
from sivo.audit import log as audit_log
from sivo.base.errors import SivoError
from sivo.base.node import node_id
from sivo.config.http import JsonObject
from sivo.config.kinds import PLATFORM_ID
from sivo.identity.access import Caller, CallerGate
from sivo.identity.permissions import Permission
from sivo.isolation import audit, store
from sivo.isolation.canaries import new_slug
from sivo.isolation.report import genuine

Reader = Annotated[Caller, Depends(CallerGate(Permission.AUDIT_READ))]
Starter = Annotated[Caller, Depends(CallerGate(Permission.RESOURCES_WRITE))]


class Started(BaseModel):
    """An audit that runs now; its report is at ``GET /api/audit/isolation/{id}``."""

    id: str
    state: str = "running"


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/audit/isolation``."""
    router = APIRouter(prefix="/api/audit/isolation", tags=["audit"])
    running: set[asyncio.Task[Any]] = set()

    @router.post("", status_code=202)
    async def start(who: Starter) -> Started:
        """Start an audit with two canary tenants: one at a time on the platform, four a day for each tenant."""
        slugs, tenant_id, now = (new_slug(), new_slug()), who.tenant_id or PLATFORM_ID, context.clock.now()
        node = node_id(context.settings)
        begun = await store.begin(context.database, tenant_id, who.author.name, node, slugs, now)
        async with context.database.tenant(tenant_id) as connection:
            entry = who.author.did("create", "isolation_audit.started", "isolation_audit", begun.id)
            await audit_log.record(connection, entry, now)
        task = asyncio.create_task(audit.run(context, begun), name="isolation-audit")
        running.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(running.discard)
        return Started(id=str(begun.id))

    @router.get("")
    async def list_audits(who: Reader) -> dict[str, Any]:
        """The tenant's last 50 audits, newest first."""
        async with context.database.tenant(who.tenant_id or PLATFORM_ID) as connection:
            return {"items": await store.listing(connection, 50), "next": None}

    @router.post("/verify")
    async def verify(_who: Reader, report: JsonObject) -> dict[str, Any]:
        """Whether this platform signed the report in the body, and nobody changed it since."""
        return {"genuine": genuine(report, context.resources.ledger_key), "verdict": report.get("verdict")}

    @router.get("/{audit_id}")
    async def get_audit(audit_id: UUID, who: Reader) -> dict[str, Any]:
        """One audit; `report` is null while it runs."""
        async with context.database.tenant(who.tenant_id or PLATFORM_ID) as connection:
            found = await store.one(connection, audit_id)
        if found is None:
            raise SivoError("NOT_FOUND", f"there is no isolation audit {audit_id}", where="audit_id")
        return found

    return router
