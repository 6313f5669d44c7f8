"""The rows of ``mail_message``: claiming, finishing, listing, expiring."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sivo.db.scopes import Connection
from sivo.mail.engine import Outcome, Step

#: How long a finished row stays listed.
KEEP = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that this process may send until its claim runs out. ``started`` is the claim's fence."""

    id: UUID
    tenant_id: UUID
    template: str
    language: str
    sealed: bytes
    attempts: int
    started: int
    created_at: datetime
    expires_at: datetime


async def claim(connection: Connection, now: datetime, *, node: str, limit: int, lease: timedelta) -> list[Claimed]:
    """Take up to ``limit`` due messages, earliest first (scope ``platform``).

    A claim of a worker that died runs out after ``lease``; the message is then sent again, with the same Message-ID.
    """
    rows = await connection.fetch(
        "with due as (select id from mail_message where state = 'pending' and due_at <= $1"
        "  and (claimed_until is null or claimed_until <= $1) order by due_at, id limit $2 for update skip locked)"
        " update mail_message set started = started + 1, claimed_until = $3, claimed_by = $4"
        " where id in (select id from due)"
        " returning id, tenant_id, template, language, sealed, attempts, started, created_at, expires_at",
        now,
        limit,
        now + lease,
        node,
    )
    return [Claimed(**dict(row)) for row in rows]


async def release(connection: Connection, node: str) -> None:
    """Void the claims of this node's earlier worker, which is gone, so that nobody waits for them to run out."""
    await connection.execute(
        "update mail_message set claimed_until = null where state = 'pending' and claimed_by = $1"
        " and claimed_until is not null",
        node,
    )


async def finish(connection: Connection, job: Claimed, step: Step, outcome: Outcome, now: datetime) -> bool:
    """Write down an attempt's outcome; False when somebody else has claimed the message meanwhile."""
    status = await connection.execute(
        "update mail_message set state = $3, due_at = coalesce($4, due_at), claimed_until = null,"
        " attempts = attempts + 1, last_code = $5, last_error = $6,"
        " finished_at = case when $3 = 'pending' then null else $7::timestamptz end,"
        " sealed = case when $3 = 'pending' then sealed else null end"
        " where id = $1 and started = $2 and state = 'pending'",
        job.id,
        job.started,
        step.state,
        step.due_at,
        outcome.code,
        step.error,
        now,
    )
    return bool(status == "UPDATE 1")


async def expire(connection: Connection, now: datetime) -> int:
    """Remove what was finished :data:`KEEP` ago; returns how many."""
    status = await connection.execute("delete from mail_message where finished_at < $1", now - KEEP)
    return int(status.split()[-1])


async def forget(connection: Connection, about: UUID) -> None:
    """Remove every message about somebody or something that is erased."""
    await connection.execute("delete from mail_message where about = $1", about)


async def listing(
    connection: Connection, *, limit: int, before: UUID | None = None, state: str | None = None
) -> list[dict[str, Any]]:
    """Messages of the scope's tenant, newest first, without recipient and text."""
    rows = await connection.fetch(
        "select id, template, language, about, state, attempts, due_at, last_code, last_error, created_at, finished_at"
        " from mail_message where ($1::uuid is null or id < $1) and ($2::text is null or state = $2)"
        " order by id desc limit $3",
        before,
        state,
        limit,
    )
    return [dict(row) for row in rows]


async def waiting(connection: Connection, now: datetime) -> tuple[int, datetime | None]:
    """How many messages are due, and since when the oldest of them is (scope ``platform``)."""
    row = await connection.fetchrow(
        "select count(*) as count, min(due_at) as oldest from mail_message where state = 'pending' and due_at <= $1",
        now,
    )
    assert row is not None
    return row["count"], row["oldest"]
