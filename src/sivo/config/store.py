"""Writing a checked draft: rows, unique names and secrets. The ledger entry that covers them is there already."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg

from sivo.base.errors import SivoError
from sivo.config.bodies import names_of
from sivo.config.change import Author
from sivo.config.draft import Draft, DraftResource
from sivo.config.kinds import PLATFORM_ID, SecretField, Unique
from sivo.config.resolve import Resolver
from sivo.db.scopes import Connection
from sivo.vault.vault import Vault

#: A domain (or slug) that was replaced stays valid for so long, for phones and tokens that still carry it.
OLD_NAME_VALID = timedelta(days=7)
#: Keys of the tenant whose values are unique on the platform; also the spaces of their names.
DOMAIN_KEYS = ("tenant.slug", "tenant.sip_domain", "tenant.dashboard_url")


async def write(
    connection: Connection,
    vault: Vault,
    draft: Draft,
    effective: Resolver,
    author: Author,
    reason: str,
    seq: int,
    at: datetime,
) -> None:
    """Write everything that ``draft`` changes. ALREADY_EXISTS when a name is taken."""
    if draft.tenant_body is not None and draft.base.tenant_id != PLATFORM_ID:
        await _write_tenant(connection, draft, at)
        await _write_domains(connection, draft.base.tenant_id, effective, at)
    await _write_keys(connection, draft, author, reason, seq, at)
    changed = [one for one in draft.resources.values() if one.changed()]
    for one in changed:
        await _drop_names(connection, draft.base.tenant_id, one)
    for one in changed:
        await _write_resource(connection, draft.base.tenant_id, one, seq, at)
        await _write_secrets(connection, vault, draft.base.tenant_id, one)


async def _write_tenant(connection: Connection, draft: Draft, at: datetime) -> None:
    body, tenant_id = draft.tenant_body, draft.base.tenant_id
    assert body is not None
    values = (tenant_id, body["slug"], body["name"], body["plan"], body["status"])
    if draft.base.tenant is None:
        statement = "insert into tenant (id, slug, name, plan, status, created_at) values ($1, $2, $3, $4, $5, $6)"
        arguments: tuple[Any, ...] = (*values, at)
    elif body != draft.base.tenant.body():
        statement, arguments = "update tenant set slug = $2, name = $3, plan = $4, status = $5 where id = $1", values
    else:
        return
    try:
        await connection.execute(statement, *arguments)
    except asyncpg.UniqueViolationError:
        raise _taken("tenant.slug", str(body["slug"])) from None


async def _write_domains(connection: Connection, tenant_id: UUID, effective: Resolver, at: datetime) -> None:
    """Keep the directory's way from slug and host names to the tenant in step with the effective values."""
    for key in DOMAIN_KEYS:
        value = effective.effective(key).value
        await connection.execute(
            "update unique_name set valid_until = $1"
            " where tenant_id = $2 and space = $3 and name <> $4 and valid_until is null",
            at + OLD_NAME_VALID,
            tenant_id,
            key,
            value,
        )
        back = await connection.execute(
            "update unique_name set valid_until = null where tenant_id = $1 and space = $2 and name = $3",
            tenant_id,
            key,
            value,
        )
        if back == "UPDATE 0":
            await _claim(connection, key, PLATFORM_ID, value, tenant_id, "tenant", tenant_id)


async def _write_keys(
    connection: Connection, draft: Draft, author: Author, reason: str, seq: int, at: datetime
) -> None:
    for one in draft.keys.values():
        place = (draft.base.tenant_id, str(one.scope.level), one.scope.target, one.key)
        if one.after == one.before:
            continue
        if one.after is None:
            await connection.execute(
                "delete from config_value where tenant_id = $1 and scope = $2 and target = $3 and key = $4", *place
            )
            continue
        await connection.execute(
            "insert into config_value (tenant_id, scope, target, key, value, locked, author, at, reason, seq)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (tenant_id, scope, target, key) do update"
            " set value = excluded.value, locked = excluded.locked, author = excluded.author, at = excluded.at,"
            " reason = excluded.reason, seq = excluded.seq",
            *place,
            one.after["value"],
            one.after["locked"],
            author.name,
            at,
            reason,
            seq,
        )


async def _drop_names(connection: Connection, tenant_id: UUID, one: DraftResource) -> None:
    """Give back the names that the resource no longer has, before anybody of the same change-set takes them."""
    kept = names_of(one.kind, one.body)
    for unique, name in names_of(one.kind, one.before.body if one.before else None).items():
        if kept.get(unique) != name:
            await connection.execute(
                "delete from unique_name where space = $1 and owner = $2 and name = $3",
                unique.space,
                _owner(unique, tenant_id),
                name,
            )


async def _write_resource(connection: Connection, tenant_id: UUID, one: DraftResource, seq: int, at: datetime) -> None:
    if one.body is None:
        if one.before is not None:
            await connection.execute("delete from resource where id = $1", one.id)
        return
    await connection.execute(
        "insert into resource (tenant_id, kind, id, body, secrets, version, created_at, updated_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $7) on conflict (id) do update set body = excluded.body,"
        " secrets = excluded.secrets, version = excluded.version, updated_at = excluded.updated_at",
        tenant_id,
        one.kind.name,
        one.id,
        one.body,
        one.secrets,
        seq,
        at,
    )
    held = names_of(one.kind, one.before.body if one.before else None)
    for unique, name in names_of(one.kind, one.body).items():
        if held.get(unique) != name:
            await _claim(connection, unique.space, _owner(unique, tenant_id), name, tenant_id, one.kind.name, one.id)


async def _write_secrets(connection: Connection, vault: Vault, tenant_id: UUID, one: DraftResource) -> None:
    body = one.body if one.body is not None else (one.before.body if one.before else {})
    for field in one.removals:
        await vault.delete_secret(tenant_id, one.kind.vault_name(one.id, body, field), connection=connection)
    for secret in one.kind.secrets:
        if secret.field in one.writes:
            name = one.kind.vault_name(one.id, body, secret.field)
            host = bound_host(secret, body)
            await vault.put_secret(
                tenant_id, name, one.writes[secret.field], host, keep_previous=secret.overlap, connection=connection
            )


def bound_host(secret: SecretField, body: dict[str, Any]) -> str | None:
    """The host that a secret may be sent to, from the body field that names it."""
    value = body.get(secret.host) if secret.host else None
    if not value:
        return None
    return (urlsplit(value).hostname if "://" in value else str(value)) or None


async def _claim(
    connection: Connection, space: str, owner: UUID, name: str, tenant_id: UUID, kind: str, resource_id: UUID
) -> None:
    try:
        await connection.execute(
            "insert into unique_name (space, owner, name, tenant_id, kind, id) values ($1, $2, $3, $4, $5, $6)",
            space,
            owner,
            name,
            tenant_id,
            kind,
            resource_id,
        )
    except asyncpg.UniqueViolationError:
        raise _taken(space, name) from None


def _taken(space: str, name: str) -> SivoError:
    return SivoError("ALREADY_EXISTS", f"{space} {name[:100]!r} is taken", where=space, remedy="choose another")


def _owner(unique: Unique, tenant_id: UUID) -> UUID:
    return PLATFORM_ID if unique.platform_wide else tenant_id
