"""The rows of ``lead``; the person in them is sealed under the tenant's key."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.db.scopes import Connection, Database

_COLUMNS = "id, sealed, source, locale, consent_at, consent_version, created_at, expires_at"


async def insert(connection: Connection, tenant_id: UUID, row: dict[str, Any]) -> None:
    """A new lead; ``row`` has every column but the tenant's."""
    await connection.execute(
        f"insert into lead (tenant_id, {_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",  # noqa: S608
        tenant_id,
        *(row[name.strip()] for name in _COLUMNS.split(",")),
    )


async def listing(
    connection: Connection, *, limit: int, before: UUID | None = None, source: str | None = None
) -> list[dict[str, Any]]:
    """Leads of the scope's tenant, newest first."""
    rows = await connection.fetch(
        f"select {_COLUMNS} from lead where ($1::uuid is null or id < $1)"  # noqa: S608
        " and ($2::text is null or source = $2) order by id desc limit $3",
        before,
        source,
        limit,
    )
    return [dict(row) for row in rows]


async def find(connection: Connection, lead_id: UUID) -> dict[str, Any] | None:
    """One lead."""
    row = await connection.fetchrow(f"select {_COLUMNS} from lead where id = $1", lead_id)  # noqa: S608
    return dict(row) if row else None


async def erase(connection: Connection, lead_id: UUID) -> bool:
    """Remove one lead; False when there is none."""
    return bool(await connection.execute("delete from lead where id = $1", lead_id) != "DELETE 0")


async def expire_leads(database: Database, now: datetime) -> int:
    """Remove what is past its retention; returns how many."""
    async with database.platform("leads: retention") as connection:
        status = await connection.execute("delete from lead where expires_at <= $1", now)
    return int(status.split()[-1])
