"""Stored transcript: final segments, each sealed with its expiry when it is made."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sivo.db.scopes import Connection
from sivo.events import outbox
from sivo.media.protocol import Segment


async def commit(
    connection: Connection,
    *,
    tenant_id: UUID,
    call_id: UUID,
    segment: Segment,
    at: datetime,
    retention_days: int,
) -> bool:
    """Store one segment and its event in the caller's transaction.

    Returns false, and does nothing, when the segment is already stored: facts may come twice.
    """
    # Media numbers segments within its session; the same fact must always give the same row.
    id = uuid5(call_id, segment.segment)
    inserted = await connection.fetchval(
        """insert into segment
             (id, tenant_id, call_id, speaker, text, start_ms, end_ms, language, turn, created_at, expires_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
           on conflict (id) do nothing returning id""",
        id,
        tenant_id,
        call_id,
        segment.speaker,
        segment.text,
        segment.start_ms,
        segment.end_ms,
        segment.language,
        segment.turn,
        at,
        at + timedelta(days=retention_days),
    )
    if inserted is None:
        return False
    await outbox.put(
        connection,
        tenant_id,
        "transcript.segment",
        {
            "callId": str(call_id),
            "segmentId": str(id),
            "speaker": segment.speaker,
            "text": segment.text,
            "start_ms": segment.start_ms,
            "end_ms": segment.end_ms,
            "language": segment.language,
        },
    )
    return True


async def complete(connection: Connection, *, tenant_id: UUID, call_id: UUID) -> int:
    """Write the event ``transcript.completed`` with the whole transcript; returns the number of segments.

    Called once, in the transaction that ends the call after its last fact. A call without a segment gets no event.
    """
    segments = await of_call(connection, call_id)
    if segments:
        await outbox.put(
            connection,
            tenant_id,
            "transcript.completed",
            {"callId": str(call_id), "segments": segments, "language": segments[0]["language"]},
        )
    return len(segments)


async def of_call(connection: Connection, call_id: UUID) -> list[dict[str, Any]]:
    """The segments of a call in the order in which they were spoken, as JSON-ready objects."""
    rows = await connection.fetch(
        """select id, speaker, text, start_ms, end_ms, language, turn, expires_at
             from segment where call_id = $1 order by start_ms, id""",
        call_id,
    )
    return [
        {
            "segmentId": str(row["id"]),
            "speaker": row["speaker"],
            "text": row["text"],
            "start_ms": row["start_ms"],
            "end_ms": row["end_ms"],
            "language": row["language"],
            "turn": row["turn"],
            "expiresAt": row["expires_at"].isoformat().replace("+00:00", "Z"),
        }
        for row in rows
    ]
