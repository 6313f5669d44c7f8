"""The trace of a real call, and CDR times across a DST change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from call_house import DID, House

from sivo.base.ids import uuid7
from sivo.calls import store
from sivo.calls.routes import timezone
from sivo.calls.store import CallRow, EndRow
from sivo.calls.trace import cdr, render, trace
from support.rtp_phone import RtpPhone


async def test_the_trace_explains_the_call(house: House) -> None:
    await house.set("ai.max_turns", 7)
    await house.settled(
        lambda: (
            house.node.services.directory.current.pictures[house.tenant].snapshots[None, None].values["ai.max_turns"]
            == 7
        )
    )
    phone, rtp = await house.phone("100"), await RtpPhone.open("127.0.0.1")
    answer = await phone.invite(DID, rtp.port)
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    await asyncio.sleep(0.4)
    rtp.press("1")
    await asyncio.sleep(0.4)
    rtp.press("#")
    await phone.wait("BYE")
    call = await house.until("select id from call where finished")
    async with house.database.tenant(house.tenant) as conn:
        found = await trace(conn, call["id"], "Europe/Madrid")
    assert found is not None
    assert found["route"]["rule"] == "extension.did"
    assert found["route"]["details"]["target"]["name"] == "Ada"
    reads = {one["key"]: one for one in found["configuration"]}
    assert (reads["ai.max_turns"]["value"], reads["ai.max_turns"]["level"]) == (7, "tenant")
    assert "auth.jwt_ttl_sec" not in reads
    assert found["turns"][0]["stages"] == {"endpointing": 300.0, "stt": 20.0, "first_frame": 380.0}
    assert {one["kind"] for one in found["decisions"]} == {"recording", "transcription"}
    assert found["recording"]["state"] == "pending"
    assert found["end"] == {
        "cause": "agent_hangup",
        "class": "server",
        "by": "platform",
        "detail": "",
        "exit_reason": "agent_hangup",
    }
    text = render(found)
    for part in ("CALL", "ROUTE", "CONFIGURATION", "SIP", "TURNS", "RECORDING", "END  agent_hangup", "INVITE sip:"):
        assert part in text
    assert "response=" not in str(found) and "Digest ***" in str(found["sip"])
    await rtp.close()


async def test_a_cdr_across_the_end_of_summer_time(house: House) -> None:
    """25 October 2026: at 03:00 the clocks of Madrid go back; the call lasts an hour and both ends say 02:30."""
    row = CallRow(uuid7(), house.tenant, "inbound", "+34600111222", DID, datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    end = EndRow(datetime(2026, 10, 25, 1, 30, tzinfo=UTC), 3_600_000, "NORMAL_CLEARING", "client", "caller")
    async with house.database.tenant(house.tenant) as conn:
        await store.insert_call(conn, row)
        await store.mark_answered(conn, row.id, row.created_at)
        await store.mark_ended(conn, row.id, end)
        stored = await conn.fetchrow("select * from call where id = $1", row.id)
        madrid = cdr(stored, await timezone(conn, house.tenant, house.settings))
    assert madrid["answered_at"] == "2026-10-25T02:30:00.000+02:00"
    assert madrid["ended_at"] == "2026-10-25T02:30:00.000+01:00"
    assert madrid["duration_ms"] == 3_600_000
    await house.set("tenant.timezone", "America/New_York")
    async with house.database.tenant(house.tenant) as conn:
        new_york = cdr(stored, await timezone(conn, house.tenant, house.settings))
    assert new_york["ended_at"] == "2026-10-24T21:30:00.000-04:00"
