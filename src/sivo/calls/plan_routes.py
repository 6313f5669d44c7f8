"""``POST /api/config/plan``: what a document or patch would change, and what it would have done to real calls."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from sivo.api.context import Context
from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.calls import replay
from sivo.calls.past_calls import last_calls
from sivo.calls.replay import PastCall
from sivo.config.change import TENANT_SCOPE
from sivo.config.compare import effective_differences, shown
from sivo.config.http import changes_of
from sivo.config.past import moment_of, picture
from sivo.config.plans import Plan, Planner, confirmations
from sivo.config.registry import KEYS
from sivo.config.state import Resource, TenantRow
from sivo.identity.access import Permission, Principal, require
from sivo.routing.directory import TenantPicture
from sivo.routing.loader import supposed

#: Calls that one plan may be replayed against.
MAX_CALLS = 500


class PlanBody(BaseModel):
    """Either ``document`` (YAML, see ``GET /api/config/export``) or ``patch`` (as for ``PATCH /api/config``).

    ``calls``: how many of the tenant's last calls are replayed.
    """

    model_config = ConfigDict(extra="forbid")

    document: Annotated[str, Field(max_length=900_000)] | None = None
    patch: dict[str, Any] | None = None
    calls: Annotated[int, Field(ge=0, le=MAX_CALLS)] = 100


def make_router(context: Context) -> APIRouter:
    """The route ``/api/config/plan``."""
    router = APIRouter(tags=["configuration"])
    planner = Planner(context.settings, context.database, context.resources)

    @router.post("/api/config/plan")
    async def plan(
        body: PlanBody, who: Annotated[Principal, Depends(require(Permission.CONFIG_WRITE))]
    ) -> dict[str, Any]:
        """Difference by key and resource, rules between keys, and the replay; nothing is written."""
        if (body.document is None) == (body.patch is None):
            raise SivoError("VALIDATION_FAILED", "send either a document or a patch", where="body")
        if body.document is not None:
            made = await planner.plan(who.tenant_id, who.author, body.document)
        else:
            changes = changes_of(body.patch or {}, TENANT_SCOPE, list(KEYS))
            made = await planner.of(await planner.now(who.tenant_id), who.author, changes)
        return {**told(made, who.role), **await _replayed(context, made, body.calls)}

    @router.get("/api/explain/call")
    async def explain_call(
        who: Annotated[Principal, Depends(require(Permission.CONFIG_INSPECT))],
        from_: Annotated[str, Query(alias="from", max_length=64, description="An extension, or a caller's number.")],
        to: Annotated[str, Query(max_length=64, description="What is dialled, or the DID that a carrier calls.")],
        trunk: Annotated[str | None, Query(max_length=100, description="Name of the trunk that it comes on.")] = None,
        at: Annotated[str | None, Query(max_length=40, description="A version, or a time: as it was then.")] = None,
        queue: Annotated[
            UUID | None, Query(description="Id of the queue that it has come to, for its policies.")
        ] = None,
    ) -> dict[str, Any]:
        """Where a call would go and what would be kept of it if it was answered, each with its rule."""
        when = moment_of(at) if at is not None else context.clock.now()
        then = await picture(context.database, who.tenant_id, when)
        if then.tenant is None:
            raise SivoError("NOT_FOUND", "the tenant was not there then", where="at")
        supposition = supposed(then.tenant, then.resolver(context.settings), then.resources)
        found = replay.explanation(supposition, _imagined(supposition, then.at, from_, to, trunk, queue))
        return {"version": then.version, "decisions": found}

    return router


def _imagined(
    supposition: TenantPicture, at: datetime, from_: str, to: str, trunk: str | None, queue: UUID | None
) -> PastCall:
    carrier = next((one for one in supposition.trunks if one.name == trunk), None)
    if trunk is not None and carrier is None:
        raise SivoError("NOT_FOUND", f"there is no trunk {trunk!r}", where="query.trunk")
    return PastCall(
        id=uuid7(),
        at=at,
        direction="inbound" if carrier else "internal",
        from_number=from_,
        to_number=to,
        trunk_id=carrier.id if carrier else None,
        answered=True,
        turns=0,
        talked_ms=0,
        exit_reason="",
        reads=frozenset(replay.WIRE),
        queue=str(queue or ""),
    )


def told(plan: Plan, role: str) -> dict[str, Any]:
    """A plan as JSON, for ``role``."""
    problem = plan.preview.problem
    return {
        "plan": plan.digest,
        "version": plan.preview.version,
        "changes": shown(plan.records, role),
        "effective": effective_differences(plan.now.resolver, plan.preview.effective, role),
        "ok": problem is None,
        "problem": _problem(problem) if problem else None,
        "confirmations": confirmations(plan.records),
        "warnings": [one.body() for one in plan.preview.draft.warnings],
    }


def _problem(error: SivoError) -> dict[str, Any]:
    return {"code": error.code, "detail": error.message, "where": error.where, "remedy": error.remedy}


async def _replayed(context: Context, plan: Plan, limit: int) -> dict[str, Any]:
    names = {one.target.split("/", 1)[0] for one in plan.records}
    keys = [one["key"] for one in effective_differences(plan.now.resolver, plan.preview.effective, "superadmin")]
    silent = replay.not_replayable(keys, sorted(names - {"key", "tenant"}))
    if not limit or not plan.records:
        return {"replay": {"calls": 0, "changed": [], "took_ms": 0.0}, "not_replayable": silent}
    started = time.perf_counter()
    async with context.database.tenant(plan.now.tenant.id) as connection:
        calls = await last_calls(connection, limit)
    changed = replay.differences(calls, _now(plan), _after(plan))
    took = round((time.perf_counter() - started) * 1000, 1)
    return {"replay": {"calls": len(calls), "changed": changed, "took_ms": took}, "not_replayable": silent}


def _now(plan: Plan) -> TenantPicture:
    return supposed(plan.now.tenant, plan.now.resolver, plan.now.resources)


def _after(plan: Plan) -> TenantPicture:
    draft, tenant = plan.preview.draft, plan.now.tenant
    body = draft.tenant_body or tenant.body()
    named = (body["slug"], body["name"], body["plan"], body["status"])
    row = TenantRow(tenant.id, *named, tenant.version, tenant.created_at)
    there = {one.id: one for one in plan.now.resources}
    for one in draft.resources.values():
        there.pop(one.id, None)
        if one.body is not None:
            made = one.before.created_at if one.before else tenant.created_at
            there[one.id] = Resource(tenant.id, one.kind.name, one.id, one.body, one.secrets, 0, made, made)
    return supposed(row, plan.preview.effective, sorted(there.values(), key=lambda one: one.id))
