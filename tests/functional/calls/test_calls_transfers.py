"""Passing calls on, as phones and the API ask for it: blind, attended, failed, and with the one who asked gone."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest
from call_desk import Desk, connect, desk
from call_house import DID_TO_EXTENSION, PASSWORD, House

from sivo.base.clock import SystemClock
from sivo.base.errors import SivoError
from sivo.calls import orders
from support.raw_phone import RawPhone
from support.rtp_phone import RtpPhone


async def frags(phone: RawPhone, last: str, mark: int = 0) -> list[str]:
    """Bodies of NOTIFYs up to the one that holds ``last``; each is answered."""
    seen: list[str] = []
    answered: set[int] = set()
    async with asyncio.timeout(10):
        while True:
            for number, message in enumerate(phone.inbox[mark:]):
                if not message.status and message.method == "NOTIFY" and number not in answered:
                    answered.add(number)
                    phone.answer(message, 200, "OK")
                    assert message.headers["event"].startswith("refer")
                    seen.append(message.body.strip())
                    if last in message.body:
                        assert message.headers["subscription-state"].startswith("terminated")
                        return seen
            await asyncio.sleep(0.02)


@pytest.fixture
async def three(house: House) -> House:
    await house.create("extension", {"number": "102", "sip_password": PASSWORD})
    await asyncio.sleep(1.5)
    return house


async def test_blind_transfer_by_who_answered(three: House) -> None:
    one, two, three_ = await desk(three, "100"), await desk(three, "101"), await desk(three, "102")
    await connect(one, two)
    await asyncio.sleep(0.6)
    two.in_dialog("REFER", f"Refer-To: <sip:102@{three.domain}>\r\n")
    await two.sip.wait((202, "REFER"))
    assert await frags(two.sip, "200 OK") == ["SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]
    await two.sip.wait("BYE")
    invite = await three_.sip.wait("INVITE")
    three_.talk(invite.rtp_port)
    await asyncio.sleep(1.2)
    assert one.hears("102") and three_.hears("100")
    assert (await one.sip.bye()).status == 200
    await three_.sip.wait("BYE")
    call = await three.until("select * from call where finished")
    assert (call["hangup_by"], call["hangup_cause"]) == ("caller", "NORMAL_CLEARING")
    legs = await three.fetch("select kind, outcome from leg order by created_at")
    assert [(leg["kind"], leg["outcome"]) for leg in legs] == [
        ("caller", "ended"),
        ("callee", "ended"),
        ("callee", "ended"),
    ]
    event = await three.until("select * from outbox where type = 'call.transferred'")
    assert event["data"]["transferType"] == "blind" and event["data"]["transferTo"] == "102"
    assert set(call["stats"]["media"]["legs"]) == {"caller", "callee", "callee1"}
    for phone in (one, two, three_):
        await phone.close()


async def test_blind_transfer_by_the_caller(three: House) -> None:
    one, two, three_ = await desk(three, "100"), await desk(three, "101"), await desk(three, "102")
    await connect(one, two)
    phone = one.sip
    refer = phone.request(
        "REFER",
        phone.remote_target,
        to=f"sip:101@{three.domain}",
        extra="Refer-To: <sip:102@x>\r\nRefer-Sub: false\r\n",
    )
    phone.send(refer)
    await phone.wait((202, "REFER"))
    await phone.wait("BYE")
    three_.talk((await three_.sip.wait("INVITE")).rtp_port)
    await asyncio.sleep(1.2)
    assert two.hears("102") and three_.hears("101")
    assert not [m for m in phone.inbox if m.method == "NOTIFY"]
    two.in_dialog("BYE")
    await three_.sip.wait("BYE")
    assert (await three.until("select * from call where finished"))["hangup_by"] == "callee"
    for one_phone in (one, two, three_):
        await one_phone.close()


async def test_a_failed_transfer_leaves_both_on_the_line(three: House) -> None:
    one, two, three_ = await desk(three, "100"), await desk(three, "101"), await desk(three, "102", 486)
    await connect(one, two)
    two.in_dialog("REFER", f"Refer-To: <sip:102@{three.domain}>\r\n")
    assert (await frags(two.sip, "486"))[-1] == "SIP/2.0 486 Busy Here"
    mark = len(two.sip.inbox)
    two.in_dialog("REFER", f"Refer-To: <sip:999@{three.domain}>\r\n")
    assert (await frags(two.sip, "480", mark))[-1].startswith("SIP/2.0 480")
    mark = len(two.sip.inbox)
    two.in_dialog("REFER", f"Refer-To: <sip:102@x?Replaces={quote('nobody;to-tag=a;from-tag=b')}>\r\n")
    assert (await frags(two.sip, "481", mark))[-1].startswith("SIP/2.0 481")
    await asyncio.sleep(0.7)
    assert one.hears("101") and two.hears("100")
    decisions = await three.fetch("select outcome, details from call_decision where kind = 'transfer' order by at")
    assert [row["outcome"] for row in decisions] == ["returned", "returned"]
    assert not await three.fetch("select 1 from outbox where type = 'call.transferred'")
    assert (await one.sip.bye()).status == 200
    for phone in (one, two, three_):
        await phone.close()


async def test_who_hung_up_too_early_is_rung_again(three: House) -> None:
    one, two, three_ = await desk(three, "100"), await desk(three, "101"), await desk(three, "102", 180)
    await connect(one, two)
    two.in_dialog("REFER", f"Refer-To: <sip:102@{three.domain}>\r\n")
    invite = await three_.sip.wait("INVITE")
    mark = len(two.sip.inbox)
    two.in_dialog("BYE")
    await asyncio.sleep(0.3)
    three_.sip.answer(invite, 603, "Decline")
    two.invite = await two.sip.wait("INVITE", after=mark)
    two.rtp.stop()
    two.talk(two.invite.rtp_port)
    await asyncio.sleep(1.2)
    assert one.hears("101") and two.hears("100")
    assert (await one.sip.bye()).status == 200
    await two.sip.wait("BYE", after=mark)
    for phone in (one, two, three_):
        await phone.close()


async def test_attended_transfer_makes_one_call_of_two(three: House) -> None:
    one, two, three_ = await desk(three, "100"), await desk(three, "101"), await desk(three, "102")
    await connect(one, two)
    middle = Desk(await three.phone("101"), await RtpPhone.open("127.0.0.1"), "101")  # its second line
    await connect(middle, three_)
    await asyncio.sleep(0.6)
    assert three_.hears("101")
    replaces = f"{middle.sip.call_id};to-tag={middle.sip.to_tag};from-tag={middle.sip.from_tag}"
    mark = len(three_.sip.inbox)
    two.in_dialog("REFER", f"Refer-To: <sip:102@{three.domain}?Replaces={quote(replaces, safe='')}>\r\n")
    await two.sip.wait((202, "REFER"))
    again = await three_.sip.wait("INVITE", after=mark)
    three_.rtp.call("127.0.0.1", again.rtp_port)
    assert "SIP/2.0 200 OK" in await frags(two.sip, "200 OK")
    await two.sip.wait("BYE")
    await middle.sip.wait("BYE")
    await asyncio.sleep(1.2)
    assert one.hears("102") and three_.hears("100")
    second = await three.until("select * from call where finished")
    assert second["hangup_detail"] == "joined with another call"
    assert (await one.sip.bye()).status == 200
    await three_.sip.wait("BYE", after=mark)
    await three.until("select * from call where finished and id <> $1", second["id"])
    event = await three.until("select * from outbox where type = 'call.transferred'")
    assert event["data"]["transferType"] == "attended"
    for phone in (one, two, three_, middle):
        await phone.close()


async def test_the_api_passes_a_call_on_and_presses_keys(three: House) -> None:
    one, two, three_ = await desk(three, "100"), await desk(three, "101"), await desk(three, "102")
    await connect(one, two)
    call = await three.until("select * from call where state = 'answered'")

    async def give(kind: str, **body: str) -> dict[str, object]:
        return await orders.give(three.database, SystemClock(), three.tenant, call["id"], kind, body, "user:x")

    await give("dtmf", digits="5", leg="callee")
    await asyncio.sleep(0.4)
    assert any(packet.payload_type == 101 and packet.payload[0] == 5 for packet in two.rtp.received)
    assert await give("transfer", to="102", by="callee") == {}
    await two.sip.wait("BYE")
    three_.talk((await three_.sip.wait("INVITE")).rtp_port)
    await asyncio.sleep(1.0)
    assert one.hears("102") and three_.hears("100")
    assert (await one.sip.bye()).status == 200
    await three.until("select * from call where finished")
    with pytest.raises(SivoError, match="over"):
        await give("transfer", to="101")
    done = await three.fetch("select kind, state, author from call_command order by created_at")
    assert [(row["kind"], row["state"]) for row in done] == [("dtmf", "done"), ("transfer", "done")]
    for phone in (one, two, three_):
        await phone.close()


async def test_a_carriers_side_does_not_choose_whom_we_call(three: House) -> None:
    two = await desk(three, "101")
    caller = await RawPhone.open("+34600111222", "carrier.example", "", three.sip, "127.0.0.8")
    three.phones.append(caller)
    assert (await caller.invite(DID_TO_EXTENSION, 4000, auth=False)).status == 200
    await two.sip.wait("ACK")
    extra = f"Refer-To: <sip:102@{three.domain}>\r\n"
    caller.send(caller.request("REFER", caller.remote_target, to=f"sip:{DID_TO_EXTENSION}@{three.domain}", extra=extra))
    await caller.wait((603, "REFER"))
    caller.send(caller.request("REFER", caller.remote_target, to=f"sip:{DID_TO_EXTENSION}@{three.domain}"))
    await caller.wait((603, "REFER"))
    assert (await caller.bye()).status == 200
    await two.close()
