"""Calls between people: bridge, cancel, busy, hold, transfer from the agent."""

from __future__ import annotations

import asyncio

from call_house import DID, DID_TO_EXTENSION, House

from support.raw_phone import RawPhone, sdp
from support.rtp_phone import RtpPhone, level_db, tone


async def callee(house: House, how: int) -> tuple[RawPhone, RtpPhone]:
    phone = await house.phone("101")
    rtp = await RtpPhone.open("127.0.0.1")
    phone.auto_answer, phone.rtp_port = how, rtp.port
    assert (await phone.register()).status == 200
    return phone, rtp


async def test_two_extensions_hear_each_other(house: House) -> None:
    other, other_rtp = await callee(house, 200)
    phone, rtp = await house.phone("100"), await RtpPhone.open("127.0.0.1")
    answer = await phone.invite("101", rtp.port)
    assert answer.status == 200
    invite = await other.wait("INVITE")
    assert invite.headers["from"].startswith(("<sip:100@", '"'))
    rtp.call("127.0.0.1", answer.rtp_port)
    other_rtp.call("127.0.0.1", invite.rtp_port)
    rtp.play(tone(400, 2.0))
    other_rtp.play(tone(1000, 2.0))
    rtp.start()
    other_rtp.start()
    await asyncio.sleep(1.5)
    assert level_db(rtp.heard(), 1000) - level_db(rtp.heard(), 400) > 30
    assert level_db(other_rtp.heard(), 400) - level_db(other_rtp.heard(), 1000) > 30
    assert (await phone.bye()).status == 200
    assert 'text="NORMAL_CLEARING"' in (await other.wait("BYE")).headers["reason"]
    call = await house.until("select * from call where finished")
    assert (call["hangup_by"], call["direction"]) == ("caller", "internal")
    legs = await house.fetch("select kind, outcome, codec from leg order by kind desc")
    assert [(leg["kind"], leg["outcome"], leg["codec"]) for leg in legs] == [
        ("caller", "ended", "PCMU"),
        ("callee", "ended", "PCMU"),
    ]
    await rtp.close()
    await other_rtp.close()


async def test_a_trunk_call_reaches_an_extension_and_its_phone_hangs_up(house: House) -> None:
    other, rtp = await callee(house, 200)
    caller = await RawPhone.open("+34600111222", "carrier.example", "", house.sip, "127.0.0.8")
    house.phones.append(caller)
    assert (await caller.invite(DID_TO_EXTENSION, 4000, auth=False)).status == 200
    invite = await other.wait("INVITE")
    assert "+34600111222" in invite.headers["from"]
    ack = await other.wait("ACK")
    contact = ack.first_line.split()[1]
    other.send(
        f"BYE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {other.host}:{other.port};branch=z9hG4bKbye1;rport\r\n"
        f"Max-Forwards: 70\r\nFrom: {invite.headers['to']};tag=callee\r\nTo: {invite.headers['from']}\r\n"
        f"Call-ID: {invite.headers['call-id']}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
    )
    assert (await other.wait((200, "BYE"))).status == 200
    await caller.wait("BYE")
    assert (await house.until("select * from call where finished"))["hangup_by"] == "callee"
    await rtp.close()


async def test_cancel_stops_the_ringing(house: House) -> None:
    other, rtp = await callee(house, 180)
    phone = await house.phone("100")
    inviting = asyncio.create_task(phone.invite("101", 4000))
    await phone.wait(180)
    phone.cancel()
    assert (await inviting).status == 487
    await other.wait("CANCEL")
    call = await house.until("select * from call where finished")
    assert (call["hangup_cause"], call["answered_at"], call["duration_ms"]) == ("ORIGINATOR_CANCEL", None, 0)
    await rtp.close()


async def test_busy_and_unregistered_reach_the_caller(house: House) -> None:
    phone = await house.phone("100")
    assert (await phone.invite("101", 4000)).status == 480
    await house.until("select 1 from call where hangup_cause = 'USER_NOT_REGISTERED'")
    _, rtp = await callee(house, 486)
    again = await house.phone("100")
    assert (await again.invite("101", 4000)).status == 486
    await house.until("select 1 from call where hangup_cause = 'USER_BUSY'")
    await rtp.close()


async def test_hold_is_answered_and_the_call_goes_on(house: House) -> None:
    phone = await house.phone("100")
    answer = await phone.invite(DID, 4000)
    mark = len(phone.inbox)
    hold = sdp(phone.host, 4002, direction="sendonly")
    phone.send(phone.request("INVITE", phone.remote_target, hold, to=f"sip:{DID}@{house.domain}"))
    held = await phone.wait((200, "INVITE"), after=mark)
    assert "a=recvonly" in held.body and held.rtp_port == answer.rtp_port
    phone.ack(held, phone.remote_target)
    assert (await phone.bye()).status == 200
    assert (await house.until("select * from call where finished"))["hangup_cause"] == "NORMAL_CLEARING"


async def test_the_agent_transfers_to_an_extension(house: House) -> None:
    other, other_rtp = await callee(house, 200)
    phone, rtp = await house.phone("100"), await RtpPhone.open("127.0.0.1")
    answer = await phone.invite(DID, rtp.port)
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    await asyncio.sleep(0.4)
    rtp.press("2")
    invite = await other.wait("INVITE")
    await other.wait("ACK")
    other_rtp.call("127.0.0.1", invite.rtp_port)
    other_rtp.play(tone(700, 2.0))
    other_rtp.start()
    await asyncio.sleep(1.2)
    assert level_db(rtp.heard()[-8000:], 700) > -40
    assert (await phone.bye()).status == 200
    await other.wait("BYE")
    call = await house.until("select * from call where finished")
    assert (call["exit_reason"], call["hangup_cause"]) == ("transfer", "NORMAL_CLEARING")
    phases = await house.fetch("select phase from call_decision where kind = 'recording' order by at")
    assert [row["phase"] for row in phases] == ["setup", "bridge"]
    await rtp.close()
    await other_rtp.close()


async def test_a_failed_transfer_ends_with_a_goodbye(house: House) -> None:
    other, other_rtp = await callee(house, 603)
    phone, rtp = await house.phone("100"), await RtpPhone.open("127.0.0.1")
    answer = await phone.invite(DID, rtp.port)
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    await asyncio.sleep(0.4)
    rtp.press("2")
    await other.wait("INVITE")
    bye = await phone.wait("BYE")
    assert 'text="transfer_failed"' in bye.headers["reason"]
    call = await house.until("select * from call where finished")
    assert (call["exit_reason"], call["hangup_cause"]) == ("transfer", "transfer_failed")
    ends = await house.fetch("select body from call_fact where kind = 'conversation_ended' order by seq")
    assert [row["body"]["reason"] for row in ends] == ["transfer", "silence"]
    await rtp.close()
    await other_rtp.close()


async def test_all_phones_of_an_extension_ring_and_the_first_to_answer_wins(house: House) -> None:
    slow, slow_rtp = await callee(house, 180)
    quick, quick_rtp = await callee(house, 200)
    assert len(await house.fetch("select 1 from registration")) <= 2
    phone = await house.phone("100")
    assert (await phone.invite("101", 4000)).status == 200
    await slow.wait("INVITE")
    await slow.wait("CANCEL")
    await quick.wait("ACK")
    assert (await phone.bye()).status == 200
    await quick.wait("BYE")
    await house.until("select 1 from call where finished")
    legs = await house.fetch("select outcome from leg where kind = 'callee' order by outcome")
    assert [leg["outcome"] for leg in legs] == ["487", "ended"]
    await slow_rtp.close()
    await quick_rtp.close()
