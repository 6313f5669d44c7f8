"""Rows made up from the catalogue alone, so that a table which nobody thought of is tried the day it exists."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import asyncpg

from sivo.base.ids import uuid7
from sivo.db.scopes import Connection, savepoint

_COLUMNS = """select a.attname as name, format_type(a.atttypid, a.atttypmod) as type
    from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
     and a.attidentity = '' and a.attnotnull and d.adbin is null"""
_FOREIGN = """select a.attname as name, c.confrelid::regclass::text as of, f.attname as key,
         exists (select 1 from pg_attribute t where t.attrelid = c.confrelid and t.attname = 'tenant_id') as tenanted
    from pg_constraint c
    join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[array_upper(c.conkey, 1)]
    join pg_attribute f on f.attrelid = c.confrelid and f.attnum = c.confkey[array_upper(c.confkey, 1)]
   where c.conrelid = $1::regclass and c.contype = 'f'"""
_CHECKS = """select pg_get_constraintdef(c.oid) from pg_constraint c
   where c.conrelid = $1::regclass and c.contype = 'c'"""
#: ``(state = ANY (ARRAY['pending'::text, …]))``: the first is as good as any.
_ONE_OF = re.compile(r"\(\(?\(?\"?(\w+)\"?\)?(?:::text)? = ANY \(+ARRAY\['([^']*)'")


async def add_row(connection: Connection, table: str, tenant_id: UUID) -> Any:
    """Insert one row of ``tenant_id`` in whatever scope ``connection`` has; its first column. asyncpg's error when
    the columns alone do not say what a row has to look like."""
    try:
        async with savepoint(connection):
            return await _add(connection, table, tenant_id, "")
    except asyncpg.InvalidTextRepresentationError:
        # Some text is read as JSON by a generated column.
        return await _add(connection, table, tenant_id, '{"actor": {}, "resource": {}}')


async def _add(connection: Connection, table: str, tenant_id: UUID, text: str) -> Any:
    chosen = dict(await _chosen(connection, table, tenant_id))
    names, casts, values = [], [], []
    for column in await connection.fetch(_COLUMNS, table):
        name, type_ = column["name"], column["type"]
        value = tenant_id if name == "tenant_id" else chosen.get(name, (type_ == "text" and text) or _sample(type_))
        names.append(f'"{name}"')
        values.append(value if isinstance(value, UUID | bytes | int | float | bool | list) else str(value))
        casts.append(f"${len(values)}{'::text' if isinstance(values[-1], str) else ''}::{type_}")
    statement = f"insert into {table} ({', '.join(names)}) values ({', '.join(casts)}) returning *"  # noqa: S608
    row = await connection.fetchrow(statement, *values)
    assert row is not None
    return row[0]


async def _chosen(connection: Connection, table: str, tenant_id: UUID) -> list[tuple[str, Any]]:
    """Columns whose value is not free: references to rows that are there, and the words of a check."""
    found: list[tuple[str, Any]] = []
    for (text,) in await connection.fetch(_CHECKS, table):
        found += [(match[1], match[2]) for match in _ONE_OF.finditer(text)]
    for row in await connection.fetch(_FOREIGN, table):
        if row["name"] != "tenant_id":
            own = "where tenant_id = $1" if row["tenanted"] else "where $1::uuid is not null"
            key = await connection.fetchval(f'select "{row["key"]}" from {row["of"]} {own} limit 1', tenant_id)  # noqa: S608
            found.append((row["name"], key))
    return found


def _sample(type_: str) -> Any:
    if type_ == "uuid":
        return uuid7()
    if type_ in ("integer", "bigint", "smallint"):
        return 1
    if type_ in ("numeric", "real", "double precision"):
        return "1"
    if type_ == "boolean":
        return True
    if type_ == "bytea":
        return uuid7().bytes
    if type_.startswith("timestamp"):
        return "2026-01-01T00:00:00+00:00"
    if type_ in ("json", "jsonb"):
        return "{}"
    if type_ in ("inet", "cidr"):
        return "192.0.2.1"
    return "{}" if type_.endswith("[]") else str(uuid7())
