"""Which tables hold rows of tenants, asked from the database's own catalogue, so that a new one cannot be forgotten."""

from __future__ import annotations

from collections.abc import Iterable

from sivo.db.scopes import Connection

#: Goes last, by itself.
TENANT = "tenant"


async def tenant_tables(connection: Connection) -> list[str]:
    """Every table with a column ``tenant_id`` but the tenant's own, referring ones before those they refer to.

    Partitions are reached through their parent.
    """
    rows = await connection.fetch(
        "select c.relname::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid"
        " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"
        " and a.attname = 'tenant_id' and not a.attisdropped and c.relname <> $1",
        TENANT,
    )
    names = {row["name"] for row in rows}
    references = await connection.fetch(
        "select f.relname::text as child, t.relname::text as parent from pg_constraint k"
        " join pg_class f on f.oid = k.conrelid join pg_class t on t.oid = k.confrelid"
        " where k.contype = 'f' and k.conrelid <> k.confrelid"
    )
    return in_order(names, ((row["child"], row["parent"]) for row in references))


def in_order(names: Iterable[str], references: Iterable[tuple[str, str]]) -> list[str]:
    """``names`` so that each child of ``references`` (child, parent) stands before its parent. ValueError on a ring."""
    left = set(names)
    edges = {(child, parent) for child, parent in references if child in left and parent in left}
    found: list[str] = []
    while left:
        free = sorted(left - {parent for child, parent in edges if child in left})
        if not free:
            raise ValueError(f"tables refer to each other in a ring: {', '.join(sorted(left))}")
        found += free
        left -= set(free)
    return found
