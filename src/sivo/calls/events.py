"""What the room tells the world: payloads of ``call.*`` and ``ai_agent.completed`` (envelope: room ``events``)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sivo.calls.rows import CallRow, EndRow
from sivo.calls.transfer import Transfer
from sivo.media.protocol import ConversationEnded

CREATED = "call.created"
ANSWERED = "call.answered"
TRANSFERRED = "call.transferred"
ENDED = "call.ended"
AI_COMPLETED = "ai_agent.completed"


@lru_cache(maxsize=1024)
def iso(at: datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds and ``Z``."""
    if at is None:
        return None
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def created(row: CallRow) -> dict[str, Any]:
    """A call came in."""
    return {
        "callId": str(row.id),
        "direction": row.direction,
        "from": row.from_number,
        "to": row.to_number,
        "didId": _text(row.did_id),
        "agentId": _text(row.agent_id),
        "startedAt": iso(row.created_at),
    }


def answered(row: CallRow, at: datetime) -> dict[str, Any]:
    """Somebody, or an AI agent, answered."""
    return {**created(row), "answeredAt": iso(at)}


def transferred(row: CallRow, transfer: Transfer, at: datetime) -> dict[str, Any]:
    """A call was passed on; who left, how, and to whom it went."""
    return {
        **created(row),
        "transferredAt": iso(at),
        "transferType": transfer.how,
        "transferredBy": transfer.side,
        "transferTo": transfer.to,
    }


def ended(row: CallRow, answered_at: datetime | None, end: EndRow) -> dict[str, Any]:
    """The whole CDR. ``duration_sec`` counts from the answer."""
    return {
        **created(row),
        "answeredAt": iso(answered_at),
        "endedAt": iso(end.ended_at),
        "duration_sec": round(end.duration_ms / 1000),
        "queueId": None,
        "mosScore": end.mos,
        "hangupCause": end.cause,
        "hangupClass": end.category,
        "hangupBy": end.by,
    }


def ai_completed(call_id: str, agent_id: str | None, fact: ConversationEnded) -> dict[str, Any]:
    """An AI conversation is over."""
    return {
        "callId": call_id,
        "agentId": agent_id,
        "exit_reason": fact.reason,
        "summary": f"{fact.turns} turns, ended by {fact.reason}",
        "turns": fact.turns,
        "transferTo": fact.transfer_to or None,
        "variables": fact.variables,
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)
