"""What a change-set has to know of other tenants, read before its own transaction begins.

A transaction that waits for a second connection while others wait for its lock could exhaust the pool, so nothing in
here is read later. What changes in between is caught by the database (names) or by the next change (rules).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sivo.config import slugs, store
from sivo.config.change import Change, Create, SetKey, UnsetKey, Update
from sivo.config.key import Level
from sivo.config.kinds import PLATFORM_ID
from sivo.config.resolve import Stored
from sivo.config.rules import CROSS_CHECKED
from sivo.db.scopes import Connection, Database

#: Longest part of a slug that all its numbered variants share.
_SHARED = 24


@dataclass(frozen=True, slots=True)
class Below:
    """A tenant's own values of the keys that rules look at, for changes above it."""

    slug: str
    plan: str
    values: tuple[Stored, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``taken``: slugs of others that resemble ours; ``below``: tenants that a platform value might break."""

    taken: frozenset[str] = frozenset()
    below: tuple[Below, ...] = ()


async def look_around(database: Database, tenant_id: UUID, changes: Sequence[Change], now: datetime) -> Surroundings:
    """Read what ``changes`` need to know, and free the names whose 7 days after a change are over."""
    if tenant_id == PLATFORM_ID:
        async with database.platform("config: tenants below a platform value") as connection:
            return Surroundings(below=await _below(connection))
    if not _touches_names(changes):
        return Surroundings()
    async with database.platform("config: names of tenants") as connection:
        await connection.execute("delete from unique_name where valid_until < $1", now)
        return Surroundings(taken=await _taken(connection, tenant_id, changes))


async def _below(connection: Connection) -> tuple[Below, ...]:
    rows = await connection.fetch(
        "select t.slug, t.plan, v.key, v.value from config_value v join tenant t on t.id = v.tenant_id"
        " where v.scope = 'tenant' and v.key = any($1) order by t.slug",
        list(CROSS_CHECKED),
    )
    tenants: dict[tuple[str, str], list[Stored]] = {}
    for row in rows:
        own = Stored(row["key"], Level.TENANT, row["value"])
        tenants.setdefault((row["slug"], row["plan"]), []).append(own)
    return tuple(Below(slug, plan, tuple(values)) for (slug, plan), values in tenants.items())


async def _taken(connection: Connection, tenant_id: UUID, changes: Sequence[Change]) -> frozenset[str]:
    bodies = [one.body if isinstance(one, Create) else one.patch for one in changes if isinstance(one, Create | Update)]
    names = [name for body in bodies if isinstance(name := body.get("name"), str)]
    current = await connection.fetchval("select name from tenant where id = $1", tenant_id)
    prefixes = [slugs.from_name(name)[:_SHARED] + "%" for name in [*names, *([current] if current else [])]]
    rows = await connection.fetch(
        "select name from unique_name where space = 'tenant.slug' and tenant_id <> $1 and name like any($2)",
        tenant_id,
        prefixes,
    )
    return frozenset(row["name"] for row in rows)


def _touches_names(changes: Sequence[Change]) -> bool:
    return any(
        (isinstance(one, SetKey | UnsetKey) and one.key in store.DOMAIN_KEYS)
        or (isinstance(one, Create | Update) and one.kind == "tenant")
        for one in changes
    )
