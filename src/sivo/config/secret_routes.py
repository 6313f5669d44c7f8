"""Provider secrets by name: they go in as change-sets, and come out as fingerprints only."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from sivo.api.context import Context
from sivo.base.errors import SivoError
from sivo.config import state
from sivo.config.change import Change, Create, Update
from sivo.config.http import WAITS, Reason
from sivo.config.state import Resource
from sivo.identity.access import Permission, Principal, require

Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]
KIND = "secret"
#: A secret that is entered without a host goes to the host that this key names at that moment, and nowhere else.
_HOST_FROM = {"llm_api_key": "ai.llm_base_url"}


class SecretBody(BaseModel):
    """Body of PUT /api/secrets/{name}; ``host`` is the only host that the value may be sent to, and comes from
    ``base_url`` where the engine is not at its vendor's usual place."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[SecretStr, Field(min_length=1, max_length=8192)]
    host: Annotated[str, Field(max_length=253)] | None = None
    base_url: Annotated[str, Field(max_length=2048)] | None = None


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/secrets``."""
    router = APIRouter(tags=["secrets"])
    resources = context.resources

    async def find(tenant_id: UUID, name: str) -> Resource | None:
        return next((one for one in await resources.list(tenant_id, KIND) if one.body["name"] == name), None)

    async def host_for(tenant_id: UUID, name: str) -> str | None:
        if name not in _HOST_FROM:
            return None
        async with context.database.tenant(tenant_id) as connection:
            row = await state.known_tenant(connection, tenant_id)
            effective = await state.resolver(connection, row, context.settings)
        host: str | None = urlsplit(effective.effective(_HOST_FROM[name]).value).hostname
        return host

    @router.get("/api/secrets")
    async def list_secrets(who: Annotated[Principal, Depends(require(Permission.SECRETS_READ))]) -> dict[str, Any]:
        """Names, hosts and fingerprints of the tenant's provider secrets."""
        used = {one.name: one.last_used_at for one in await context.vault.list_secrets(who.tenant_id)}
        found = await resources.list(who.tenant_id, KIND)
        items = [{**_public(one), "last_used_at": used.get(str(one.body["name"]))} for one in found]
        return {"items": items, "next": None}

    @router.put("/api/secrets/{name}", responses=WAITS)
    async def put_secret(
        name: Name,
        body: SecretBody,
        reason: Reason,
        who: Annotated[Principal, Depends(require(Permission.SECRETS_WRITE))],
    ) -> dict[str, Any]:
        """Store or replace a secret; answers its fingerprint, never its value."""
        known = await find(who.tenant_id, name)
        host = body.host or (None if body.base_url else await host_for(who.tenant_id, name))
        sent = {"name": name, "host": host, "base_url": body.base_url, "value": body.value.get_secret_value()}
        change: Change = Create(KIND, sent) if known is None else Update(KIND, known.id, sent)
        await resources.apply(who.tenant_id, who.author, reason, [change])
        made = await find(who.tenant_id, name)
        assert made is not None
        return _public(made)

    @router.delete("/api/secrets/{name}", status_code=204, responses=WAITS)
    async def delete_secret(
        name: Name, reason: Reason, who: Annotated[Principal, Depends(require(Permission.SECRETS_WRITE))]
    ) -> None:
        """Forget a secret."""
        known = await find(who.tenant_id, name)
        if known is None:
            raise SivoError("NOT_FOUND", f"there is no secret {name}", where="name", remedy="GET /api/secrets")
        await resources.delete(who.tenant_id, KIND, known.id, author=who.author, reason=reason)

    return router


def _public(one: Resource) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "name": one.body["name"],
        "host": one.body["host"],
        "base_url": one.body.get("base_url"),
        "fingerprint": one.secrets.get("value"),
        "version": one.version,
        "updated_at": one.updated_at.isoformat(),
    }
