"""Routes about keys of the vault, and the one way to see a provider secret again."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from sivo.api.context import Context
from sivo.audit.log import record
from sivo.base.errors import SivoError
from sivo.config.kinds import PLATFORM_ID
from sivo.config.state import resources_by_id
from sivo.identity.access import Caller, Operator, Permission, Principal, current_caller, require, require_operator
from sivo.identity.access import require_step_up as step_up
from sivo.identity.rates import Limit
from sivo.vault import rotation
from sivo.vault.resources import PROVIDER_SECRET

#: Reveals of one person; far above what setting up a provider takes, far below what emptying a vault takes.
REVEAL = Limit("reveal", 10, 60 * 60)

Who = Annotated[Principal, Depends(require(Permission.SECRETS_WRITE))]
Self = Annotated[Caller, Depends(current_caller)]
Platform = Annotated[Operator, Depends(require_operator)]
_STEPPED_UP = [Depends(step_up)]


def make_router(context: Context) -> APIRouter:
    """Reveal, and the states and replacements of keys."""
    router = APIRouter(tags=["secrets"])
    _add_reveal(router, context)
    _add_keys(router, context)
    return router


def _add_reveal(router: APIRouter, context: Context) -> None:
    @router.post("/api/secrets/{secret_id}/reveal", dependencies=_STEPPED_UP)
    async def reveal(secret_id: UUID, response: Response, who: Who, caller: Self) -> dict[str, Any]:
        """The value of one provider secret, to an admin of the tenant who has just shown password or factor.

        At most ten an hour each, and every one stands in the audit log before it is answered. Only provider secrets:
        private keys, SIP passwords and signing secrets are shown to nobody.
        """
        if caller.session_id is None:
            raise SivoError("INSUFFICIENT_ROLE", "only a signed-in admin may see secrets", where="secret")
        if caller.home_id != who.tenant_id:
            raise SivoError("INSUFFICIENT_ROLE", "only the tenant's own admins may see its secrets", where="secret")
        (await context.identity.rates.take(REVEAL, str(caller.user_id))).check()
        async with context.database.tenant(who.tenant_id) as connection:
            found = (await resources_by_id(connection, who.tenant_id, {secret_id})).get(secret_id)
            value = None
            if found is not None and found.kind == PROVIDER_SECRET.name:
                name = PROVIDER_SECRET.vault_name(found.id, found.body, "value")
                value = await context.vault.get_secret(who.tenant_id, name, connection=connection)
            if found is None or value is None:
                raise SivoError("NOT_FOUND", f"there is no secret {secret_id}", where="secret")
            entry = who.author.did("access", "secret.revealed", PROVIDER_SECRET.name, secret_id)
            await record(connection, entry, context.clock.now())
        response.headers["Cache-Control"] = "no-store"
        return {"id": str(secret_id), "name": found.body["name"], "host": value.host, "value": value.value}


def _add_keys(router: APIRouter, context: Context) -> None:
    vault = context.vault

    async def shown() -> dict[str, Any]:
        keys = await rotation.status(context.database, vault.keyring)
        return {"keys": [one.document() for one in keys]}

    @router.get("/api/vault")
    async def status(_who: Platform) -> dict[str, Any]:
        """Key-encryption keys by id: which wraps, which still opens, how many data keys each has left."""
        return await shown()

    @router.post("/api/vault/rotate", status_code=202, dependencies=_STEPPED_UP)
    async def rotate(who: Platform) -> dict[str, Any]:
        """Let the key of SIVO_KEK wrap from now on; the worker wraps every data key again and retires the old one."""
        before = await rotation.status(context.database, vault.keyring)
        async with context.database.platform("vault: rotate") as connection:
            begun = await rotation.begin(connection, vault.keyring)
        if begun:
            old = next((one.kek_id for one in before if one.state == "active"), None)
            new = vault.keyring.current.kek_id
            entry = who.author.did("update", "vault.kek_rotated", "kek", new, {"active": (old, new)})
            async with context.database.tenant(PLATFORM_ID) as connection:
                await record(connection, entry, context.clock.now())
        return {"begun": begun, **await shown()}

    @router.post("/api/vault/data-key/rotate", dependencies=_STEPPED_UP)
    async def rotate_data_key(who: Who) -> dict[str, Any]:
        """Give the tenant another data key and seal its secrets again; what was stored before stays readable."""
        key_id, sealed = await rotation.replace_data_key(context.database, vault, who.tenant_id)
        async with context.database.tenant(who.tenant_id) as connection:
            entry = who.author.did("update", "vault.data_key_rotated", "data_key", key_id)
            await record(connection, entry, context.clock.now())
        return {"key_id": str(key_id), "sealed_again": sealed}
