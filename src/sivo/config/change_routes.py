"""``/api/changes``: change-sets that are scheduled, wait for approval, are held, or broke the glass."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from sivo.api.context import Context
from sivo.api.page import Cursor, Limit, decode_id, page
from sivo.base.errors import SivoError
from sivo.config import proposal
from sivo.config.change import Change, Entry, Scope
from sivo.config.change_codec import ChangeModel, change_of
from sivo.config.document import resolver_at
from sivo.config.http import CallerGate, Reason, ScopeQuery, chain_of, changes_of
from sivo.config.kinds import PLATFORM_ID
from sivo.config.plans import Planner, check_confirmed
from sivo.config.proposal import CANCELLED, REJECTED, Proposal
from sivo.config.proposals import AwaitsApprovalError
from sivo.config.version_routes import told_entry
from sivo.identity.access import Caller, Permission

Reader = Annotated[Caller, Depends(CallerGate(Permission.RESOURCES_READ))]
Writer = Annotated[Caller, Depends(CallerGate(Permission.RESOURCES_WRITE))]
#: Furthest that a change may be scheduled ahead.
MAX_YEARS = 5


class ChangeBody(BaseModel):
    """One of ``patch`` (as for ``PATCH /api/config``), ``document`` (YAML) and ``changes``.

    ``apply_at``: ISO 8601; without an offset it is the tenant's local time. ``break_glass``: do now what would need
    approval. ``confirm``: keys whose warning was read.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    patch: dict[str, Any] | None = None
    document: Annotated[str, Field(max_length=900_000)] | None = None
    changes: Annotated[list[ChangeModel], Field(max_length=1_000)] | None = None
    apply_at: datetime | None = None
    break_glass: bool = False
    reason: Annotated[str, Field(max_length=500)] = ""
    confirm: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=50)] = []


class DecisionBody(BaseModel):
    """``digest`` is that of the plan which was looked at; when another one waits by now, nothing happens."""

    model_config = ConfigDict(extra="forbid")

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    reason: Annotated[str, Field(max_length=500)] = ""


async def waiting(_request: Request, error: Exception) -> JSONResponse:
    """The answer of every route whose change waits for approval now."""
    assert isinstance(error, AwaitsApprovalError)
    found = error.waiting
    headers = {"Location": f"/api/changes/{found.id}"}
    return JSONResponse({"change": found.body(found.role)}, status_code=202, headers=headers)


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/changes``."""
    router = APIRouter(prefix="/api/changes", tags=["changes"])
    _add_create(router, _Desk(context))
    _add_reads(router, context)
    _add_decisions(router, context)
    return router


class _Desk:
    """Takes change-sets in."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._planner = Planner(context.settings, context.database, context.resources)

    async def changes(self, chain: UUID, who: Caller, scope: Scope, body: ChangeBody) -> Sequence[Change]:
        """What ``body`` asks for, whichever way it says it."""
        if sum(one is not None for one in (body.patch, body.document, body.changes)) != 1:
            raise SivoError("VALIDATION_FAILED", "send one of patch, document and changes", where="body")
        if body.patch is not None:
            return changes_of(body.patch, scope, body.confirm)
        if body.changes is not None:
            changes: Sequence[Change] = [change_of(one) for one in body.changes]
        elif chain == PLATFORM_ID:
            raise SivoError("VALIDATION_FAILED", "the platform has no document", where="body.document")
        else:
            changes = (await self._planner.plan(chain, who.author, body.document or "")).changes
        preview = await self._context.resources.preview(chain, who.author, changes)
        check_confirmed(preview.records, body.confirm)
        return changes

    async def when(self, chain: UUID, at: datetime | None) -> datetime | None:
        """``at`` in UTC; without an offset it is the tenant's local time. Past and far future are refused."""
        if at is None:
            return None
        if at.tzinfo is None:
            at = at.replace(tzinfo=await self._zone(chain))
        now = self._context.clock.now()
        try:
            at = at.astimezone(UTC)
            wrong = "in the past" if at <= now else "too far ahead" if at.year > now.year + MAX_YEARS else ""
        except OverflowError:
            wrong = "no time of this world"
        if wrong:
            raise SivoError(
                "VALIDATION_FAILED", f"apply_at is {wrong}", where="body.apply_at", remedy="name a time to come"
            )
        return at

    async def _zone(self, chain: UUID) -> ZoneInfo:
        if chain == PLATFORM_ID:
            return ZoneInfo("UTC")
        async with self._context.database.tenant(chain) as connection:
            resolver, _version = await resolver_at(connection, chain, Scope(), self._context.settings)
        return ZoneInfo(resolver.effective("tenant.timezone").value)

    async def take(self, chain: UUID, who: Caller, reason: str, changes: Sequence[Change], body: ChangeBody) -> Any:
        """The entry when it is done, the proposal when it waits."""
        resources, at = self._context.resources, await self.when(chain, body.apply_at)
        if body.break_glass and at is not None:
            raise SivoError("VALIDATION_FAILED", "the glass is broken now or not at all", where="body.apply_at")
        if body.break_glass:
            return await resources.proposals.break_glass(chain, who.author, reason, changes)
        if at is not None:
            return await resources.proposals.propose(chain, who.author, reason, changes, apply_at=at)
        return await resources.apply(chain, who.author, reason, changes)


def _add_create(router: APIRouter, desk: _Desk) -> None:
    @router.post("", responses={202: {"description": "It waits for its time, for approval, or for both."}})
    async def create(
        body: ChangeBody, reason: Reason, response: Response, who: Writer, scope: ScopeQuery
    ) -> dict[str, Any]:
        """A change-set: made now, at a time to come, or once somebody has approved it."""
        chain = chain_of(who, scope)
        changes = await desk.changes(chain, who, scope, body)
        made = await desk.take(chain, who, body.reason.strip() or reason, changes, body)
        if isinstance(made, Entry):
            return {"entry": told_entry(made, who.role)}
        response.status_code = 202
        response.headers["Location"] = f"/api/changes/{made.id}"
        return {"change": made.body(who.role)}


def _add_reads(router: APIRouter, context: Context) -> None:
    @router.get("")
    async def list_changes(
        who: Reader,
        scope: ScopeQuery,
        state: Annotated[list[str] | None, Query(description="Only these states; the open ones if absent.")] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """What waits or is held, newest first; with `state` also what was applied, rejected or cancelled."""
        unknown = set(state or ()) - set(proposal.STATES)
        if unknown:
            raise SivoError(
                "VALIDATION_FAILED",
                "there is no such state of a change",
                where="query.state",
                remedy=f"the states are {', '.join(proposal.STATES)}",
            )
        chain = chain_of(who, scope)
        async with context.database.tenant(chain) as connection:
            rows = await proposal.listing(connection, chain, state or proposal.OPEN, decode_id(cursor), limit + 1)
        found = page(rows, limit, lambda row: [str(row.id)])
        return {**found, "items": [one.body(who.role) for one in found["items"]]}

    @router.get("/{change_id}")
    async def get_change(change_id: UUID, who: Reader, scope: ScopeQuery) -> dict[str, Any]:
        """One, with everything that it would change, and why it is held if it is."""
        async with context.database.tenant(chain_of(who, scope)) as connection:
            return (await proposal.get(connection, change_id)).body(who.role)


def _add_decisions(router: APIRouter, context: Context) -> None:
    proposals = context.resources.proposals

    @router.post("/{change_id}/approve")
    async def approve(
        change_id: UUID, who: Writer, scope: ScopeQuery, body: DecisionBody | None = None
    ) -> dict[str, Any]:
        """Let it through: applied now, or at its time. Somebody other than its author, where approval is wanted."""
        said, chain = body or DecisionBody(), chain_of(who, scope)
        found, entry = await proposals.approve(chain, who.author, change_id, said.reason, seen=said.digest)
        told = told_entry(entry, who.role) if entry is not None else None
        return {"change": found.body(who.role), "entry": told}

    async def over(chain: UUID, who: Caller, change_id: UUID, state: str, body: DecisionBody | None) -> Proposal:
        reason = body.reason if body is not None else ""
        return await proposals.turn_down(chain, who.author, change_id, state, reason)

    @router.post("/{change_id}/reject")
    async def reject(
        change_id: UUID, who: Writer, scope: ScopeQuery, body: DecisionBody | None = None
    ) -> dict[str, Any]:
        """Turn it down."""
        return {"change": (await over(chain_of(who, scope), who, change_id, REJECTED, body)).body(who.role)}

    @router.post("/{change_id}/cancel")
    async def cancel(
        change_id: UUID, who: Writer, scope: ScopeQuery, body: DecisionBody | None = None
    ) -> dict[str, Any]:
        """Take it back."""
        return {"change": (await over(chain_of(who, scope), who, change_id, CANCELLED, body)).body(who.role)}
