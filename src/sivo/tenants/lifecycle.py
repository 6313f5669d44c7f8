"""Suspending, deleting and restoring a tenant: change-sets like any other, with what belongs to the same step."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sivo.api.context import Context
from sivo.audit import log as audit
from sivo.base.errors import SivoError, register
from sivo.config import state
from sivo.config.change import Author, Update, Warned
from sivo.config.kinds import PLATFORM_ID
from sivo.db.scopes import Connection
from sivo.identity import sessions
from sivo.identity.people import ACTIVE

#: What was asked for does not go with a tenant that is being deleted.
TENANT_DELETING = register("TENANT_DELETING", 409)
#: The tenant's keys are destroyed; nobody can bring it back.
TENANT_SHREDDED = register("TENANT_SHREDDED", 410)
DELETING = "deleting"
_EVENTS = {"suspended": "tenant.suspended", ACTIVE: "tenant.resumed"}


async def change(
    context: Context, tenant_id: UUID, author: Author, reason: str, patch: dict[str, Any], if_version: int | None
) -> tuple[Warned, ...]:
    """Name, slug, plan, status; returns warnings. A tenant that is being deleted gets no other status here."""
    before: dict[str, Any] = {}

    async def look(connection: Connection) -> None:
        row = await state.known_tenant(connection, tenant_id)
        before.update(row.body())
        if "status" in patch and DELETING in (patch["status"], row.status):
            raise SivoError(
                TENANT_DELETING,
                "deleting and restoring are requests of their own",
                where="tenant.status",
                remedy=f"DELETE /api/tenants/{tenant_id}, or POST /api/tenants/{tenant_id}/restore",
            )

    async def note(connection: Connection) -> None:
        after = (await state.known_tenant(connection, tenant_id)).body()
        if after["status"] != before["status"]:
            await _record(connection, context, author, _EVENTS[after["status"]], tenant_id, "status", before, after)
            await sessions.announce(connection, tenant_id)
        if after["plan"] != before["plan"]:
            await _record(connection, context, author, "tenant.plan_changed", tenant_id, "plan", before, after)

    update = Update("tenant", tenant_id, patch, if_version)
    entry = await context.resources.apply(tenant_id, author, reason, [update], precondition=look, also=note)
    return entry.warnings


async def delete(context: Context, tenant_id: UUID, author: Author, reason: str) -> datetime:
    """Refuse the tenant everywhere from now on and have it deleted after the grace; when that will be.

    Asking again changes nothing. Raises VALIDATION_FAILED without a reason, NOT_FOUND.
    """
    if not reason.strip():
        raise SivoError(
            "VALIDATION_FAILED", "say why the tenant is deleted", where="header X-Change-Reason", remedy="send a reason"
        )
    if tenant_id == PLATFORM_ID:
        raise SivoError("NOT_FOUND", "the platform itself is not a tenant", where="tenant")
    now = context.clock.now()
    delete_at = now + timedelta(seconds=context.settings.tenant_deletion_grace_sec)
    before: dict[str, Any] = {}

    async def look(connection: Connection) -> None:
        before.update((await state.known_tenant(connection, tenant_id)).body())

    async def mark(connection: Connection) -> None:
        if before["status"] == DELETING:
            return
        await connection.execute(
            "update tenant set status_before = $2, deletion_requested_at = $3, deletion_by = $4, deletion_reason = $5,"
            " delete_at = $6 where id = $1",
            tenant_id,
            before["status"],
            now,
            author.name,
            reason,
            delete_at,
        )
        after = {**before, "status": DELETING}
        await _record(connection, context, author, "tenant.deleted", tenant_id, "status", before, after)
        await sessions.announce(connection, tenant_id)

    update = Update("tenant", tenant_id, {"status": DELETING})
    await context.resources.apply(tenant_id, author, reason, [update], precondition=look, also=mark)
    context.identity.authentication.cache.forget_tenant(tenant_id)
    async with context.database.tenant(tenant_id) as connection:
        due: datetime = await connection.fetchval("select delete_at from tenant where id = $1", tenant_id)
    return due


async def restore(context: Context, tenant_id: UUID, author: Author, reason: str) -> None:
    """Within the grace: the tenant is again what it was before. TENANT_SHREDDED after it."""
    async with context.database.tenant(tenant_id) as connection:
        row = await connection.fetchrow("select status, status_before from tenant where id = $1", tenant_id)
    if row is None:
        raise SivoError("NOT_FOUND", f"there is no tenant {tenant_id}", where="tenant")
    if row["status"] != DELETING:
        return
    earlier = row["status_before"] or "suspended"

    async def look(connection: Connection) -> None:
        # The row's lock decides between us and the worker.
        gone = await connection.fetchval(
            "select shredded_at is not null from tenant where id = $1 for update", tenant_id
        )
        if gone:
            raise SivoError(TENANT_SHREDDED, "the keys of this tenant are destroyed", where="tenant")

    async def clear(connection: Connection) -> None:
        await connection.execute(
            "update tenant set status_before = null, deletion_requested_at = null, deletion_by = null,"
            " deletion_reason = null, delete_at = null where id = $1",
            tenant_id,
        )
        statuses = {"status": DELETING}, {"status": earlier}
        await _record(connection, context, author, "tenant.restored", tenant_id, "status", *statuses)

    update = Update("tenant", tenant_id, {"status": earlier})
    await context.resources.apply(tenant_id, author, reason, [update], precondition=look, also=clear)


async def _record(
    connection: Connection,
    context: Context,
    author: Author,
    event: str,
    tenant_id: UUID,
    field: str,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    entry = author.did("update", event, "tenant", tenant_id, {field: (before[field], after[field])})
    await audit.record(connection, entry, context.clock.now())
