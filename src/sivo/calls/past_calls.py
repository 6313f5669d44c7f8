"""Reading the inputs of past calls for a replay: five queries, however many calls."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from sivo.calls.replay import PastCall
from sivo.db.scopes import Connection

_USER = re.compile(r"^sips?:([^@;]+)@")


async def last_calls(connection: Connection, limit: int) -> list[PastCall]:
    """The last ``limit`` calls of the tenant that are over, newest first."""
    rows = await connection.fetch(
        "select id, created_at, direction, from_number, to_number, trunk_id, answered_at, ended_at, exit_reason,"
        " config_reads from call where state = 'ended' order by created_at desc, id desc limit $1",
        limit,
    )
    ids = [row["id"] for row in rows]
    turns = await _by_call(connection, "select call_id, max(turn) from turn where call_id = any($1) group by 1", ids)
    ends = await _by_call(
        connection,
        "select call_id, min(at) from call_fact where call_id = any($1) and kind = 'conversation_ended' group by 1",
        ids,
    )
    callees = await _by_call(
        connection,
        "select distinct on (call_id) call_id, peer from leg where call_id = any($1) and kind = 'callee'"
        " and answered_at is not null order by call_id, answered_at desc",
        ids,
    )
    return [_call(row, turns.get(row["id"], 0), ends.get(row["id"]), callees.get(row["id"], "")) for row in rows]


async def _by_call(connection: Connection, query: str, ids: list[UUID]) -> dict[UUID, Any]:
    return {row[0]: row[1] for row in await connection.fetch(query, ids)}


def _call(row: Any, turns: int, conversation_end: Any, callee: str) -> PastCall:
    talked = conversation_end or row["ended_at"]
    found = _USER.match(callee)
    return PastCall(
        id=row["id"],
        at=row["created_at"],
        direction=row["direction"],
        from_number=row["from_number"],
        to_number=row["to_number"],
        trunk_id=row["trunk_id"],
        answered=row["answered_at"] is not None,
        turns=turns,
        talked_ms=round((talked - row["answered_at"]).total_seconds() * 1000) if row["answered_at"] else 0,
        exit_reason=row["exit_reason"] or "",
        reads=frozenset(one["key"] for one in row["config_reads"]),
        callee=found[1] if found else "",
    )
