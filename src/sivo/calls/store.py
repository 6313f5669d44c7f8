"""The SQL of the room: rows of ``call``, ``leg``, ``sip_message``, ``call_decision``. Facts are in ``facts``.

Every statement may be repeated without harm, for a write may run again after a lost connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.db.scopes import Connection


@dataclass(slots=True)
class CallRow:
    """What is known about a call when it begins."""

    id: UUID
    tenant_id: UUID
    direction: str
    from_number: str
    to_number: str
    created_at: datetime
    did_id: UUID | None = None
    agent_id: UUID | None = None
    extension_id: UUID | None = None
    trunk_id: UUID | None = None
    snapshot_hash: str | None = None
    sip_call_id: str = ""


@dataclass(slots=True)
class LegRow:
    """One phone in a call; ``kind`` is ``caller`` or ``callee``. ``dialog``: the INVITE that waits for its answer."""

    id: UUID
    kind: str
    peer: str
    address: str
    sip_call_id: str
    created_at: datetime
    dialog: dict[str, Any] | None = None


@dataclass(slots=True)
class EndRow:
    """How a call ended. ``duration_ms`` is the time from answer to end, 0 when it was never answered."""

    ended_at: datetime
    duration_ms: int
    cause: str
    category: str
    by: str
    detail: str = ""
    mos: float | None = None
    stats: dict[str, Any] = field(default_factory=dict)
    config_reads: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class DecisionRow:
    """One decision with the rule that made it; ``kind`` is ``route``, ``recording`` or ``transcription``."""

    id: UUID
    at: datetime
    kind: str
    phase: str
    outcome: str
    rule: str
    reason: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class MessageRow:
    """One SIP message, credentials already removed; ``direction`` is ``in`` or ``out``, seen from us."""

    id: UUID
    at: datetime
    direction: str
    peer: str
    summary: str
    raw: str


async def insert_call(conn: Connection, row: CallRow) -> bool:
    """Make the call's row; False when it was there already."""
    status = await conn.execute(
        """insert into call (id, tenant_id, direction, from_number, to_number, did_id, agent_id, extension_id, trunk_id,
                             state, created_at, snapshot_hash, sip_call_id)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'created', $10, $11, $12) on conflict (id) do nothing""",
        row.id,
        row.tenant_id,
        row.direction,
        row.from_number,
        row.to_number,
        row.did_id,
        row.agent_id,
        row.extension_id,
        row.trunk_id,
        row.created_at,
        row.snapshot_hash,
        row.sip_call_id,
    )
    return bool(status.endswith(" 1"))


async def mark_media(conn: Connection, call_id: UUID, media_index: int, journal_path: str) -> None:
    """Say which media process carries the call and where its journal is."""
    await conn.execute(
        "update call set media_index = $2, journal_path = $3 where id = $1", call_id, media_index, journal_path
    )


async def mark_ringing(conn: Connection, call_id: UUID) -> None:
    """A phone rings."""
    await conn.execute("update call set state = 'ringing' where id = $1 and state = 'created'", call_id)


async def mark_trunk(conn: Connection, call_id: UUID, trunk_id: UUID) -> None:
    """Say through which carrier the call leaves."""
    await conn.execute("update call set trunk_id = $2 where id = $1", call_id, trunk_id)


async def mark_extension(conn: Connection, call_id: UUID, extension_id: UUID) -> None:
    """Say which extension of a ring group has the call."""
    await conn.execute("update call set extension_id = $2 where id = $1", call_id, extension_id)


async def mark_agent(conn: Connection, call_id: UUID, agent_id: UUID, snapshot_hash: str) -> None:
    """Say which AI agent answers, with which pinned configuration."""
    await conn.execute(
        "update call set agent_id = $2, snapshot_hash = $3 where id = $1", call_id, agent_id, snapshot_hash
    )


async def mark_answered(conn: Connection, call_id: UUID, at: datetime) -> bool:
    """The call was answered; False when that was known."""
    status = await conn.execute(
        """update call set state = 'answered', answered_at = $2
           where id = $1 and answered_at is null and state <> 'ended'""",
        call_id,
        at,
    )
    return bool(status.endswith(" 1"))


async def mark_ended(conn: Connection, call_id: UUID, end: EndRow) -> bool:
    """The call ended; False when that was known."""
    status = await conn.execute(
        """update call set state = 'ended', ended_at = $2, duration_ms = $3, hangup_cause = $4, hangup_class = $5,
                  hangup_by = $6, hangup_detail = $7, mos = $8, stats = stats || $9::jsonb, config_reads = $10
           where id = $1 and state <> 'ended'""",
        call_id,
        end.ended_at,
        end.duration_ms,
        end.cause,
        end.category,
        end.by,
        end.detail,
        end.mos,
        end.stats,
        end.config_reads,
    )
    return bool(status.endswith(" 1"))


async def mark_reads(conn: Connection, call_id: UUID, reads: list[dict[str, Any]]) -> None:
    """The configuration values that were read so far; the end of the call writes the last word."""
    await conn.execute("update call set config_reads = $2 where id = $1 and state <> 'ended'", call_id, reads)


async def claim_finish(conn: Connection, call_id: UUID) -> bool:
    """Say that the last fact of the call is committed; True for the one who says it first."""
    status = await conn.execute("update call set finished = true where id = $1 and not finished", call_id)
    return bool(status.endswith(" 1"))


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


async def mark_statistics(conn: Connection, call_id: UUID, stats: dict[str, Any]) -> None:
    """Add what media counted when it closed the session."""
    await conn.execute("update call set stats = stats || $2::jsonb where id = $1", call_id, stats)


async def insert_leg(conn: Connection, tenant_id: UUID, call_id: UUID, leg: LegRow) -> None:
    """A phone joined the call."""
    await conn.execute(
        """insert into leg (id, tenant_id, call_id, kind, peer, address, sip_call_id, created_at, dialog)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (id) do nothing""",
        leg.id,
        tenant_id,
        call_id,
        leg.kind,
        leg.peer,
        leg.address,
        leg.sip_call_id,
        leg.created_at,
        leg.dialog,
    )


async def mark_pending(conn: Connection, leg_id: UUID, dialog: dict[str, Any] | None) -> None:
    """The INVITE to a phone that has not answered is another one now, or (None) it has its final answer."""
    await conn.execute(
        "update leg set dialog = $2 where id = $1 and answered_at is null and ended_at is null", leg_id, dialog
    )


async def mark_leg(
    conn: Connection,
    leg_id: UUID,
    outcome: str,
    *,
    codec: str | None = None,
    answered_at: datetime | None = None,
    ended_at: datetime | None = None,
    stats: dict[str, Any] | None = None,
    dialog: dict[str, Any] | None = None,
) -> None:
    """What became of a phone: ``answered``, ``ended`` or the status with which it declined."""
    await conn.execute(
        """update leg set outcome = $2, codec = coalesce($3, codec), answered_at = coalesce(answered_at, $4),
                  ended_at = coalesce(ended_at, $5), stats = stats || $6::jsonb,
                  dialog = case when $2 = 'answered' then coalesce($7, dialog) end
            where id = $1""",
        leg_id,
        outcome,
        codec,
        answered_at,
        ended_at,
        stats or {},
        dialog,
    )


async def insert_decision(conn: Connection, tenant_id: UUID, call_id: UUID, row: DecisionRow) -> None:
    """Keep a decision for the trace."""
    await conn.execute(
        """insert into call_decision (id, tenant_id, call_id, at, kind, phase, outcome, rule, reason, details)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (id) do nothing""",
        row.id,
        tenant_id,
        call_id,
        row.at,
        row.kind,
        row.phase,
        row.outcome,
        row.rule,
        row.reason,
        row.details,
    )


async def insert_messages(conn: Connection, tenant_id: UUID, call_id: UUID, rows: list[MessageRow]) -> None:
    """Keep SIP messages for the ladder."""
    await conn.executemany(
        """insert into sip_message (id, tenant_id, call_id, at, direction, peer, summary, raw)
           values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (id) do nothing""",
        [(r.id, tenant_id, call_id, r.at, r.direction, r.peer, r.summary, r.raw) for r in rows],
    )
