"""The rows of the room one at a time, for who does not write along with a call (:mod:`sivo.calls.statements`)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sivo.calls import statements
from sivo.calls.rows import CallRow, DecisionRow, EndRow, LegRow, MessageRow
from sivo.db.scopes import Connection

__all__ = [
    "CallRow",
    "DecisionRow",
    "EndRow",
    "LegRow",
    "MessageRow",
    "claim_finish",
    "insert_call",
    "insert_decision",
    "insert_leg",
    "insert_messages",
    "mark_answered",
    "mark_ended",
    "mark_media",
    "mark_transcription",
]


async def insert_call(conn: Connection, row: CallRow) -> bool:
    """Make the call's row; False when it was there already."""
    return await statements.call(row).run(conn)


async def mark_media(conn: Connection, call_id: UUID, media_index: int, journal_path: str) -> None:
    """Say which media process carries the call and where its journal is."""
    await statements.media(call_id, media_index, journal_path).run(conn)


async def mark_answered(conn: Connection, call_id: UUID, at: datetime) -> bool:
    """The call was answered; False when that was known."""
    return await statements.answered(call_id, at).run(conn)


async def mark_ended(conn: Connection, call_id: UUID, end: EndRow) -> bool:
    """The call ended; False when that was known."""
    return await statements.ended(call_id, end).run(conn)


async def claim_finish(conn: Connection, call_id: UUID) -> bool:
    """Say that the last fact of the call is committed; True for the one who says it first."""
    return await statements.finished(call_id).run(conn)


async def mark_transcription(conn: Connection, call_id: UUID, *, started: bool = False, errors: int = 0) -> None:
    """On the CDR: whether words were heard or an engine listened, and how often it failed."""
    await conn.execute(
        """update call set stats = stats || jsonb_build_object(
               'transcription_started', $2 or coalesce((stats->>'transcription_started')::boolean, false),
               'transcription_errors', $3 + coalesce((stats->>'transcription_errors')::int, 0))
            where id = $1 and ($3 > 0 or not coalesce((stats->>'transcription_started')::boolean, false))""",
        call_id,
        started,
        errors,
    )


async def insert_leg(conn: Connection, tenant_id: UUID, call_id: UUID, row: LegRow) -> None:
    """A phone joined the call."""
    await statements.leg(tenant_id, call_id, row).run(conn)


async def insert_decision(conn: Connection, tenant_id: UUID, call_id: UUID, row: DecisionRow) -> None:
    """Keep a decision for the trace."""
    await statements.decision(tenant_id, call_id, row).run(conn)


async def insert_messages(conn: Connection, tenant_id: UUID, call_id: UUID, rows: list[MessageRow]) -> None:
    """Keep SIP messages for the ladder."""
    for row in rows:
        await statements.message(tenant_id, call_id, row).run(conn)
