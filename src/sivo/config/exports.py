"""Exports of many tenants at once: three queries a page, however many tenants are on it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sivo.config.export import export
from sivo.config.key import Level
from sivo.config.kinds import PLATFORM_ID
from sivo.config.registry import KEYS
from sivo.config.renamed import current
from sivo.config.resolve import Stored
from sivo.config.state import Resource
from sivo.db.scopes import Connection


async def documents(connection: Connection, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """(id, slug, version, document) of ``limit`` tenants in the order of their ids, after ``after``; platform scope."""
    tenants = await connection.fetch(
        "select id, slug, config_version from tenant where id <> $1 and ($2::uuid is null or id > $2)"
        " order by id limit $3",
        PLATFORM_ID,
        after,
        limit,
    )
    ids = [row["id"] for row in tenants]
    stored = await _stored(connection, ids)
    resources = await _resources(connection, ids)
    return [
        {
            "id": str(row["id"]),
            "slug": row["slug"],
            "version": row["config_version"],
            "document": export(stored.get(row["id"], ()), resources.get(row["id"], ())),
        }
        for row in tenants
    ]


async def _stored(connection: Connection, ids: list[UUID]) -> dict[UUID, list[Stored]]:
    rows = await connection.fetch(
        "select tenant_id, key, value, locked from config_value where scope = 'tenant' and tenant_id = any($1)", ids
    )
    found: dict[UUID, list[Stored]] = {}
    for row in rows:
        key, value = current(row["key"], row["value"])
        if key in KEYS:
            found.setdefault(row["tenant_id"], []).append(Stored(key, Level.TENANT, value, locked=row["locked"]))
    return found


async def _resources(connection: Connection, ids: list[UUID]) -> dict[UUID, list[Resource]]:
    rows = await connection.fetch(
        "select tenant_id, kind, id, body, secrets, version, created_at, updated_at from resource"
        " where tenant_id = any($1) order by tenant_id, id",
        ids,
    )
    found: dict[UUID, list[Resource]] = {}
    for row in rows:
        found.setdefault(row["tenant_id"], []).append(Resource(**row))
    return found
