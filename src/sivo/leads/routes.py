"""Leads over the API: one public door in, and what the tenant's staff do with them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request, status
from pydantic import BaseModel

from sivo.api.context import Context
from sivo.api.page import Cursor, Limit, decode_id, page
from sivo.audit.log import record
from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.identity.access import Permission, Principal, require
from sivo.identity.authentication import note_standing
from sivo.identity.hosts import host_name
from sivo.identity.rates import LEADS
from sivo.leads import rows
from sivo.leads.bodies import LeadAnswer, LeadBody, answer
from sivo.leads.intake import Intake, purpose
from sivo.mail import rows as mail_rows
from sivo.mail.post import Post

#: Personal data of strangers: the staff, and no agents.
Reader = Annotated[Principal, Depends(require(Permission.LEADS_READ))]
Admin = Annotated[Principal, Depends(require(Permission.LEADS_MANAGE))]
_log = logs.get("leads")


class Taken(BaseModel):
    """The same answer for every lead that could be read: new, sent twice, or caught in the trap."""

    status: str = "accepted"


def make_router(context: Context) -> APIRouter:
    """All of them."""
    router = APIRouter(tags=["leads"])
    _add_public(router, context)
    _add_reads(router, context)
    _add_erasure(router, context)
    return router


def _add_public(router: APIRouter, context: Context) -> None:
    identity = context.identity
    post = Post(context.settings, context.vault, context.clock)
    intake = Intake(context.settings, context.database, context.vault, post, context.clock)

    @router.post("/api/public/leads", status_code=status.HTTP_202_ACCEPTED)
    async def take(body: LeadBody, request: Request) -> Taken:
        """Leave an enquiry with a tenant. At most 5 requests in an hour from one address."""
        limit = identity.overrides.limit(LEADS, address=identity.address(request))
        note_standing(request, await identity.rates.take(limit, identity.origin(request).network))
        await intake.take(body, host_name(request.headers.get("host", "")))
        return Taken()


def _add_reads(router: APIRouter, context: Context) -> None:
    async def opened(tenant_id: UUID, row: dict[str, Any]) -> LeadAnswer:
        person = await context.vault.open(tenant_id, purpose(row["id"]), row["sealed"])
        return answer(row, msgspec.json.decode(person))

    @router.get("/api/leads")
    async def list_leads(
        who: Reader,
        source: Annotated[str | None, Query(max_length=60)] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        """Leads of the tenant, newest first."""
        async with context.database.tenant(who.tenant_id) as connection:
            found = await rows.listing(connection, limit=limit + 1, before=decode_id(cursor), source=source)
        listed = page(found, limit, lambda row: [str(row["id"])])
        return {**listed, "items": [await opened(who.tenant_id, row) for row in listed["items"]]}

    @router.get("/api/leads/{lead_id}")
    async def get_lead(lead_id: UUID, who: Reader) -> LeadAnswer:
        """One lead."""
        async with context.database.tenant(who.tenant_id) as connection:
            row = await rows.find(connection, lead_id)
        if row is None:
            raise _unknown(lead_id)
        return await opened(who.tenant_id, row)


def _add_erasure(router: APIRouter, context: Context) -> None:
    @router.delete("/api/leads/{lead_id}", status_code=204)
    async def erase(lead_id: UUID, who: Admin) -> None:
        """Erase a lead for good, with a mail about it that still waits."""
        async with context.database.tenant(who.tenant_id) as connection:
            if not await rows.erase(connection, lead_id):
                raise _unknown(lead_id)
            await mail_rows.forget(connection, lead_id)
            await record(connection, who.author.did("delete", "lead.erased", "lead", lead_id), context.clock.now())
        _log.info("lead erased", tenant=str(who.tenant_id), lead=str(lead_id), author=who.author.name)


def _unknown(lead_id: UUID) -> SivoError:
    return SivoError("NOT_FOUND", f"there is no lead {lead_id}", where="lead")
