"""What the room writes about a call, as statements that many calls can send together (:mod:`sivo.calls.grouping`).

Every one may be repeated without harm, for a write may run again after a lost connection.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.calls import events
from sivo.calls.rows import CallRow, DecisionRow, EndRow, LegRow, MessageRow
from sivo.calls.transfer import Transfer
from sivo.db.statement import Statement, if_changed
from sivo.events import outbox
from sivo.recording import records as recordings
from sivo.recording.policy import RecordingDecision

# --- the call -----------------------------------------------------------------------------------------------------

_CALL = """insert into call (id, tenant_id, direction, from_number, to_number, did_id, agent_id, extension_id, trunk_id,
                             state, created_at, snapshot_hash, sip_call_id)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'created', $10, $11, $12)
           on conflict (id) do nothing returning id"""
_ANSWERED = """update call set state = 'answered', answered_at = $2
                where id = $1 and answered_at is null and state <> 'ended' returning id"""
_ENDED = """update call set state = 'ended', ended_at = $2, duration_ms = $3, hangup_cause = $4, hangup_class = $5,
                   hangup_by = $6, hangup_detail = $7, mos = $8, stats = stats || $9::jsonb, config_reads = $10
             where id = $1 and state <> 'ended' returning id"""
_FINISHED = "update call set finished = true where id = $1 and not finished returning id"
_CALL_TOLD = if_changed(_CALL, outbox.PUT_IF_CHANGED)
_ANSWERED_TOLD = if_changed(_ANSWERED, outbox.PUT_IF_CHANGED)
_ENDED_TOLD = if_changed(_ENDED, outbox.PUT_IF_CHANGED)
_FINISHED_PROMISED = if_changed(_FINISHED, recordings.EXPECT_IF_CHANGED)


def call(row: CallRow) -> Statement:
    """The call's row, unless it is there."""
    args = (
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
    return Statement(_CALL, args)


def created(row: CallRow) -> Statement:
    """The call's row with ``call.created``, unless it is there."""
    return Statement(_CALL_TOLD, (*call(row).args, *outbox.row(row.tenant_id, events.CREATED, events.created(row))))


def media(call_id: UUID, index: int, journal_path: str) -> Statement:
    """Which media process carries the call, and where its journal is."""
    return Statement(
        "update call set media_index = $2, journal_path = $3 where id = $1", (call_id, index, journal_path)
    )


def ringing(call_id: UUID) -> Statement:
    """A phone rings."""
    return Statement("update call set state = 'ringing' where id = $1 and state = 'created'", (call_id,))


def trunk(call_id: UUID, trunk_id: UUID) -> Statement:
    """Through which carrier the call leaves."""
    return Statement("update call set trunk_id = $2 where id = $1", (call_id, trunk_id))


def extension(call_id: UUID, extension_id: UUID) -> Statement:
    """Which extension of a ring group has the call."""
    return Statement("update call set extension_id = $2 where id = $1", (call_id, extension_id))


def agent(call_id: UUID, agent_id: UUID, snapshot_hash: str | None) -> Statement:
    """Which AI agent answers, with which pinned configuration."""
    sql = "update call set agent_id = $2, snapshot_hash = $3 where id = $1"
    return Statement(sql, (call_id, agent_id, snapshot_hash))


def reads(call_id: UUID, values: list[dict[str, Any]]) -> Statement:
    """The configuration values that were read so far; the end of the call writes the last word."""
    return Statement("update call set config_reads = $2 where id = $1 and state <> 'ended'", (call_id, values))


def answered(call_id: UUID, at: datetime) -> Statement:
    """The call was answered, unless that was known."""
    return Statement(_ANSWERED, (call_id, at))


def answered_and_told(row: CallRow, at: datetime) -> Statement:
    """The same with ``call.answered``."""
    event = outbox.row(row.tenant_id, events.ANSWERED, events.answered(row, at))
    return Statement(_ANSWERED_TOLD, (row.id, at, *event))


def ended(call_id: UUID, end: EndRow) -> Statement:
    """The end with the whole CDR, unless that was known."""
    args = (
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
    return Statement(_ENDED, args)


def ended_and_told(row: CallRow, answered_at: datetime | None, end: EndRow) -> Statement:
    """The same with ``call.ended``."""
    event = outbox.row(row.tenant_id, events.ENDED, events.ended(row, answered_at, end))
    return Statement(_ENDED_TOLD, (*ended(row.id, end).args, *event))


def transferred(row: CallRow, transfer: Transfer, at: datetime) -> Statement:
    """``call.transferred``."""
    return outbox.statement(row.tenant_id, events.TRANSFERRED, events.transferred(row, transfer, at))


def finished(call_id: UUID) -> Statement:
    """The last fact of the call is committed, unless that was known."""
    return Statement(_FINISHED, (call_id,))


def finished_and_promised(
    row: CallRow, node: str, journal_path: str, decision: RecordingDecision, at: datetime
) -> Statement:
    """The same with the recording row, which decides the fate of the journal."""
    promise = recordings.promise(
        tenant_id=row.tenant_id, call_id=row.id, node=node, journal_path=journal_path, decision=decision, at=at
    )
    return Statement(_FINISHED_PROMISED, (row.id, *promise))


# --- its phones ---------------------------------------------------------------------------------------------------

_LEG = """insert into leg (id, tenant_id, call_id, kind, peer, address, sip_call_id, created_at, dialog)
          values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (id) do nothing"""
_PENDING = "update leg set dialog = $2 where id = $1 and answered_at is null and ended_at is null"
_LEG_STATE = """update leg set outcome = $2, codec = coalesce($3, codec), answered_at = coalesce(answered_at, $4),
                       ended_at = coalesce(ended_at, $5), stats = stats || $6::jsonb,
                       dialog = case when $2 = 'answered' then coalesce($7, dialog) end
                 where id = $1"""


def leg(tenant_id: UUID, call_id: UUID, row: LegRow) -> Statement:
    """A phone joined the call."""
    return Statement(
        _LEG,
        (
            row.id,
            tenant_id,
            call_id,
            row.kind,
            row.peer,
            row.address,
            row.sip_call_id,
            row.created_at,
            row.dialog,
        ),
    )


def pending(leg_id: UUID, dialog: dict[str, Any] | None) -> Statement:
    """The INVITE to a phone that has not answered is another one now, or (None) it has its final answer."""
    return Statement(_PENDING, (leg_id, dialog))


def leg_state(
    leg_id: UUID,
    outcome: str,
    *,
    codec: str | None = None,
    answered_at: datetime | None = None,
    ended_at: datetime | None = None,
    stats: dict[str, Any] | None = None,
    dialog: dict[str, Any] | None = None,
) -> Statement:
    """What became of a phone: ``answered``, ``ended`` or the status with which it declined."""
    return Statement(_LEG_STATE, (leg_id, outcome, codec, answered_at, ended_at, stats or {}, dialog))


# --- the trace ----------------------------------------------------------------------------------------------------

_DECISION = """insert into call_decision (id, tenant_id, call_id, at, kind, phase, outcome, rule, reason, details)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (id) do nothing"""
_MESSAGE = """insert into sip_message (id, tenant_id, call_id, at, direction, peer, summary, raw)
              values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (id) do nothing"""


def decision(tenant_id: UUID, call_id: UUID, row: DecisionRow) -> Statement:
    """A decision for the trace."""
    return Statement(
        _DECISION,
        (
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
        ),
    )


def message(tenant_id: UUID, call_id: UUID, row: MessageRow) -> Statement:
    """A SIP message for the ladder."""
    return Statement(
        _MESSAGE,
        (row.id, tenant_id, call_id, row.at, row.direction, row.peer, row.summary, row.raw),
    )
