"""Routes of the configuration plane: ``/api/config`` and everything below it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response

from sivo.api.context import Context
from sivo.audit.ledger import history
from sivo.base.errors import SivoError
from sivo.config import change_routes, proposal, registry, resource_routes, secret_routes, vault_routes, version_routes
from sivo.config.change import Change, Entry, Scope
from sivo.config.document import (
    document,
    explanation,
    explanations,
    past_resolver,
    resolver_at,
    secret_names,
    with_defaults,
)
from sivo.config.form import form
from sivo.config.http import (
    WAITS,
    JsonObject,
    Reason,
    ScopeQuery,
    chain_of,
    changes_of,
    config_tag,
    same_content,
    version_in,
    warned,
)
from sivo.config.impact import impact
from sivo.config.kinds import PLATFORM_ID
from sivo.config.live import Shown
from sivo.config.past import moment_of, picture
from sivo.config.resolve import Resolver
from sivo.config.schema import document_schema, patch_schema
from sivo.db.scopes import Connection
from sivo.identity.access import Caller, CallerGate, Permission, Principal, require

Who = Annotated[Caller, Depends(CallerGate(Permission.CONFIG_READ))]
Writer = Annotated[Caller, Depends(CallerGate(Permission.CONFIG_WRITE))]
IfMatch = Annotated[str | None, Header(max_length=500)]
At = Annotated[str | None, Query(max_length=40, description="A version, or a time (ISO 8601): as it was then.")]


def make_router(context: Context) -> APIRouter:
    """Keys, the resources of every kind, and provider secrets."""
    router = _config_router(context)
    for room in (change_routes, secret_routes, vault_routes, resource_routes):
        router.routes.extend(room.make_router(context).routes)
    return router


class _Plane:
    """What the routes below do, on the services of one process."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def read(self, connection: Connection, chain: UUID, scope: Scope, role: str) -> tuple[dict[str, Any], str]:
        """The document and its entity tag."""
        resolver, version = await resolver_at(connection, chain, scope, self._context.settings)
        names = await secret_names(connection, chain)
        kids = [str(key["kid"]) for key in self._context.identity.keys.jwks()["keys"]]
        found = document(resolver, role, names, kids)
        return found, config_tag(version, found, role, scope)

    async def shown(self, chain: UUID, scope: Scope, role: str) -> Shown:
        """As :meth:`get`, encoded and remembered until something changes."""
        kids = tuple(self._context.identity.keys.kids())
        return await self._context.resources.live.get(
            chain, (str(scope), role, kids), lambda: self.get(chain, scope, role)
        )

    async def explained(self, chain: UUID, scope: Scope, role: str) -> tuple[dict[str, Any], str]:
        """Every key that the role may see with its explanation, and an entity tag."""
        async with self._context.database.tenant(chain) as connection:
            resolver, version = await resolver_at(connection, chain, scope, self._context.settings)
        found = explanations(await with_defaults(self._context.database, resolver), role)
        return found, config_tag(version, found, role, scope)

    async def past(
        self, chain: UUID, scope: Scope, role: str, when: str, *, explain: bool
    ) -> tuple[dict[str, Any], str]:
        """The document, or all explanations, at a version or a time of the past, and its entity tag."""
        resolver, version = await self._at(chain, scope, when)
        found = explanations(resolver, role) if explain else document(resolver, role, [], [])
        return found, config_tag(version, found, role, scope)

    async def why(self, chain: UUID, scope: Scope, role: str, key: str, when: str | None) -> dict[str, Any]:
        """The explanation of one key, now or at a version or time of the past."""
        if when is not None:
            resolver, version = await self._at(chain, scope, when)
            return {**explanation(resolver, key, role), "version": version}
        async with self._context.database.tenant(chain) as connection:
            resolver, _version = await resolver_at(connection, chain, scope, self._context.settings)
        return explanation(await with_defaults(self._context.database, resolver), key, role)

    async def _at(self, chain: UUID, scope: Scope, when: str) -> tuple[Resolver, int]:
        then = await picture(self._context.database, chain, moment_of(when))
        return past_resolver(then, scope, self._context.settings), then.version

    async def get(self, chain: UUID, scope: Scope, role: str) -> tuple[dict[str, Any], str]:
        """As :meth:`read`, in a scope of its own."""
        async with self._context.database.tenant(chain) as connection:
            return await self.read(connection, chain, scope, role)

    async def patch(
        self, chain: UUID, scope: Scope, who: Caller, changes: list[Change], reason: str, if_match: str | None
    ) -> Entry:
        """Apply ``changes`` unless the document is no longer the one that ``if_match`` names."""

        async def unchanged(connection: Connection) -> None:
            _found, tag = await self.read(connection, chain, scope, who.role)
            if if_match is not None and not same_content(if_match, tag):
                raise await _conflict(connection, chain, if_match, tag)

        return await self._context.resources.apply(chain, who.author, reason, changes, precondition=unchanged)


async def _conflict(connection: Connection, chain: UUID, if_match: str, tag: str) -> SivoError:
    seen = version_in(if_match)
    entries = await history(connection, chain, target="key/%", limit=20) if seen is not None else []
    meanwhile = [
        {"version": one["seq"], "author": one["author"], "targets": [c["target"] for c in one["changes"]]}
        for one in entries
        if seen is not None and one["seq"] > seen
    ]
    return SivoError(
        "VERSION_CONFLICT",
        "the configuration was changed meanwhile",
        where="header If-Match",
        remedy="read it again and repeat the change",
        details={"etag": tag, "meanwhile": meanwhile},
    )


def _config_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/api/config", tags=["configuration"])
    plane = _Plane(context)
    # Before the route of a single key, which would take their paths for names.
    router.routes.extend(version_routes.make_router(context).routes)
    _add_document(router, plane)
    _add_patch(router, plane)
    _add_impact(router, context)
    _add_history(router, context)
    _add_key(router, plane)
    return router


def _add_document(router: APIRouter, plane: _Plane) -> None:
    @router.get(
        "",
        response_model=None,
        responses={200: {"content": {"application/json": {"schema": document_schema()}}}},
    )
    async def get_config(
        response: Response,
        who: Who,
        scope: ScopeQuery,
        at: At = None,
        explain: Annotated[bool, Query(description="Each key with the value of every level and who set it.")] = False,
        if_none_match: IfMatch = None,
    ) -> dict[str, Any] | Response:
        """Effective values as flat JSON: every key that the role may see, then secrets and JWT keys as `***`."""
        chain = chain_of(who, scope)
        if at is None and not explain:
            body, tag = await plane.shown(chain, scope, who.role)
            headers = {"ETag": tag, "Cache-Control": "no-cache"}
            if same_content(if_none_match, tag):
                return Response(status_code=304, headers=headers)
            return Response(body, media_type="application/json", headers=headers)
        if at is not None:
            found, tag = await plane.past(chain, scope, who.role, at, explain=explain)
        else:
            found, tag = await plane.explained(chain, scope, who.role)
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if same_content(if_none_match, tag):
            return Response(status_code=304, headers=headers)
        response.headers.update(headers)
        return found


def _add_patch(router: APIRouter, plane: _Plane) -> None:
    @router.patch(
        "",
        responses=WAITS,
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/merge-patch+json": {"schema": patch_schema()}}}
        },
    )
    async def patch_config(
        response: Response,
        who: Writer,
        scope: ScopeQuery,
        patch: JsonObject,
        reason: Reason,
        if_match: IfMatch = None,
        confirm: Annotated[list[str] | None, Query(description="Keys whose warning was read.")] = None,
    ) -> dict[str, Any]:
        """JSON merge patch (RFC 7396) of dotted keys, all or nothing; null removes an override.

        What the change does besides stands in the header `X-Change-Warnings`: a JSON array, percent-encoded.
        """
        chain = chain_of(who, scope)
        entry = await plane.patch(chain, scope, who, changes_of(patch, scope, confirm or []), reason, if_match)
        response.headers.update(warned(entry.warnings))
        found, response.headers["ETag"] = await plane.get(chain, scope, who.role)
        return found


def _add_impact(router: APIRouter, context: Context) -> None:
    @router.post("/impact")
    async def get_impact(who: Writer, scope: ScopeQuery, patch: JsonObject) -> dict[str, Any]:
        """How many tenants a patch at this scope would change, and for which keys; nothing is written."""
        chain = chain_of(who, scope)
        preview = await context.resources.preview(chain, who.author, changes_of(patch, scope, list(registry.KEYS)))
        if preview.problem is not None:
            raise preview.problem
        if chain == PLATFORM_ID:
            return (await impact(context.database, preview)).body()
        return {"sentence": "changes this tenant alone", "tenants": 1, "changed": int(bool(preview.records))}


def _add_history(router: APIRouter, context: Context) -> None:
    @router.get("/schema")
    async def get_schema(who: Who) -> dict[str, Any]:
        """Every key that the role may see: type, bounds, default, where, when and by whom it is set, and its form."""
        seen = [key for key in registry.KEYS.values() if who.role in key.read_roles]
        return {"keys": [{**key.describe(), "form": form(key)} for key in seen]}

    @router.get("/history")
    async def get_history(
        who: Annotated[Principal, Depends(require(Permission.CONFIG_INSPECT))],
        key: Annotated[str | None, Query(max_length=100)] = None,
        resource: Annotated[UUID | None, Query(description="Only changes of the resource with this id.")] = None,
        before: Annotated[int | None, Query(ge=1, description="Older than this version.")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        """Change-sets of the tenant, newest first; with `key` or `resource` only those that changed it."""
        target = f"key/%/{registry.get(key).name}" if key else f"%/{resource}" if resource else None
        async with context.database.tenant(who.tenant_id) as connection:
            items = await history(connection, who.tenant_id, target=target, before=before, limit=limit)
            waited = await proposal.of_entries(connection, who.tenant_id, [one["seq"] for one in items])
        return {
            "items": [{**one, "change": waited.get(one["seq"])} for one in items],
            "next": items[-1]["seq"] if len(items) == limit else None,
        }


def _add_key(router: APIRouter, plane: _Plane) -> None:
    @router.get("/{key}")
    async def explain_key(key: str, who: Who, scope: ScopeQuery, at: At = None) -> dict[str, Any]:
        """One effective value with the value of every level, who set it, when and why; now or in the past."""
        return await plane.why(chain_of(who, scope), scope, who.role, key, at)
