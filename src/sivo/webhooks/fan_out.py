"""From events to deliveries: one row per event and endpoint that wants it, in one transaction with the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.config import state
from sivo.db.scopes import Connection
from sivo.events import outbox
from sivo.events.catalogue import WEBHOOK_TEST
from sivo.webhooks import engine, health
from sivo.webhooks.resources import WEBHOOK_ENDPOINT

RETRY_KEY = "webhooks.retry_max_attempts"
TIMEOUT_KEY = "webhooks.timeout_ms"
DLQ_KEY = "webhooks.dlq_retention_days"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An active endpoint of a tenant."""

    id: UUID
    body: dict[str, Any]


async def fan_out(connection: Connection, settings: Settings, now: datetime) -> int:
    """Turn waiting events into deliveries (scope ``platform``); returns how many events were handled."""
    await announce_saved(connection)
    events = await outbox.claim(connection)
    by_tenant: dict[UUID, list[outbox.Event]] = {}
    for event in events:
        by_tenant.setdefault(event.tenant_id, []).append(event)
    for tenant_id, of_tenant in by_tenant.items():
        await _fan_out_tenant(connection, settings, tenant_id, of_tenant, now)
    if events:
        await outbox.handed_on(connection, events, now)
    return len(events)


async def announce_saved(connection: Connection) -> None:
    """Put ``webhook.test`` for every endpoint that was created or changed since its last test."""
    rows = await connection.fetch(
        "select r.tenant_id, r.id, r.version, r.body from resource r left join webhook_tested t on t.endpoint_id = r.id"
        " where r.kind = $1 and t.version is distinct from r.version order by r.id limit 100",
        WEBHOOK_ENDPOINT.name,
    )
    for row in rows:
        noted = await connection.execute(
            "insert into webhook_tested as t (endpoint_id, tenant_id, version) values ($1, $2, $3)"
            " on conflict (endpoint_id) do update set version = excluded.version where t.version <> excluded.version",
            row["id"],
            row["tenant_id"],
            row["version"],
        )
        if noted != "INSERT 0 1":  # another worker was faster
            continue
        await health.saved(connection, row["id"], row["version"])
        if row["body"]["active"]:
            await put_test(connection, row["tenant_id"], row["id"])


async def put_test(connection: Connection, tenant_id: UUID, endpoint_id: UUID) -> str:
    """Record a ``webhook.test`` for one endpoint; returns the event's id."""
    data = {"endpointId": str(endpoint_id), "message": "This is a test of your webhook endpoint."}
    return await outbox.put(connection, tenant_id, WEBHOOK_TEST, data)


async def endpoints(connection: Connection, tenant_id: UUID) -> list[Endpoint]:
    """The active endpoints of a tenant."""
    rows = await state.resources(connection, tenant_id, WEBHOOK_ENDPOINT.name)
    return [Endpoint(row.id, row.body) for row in rows if row.body["active"]]


async def key_value(connection: Connection, settings: Settings, tenant_id: UUID, key: str) -> Any:
    """The effective value of one key of a tenant, now."""
    tenant = await state.known_tenant(connection, tenant_id)
    return (await state.resolver(connection, tenant, settings)).effective(key).value


async def _fan_out_tenant(
    connection: Connection, settings: Settings, tenant_id: UUID, events: list[outbox.Event], now: datetime
) -> None:
    receivers = await endpoints(connection, tenant_id)
    if not receivers:
        return
    default_retries = await key_value(connection, settings, tenant_id, RETRY_KEY)
    off = await health.disabled(connection, [receiver.id for receiver in receivers])
    rows = [
        _row(event, receiver, default_retries, now, off.get(receiver.id))
        for event in events
        for receiver in receivers
        if engine.wants(receiver.body["events"], str(receiver.id), event.type, event.data)
    ]
    await connection.executemany(
        "insert into webhook_delivery"
        " (id, tenant_id, endpoint_id, event_id, type, call_id, body, retry_max, due_at, created_at,"
        "  state, last_error, finished_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $12)"
        " on conflict (endpoint_id, event_id) do nothing",
        rows,
    )


def _row(
    event: outbox.Event, receiver: Endpoint, default_retries: int, now: datetime, off: str | None
) -> tuple[Any, ...]:
    """One delivery; for an endpoint that is switched off (``off`` says why) it waits in the dead-letter queue."""
    own = receiver.body.get("retry_max_attempts")
    retries = default_retries if own is None else own
    body = outbox.envelope(event)
    waits = off is not None and event.type != WEBHOOK_TEST
    end = (engine.DEAD, off, now) if waits else (engine.PENDING, None, None)
    return uuid7(), event.tenant_id, receiver.id, event.id, event.type, _call_of(event.data), body, retries, now, *end


def _call_of(data: dict[str, Any]) -> UUID | None:
    try:
        return UUID(str(data["callId"]))
    except (KeyError, ValueError):
        return None
