"""The same five routes for every kind of resource, at ``/api/<plural>``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel, Field, create_model

from sivo.api.context import Context
from sivo.api.etag import etag, if_match
from sivo.api.page import Cursor, Limit, decode_id, page
from sivo.base.errors import SivoError
from sivo.config import all_kinds
from sivo.config.http import WAITS, JsonObject, Reason
from sivo.config.kinds import ResourceKind
from sivo.config.past import moment_of, picture
from sivo.config.resources import Resources
from sivo.config.state import Resource
from sivo.config.types import REDACTED
from sivo.identity.access import Principal, require

#: Kinds with routes of their own.
_APART = ("tenant", "secret", "api_key")
At = Annotated[str | None, Query(max_length=40, description="A version, or a time (ISO 8601): as it was then.")]
IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=100)]


def make_router(context: Context) -> APIRouter:
    """Routes of all kinds that have no others."""
    router = APIRouter()
    for kind in all_kinds.load().values():
        if kind.name not in _APART:
            _add(router, context, kind)
    return router


def input_model(kind: ResourceKind) -> type[BaseModel]:
    """The kind's model with its write-only secrets: what a creation takes."""
    secrets: dict[str, Any] = {}
    for secret in kind.secrets:
        bounds = Field(
            min_length=secret.min_length, max_length=secret.max_length, json_schema_extra={"writeOnly": True}
        )
        secrets[secret.field] = (Annotated[str | None, bounds], None)
    return create_model(f"{kind.model.__name__}Input", __base__=kind.model, __doc__=kind.model.__doc__, **secrets)


def shown(kind: ResourceKind, resource: Resource, generated: dict[str, str] | None = None) -> dict[str, Any]:
    """A resource on the wire. Secrets are ``***`` or null; those just generated are shown this one time."""
    secrets = {secret.field: REDACTED if secret.field in resource.secrets else None for secret in kind.secrets}
    return {
        "id": str(resource.id),
        **{name: resource.body.get(name) for name in kind.model.model_fields},
        **secrets,
        **(generated or {}),
        "version": resource.version,
        "created_at": resource.created_at.isoformat(),
        "updated_at": resource.updated_at.isoformat(),
    }


def without_redacted(kind: ResourceKind, patch: dict[str, Any]) -> dict[str, Any]:
    """A patch in which a redacted secret that came back means "as it is"; so do the fields that only we set."""
    secrets = {secret.field for secret in kind.secrets}
    return {name: value for name, value in patch.items() if not (name in secrets and value == REDACTED)}


def _add(router: APIRouter, context: Context, kind: ResourceKind) -> None:
    reader = Depends(require(kind.read))
    writer = Depends(require(kind.write))
    _add_reads(router, context, kind, reader)
    _add_writes(router, context, kind, writer)


def _add_reads(router: APIRouter, context: Context, kind: ResourceKind, reader: Any) -> None:
    name, root = kind.name, f"/api/{kind.plural}"
    tags: list[str | Enum] = [kind.plural]

    async def list_(cursor: Cursor = None, limit: Limit = 50, who: Principal = reader) -> dict[str, Any]:
        rows = await context.resources.list(who.tenant_id, name, after=decode_id(cursor), limit=limit + 1)
        found = page(rows, limit, lambda row: [str(row.id)])
        return {**found, "items": [shown(kind, row) for row in found["items"]]}

    async def get(resource_id: UUID, response: Response, at: At = None, who: Principal = reader) -> dict[str, Any]:
        if at is not None:
            return shown(kind, await _past(context, who.tenant_id, name, resource_id, at))
        found = await context.resources.get(who.tenant_id, name, resource_id)
        response.headers["ETag"] = etag(found.version)
        return shown(kind, found)

    router.add_api_route(
        root,
        list_,
        methods=["GET"],
        dependencies=[reader],
        tags=tags,
        name=f"list {name}",
        summary=f"List {kind.plural}",
    )
    router.add_api_route(
        f"{root}/{{resource_id}}",
        get,
        methods=["GET"],
        dependencies=[reader],
        tags=tags,
        name=f"get {name}",
        summary=f"One {name}",
    )


async def _past(context: Context, tenant_id: UUID, kind: str, resource_id: UUID, at: str) -> Resource:
    then = await picture(context.database, tenant_id, moment_of(at))
    found = next((one for one in then.resources if (one.kind, one.id) == (kind, resource_id)), None)
    if found is None:
        raise SivoError("NOT_FOUND", f"there was no {kind} {resource_id} at version {then.version}", where=kind)
    return found


def _add_writes(router: APIRouter, context: Context, kind: ResourceKind, writer: Any) -> None:
    one = f"/api/{kind.plural}/{{resource_id}}"
    _add_create(router, context.resources, kind, writer)
    more: dict[str, Any] = {"dependencies": [writer], "tags": [kind.plural], "responses": WAITS}
    router.add_api_route(
        one,
        _patch(context.resources, kind, writer),
        methods=["PATCH"],
        name=f"change {kind.name}",
        summary="JSON merge patch; null removes",
        **more,
    )
    router.add_api_route(
        one,
        _delete(context.resources, kind, writer),
        methods=["DELETE"],
        status_code=204,
        name=f"delete {kind.name}",
        summary=f"Delete a {kind.name}",
        **more,
    )


def _add_create(router: APIRouter, resources: Resources, kind: ResourceKind, writer: Any) -> None:
    async def create(body: Any, reason: Reason, response: Response, who: Principal = writer) -> dict[str, Any]:
        sent = body.model_dump(mode="json", exclude_unset=True)
        made = await resources.create(who.tenant_id, kind.name, sent, author=who.author, reason=reason)
        response.headers["ETag"] = etag(made.resource.version)
        response.headers["Location"] = f"/api/{kind.plural}/{made.resource.id}"
        return shown(kind, made.resource, dict(made.generated))

    # The body's type is only known here; FastAPI reads it from the annotations.
    create.__annotations__["body"] = input_model(kind)
    router.add_api_route(
        f"/api/{kind.plural}",
        create,
        methods=["POST"],
        dependencies=[writer],
        status_code=201,
        tags=[kind.plural],
        responses=WAITS,
        name=f"create {kind.name}",
        summary=f"Create a {kind.name}",
    )


def _patch(resources: Resources, kind: ResourceKind, writer: Any) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def patch(
        resource_id: UUID,
        body: JsonObject,
        reason: Reason,
        response: Response,
        if_match_header: IfMatch = None,
        who: Principal = writer,
    ) -> dict[str, Any]:
        found = await resources.update(
            who.tenant_id,
            kind.name,
            resource_id,
            without_redacted(kind, body),
            author=who.author,
            reason=reason,
            if_version=if_match(if_match_header),
        )
        response.headers["ETag"] = etag(found.version)
        return shown(kind, found)

    return patch


def _delete(resources: Resources, kind: ResourceKind, writer: Any) -> Callable[..., Awaitable[None]]:
    async def delete(
        resource_id: UUID,
        reason: Reason,
        if_match_header: IfMatch = None,
        who: Principal = writer,
    ) -> None:
        version = if_match(if_match_header)
        await resources.delete(
            who.tenant_id, kind.name, resource_id, author=who.author, reason=reason, if_version=version
        )

    return delete
