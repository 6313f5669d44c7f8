"""Provider credentials over the API: they go into the vault, and come out as fingerprints only."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from sivo.api.context import Context
from sivo.base.errors import SivoError
from sivo.identity.access import READERS, WRITERS, Principal, require
from sivo.vault.vault import SecretInfo

#: Names of provider secrets; the vault's other entries (of resources) have a slash and are not reached from here.
_NAME = r"^[a-z][a-z0-9_.-]{0,62}$"
Name = Annotated[str, Path(pattern=_NAME)]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$")]


class SecretBody(BaseModel):
    """Body of PUT /api/secrets/{name}; ``host`` is the only host that the value may be sent to."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[SecretStr, Field(min_length=1, max_length=8192)]
    host: Host | None = None


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/secrets``."""
    router = APIRouter(tags=["secrets"])
    vault = context.vault

    @router.get("/api/secrets")
    async def list_secrets(who: Annotated[Principal, Depends(require(*READERS))]) -> dict[str, Any]:
        """Names, hosts and fingerprints of the tenant's provider credentials."""
        found = await vault.list_secrets(who.tenant_id)
        return {"items": [_public(info) for info in found if "/" not in info.name]}

    @router.put("/api/secrets/{name}")
    async def put_secret(
        name: Name, body: SecretBody, who: Annotated[Principal, Depends(require(*WRITERS))]
    ) -> dict[str, Any]:
        """Store or replace a credential; answers its fingerprint, never its value."""
        fingerprint = await vault.put_secret(who.tenant_id, name, body.value.get_secret_value(), body.host)
        return {"name": name, "fingerprint": fingerprint, "host": body.host}

    @router.delete("/api/secrets/{name}", status_code=204)
    async def delete_secret(name: Name, who: Annotated[Principal, Depends(require(*WRITERS))]) -> None:
        """Forget a credential."""
        if not await vault.delete_secret(who.tenant_id, name):
            raise SivoError("NOT_FOUND", f"there is no secret {name}", where="name", remedy="GET /api/secrets")

    return router


def _public(info: SecretInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "fingerprint": info.fingerprint,
        "host": info.host,
        "updated_at": info.updated_at.isoformat(),
    }
