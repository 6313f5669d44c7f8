"""What happened, one row each, written in the transaction that made it true.

Readers claim rows with SKIP LOCKED. They never remember "the last id": a late commit would be skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from sivo.base.ids import event_id
from sivo.db.scopes import Connection
from sivo.db.statement import Statement
from sivo.events.catalogue import CATALOGUE

#: How long a row stays after it was handed on; deliveries carry their own copy of what they send.
KEEP = timedelta(days=1)


@dataclass(frozen=True)
class Event:
    """One row of the outbox."""

    id: str
    tenant_id: UUID
    type: str
    data: dict[str, Any]
    created_at: datetime


async def put(
    connection: Connection, tenant_id: UUID, type: str, data: Mapping[str, Any], *, id: str | None = None
) -> str:
    """Record an event in the caller's transaction and return its id.

    ``data`` is JSON with camelCase names as published. With an ``id`` of the caller's (derived from what it records), a
    repetition is harmless. ``ValueError`` for a type that is not in the catalogue.
    """
    event = statement(tenant_id, type, data, id=id)
    await event.run(connection)
    return str(event.args[0])


def statement(tenant_id: UUID, type: str, data: Mapping[str, Any], *, id: str | None = None) -> Statement:
    """What :func:`put` runs, for who runs it together with others."""
    sql = "insert into outbox (id, tenant_id, type, data) values ($1, $2, $3, $4) on conflict (id) do nothing"
    return Statement(sql, row(tenant_id, type, data, id=id))


#: For :func:`sivo.db.statement.if_changed`: an event that is put if something was changed; arguments: :func:`row`.
PUT_IF_CHANGED = (
    "insert into outbox (id, tenant_id, type, data) select $1::text, $2::uuid, $3::text, $4::jsonb from changed"
    " on conflict (id) do nothing"
)


def row(
    tenant_id: UUID, type: str, data: Mapping[str, Any], *, id: str | None = None
) -> tuple[str, UUID, str, dict[str, Any]]:
    """What is written of an event, with a new id unless one is given.

    ``ValueError`` for a type that is not in the catalogue.
    """
    if type not in CATALOGUE:
        raise ValueError(f"{type!r} is not in the event catalogue")
    return id or event_id(), tenant_id, type, dict(data)


async def claim(connection: Connection, limit: int = 100) -> list[Event]:
    """Events that were not handed on yet, oldest first, locked until the transaction ends (scope ``platform``)."""
    rows = await connection.fetch(
        "select id, tenant_id, type, data, created_at from outbox where handed_on_at is null"
        " order by created_at, id limit $1 for update skip locked",
        limit,
    )
    return [Event(**dict(row)) for row in rows]


async def handed_on(connection: Connection, events: list[Event], now: datetime) -> None:
    """Mark claimed events as passed to everybody who wants them."""
    await connection.execute(
        "update outbox set handed_on_at = $2 where id = any($1)", [event.id for event in events], now
    )


async def sweep(connection: Connection, now: datetime) -> int:
    """Remove rows that were handed on :data:`KEEP` ago; returns how many."""
    status = await connection.execute("delete from outbox where handed_on_at < $1", now - KEEP)
    return int(status.split()[-1])


def iso_ms(at: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and ``Z``, as every published timestamp."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def envelope(event: Event) -> bytes:
    """The published JSON document of an event: id, type, createdAt, tenantId, data."""
    return msgspec.json.encode(
        {
            "id": event.id,
            "type": event.type,
            "createdAt": iso_ms(event.created_at),
            "tenantId": str(event.tenant_id),
            "data": event.data,
        }
    )


async def waiting(connection: Connection) -> tuple[int, datetime | None]:
    """How many events were not handed on yet, and since when the oldest of them waits (scope ``platform``)."""
    row = await connection.fetchrow(
        "select count(*) as count, min(created_at) as oldest from outbox where handed_on_at is null"
    )
    assert row is not None
    return row["count"], row["oldest"]
