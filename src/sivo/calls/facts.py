"""Facts of a media session become rows and events, each exactly once.

The key (session, seq) decides: a fact that is already there changes nothing, so that it does not matter how often a
killed process makes us read it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from sivo.calls import events, store
from sivo.db.scopes import Connection
from sivo.db.statement import Statement
from sivo.events import outbox
from sivo.media.protocol import (
    ConversationEnded,
    Fact,
    FactBody,
    Interruption,
    ProviderFault,
    Segment,
    TranscriptionStarted,
    Turn,
)
from sivo.transcription import segments

#: Fields with words of caller or agent; they are not kept with the fact, for they expire with the transcript.
_WORDS = ("text", "user_text", "reply_text", "text_played")


@dataclass(frozen=True, slots=True)
class FactContext:
    """What has to be known about the call to commit its facts. ``retention_days`` is the transcript's."""

    tenant_id: UUID
    call_id: UUID
    agent_id: UUID | None
    transcribe: bool
    retention_days: int


def kind_of(body: FactBody) -> str:
    """The fact's name in rows and traces: ``turn``, ``segment``, ``conversation_ended`` …"""
    name = type(body).__name__
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


def stands_alone(body: FactBody) -> bool:
    """Whether nothing follows from a fact: its row is all that is written."""
    return not isinstance(body, Segment | TranscriptionStarted | ProviderFault | Turn | ConversationEnded)


def row(context: FactContext, fact: Fact) -> Statement:
    """The fact's row, unless it is there."""
    sql = """insert into call_fact (session, seq, tenant_id, call_id, kind, at, body)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (session, seq) do nothing"""
    return Statement(
        sql,
        (
            UUID(fact.session),
            fact.seq,
            context.tenant_id,
            context.call_id,
            kind_of(fact.body),
            _at(fact),
            _kept(fact.body),
        ),
    )


def _at(fact: Fact) -> datetime:
    return datetime.fromtimestamp(fact.at / 1000, UTC)


async def commit(conn: Connection, context: FactContext, fact: Fact) -> None:
    """Commit one fact with everything that follows from it; does nothing when it is there already."""
    if not await row(context, fact).run(conn):
        return
    at = _at(fact)
    match fact.body:
        case Segment() if context.transcribe:
            await segments.commit(
                conn,
                tenant_id=context.tenant_id,
                call_id=context.call_id,
                segment=fact.body,
                at=at,
                retention_days=context.retention_days,
            )
            await store.mark_transcription(conn, context.call_id, started=True)
        case TranscriptionStarted() if context.transcribe:
            await store.mark_transcription(conn, context.call_id, started=True)
        case ProviderFault(stage="stt") if context.transcribe:
            await store.mark_transcription(conn, context.call_id, errors=1)
        case Turn():
            await _insert_turn(conn, context, fact, fact.body, at)
        case ConversationEnded():
            await _end_conversation(conn, context, fact.body)


def _kept(body: FactBody) -> dict[str, Any]:
    kept = {name: value for name, value in msgspec.to_builtins(body).items() if name not in _WORDS and name != "f"}
    if isinstance(body, Interruption):
        kept["words_played"] = len(body.text_played.split())
    return kept


async def _insert_turn(conn: Connection, context: FactContext, fact: Fact, turn: Turn, at: datetime) -> None:
    await conn.execute(
        """insert into turn (session, seq, tenant_id, call_id, turn, user_text, reply_text, user_start_ms, user_end_ms,
                             reply_start_ms, reply_end_ms, interrupted, action, variables, latency, expires_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
           on conflict (session, seq) do nothing""",
        UUID(fact.session),
        fact.seq,
        context.tenant_id,
        context.call_id,
        turn.turn,
        turn.user_text if context.transcribe else None,
        turn.reply_text if context.transcribe else None,
        turn.user_start_ms,
        turn.user_end_ms,
        turn.reply_start_ms,
        turn.reply_end_ms,
        turn.interrupted,
        turn.action,
        turn.variables,
        turn.latency,
        at + timedelta(days=context.retention_days),
    )


async def expire_words(conn: Connection, at: datetime) -> int:
    """Take the words out of turns whose transcript has expired; gives the number of turns. Platform scope."""
    status = await conn.execute(
        """update turn set user_text = null, reply_text = null, variables = '{}'
            where expires_at <= $1 and (user_text is not null or reply_text is not null)""",
        at,
    )
    return int(status.split()[-1])


async def _end_conversation(conn: Connection, context: FactContext, fact: ConversationEnded) -> None:
    """A call has one conversation that counts: the goodbye after a failed transfer is not reported again."""
    status = await conn.execute(
        "update call set exit_reason = $2 where id = $1 and exit_reason is null", context.call_id, fact.reason
    )
    if not status.endswith(" 1"):
        return
    agent_id = str(context.agent_id) if context.agent_id else None
    data = events.ai_completed(str(context.call_id), agent_id, fact)
    await outbox.put(conn, context.tenant_id, events.AI_COMPLETED, data)
