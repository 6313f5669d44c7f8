"""Routes of API keys: an administrator makes, lists and revokes them; a key itself does none of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from sivo.api.context import Context
from sivo.audit import log as audit
from sivo.base import logs
from sivo.base.ids import uuid7
from sivo.config.change import Create, Delete
from sivo.config.http import Reason
from sivo.config.state import Resource
from sivo.config.values import Name
from sivo.db.scopes import Connection
from sivo.identity import api_keys, sessions
from sivo.identity.access import Permission, Principal, require, require_step_up
from sivo.identity.api_key_format import new_key
from sivo.identity.api_key_kind import KIND, ApiKey, KeyRole
from sivo.identity.api_key_scopes import Scope

Admin = Annotated[Principal, Depends(require(Permission.API_KEYS_MANAGE))]
#: Days that a key lives when nothing else is asked for.
DEFAULT_DAYS = 365
_log = logs.get("identity")


class NewKeyBody(BaseModel):
    """A key to be made; ``expires_in_days`` null: it does not expire."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    role: KeyRole
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = DEFAULT_DAYS


def shown(resource: Resource, use: dict[str, Any] | None = None) -> dict[str, Any]:
    """A key on the wire, without what nobody can read any more."""
    key = ApiKey(**resource.body)
    return {
        "id": str(resource.id),
        **key.model_dump(mode="json"),
        "created_at": resource.created_at.isoformat(),
        "last_used_at": use["last_used_at"] if use else None,
        "last_used_from": use["last_used_from"] if use else "",
    }


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/api-keys``."""
    router = APIRouter(prefix="/api/api-keys", tags=["api keys"])

    @router.get("")
    async def list_keys(who: Admin) -> dict[str, Any]:
        """The tenant's keys in the order of their making; ``last_used_at`` is right to the minute."""
        rows = await context.resources.list(who.tenant_id, KIND)
        async with context.database.tenant(who.tenant_id) as connection:
            used = await api_keys.uses(connection)
        return {"items": [shown(row, used.get(row.id)) for row in rows], "next": None}

    @router.post("", status_code=201, dependencies=[Depends(require_step_up)])
    async def create_key(body: NewKeyBody, who: Admin, reason: Reason, response: Response) -> dict[str, Any]:
        """Make a key no stronger than yourself. `key` is shown this one time; only its hash is kept."""
        made, key_id = new_key(), uuid7()
        lives = body.expires_in_days
        expires_at = context.clock.now() + timedelta(days=lives) if lives is not None else None
        resource = {
            "name": body.name,
            "prefix": made.prefix,
            "role": body.role,
            "scopes": sorted({str(one) for one in body.scopes}),
            "expires_at": expires_at.isoformat() if expires_at else None,
        }

        async def keep(connection: Connection) -> None:
            await api_keys.keep(connection, who.tenant_id, key_id, made)
            entry = who.author.did("create", "api_key.created", KIND, key_id, {"prefix": (None, made.prefix)})
            await audit.record(connection, entry, context.clock.now())

        await context.resources.apply(
            who.tenant_id,
            who.author,
            reason,
            [Create(KIND, resource, key_id)],
            also=keep,
        )
        _log.info("api key made", tenant=str(who.tenant_id), prefix=made.prefix, author=who.author.name)
        response.headers["Location"] = f"/api/api-keys/{key_id}"
        return {**shown(await context.resources.get(who.tenant_id, KIND, key_id)), "key": made.text}

    @router.delete("/{key_id}", status_code=204)
    async def revoke_key(key_id: UUID, who: Admin, reason: Reason) -> None:
        """Revoke a key, in every process at once."""

        key = await context.resources.get(who.tenant_id, KIND, key_id)

        async def announce(connection: Connection) -> None:
            entry = who.author.did("delete", "api_key.revoked", KIND, key_id, {"prefix": (key.body["prefix"], None)})
            await audit.record(connection, entry, context.clock.now())
            await sessions.announce(connection, who.tenant_id)

        await context.resources.apply(who.tenant_id, who.author, reason, [Delete(KIND, key_id)], also=announce)
        context.identity.authentication.cache.forget_tenant(who.tenant_id)
        _log.info("api key revoked", tenant=str(who.tenant_id), prefix=key.body["prefix"], author=who.author.name)

    return router
