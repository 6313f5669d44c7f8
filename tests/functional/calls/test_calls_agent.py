"""A phone or a carrier reaches the AI agent: signalling, rows, facts, events."""

from __future__ import annotations

import asyncio

from call_house import DID

from support.rtp_phone import RtpPhone


async def test_an_extension_talks_with_the_agent(house) -> None:
    phone = await house.phone("100")
    rtp = await RtpPhone.open("127.0.0.1")
    answer = await phone.invite(DID, rtp.port)
    assert answer.status == 200
    assert 33100 <= answer.rtp_port <= 33299
    assert 180 in {m.status for m in phone.inbox}
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    await asyncio.sleep(0.5)
    rtp.press("1")
    await asyncio.sleep(0.5)
    rtp.press("#")
    bye = await phone.wait("BYE")
    assert 'text="agent_hangup"' in bye.headers["reason"]
    call = await house.until("select * from call where finished")
    assert (call["state"], call["hangup_cause"], call["hangup_class"]) == ("ended", "agent_hangup", "server")
    assert (call["direction"], call["from_number"], call["to_number"]) == ("internal", "100", DID)
    assert 500 <= call["duration_ms"] <= 5000
    assert call["exit_reason"] == "agent_hangup"
    assert [read["key"] for read in call["config_reads"] if read["level"] == "tenant"]
    turn = await house.until("select * from turn")
    assert (turn["turn"], turn["user_text"], turn["reply_text"]) == (1, "where is my order", "on its way")
    segments = await house.fetch("select speaker, text from segment order by speaker desc")
    assert [(s["speaker"], s["text"]) for s in segments] == [("caller", "where is my order"), ("agent", "on its way")]
    recording = await house.until("select * from recording")
    assert recording["wanted"] and recording["call_id"] == call["id"]
    async with house.database.platform("test: outbox") as conn:
        types = [row["type"] for row in await conn.fetch("select type from outbox order by created_at, id")]
    assert types.count("transcript.segment") == 2
    assert [t for t in types if t != "transcript.segment"] == [
        "call.created",
        "call.answered",
        "ai_agent.completed",
        "call.ended",
        "transcript.completed",
    ]
    ladder = [row["summary"] for row in await house.fetch("select summary from sip_message order by at, id")]
    assert ladder[0].startswith("INVITE") and any(line.startswith("SIP/2.0 401") for line in ladder)
    assert any(line.startswith("BYE") for line in ladder)
    await rtp.close()
