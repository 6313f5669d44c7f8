"""The recording row: made by ``call``, worked off by ``worker``; a durable row is its own job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from sivo.base.ids import uuid7
from sivo.db.scopes import Connection
from sivo.recording.policy import RecordingDecision

#: A worker that has not finished by then is taken for dead and the row is claimed again.
CLAIM_SECONDS = 120
#: Starts after which a row that kills its worker every time is given up.
MAX_STARTS = 8

_PROMISED = """id, tenant_id, call_id, node, journal_path, state, wanted, rule, format, kms, provider_id,
               expiry_action, retention_days, created_at, expires_at, due_at"""
_COLUMNS = """id, tenant_id, call_id, journal_path, state, wanted, rule, format, kms, provider_id,
              expiry_action, retention_days, created_at, expires_at, started"""


@dataclass(frozen=True)
class Job:
    """A claimed row: everything the pipeline needs."""

    id: UUID
    tenant_id: UUID
    call_id: UUID
    journal_path: str
    state: str
    wanted: bool
    rule: str
    format: str
    kms: bool
    provider_id: str
    expiry_action: str
    retention_days: int
    created_at: datetime
    expires_at: datetime
    started: int


async def expect(
    connection: Connection,
    *,
    tenant_id: UUID,
    call_id: UUID,
    node: str,
    journal_path: str,
    decision: RecordingDecision,
    at: datetime,
) -> UUID:
    """Promise a fate for this call's journal, in the caller's transaction; harmless when it is already promised.

    With ``decision.capture`` false the row only makes sure that the journal is removed, and ends as ``refused`` by
    the rule. The expiry is sealed here.
    """
    args = promise(tenant_id=tenant_id, call_id=call_id, node=node, journal_path=journal_path, decision=decision, at=at)
    row = await connection.fetchval(
        f"""insert into recording ({_PROMISED})
            values ($1, $2, $3, $4, $5, 'pending', $6, $7, $8, $9, $10, $11, $12, $13, $14, $13)
            on conflict (call_id) do nothing returning id""",  # noqa: S608 - a constant list of columns
        *args,
    )
    if row is not None:
        return args[0]
    known: UUID = await connection.fetchval("select id from recording where call_id = $1", call_id)
    return known


#: For :func:`sivo.db.statement.if_changed`: what :func:`expect` promises, if something was changed; arguments:
#: :func:`promise`.
EXPECT_IF_CHANGED = f"""insert into recording ({_PROMISED})
    select $1::uuid, $2::uuid, $3::uuid, $4::text, $5::text, 'pending', $6::boolean, $7::text, $8::text, $9::boolean,
           $10::text, $11::text, $12::integer, $13::timestamptz, $14::timestamptz, $13::timestamptz from changed
    on conflict (call_id) do nothing"""  # noqa: S608 - a constant list of columns


def promise(
    *, tenant_id: UUID, call_id: UUID, node: str, journal_path: str, decision: RecordingDecision, at: datetime
) -> tuple[UUID, *tuple[Any, ...]]:
    """The row of :func:`expect`, with a new id."""
    return (
        uuid7(),
        tenant_id,
        call_id,
        node,
        journal_path,
        decision.capture,
        decision.rule,
        decision.format,
        decision.kms,
        decision.provider_id,
        decision.expiry_action,
        decision.retention_days,
        at,
        at + timedelta(days=decision.retention_days),
    )


async def claim(connection: Connection, node: str, at: datetime) -> Job | None:
    """Take one due row of this node (journals are local files) for :data:`CLAIM_SECONDS`.

    ``started`` is counted before the work, so that a row that kills its worker is noticed.
    """
    row = await connection.fetchrow(
        f"""update recording set started = started + 1, claimed_until = $2::timestamptz + $3::interval
             where id = (select id from recording
                          where state = 'pending' and node = $1 and due_at <= $2
                            and (claimed_until is null or claimed_until < $2)
                          order by due_at for update skip locked limit 1)
            returning {_COLUMNS}""",  # noqa: S608 - a constant list of columns
        node,
        at,
        timedelta(seconds=CLAIM_SECONDS),
    )
    return Job(**dict(row)) if row is not None else None


async def release(connection: Connection, node: str) -> int:
    """Void the claims of this node's earlier worker, which is gone, so that nobody waits for them to run out."""
    status = await connection.execute(
        "update recording set claimed_until = null where state = 'pending' and node = $1 and claimed_until is not null",
        node,
    )
    return int(status.split()[-1])


async def retry(connection: Connection, job: Job, at: datetime, cause: str) -> None:
    """Try again later (2, 4, 8 … seconds, at most five minutes) after a fault that may pass."""
    wait = timedelta(seconds=min(300, 2**job.started))
    await connection.execute(
        "update recording set claimed_until = null, due_at = $2, cause = $3 where id = $1", job.id, at + wait, cause
    )


async def finish_refused(connection: Connection, job: Job) -> None:
    """No policy wanted this audio; nothing was kept."""
    await connection.execute(
        "update recording set state = 'refused', claimed_until = null, cause = rule where id = $1", job.id
    )


async def finish_failed(connection: Connection, job: Job, cause: str) -> None:
    """Given up, with the cause that a person reads."""
    await connection.execute(
        "update recording set state = 'failed', claimed_until = null, cause = $2 where id = $1", job.id, cause
    )


@dataclass(frozen=True)
class Stored:
    """What the pipeline made of a journal."""

    object_key: str
    wrapped_key: bytes
    size_bytes: int
    sha256: bytes
    duration_ms: int
    channels: int


async def finish_stored(connection: Connection, job: Job, stored: Stored, at: datetime) -> None:
    """The object lies in the store and was read back."""
    await connection.execute(
        """update recording set state = 'stored', claimed_until = null, cause = '', stored_at = $2, object_key = $3,
                  wrapped_key = $4, size_bytes = $5, sha256 = $6, duration_ms = $7, channels = $8
            where id = $1""",
        job.id,
        at,
        stored.object_key,
        stored.wrapped_key,
        stored.size_bytes,
        stored.sha256,
        stored.duration_ms,
        stored.channels,
    )


async def of_call(connection: Connection, call_id: UUID) -> asyncpg.Record | None:
    """What became of a call's audio; None while nothing is promised. No key and no path is in it."""
    return await connection.fetchrow(
        """select id, state, wanted, rule, cause, format, retention_days, created_at, expires_at, stored_at, size_bytes,
                  duration_ms, channels from recording where call_id = $1""",
        call_id,
    )


async def waiting(connection: Connection, node: str, now: datetime) -> tuple[int, datetime | None]:
    """How many recordings of a node are due, and since when the oldest of them is (scope ``platform``)."""
    row = await connection.fetchrow(
        "select count(*) as count, min(due_at) as oldest from recording"
        " where state = 'pending' and node = $1 and due_at <= $2",
        node,
        now,
    )
    assert row is not None
    return row["count"], row["oldest"]
