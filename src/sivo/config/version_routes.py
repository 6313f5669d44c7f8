"""Versions and documents over the API: diff, rollback, export, import, apply. Planning is in the room ``calls``."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from sivo.api.context import Context
from sivo.api.page import Cursor, decode_id, page
from sivo.audit.log import record_in
from sivo.config.change import Entry
from sivo.config.compare import differences, effective_differences, shown
from sivo.config.export import export
from sivo.config.exports import documents
from sivo.config.going_back import way_back
from sivo.config.http import WAITS, Reason, ScopeQuery, chain_of
from sivo.config.past import Picture, moment_of, picture
from sivo.config.plans import Planner, check_confirmed, stale, unmoved
from sivo.config.registry import KEYS
from sivo.identity.access import Caller, CallerGate, Operator, Permission, Principal, require, require_operator

Reader = Annotated[Caller, Depends(CallerGate(Permission.CONFIG_INSPECT))]
Writer = Annotated[Principal, Depends(require(Permission.CONFIG_WRITE))]
Confirm = Annotated[list[str] | None, Query(description="Keys whose warning was read.")]


class RollbackBody(BaseModel):
    """``to`` is a version or a time; ``if_version`` the version that the author has seen."""

    model_config = ConfigDict(extra="forbid")

    to: Annotated[str | int, Field(union_mode="left_to_right")]
    if_version: int | None = None


class DocumentBody(BaseModel):
    """``document`` is YAML (or JSON) as ``GET /api/config/export`` gives it; ``plan`` the digest of a plan of it."""

    model_config = ConfigDict(extra="forbid")

    document: Annotated[str, Field(max_length=900_000)]
    plan: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/config``; mounted before that of single keys."""
    router = APIRouter(prefix="/api/config", tags=["configuration"])
    planner = Planner(context.settings, context.database, context.resources)
    _add_versions(router, context)
    _add_documents(router, planner)

    @router.get("/exports")
    async def exports(
        who: Annotated[Operator, Depends(require_operator)],
        cursor: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 200,
    ) -> dict[str, Any]:
        """The documents of all tenants, page by page; for operators, and in the audit log of each tenant."""
        async with context.database.platform("config: export of all tenants") as connection:
            rows = await documents(connection, decode_id(cursor), limit + 1)
            taken = [UUID(row["id"]) for row in rows[:limit]]
            entry = who.author.outside().did("access", "config.exported", "endpoint", "GET /api/config/exports")
            await record_in(connection, taken, entry, context.clock.now())
        return page(rows, limit, lambda row: [row["id"]])

    return router


def _add_versions(router: APIRouter, context: Context) -> None:
    async def at(chain: Any, when: str | int | None) -> Picture:
        moment = moment_of(str(when)) if when is not None else context.clock.now()
        return await picture(context.database, chain, moment)

    @router.get("/diff")
    async def diff(
        who: Reader,
        scope: ScopeQuery,
        from_: Annotated[str, Query(alias="from", max_length=40, description="A version, or a time (ISO 8601).")],
        to: Annotated[str | None, Query(max_length=40, description="The same; now if absent.")] = None,
    ) -> dict[str, Any]:
        """What two versions differ in: keys, resources field by field, effective values."""
        chain = chain_of(who, scope)
        old, new = await at(chain, from_), await at(chain, to)
        then, after = old.resolver(context.settings, scope), new.resolver(context.settings, scope)
        return {
            "from": old.version,
            "to": new.version,
            "changes": shown(differences(old.targets, new.targets), who.role),
            "effective": effective_differences(then, after, who.role),
        }

    @router.post("/rollback", responses=WAITS)
    async def rollback(
        body: RollbackBody,
        reason: Reason,
        scope: ScopeQuery,
        who: Annotated[Caller, Depends(CallerGate(Permission.CONFIG_WRITE))],
        confirm: Confirm = None,
    ) -> dict[str, Any]:
        """Make everything as it was at an earlier version, as a new entry; secrets stay as they are today."""
        chain = chain_of(who, scope)
        now, then = await at(chain, None), await at(chain, body.to)
        if body.if_version not in (None, now.version):
            raise stale()
        way = way_back(now, then)
        check_confirmed(differences(now.targets, then.targets), confirm or [])
        why = reason or f"rollback to version {then.version}"
        entry = await context.resources.apply(
            chain, who.author, why, way.changes, precondition=unmoved(chain, now.version)
        )
        return {**told_entry(entry, who.role), "to": then.version, "kept_secrets": list(way.kept)}


def _add_documents(router: APIRouter, planner: Planner) -> None:
    @router.get("/export", response_class=Response, responses={200: {"content": {"application/yaml": {}}}})
    async def export_(who: Annotated[Principal, Depends(require(Permission.CONFIG_INSPECT))]) -> Response:
        """The tenant's own values and resources as YAML, secrets as references (RFC 9512 media type)."""
        now = await planner.now(who.tenant_id)
        stored = [one for name in KEYS for one in now.resolver.levels(name)]
        text = export(stored, now.resources)
        return Response(text, media_type="application/yaml", headers={"X-Config-Version": str(now.tenant.version)})

    @router.post("/import", responses=WAITS)
    async def import_(body: DocumentBody, reason: Reason, who: Writer, confirm: Confirm = None) -> dict[str, Any]:
        """Make the tenant as the document says; sections that it does not have are left alone."""
        plan = await planner.plan(who.tenant_id, who.author, body.document)
        return told_entry(await planner.apply(plan, who.author, reason, confirmed=confirm or []), who.role)

    @router.post("/apply", responses=WAITS)
    async def apply(body: DocumentBody, reason: Reason, who: Writer, confirm: Confirm = None) -> dict[str, Any]:
        """Apply exactly what was planned: PLAN_STALE when document or configuration moved since."""
        plan = await planner.plan(who.tenant_id, who.author, body.document)
        entry = await planner.apply(plan, who.author, reason, digest=body.plan or "", confirmed=confirm or [])
        return told_entry(entry, who.role)


def told_entry(entry: Entry, role: str) -> dict[str, Any]:
    """A change-set that was committed, as JSON for ``role``."""
    return {
        "version": entry.seq,
        "changed": entry.changed,
        "author": entry.author,
        "reason": entry.reason,
        "changes": shown(entry.changes, role),
        "warnings": [one.body() for one in entry.warnings],
        "generated": {target: dict(secrets) for target, secrets in entry.generated.items()},
    }
