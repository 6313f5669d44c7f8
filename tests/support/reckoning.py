"""Callers' own logs, the database and a webhook receiver, compared by somebody who had no part in any of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from support.company import Company
from support.event_sink import EventSink
from support.kills import rows
from support.traffic import Attempt

CALLS = "select * from call where tenant_id = $1::text::uuid"
EVENTS = "select id, type, data ->> 'callId' as call from outbox where tenant_id = $1::text::uuid"
RECORDINGS = "select call_id, state from recording where tenant_id = $1::text::uuid"


@dataclass
class Reckoning:
    """What was counted; ``missing`` and ``wrong`` must be empty."""

    attempts: int
    answered: int
    cut: int
    calls: int
    events: int
    duplicates: int
    missing: list[str]
    wrong: list[str]

    def line(self) -> str:
        """For a table."""
        return (
            f"{self.attempts} calls tried, {self.answered} answered, {self.cut} cut, {self.calls} rows, "
            f"{self.events} events, {self.duplicates} duplicates, missing {len(self.missing)}, wrong {len(self.wrong)}"
        )


async def reckon(company: Company, sink: EventSink, attempts: list[Attempt], timeout: float = 90.0) -> Reckoning:
    """Wait until everything has settled, or the time is over, and compare."""
    deadline = time.monotonic() + timeout
    while True:
        found = await _compare(company, sink, attempts)
        if not found.missing or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.5)


async def _compare(company: Company, sink: EventSink, attempts: list[Attempt]) -> Reckoning:
    calls = await rows(company.node, CALLS, company.tenant_id)
    events = await rows(company.node, EVENTS, company.tenant_id)
    recordings = await rows(company.node, RECORDINGS, company.tenant_id)
    ids = {event["id"] for event in events}
    arrived = [one for one in sink.arrived if one.event["tenantId"] == company.tenant_id]
    missing = [f"call of {one.number}" for one in attempts if one.status == 200 and _rows_of(calls, one) != 1]
    missing += [f"end of {call['from_number']}" for call in calls if not (call["finished"] and call["ended_at"])]
    missing += _events_of_calls(calls, events)
    missing += [f"delivery of {event['type']}" for event in events if event["id"] not in {a.event_id for a in arrived}]
    missing += [f"recording {one['call_id']} is {one['state']}" for one in recordings if one["state"] == "pending"]
    bodies: dict[str, set[bytes]] = {}
    for one in arrived:
        bodies.setdefault(one.event_id, set()).add(one.body)
    wrong = [f"event {id} that never happened" for id in bodies if id not in ids]
    wrong += [f"event {id} came with another body" for id, body in bodies.items() if len(body) != 1]
    wrong += [f"event {one.event_id}: bad signature" for one in arrived if not one.verified]
    wrong += [f"call of {one.number} twice" for one in attempts if _rows_of(calls, one) > 1]
    known = {one.number for one in attempts}
    wrong += [f"call of {call['from_number']}, who never rang" for call in calls if call["from_number"] not in known]
    kept = Counter(one["call_id"] for one in recordings)
    wrong += [f"{count} recordings of {id}" for id, count in kept.items() if count > 1]
    return Reckoning(
        attempts=len(attempts),
        answered=sum(one.status == 200 for one in attempts),
        cut=sum(one.ended_by == "platform" for one in attempts),
        calls=len(calls),
        events=len(ids),
        duplicates=len(arrived) - len(bodies),
        missing=missing,
        wrong=wrong,
    )


def _rows_of(calls: list[dict[str, Any]], attempt: Attempt) -> int:
    return sum(call["from_number"] == attempt.number for call in calls)


def _events_of_calls(calls: list[dict[str, Any]], events: list[dict[str, Any]]) -> list[str]:
    """Each call tells once that it began, once that it was answered if it was, and once that it ended."""
    told = Counter((event["type"], event["call"]) for event in events)
    found = []
    for call in calls:
        wanted = {"call.created": 1, "call.answered": int(call["answered_at"] is not None), "call.ended": 1}
        for kind, times in wanted.items():
            if told[kind, str(call["id"])] != times:
                found.append(f"{told[kind, str(call['id'])]} x {kind} of {call['from_number']}")
    return found
