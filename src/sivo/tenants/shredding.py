"""Destroying a tenant's keys: one transaction after which nothing that was sealed for the tenant opens again."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sivo.base import logs
from sivo.db.scopes import Connection, Database
from sivo.vault.vault import Vault

#: Told to every process that opens sealed things; payload: the tenant's id.
CHANNEL = "sivo_shredded"
_log = logs.get("tenants")


async def shred(connection: Connection, tenant_id: UUID, at: datetime) -> bool:
    """Destroy the tenant's keys; platform scope. False when the tenant was restored meanwhile.

    From here on the database takes no new key for the tenant and lets its append-only rows go.
    """
    done = await connection.execute(
        "update tenant set shredded_at = coalesce(shredded_at, $2)"
        " where id = $1 and status = 'deleting' and delete_at <= $2",
        tenant_id,
        at,
    )
    if done != "UPDATE 1":
        return False
    await connection.execute("delete from tenant_key where tenant_id = $1", tenant_id)
    await connection.execute("select pg_notify($1, $2)", CHANNEL, str(tenant_id))
    await connection.execute("select pg_notify('sivo_config', $1)", f'{{"tenant":"{tenant_id}"}}')
    return True


async def follow(database: Database, vault: Vault) -> None:
    """Let this process forget the keys that another one destroyed."""

    def shredded(payload: str) -> None:
        if payload:
            vault.forget(UUID(payload))
            _log.info("keys forgotten", tenant=payload)

    await database.listen(CHANNEL, shredded)
