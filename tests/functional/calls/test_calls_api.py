"""CDRs, traces and transcripts over HTTP, as roles and other tenants see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.calls import facts, store
from sivo.calls.facts import FactContext
from sivo.calls.store import CallRow, DecisionRow, EndRow, MessageRow
from sivo.db.scopes import Database
from sivo.media.protocol import ConversationEnded, Fact, FactBody, Interruption, Segment, Turn
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
START = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as made:
        yield made


async def a_call(database: Database, tenant: UUID, at: datetime = START) -> UUID:
    """A finished AI call as the call role writes it."""
    row = CallRow(uuid7(), tenant, "inbound", "+34600111222", "+34910000001", at, agent_id=uuid4())
    bodies: list[FactBody] = [
        Segment(segment="s1", speaker="caller", text="where is it", start_ms=100, end_ms=900),
        Turn(
            turn=1, user_text="where is it", user_start_ms=100, user_end_ms=900, reply_text="here", latency={"stt": 80}
        ),
        Interruption(at_ms=1500, outcome="committed", voiced_ms=420, played_ms=600, text_played="he"),
        ConversationEnded(reason="agent_hangup", turns=1, at_ms=3000),
    ]
    decision = DecisionRow(uuid7(), at, "route", "setup", "ai_agent", "trunk.did", "it belongs to the trunk")
    message = MessageRow(uuid7(), at, "in", "udp:192.0.2.1:5060", "INVITE sip:x SIP/2.0 [1 INVITE]", "INVITE sip:x")
    end = EndRow(at + timedelta(hours=1), 3_600_000, "agent_hangup", "server", "platform", mos=4.4)
    async with database.tenant(tenant) as conn:
        await store.insert_call(conn, row)
        await store.mark_answered(conn, row.id, at)
        await store.insert_decision(conn, tenant, row.id, decision)
        await store.insert_messages(conn, tenant, row.id, [message])
        for seq, body in enumerate(bodies, 1):
            context = FactContext(tenant, row.id, row.agent_id, True, 90)
            await facts.commit(
                conn, context, Fact(session=str(row.id), seq=seq, at=int(at.timestamp() * 1000), body=body)
            )
        await store.mark_ended(conn, row.id, end)
    return row.id


async def as_role(api: RunningApi, tenant: str, role: str, path: str) -> int:
    """Status of a GET by somebody with ``role``."""
    await api.user(tenant, f"{role}@acme.example", PASSWORD, role=role)
    token = (await api.login(f"{role}@acme.example", PASSWORD, f"127.0.3.{len(role)}")).json()["access_token"]
    return (await api.http.get(path, headers={"Authorization": f"Bearer {token}"})).status_code


async def test_a_cdr_is_rendered_in_the_zone_in_force(api: RunningApi, database: Database) -> None:
    tenant = await api.tenant("acme")
    call_id = await a_call(database, UUID(tenant))
    madrid = await api.ok("GET", f"/api/calls/{call_id}", tenant=tenant)
    assert (madrid["answered_at"], madrid["ended_at"], madrid["duration_ms"]) == (
        "2026-10-25T02:30:00.000+02:00",
        "2026-10-25T02:30:00.000+01:00",
        3_600_000,
    )
    patch = {"tenant.timezone": "America/New_York"}
    await api.ok("PATCH", "/api/config", patch, tenant, headers={"Content-Type": "application/merge-patch+json"})
    new_york = await api.ok("GET", f"/api/calls/{call_id}", tenant=tenant)
    assert new_york["ended_at"] == "2026-10-24T21:30:00.000-04:00"
    assert not {"tenant_id", "journal_path"} & new_york.keys()


async def test_the_list_is_read_page_by_page_newest_first(api: RunningApi, database: Database) -> None:
    tenant = await api.tenant("acme")
    made = [str(await a_call(database, UUID(tenant), START + timedelta(days=day))) for day in range(5)]
    first = await api.ok("GET", "/api/calls?limit=3", tenant=tenant)
    second = await api.ok("GET", f"/api/calls?limit=3&cursor={first['next']}", tenant=tenant)
    assert [one["id"] for one in [*first["items"], *second["items"]]] == sorted(made, reverse=True)
    assert second["next"] is None


async def test_a_trace_and_a_transcript(api: RunningApi, database: Database) -> None:
    tenant = await api.tenant("acme")
    call_id = await a_call(database, UUID(tenant))
    found = await api.ok("GET", f"/api/calls/{call_id}/trace", tenant=tenant)
    assert found["route"]["rule"] == "trunk.did"
    assert found["sip"][0]["summary"].startswith("INVITE") and found["sip"][0]["offset_ms"] == 0
    assert (found["turns"][0]["user_text"], found["turns"][0]["stages"]) == ("where is it", {"stt": 80.0})
    assert found["interruptions"][0]["outcome"] == "committed"
    assert found["end"]["exit_reason"] == "agent_hangup" and found["call"]["mos"] == pytest.approx(4.4)
    transcript = await api.ok("GET", f"/api/calls/{call_id}/transcript", tenant=tenant)
    assert [(one["speaker"], one["text"]) for one in transcript] == [("caller", "where is it")]


async def test_calls_of_others_and_words_for_the_wrong_role_are_out_of_reach(
    api: RunningApi, database: Database
) -> None:
    tenant, other = await api.tenant("acme"), await api.tenant("globex")
    foreign, own = await a_call(database, UUID(other)), await a_call(database, UUID(tenant))
    for path in ("", "/trace", "/transcript"):
        assert await status(api, tenant, f"/api/calls/{foreign}{path}") == 404
        assert await status(api, tenant, f"/api/calls/{uuid4()}{path}") == 404
    assert len((await api.ok("GET", "/api/calls", tenant=tenant))["items"]) == 1
    assert await as_role(api, tenant, "agent", f"/api/calls/{own}/trace") == 403
    assert await as_role(api, tenant, "supervisor", f"/api/calls/{own}/trace") == 200


async def status(api: RunningApi, tenant: str, path: str) -> int:
    return (await api.local.get(path, headers={"X-Tenant-Id": tenant})).status_code
