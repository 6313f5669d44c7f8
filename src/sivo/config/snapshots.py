"""Snapshots in the database: each content once, under its hash."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sivo.config.snapshot import Snapshot
from sivo.db.scopes import Connection
from sivo.db.statement import Statement


def statement(snapshot: Snapshot) -> Statement:
    """What :func:`store` runs, for who runs it together with others."""
    sql = "insert into config_snapshot (tenant_id, hash, body) values ($1, $2, $3) on conflict do nothing"
    return Statement(sql, (snapshot.tenant_id, snapshot.hash, snapshot.body()))


async def store(connection: Connection, snapshot: Snapshot) -> str:
    """Keep a snapshot and return its hash; nothing happens when its content is there already."""
    await statement(snapshot).run(connection)
    return snapshot.hash


async def load(connection: Connection, tenant_id: UUID, hash_: str) -> dict[str, Any] | None:
    """The content kept under a hash: ``values`` and ``sources`` by key, ``language``; None when it is not there."""
    body: dict[str, Any] | None = await connection.fetchval(
        "select body from config_snapshot where tenant_id = $1 and hash = $2", tenant_id, hash_
    )
    return body
