"""The rows of ``webhook_delivery``: claiming, finishing, listing, replaying, expiring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sivo.base.errors import SivoError
from sivo.db.scopes import Connection
from sivo.webhooks.engine import CANCELLED, DEAD, DELIVERED, LOG_LENGTH, PENDING, Outcome, Step

#: How long a delivered or cancelled row stays listed.
KEEP_DAYS = 30


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process may send until its claim runs out. ``started`` is the claim's fence."""

    id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    event_id: str
    type: str
    body: bytes
    retry_max: int
    attempts: int
    started: int


async def claim(
    connection: Connection,
    now: datetime,
    *,
    node: str,
    limit: int,
    per_endpoint: int,
    lease: timedelta,
    busy: Mapping[UUID, int] | None = None,
) -> list[Claimed]:
    """Take up to ``limit`` due deliveries, earliest first (scope ``platform``).

    No endpoint gets more than ``per_endpoint`` at once, counting what is under way (``busy``). A claim of a worker that
    died runs out after ``lease``; the delivery is then taken again, with the same event id.
    """
    under_way = busy or {}
    rows = await connection.fetch(
        "with free as ("
        "  select endpoint_id, min(due_at) as first, $4::int - coalesce(max(b.n), 0) as places"
        "  from webhook_delivery left join unnest($5::uuid[], $6::int[]) as b (id, n) on b.id = endpoint_id"
        "  where state = 'pending' and due_at <= $1 and (claimed_until is null or claimed_until <= $1)"
        "  group by endpoint_id),"
        " due as (select d.id from free cross join lateral ("
        "  select id from webhook_delivery w where w.endpoint_id = free.endpoint_id and w.state = 'pending'"
        "  and w.due_at <= $1 and (w.claimed_until is null or w.claimed_until <= $1)"
        "  order by w.due_at, w.id limit greatest(free.places, 0) for update skip locked) d"
        "  order by free.first limit $2)"
        " update webhook_delivery set started = started + 1, claimed_until = $3, claimed_by = $7"
        " where id in (select id from due)"
        " returning id, tenant_id, endpoint_id, event_id, type, body, retry_max, attempts, started",
        now,
        limit,
        now + lease,
        per_endpoint,
        list(under_way.keys()),
        list(under_way.values()),
        node,
    )
    return [Claimed(**dict(row)) for row in rows]


async def release(connection: Connection, node: str) -> int:
    """Void the claims of this node's earlier worker, which is gone, so that nobody waits for them to run out."""
    status = await connection.execute(
        "update webhook_delivery set claimed_until = null where state = 'pending' and claimed_by = $1"
        " and claimed_until is not null",
        node,
    )
    return int(status.split()[-1])


async def finish(connection: Connection, job: Claimed, step: Step, outcome: Outcome, now: datetime) -> bool:
    """Write down an attempt's outcome; False when somebody else has claimed the delivery meanwhile."""
    status = await connection.execute(
        "update webhook_delivery set state = $3, due_at = coalesce($4, due_at), claimed_until = null,"
        " attempts = attempts + 1, last_status = $5, last_error = $6, last_attempt_at = $7,"
        " log = case when jsonb_array_length(log) >= $9 then log - 0 else log end || jsonb_build_array($8::jsonb),"
        " finished_at = case when $3 = 'pending' then null else $7::timestamptz end,"
        " body = case when $3 = 'delivered' then null else body end"
        " where id = $1 and started = $2 and state = 'pending'",
        job.id,
        job.started,
        step.state,
        step.due_at,
        outcome.status,
        outcome.error,
        now,
        outcome.entry(now),
        LOG_LENGTH,
    )
    return bool(status == "UPDATE 1")


async def give_up(connection: Connection, job: Claimed, state: str, cause: str, now: datetime) -> bool:
    """End a delivery without a request: ``cancelled`` (endpoint gone or off) or ``dead`` (it kills its workers)."""
    assert state in (CANCELLED, DEAD)
    status = await connection.execute(
        "update webhook_delivery set state = $3, claimed_until = null, last_error = $4, finished_at = $5,"
        " body = case when $3 = 'cancelled' then null else body end"
        " where id = $1 and started = $2 and state = 'pending'",
        job.id,
        job.started,
        state,
        cause,
        now,
    )
    return bool(status == "UPDATE 1")


async def expire(connection: Connection, tenant_id: UUID, dlq_days: int, now: datetime) -> int:
    """Remove dead events older than ``dlq_days`` and finished ones older than :data:`KEEP_DAYS`."""
    status = await connection.execute(
        "delete from webhook_delivery where tenant_id = $1"
        " and ((state = 'dead' and finished_at < $2) or (state in ('delivered', 'cancelled') and finished_at < $3))",
        tenant_id,
        now - timedelta(days=dlq_days),
        now - timedelta(days=KEEP_DAYS),
    )
    return int(status.split()[-1])


async def tenants_with_old(connection: Connection, now: datetime) -> list[UUID]:
    """Tenants that may have something to expire (nothing younger than a day ever is)."""
    rows = await connection.fetch(
        "select distinct tenant_id from webhook_delivery where finished_at < $1", now - timedelta(days=1)
    )
    return [row["tenant_id"] for row in rows]


_PUBLIC = (
    "id, endpoint_id, event_id, type, call_id, state, retry_max, attempts, due_at, last_status, last_error,"
    " last_attempt_at, log, created_at, finished_at"
)


async def listing(
    connection: Connection,
    *,
    limit: int,
    before: UUID | None = None,
    state: str | None = None,
    endpoint_id: UUID | None = None,
) -> list[dict[str, Any]]:
    """Deliveries of the scope's tenant, newest first, without bodies."""
    rows = await connection.fetch(
        f"select {_PUBLIC} from webhook_delivery where ($1::uuid is null or id < $1)"  # noqa: S608 - a constant
        " and ($2::text is null or state = $2) and ($3::uuid is null or endpoint_id = $3) order by id desc limit $4",
        before,
        state,
        endpoint_id,
        limit,
    )
    return [_public(dict(row)) for row in rows]


async def of_call(connection: Connection, call_id: UUID) -> list[dict[str, Any]]:
    """Deliveries of a call's events in the order of the events, without bodies."""
    rows = await connection.fetch(
        f"select {_PUBLIC} from webhook_delivery where call_id = $1 order by created_at, id",  # noqa: S608
        call_id,
    )
    return [_public(dict(row)) for row in rows]


async def payload(connection: Connection, delivery_id: UUID) -> bytes:
    """The body of a delivery that is not delivered yet. NOT_FOUND otherwise."""
    body: bytes | None = await connection.fetchval("select body from webhook_delivery where id = $1", delivery_id)
    if body is None:
        raise _unknown(delivery_id)
    return body


async def replay(connection: Connection, delivery_id: UUID, now: datetime) -> None:
    """Start a dead delivery again from the first attempt, with the same event id. NOT_FOUND when there is none."""
    status = await connection.execute(
        "update webhook_delivery set state = $2, attempts = 0, started = 0, due_at = $3, finished_at = null"
        " where id = $1 and state = $4",
        delivery_id,
        PENDING,
        now,
        DEAD,
    )
    if status != "UPDATE 1":
        raise _unknown(delivery_id)


def _unknown(delivery_id: UUID) -> SivoError:
    return SivoError("NOT_FOUND", f"there is no such delivery: {delivery_id}", where="webhook delivery")


def _public(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value


STATES = (PENDING, DELIVERED, DEAD, CANCELLED)


async def waiting(connection: Connection, now: datetime) -> tuple[int, datetime | None]:
    """How many deliveries are due, and since when the oldest of them is (scope ``platform``)."""
    row = await connection.fetchrow(
        "select count(*) as count, min(due_at) as oldest from webhook_delivery"
        " where state = 'pending' and due_at <= $1",
        now,
    )
    assert row is not None
    return row["count"], row["oldest"]
