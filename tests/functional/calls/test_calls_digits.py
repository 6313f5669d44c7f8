"""Keys of a phone on the whole path: SIP INFO in both spellings, sound on a trunk that sends keys so, and towards a
phone that takes no telephone events."""

from __future__ import annotations

import asyncio

from call_desk import connect, desk
from call_house import DID, DID_TO_EXTENSION, PASSWORD, House

from sivo.media.tones import make
from support.raw_phone import RawPhone, sdp
from support.rtp_phone import RtpPhone, level_db


async def pressed(house: House) -> list[str]:
    rows = await house.fetch("select body from call_fact where kind = 'digit' order by seq")
    return [row["body"]["digit"] for row in rows]


async def info(phone: RawPhone, to: str, kind: str, body: str) -> int:
    mark = len(phone.inbox)
    text = phone.request("INFO", phone.remote_target, body, to=to)
    phone.send(text.replace("application/sdp", kind))
    async with asyncio.timeout(5):
        while True:
            for message in phone.inbox[mark:]:
                if message.status and message.method == "INFO":
                    return message.status
            await asyncio.sleep(0.01)


async def test_keys_in_info_reach_the_agent(house: House) -> None:
    phone, rtp = await house.phone("100"), await RtpPhone.open("127.0.0.1")
    answer = await phone.invite(DID, rtp.port)
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    await asyncio.sleep(0.4)
    to = f"sip:{DID}@{house.domain}"
    assert await info(phone, to, "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n") == 200
    assert await info(phone, to, "application/dtmf", "6") == 200
    assert await info(phone, to, "application/dtmf-relay", "Signal=bell\r\n") == 400
    assert await info(phone, to, "application/media_control+xml", "<x/>") == 415
    assert await info(phone, to, "application/dtmf", "#") == 200
    await phone.wait("BYE")  # the agent of the tests hangs up on the hash key
    await house.until("select * from call where finished")
    assert await pressed(house) == ["5", "6", "#"]
    await rtp.close()


async def test_keys_as_sound_count_on_a_trunk_that_is_set_so(house: House) -> None:
    body = {"name": "sounding", "cidrs": ["127.0.0.12/32"], "keys_as_sound": True}
    trunk = await house.create("trunk", body)
    target = {"kind": "ai_agent", "id": str(house.ids["agent"])}
    await house.create("did", {"number": "+34910000077", "trunk": str(trunk), "target": target})
    await asyncio.sleep(1.5)
    caller = await RawPhone.open("+34600111222", "carrier.example", "", house.sip, "127.0.0.12")
    house.phones.append(caller)
    rtp = await RtpPhone.open("127.0.0.12")
    only_audio = sdp("127.0.0.12", rtp.port).replace("a=rtpmap:101 telephone-event/8000\r\n", "").replace(" 101", "")
    answer = await caller.invite("+34910000077", rtp.port, auth=False, body=only_audio)
    assert answer.status == 200
    rtp.call("127.0.0.1", answer.rtp_port)
    for digit in "19#":
        rtp.play(make(digit, 100) + bytes(16 * 100))
    rtp.start()
    await caller.wait("BYE")
    await house.until("select * from call where finished")
    assert await pressed(house) == ["1", "9", "#"]
    await rtp.close()


async def test_a_phone_without_telephone_events_hears_the_other_ones_keys(house: House) -> None:
    other, other_rtp = await house.phone("101"), await RtpPhone.open("127.0.0.1")
    other.auto_answer, other.rtp_port = 200, other_rtp.port
    assert (await other.register()).status == 200
    caller = await RawPhone.open("+34600111222", "carrier.example", "", house.sip, "127.0.0.8")
    house.phones.append(caller)
    rtp = await RtpPhone.open("127.0.0.8")
    only_audio = sdp("127.0.0.8", rtp.port).replace("a=rtpmap:101 telephone-event/8000\r\n", "").replace(" 101", "")
    answer = await caller.invite(DID_TO_EXTENSION, rtp.port, auth=False, body=only_audio)
    invite = await other.wait("INVITE")
    rtp.call("127.0.0.1", answer.rtp_port)
    other_rtp.call("127.0.0.1", invite.rtp_port)
    rtp.start()
    other_rtp.start()
    await asyncio.sleep(0.4)
    for _ in range(5):
        other_rtp.press("5")
    await asyncio.sleep(1.6)
    heard = rtp.heard()[-16 * 1500 :]
    assert level_db(heard, 770) > -30 and level_db(heard, 1336) > -30
    assert (await caller.bye()).status == 200
    await rtp.close()
    await other_rtp.close()


async def test_a_call_is_passed_on_by_keys_and_comes_back_when_nobody_answers(house: House) -> None:
    """Back to back, in both directions: to who answers, to who does not, by who is gone meanwhile."""
    for number in ("100", "101"):
        await house.resources.update(
            house.tenant, "extension", house.ids[number], {"transfer_code": "*2"}, author=house.author
        )
    for number in ("102", "103"):
        await house.create("extension", {"number": number, "sip_password": PASSWORD})
    directory = house.node.services.directory
    await house.settled(
        lambda: sum(bool(one.transfer_code) for one in directory.current.pictures[house.tenant].extensions) == 2
    )
    await house.settled(lambda: len(directory.current.pictures[house.tenant].extensions) == 4)
    one, two = await desk(house, "100"), await desk(house, "101")
    busy, free = await desk(house, "102", 486), await desk(house, "103")
    await connect(one, two)
    await asyncio.sleep(0.4)
    for key in "*2102#":
        two.rtp.press(key)
    await busy.sip.wait("INVITE")
    row = await house.until("select outcome from call_decision where kind = 'transfer'")
    assert row["outcome"] == "returned"
    await asyncio.sleep(0.8)
    assert one.hears("101") and two.hears("100"), "both are on the line as before"
    one.rtp.timestamp_stands(True)
    for key in "*2103#":
        one.rtp.press(key)
    invite = await free.sip.wait("INVITE", timeout=10)
    free.talk(invite.rtp_port)
    await one.sip.wait("BYE")
    await asyncio.sleep(1.0)
    assert two.hears("103") and free.hears("101")
    event = await house.until("select data from outbox where type = 'call.transferred'")
    assert (event["data"]["transferType"], event["data"]["transferTo"]) == ("blind", "103")
    two.in_dialog("BYE")
    await free.sip.wait("BYE")
    await house.until("select 1 from call where finished")
    for phone in (one, two, busy, free):
        await phone.close()
