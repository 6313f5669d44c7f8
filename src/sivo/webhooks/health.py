"""Endpoints that fail: noticed from their outcomes, switched off after lasting failure, switched on by an admin.

No row means healthy. Nothing is lost meanwhile: what was under way and what happens while an endpoint is off waits in
the dead-letter queue, from where it can be replayed. Functions take a connection in the scope ``platform``, or in the
tenant's where they say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.db.scopes import Connection
from sivo.events import outbox
from sivo.events.catalogue import WEBHOOK_DISABLED
from sivo.webhooks import engine
from sivo.webhooks.engine import Outcome


async def note(connection: Connection, tenant_id: UUID, endpoint_id: UUID, outcome: Outcome, now: datetime) -> bool:
    """Take in how a request ended; True when that switched the endpoint off."""
    if outcome.delivered:
        # A delivery (of a test, say) that arrives shows that the endpoint is well; the admin still switches it on.
        await connection.execute(
            "delete from webhook_health where endpoint_id = $1 and disabled_at is null", endpoint_id
        )
        return False
    row = await connection.fetchrow(
        "insert into webhook_health as h (endpoint_id, tenant_id, failing_since, failures, last_error)"
        " values ($1, $2, $3, 1, $4) on conflict (endpoint_id) do update"
        " set failures = h.failures + 1, last_error = excluded.last_error"
        " returning failing_since, failures, disabled_at",
        endpoint_id,
        tenant_id,
        now,
        outcome.error or "",
    )
    assert row is not None
    if row["disabled_at"] is not None or not engine.lasting(row["failing_since"], row["failures"], now):
        return False
    await _switch_off(connection, tenant_id, endpoint_id, now)
    data = {
        "endpointId": str(endpoint_id),
        "failingSince": outbox.iso_ms(row["failing_since"]),
        "failures": row["failures"],
        "reason": outcome.error or "",
    }
    await outbox.put(connection, tenant_id, WEBHOOK_DISABLED, data)
    return True


async def _switch_off(connection: Connection, tenant_id: UUID, endpoint_id: UUID, now: datetime) -> None:
    await connection.execute(
        "update webhook_health set disabled_at = $2, version = (select version from resource where id = $1)"
        " where endpoint_id = $1",
        endpoint_id,
        now,
    )
    # What another worker is just sending keeps its claim and ends by itself.
    await connection.execute(
        "update webhook_delivery set state = 'dead', last_error = $3, finished_at = $2"
        " where endpoint_id = $1 and state = 'pending' and (claimed_until is null or claimed_until <= $2)"
        " and type <> 'webhook.test'",
        endpoint_id,
        now,
        _why(now),
    )


async def disabled(connection: Connection, endpoint_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Which of the endpoints are switched off, and why."""
    rows = await connection.fetch(
        "select endpoint_id, disabled_at from webhook_health where endpoint_id = any($1) and disabled_at is not null",
        list(endpoint_ids),
    )
    return {row["endpoint_id"]: _why(row["disabled_at"]) for row in rows}


async def saved(connection: Connection, endpoint_id: UUID, version: int) -> None:
    """An admin saved the endpoint anew: it begins again with a clean record."""
    await connection.execute(
        "delete from webhook_health where endpoint_id = $1 and version is distinct from $2", endpoint_id, version
    )


async def enable(connection: Connection, endpoint_id: UUID) -> bool:
    """Switch an endpoint on again (scope of its tenant); False when it was not off."""
    status = await connection.execute(
        "delete from webhook_health where endpoint_id = $1 and disabled_at is not null", endpoint_id
    )
    return bool(status != "DELETE 0")


async def shown(connection: Connection, endpoint_id: UUID) -> dict[str, Any]:
    """What an admin sees (scope of the tenant): ``ok``, ``failing`` or ``disabled``, since when and why."""
    row = await connection.fetchrow("select * from webhook_health where endpoint_id = $1", endpoint_id)
    if row is None:
        return {"state": "ok", "failing_since": None, "failures": 0, "disabled_at": None, "reason": None}
    off = row["disabled_at"]
    return {
        "state": "failing" if off is None else "disabled",
        "failing_since": row["failing_since"].isoformat(),
        "failures": row["failures"],
        "disabled_at": off.isoformat() if off else None,
        "reason": row["last_error"],
    }


def _why(disabled_at: datetime) -> str:
    return f"the endpoint is switched off since {disabled_at.isoformat(timespec='seconds')}: it took nothing for days"
