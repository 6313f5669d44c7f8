"""Reading what the database says about one tenant's configuration; every function takes a connection in its scope."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config.key import Inputs, Level
from sivo.config.kinds import PLATFORM_ID
from sivo.config.registry import KEYS
from sivo.config.renamed import current
from sivo.config.resolve import Resolver, Stored
from sivo.db.scopes import Connection


@dataclass(frozen=True, slots=True)
class TenantRow:
    """The tenant itself. ``version`` is the number of its last change-set."""

    id: UUID
    slug: str
    name: str
    plan: str
    status: str
    version: int
    created_at: datetime

    def body(self) -> dict[str, Any]:
        """As the resource of kind ``tenant``."""
        return {"name": self.name, "plan": self.plan, "slug": self.slug, "status": self.status}


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as stored. ``secrets`` maps secret fields to fingerprints; values are in the vault only."""

    tenant_id: UUID
    kind: str
    id: UUID
    body: dict[str, Any]
    secrets: dict[str, str]
    version: int
    created_at: datetime
    updated_at: datetime

    def record(self) -> dict[str, Any]:
        """As the ledger holds it."""
        return {"body": self.body, "secrets": self.secrets}


_RESOURCE = "tenant_id, kind, id, body, secrets, version, created_at, updated_at"


def inputs_of(tenant: TenantRow | None, settings: Settings) -> Inputs:
    """Facts that computed defaults need."""
    suffixes = {"sip_suffix": settings.sip_domain_suffix, "app_suffix": settings.app_domain_suffix}
    if tenant is None:
        return Inputs(**suffixes)
    return Inputs(slug=tenant.slug, name=tenant.name, plan=tenant.plan, **suffixes)


async def tenant_row(connection: Connection, tenant_id: UUID) -> TenantRow | None:
    """The tenant, None when there is none."""
    row = await connection.fetchrow(
        "select id, slug, name, plan, status, config_version as version, created_at from tenant where id = $1",
        tenant_id,
    )
    return TenantRow(**row) if row else None


async def known_tenant(connection: Connection, tenant_id: UUID) -> TenantRow:
    """The tenant; NOT_FOUND otherwise."""
    row = await tenant_row(connection, tenant_id)
    if row is None:
        raise SivoError("NOT_FOUND", f"there is no tenant {tenant_id}", where="tenant")
    return row


async def stored_values(connection: Connection, tenant_id: UUID, plan: str | None = None) -> list[Stored]:
    """Values of the platform, of ``plan`` (None: of every plan) and of the tenant, for keys that still exist."""
    rows = await connection.fetch(
        "select key, scope, target, value, locked, author, at, reason, seq from config_value"
        " where (tenant_id = $1 or tenant_id = $2) and (scope <> 'plan' or $3::text is null or target = $3)",
        tenant_id,
        PLATFORM_ID,
        plan,
    )
    found = []
    for row in rows:
        key, value = current(row["key"], row["value"])
        if key in KEYS:
            level, origin = Level(row["scope"]), (row["author"], row["at"], row["reason"], row["seq"])
            found.append(Stored(key, level, value, row["target"], row["locked"], *origin))
    return found


async def resolver(connection: Connection, tenant: TenantRow, settings: Settings) -> Resolver:
    """Effective values of a tenant as they are now."""
    stored = await stored_values(connection, tenant.id, tenant.plan)
    return Resolver(inputs_of(tenant, settings), [one for one in stored if one.level is not Level.ORG])


async def resources(
    connection: Connection,
    tenant_id: UUID,
    kind: str | None = None,
    after: UUID | None = None,
    limit: int | None = None,
) -> list[Resource]:
    """Resources of a tenant in the order of their ids (= of their creation), after id ``after``."""
    rows = await connection.fetch(
        f"select {_RESOURCE} from resource where tenant_id = $1 and ($2::text is null or kind = $2)"  # noqa: S608
        " and ($3::uuid is null or id > $3) order by id limit $4",
        tenant_id,
        kind,
        after,
        limit,
    )
    return [Resource(**row) for row in rows]


async def resources_by_id(connection: Connection, tenant_id: UUID, ids: Iterable[UUID]) -> dict[UUID, Resource]:
    """The named resources as far as they are there."""
    rows = await connection.fetch(
        f"select {_RESOURCE} from resource where tenant_id = $1 and id = any($2)",  # noqa: S608
        tenant_id,
        list(ids),
    )
    return {row["id"]: Resource(**row) for row in rows}


async def ledger_targets(connection: Connection, tenant_id: UUID) -> dict[str, Any]:
    """What the tables of one tenant hold now, named and shaped as the ledger writes it."""
    found: dict[str, Any] = {}
    rows = await connection.fetch(
        "select scope, target, key, value, locked from config_value where tenant_id = $1", tenant_id
    )
    for row in rows:
        found[f"key/{row['scope']}/{row['target']}/{row['key']}"] = {"value": row["value"], "locked": row["locked"]}
    for one in await resources(connection, tenant_id):
        found[f"{one.kind}/{one.id}"] = one.record()
    if tenant_id == PLATFORM_ID:
        rows = await connection.fetch("select key, value from key_default where seq is not null")
        found |= {f"default/{row['key']}": row["value"] for row in rows}
    tenant = await tenant_row(connection, tenant_id)
    if tenant is not None and tenant_id != PLATFORM_ID:
        found[f"tenant/{tenant_id}"] = {"body": tenant.body(), "secrets": {}}
    return found
