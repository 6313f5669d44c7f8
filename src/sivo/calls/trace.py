"""Why a call went as it did, as one document: gathered from every room, and rendered for people.

The document is what ``GET /api/calls/{id}/trace`` answers and what ``sivo call trace`` prints.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from sivo.calls.explained import with_levels
from sivo.calls.own import WITHIN
from sivo.calls.timeline import render
from sivo.config import snapshots
from sivo.db.scopes import Connection
from sivo.recording import records as recordings
from sivo.transcription import segments
from sivo.webhooks import deliveries

__all__ = ["cdr", "render", "trace"]

_HIDDEN = ("tenant_id", "journal_path", "config_reads", "finished")
#: Facts that have a place of their own in the document.
_PLACED = ("segment", "turn", "interruption", "provider_fault", "conversation_ended")


def cdr(row: asyncpg.Record, zone: str) -> dict[str, Any]:
    """One call as a CDR; times are written in the tenant's zone with their offset, so that an hour that comes twice
    in autumn can be told apart."""
    found = {name: _plain(value, zone) for name, value in row.items() if name not in _HIDDEN}
    found["timezone"] = zone
    found["transcription_started"] = bool(row["stats"].get("transcription_started"))
    found["transcription_errors"] = int(row["stats"].get("transcription_errors") or 0)
    return found


#: What the providers of a call counted, summed over its conversations.
_USAGE = """(select coalesce(jsonb_object_agg(one.name, one.amount), '{}') from (
    select used.key as name, sum(used.value::numeric) as amount
    from call_fact fact, jsonb_each_text(fact.body -> 'usage') used
    where fact.call_id = call.id and fact.kind = 'conversation_ended' group by used.key) one) as usage"""
#: Queries for :func:`cdr`.
ONE = f"select call.*, {_USAGE} from call where id = $1"  # noqa: S608 - a constant of ours
PAGE = f"""select call.*, {_USAGE} from call where ($1::uuid is null or id < $1)
            and {WITHIN.format("$3", "$4", "$5")} order by id desc limit $2"""  # noqa: S608


async def trace(conn: Connection, call_id: UUID, zone: str) -> dict[str, Any] | None:
    """Everything that is known about one call; None when there is no such call."""
    row = await conn.fetchrow(ONE, call_id)
    if row is None:
        return None
    start = row["answered_at"] or row["created_at"]
    decisions = await _decisions(conn, call_id, zone)
    route = next((one for one in decisions if one["kind"] == "route"), None)
    facts = await _facts(conn, call_id)
    recording = await recordings.of_call(conn, call_id)
    hash_ = row["snapshot_hash"]
    pinned = await snapshots.load(conn, row["tenant_id"], hash_) if hash_ else None
    return {
        "call": cdr(row, zone),
        "route": route,
        "decisions": [one for one in decisions if one is not route],
        "configuration": with_levels(row["config_reads"], pinned),
        "legs": await _rows(conn, "select * from leg where call_id = $1 order by created_at, id", call_id, zone),
        "sip": await _ladder(conn, call_id, start, zone),
        "turns": await _turns(conn, call_id),
        "interruptions": [one["body"] for one in facts if one["kind"] == "interruption"],
        "faults": [one["body"] for one in facts if one["kind"] == "provider_fault"],
        "conversations": [one["body"] for one in facts if one["kind"] == "conversation_ended"],
        "media_facts": [one for one in facts if one["kind"] not in _PLACED],
        "recording": _fields(recording, zone) if recording else None,
        "transcript": await _transcript(conn, call_id),
        "deliveries": await deliveries.of_call(conn, call_id),
        "end": {
            "cause": row["hangup_cause"],
            "class": row["hangup_class"],
            "by": row["hangup_by"],
            "detail": row["hangup_detail"],
            "exit_reason": row["exit_reason"],
        },
    }


async def _decisions(conn: Connection, call_id: UUID, zone: str) -> list[dict[str, Any]]:
    query = (
        "select at, kind, phase, outcome, rule, reason, details from call_decision where call_id = $1 order by at, id"
    )
    return await _rows(conn, query, call_id, zone)


async def _facts(conn: Connection, call_id: UUID) -> list[dict[str, Any]]:
    rows = await conn.fetch("select seq, kind, at, body from call_fact where call_id = $1 order by seq", call_id)
    return [{"seq": row["seq"], "kind": row["kind"], "at": row["at"].isoformat(), "body": row["body"]} for row in rows]


async def _turns(conn: Connection, call_id: UUID) -> list[dict[str, Any]]:
    rows = await conn.fetch(
        """select turn, user_text, reply_text, user_start_ms, user_end_ms, reply_start_ms, reply_end_ms, interrupted,
                  action, variables, latency from turn where call_id = $1 order by seq""",
        call_id,
    )
    return [dict(row) | {"stages": split(row["latency"])} for row in rows]


async def _transcript(conn: Connection, call_id: UUID) -> dict[str, Any]:
    found = await segments.of_call(conn, call_id)
    return {"segments": len(found), "expires_at": found[0]["expiresAt"] if found else None}


async def _ladder(conn: Connection, call_id: UUID, start: datetime, zone: str) -> list[dict[str, Any]]:
    rows = await conn.fetch(
        "select at, direction, peer, summary, raw from sip_message where call_id = $1 order by at, id", call_id
    )
    first = rows[0]["at"] if rows else start
    return [_fields(row, zone) | {"offset_ms": round((row["at"] - first).total_seconds() * 1000)} for row in rows]


#: Stages of an answer in the order in which they end; each is measured from the end of the caller's speech.
STAGES = ("endpointing", "stt", "llm_first_token", "tts_first_byte", "first_frame")


def split(latency: dict[str, float]) -> dict[str, float]:
    """How long each stage took by itself, in milliseconds, from moments that all count from the end of speech."""
    stages: dict[str, float] = {}
    before = 0.0
    for name in STAGES:
        if name in latency:
            stages[name] = round(max(0.0, latency[name] - before), 1)
            before = max(before, latency[name])
    return stages


async def _rows(conn: Connection, query: str, call_id: UUID, zone: str) -> list[dict[str, Any]]:
    return [_fields(row, zone) for row in await conn.fetch(query, call_id)]


def _fields(row: Any, zone: str) -> dict[str, Any]:
    return {name: _plain(value, zone) for name, value in row.items() if name != "tenant_id"}


def _plain(value: Any, zone: str) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(ZoneInfo(zone)).isoformat(timespec="milliseconds")
    return str(value) if isinstance(value, UUID) else value
