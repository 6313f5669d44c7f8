"""Audits in the database: one at a time on the whole platform, so many a day for each tenant, and what they left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from sivo.base.errors import SivoError, register
from sivo.base.ids import uuid7
from sivo.db.scopes import Connection, Database

ISOLATION_AUDIT_RUNNING = register("ISOLATION_AUDIT_RUNNING", 409)
#: Audits that one tenant may start within :data:`WINDOW`.
DAILY = 4
WINDOW = timedelta(days=1)
#: An audit that has run for so long is taken for dead, on whatever node it was.
DEAD_AFTER = timedelta(minutes=15)
_REASON = "isolation audit"


@dataclass(frozen=True, slots=True)
class Begun:
    """An audit that may run now."""

    id: UUID
    tenant_id: UUID
    slugs: tuple[str, str]


async def begin(
    database: Database, tenant_id: UUID, author: str, node: str, slugs: tuple[str, str], now: datetime
) -> Begun:
    """Note the audit with the slugs of its canaries, before there is a canary.

    Raises ISOLATION_AUDIT_RUNNING while another runs, RATE_LIMITED above :data:`DAILY`.
    """
    begun = Begun(uuid7(), tenant_id, slugs)
    try:
        async with database.tenant(tenant_id) as connection:
            await _within_limit(connection, tenant_id, now)
            await connection.execute(
                "insert into isolation_audit (id, tenant_id, canaries, author, node, state, started_at)"
                " values ($1, $2, $3, $4, $5, 'running', $6)",
                begun.id,
                tenant_id,
                list(slugs),
                author,
                node,
                now,
            )
    except asyncpg.UniqueViolationError:
        raise SivoError(
            ISOLATION_AUDIT_RUNNING, "an isolation audit is running on this platform", where="isolation audit"
        ) from None
    return begun


async def _within_limit(connection: Connection, tenant_id: UUID, now: datetime) -> None:
    rows = await connection.fetch(
        "select started_at from isolation_audit where tenant_id = $1 and started_at > $2 order by started_at",
        tenant_id,
        now - WINDOW,
    )
    if len(rows) >= DAILY:
        wait = int((rows[-DAILY]["started_at"] + WINDOW - now).total_seconds()) + 1
        raise SivoError(
            "RATE_LIMITED",
            f"a tenant starts {DAILY} isolation audits a day at most",
            where="isolation audit",
            details={"retry_after": wait},
        )


async def finish(database: Database, begun: Begun, report: dict[str, Any] | None, now: datetime) -> None:
    """Keep the report; None: it died before there was one."""
    async with database.tenant(begun.tenant_id) as connection:
        await connection.execute(
            "update isolation_audit set state = 'done', finished_at = $2, report = $3 where id = $1",
            begun.id,
            now,
            report,
        )


async def dead(database: Database, node: str, now: datetime) -> list[Begun]:
    """Audits that nobody is working on: of ``node``, which has just started, and those of long ago."""
    async with database.platform(f"{_REASON}: what died") as connection:
        rows = await connection.fetch(
            "select id, tenant_id, canaries from isolation_audit"
            " where state = 'running' and (node = $1 or started_at < $2)",
            node,
            now - DEAD_AFTER,
        )
    return [Begun(row["id"], row["tenant_id"], tuple(row["canaries"])) for row in rows]


async def canary_ids(database: Database, slugs: tuple[str, ...]) -> list[UUID]:
    """Tenants of these slugs that are still there."""
    async with database.platform(f"{_REASON}: canaries") as connection:
        return [row["id"] for row in await connection.fetch("select id from tenant where slug = any($1)", list(slugs))]


async def listing(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The tenant's audits, newest first, without their reports."""
    rows = await connection.fetch(
        "select id, author, state, started_at, finished_at, report->>'verdict' as verdict from isolation_audit"
        " order by started_at desc, id desc limit $1",
        limit,
    )
    return [_shown(row) for row in rows]


async def one(connection: Connection, audit_id: UUID) -> dict[str, Any] | None:
    """One audit with its report, None when the tenant has none of that id."""
    row = await connection.fetchrow(
        "select id, author, state, started_at, finished_at, report->>'verdict' as verdict, report"
        " from isolation_audit where id = $1",
        audit_id,
    )
    return None if row is None else {**_shown(row), "report": row["report"]}


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "author": row["author"],
        "state": row["state"],
        "started_at": row["started_at"].isoformat(),
        "finished_at": row["finished_at"].isoformat() if row["finished_at"] else None,
        "verdict": row["verdict"],
    }
