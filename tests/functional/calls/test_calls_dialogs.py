"""What phones and carriers do inside a call: reliable ringing, early media, 302, session timers, glare, odd offers."""

from __future__ import annotations

import asyncio
import re

import pytest
from call_house import DID, DID_TO_EXTENSION, PASSWORD, House

from sivo.sip import session_timer
from support.raw_phone import Message, RawPhone, sdp
from support.rtp_phone import RtpPhone, level_db, tone

CARRIER = "127.0.0.8"


async def carrier(house: House) -> RawPhone:
    """Somebody who calls from the trunk's address."""
    phone = await RawPhone.open("+34600111222", "carrier.example", "", house.sip, CARRIER)
    house.phones.append(phone)
    return phone


def ask(phone: RawPhone, number: str, body: str = "", extra: str = "") -> str:
    """INVITE from a carrier; gives its Request-URI."""
    uri = f"sip:{number}@127.0.0.1"
    phone.send(phone.request("INVITE", uri, body, extra))
    return uri


def up(phone: RawPhone, answer: Message) -> None:
    """ACK of a 200, and what requests in the dialog need."""
    phone.to_tag = re.search(r"tag=([^;>]+)", answer.headers["to"]).group(1)  # type: ignore[union-attr]
    phone.remote_target = re.search(r"<([^>]+)>", answer.headers["contact"]).group(1)  # type: ignore[union-attr]
    phone.ack(answer, phone.remote_target)


async def again(phone: RawPhone, method: str, body: str = "", extra: str = "") -> Message:
    """A request in the dialog and its final answer; a 200 to INVITE is acknowledged."""
    mark = len(phone.inbox)
    phone.send(phone.request(method, phone.remote_target, body, extra, to=f"sip:x@{phone.domain}"))
    answer = await phone._final(mark, method)
    if method == "INVITE":
        phone.ack(answer, phone.remote_target)
    return answer


async def registered(house: House, number: str, how: int | None, rtp_port: int = 4000) -> RawPhone:
    phone = await house.phone(number)
    phone.auto_answer, phone.rtp_port = how, rtp_port
    assert (await phone.register()).status == 200
    return phone


async def test_reliable_ringing_is_acknowledged_and_a_caller_may_hang_up_early(house: House) -> None:
    await registered(house, "101", 180)
    phone = await carrier(house)
    uri = ask(phone, DID_TO_EXTENSION, sdp(phone.host, 4000), "Require: 100rel\r\n")
    ringing = await phone.wait(180)
    assert (ringing.headers["require"], ringing.headers["rseq"]) == ("100rel", "1")
    phone.to_tag = ringing.headers["to"].split("tag=")[1]
    phone.remote_target = ringing.headers["contact"].strip("<>")
    assert (await again(phone, "PRACK", extra="RAck: 7 1 INVITE\r\n")).status == 481
    assert (await again(phone, "PRACK", extra=f"RAck: 1 {ringing.headers['cseq']}\r\n")).status == 200
    mark = len(phone.inbox)
    await asyncio.sleep(1.2)
    assert [m.status for m in phone.inbox[mark:]] == []  # no repetition after the PRACK
    assert (await again(phone, "BYE")).status == 200
    gone = await phone.wait((487, "INVITE"))
    phone.ack(gone, uri)
    call = await house.until("select * from call where finished")
    assert call["hangup_cause"] == "ORIGINATOR_CANCEL"


async def test_early_media_reaches_the_caller_before_the_answer(house: House) -> None:
    rtp, far = await RtpPhone.open("127.0.0.1"), await RtpPhone.open("127.0.0.1")
    callee = await registered(house, "101", None)
    phone = await house.phone("100")
    calling = asyncio.create_task(phone.invite("101", rtp.port))
    invite = await callee.wait("INVITE")
    callee.answer(invite, 183, "Session Progress", sdp("127.0.0.1", far.port))
    progress = await phone.wait(183)
    rtp.call("127.0.0.1", progress.rtp_port)
    far.call("127.0.0.1", invite.rtp_port)
    far.play(tone(1000, 2.0))
    rtp.start()
    far.start()
    await asyncio.sleep(1.2)
    assert level_db(rtp.heard(), 1000) - level_db(rtp.heard(), 400) > 30
    assert not calling.done()
    callee.answer(invite, 200, "OK", sdp("127.0.0.1", far.port))
    answer = await calling
    assert (answer.status, answer.rtp_port) == (200, progress.rtp_port)
    assert (await phone.bye()).status == 200
    call = await house.until("select * from call where finished")
    assert call["answered_at"] is not None
    await rtp.close()
    await far.close()


async def test_a_reliable_183_of_a_callee_gets_its_prack(house: House) -> None:
    callee = await registered(house, "101", None)
    phone = await house.phone("100")
    calling = asyncio.create_task(phone.invite("101", 4000))
    invite = await callee.wait("INVITE")
    assert "100rel" in invite.headers["supported"]
    vias = "".join(f"Via: {via}\r\n" for via in invite.vias)
    for _ in range(2):  # a repetition must not be acknowledged twice
        callee.send(
            f"SIP/2.0 180 Ringing\r\n{vias}From: {invite.headers['from']}\r\nTo: {invite.headers['to']};tag=callee\r\n"
            f"Call-ID: {invite.headers['call-id']}\r\nCSeq: {invite.headers['cseq']}\r\nRequire: 100rel\r\nRSeq: 41\r\n"
            f"Contact: <sip:101@{callee.host}:{callee.port}>\r\nContent-Length: 0\r\n\r\n"
        )
    prack = await callee.wait("PRACK")
    assert prack.headers["rack"] == f"41 {invite.headers['cseq']}"
    callee.answer(prack, 200, "OK")
    callee.answer(invite, 200, "OK", sdp("127.0.0.1", 4002))
    assert (await calling).status == 200
    assert (await phone.bye()).status == 200
    bye = await callee.wait("BYE")
    assert int(bye.headers["cseq"].split()[0]) > int(prack.headers["cseq"].split()[0])
    assert sum(m.method == "PRACK" for m in callee.inbox) == 1


async def test_a_phone_sends_its_caller_on(house: House) -> None:
    await house.create("extension", {"number": "102", "sip_password": PASSWORD})
    directory = house.node.services.directory
    await house.settled(lambda: directory.current.extension(house.tenant, "102") is not None)
    away, there = await registered(house, "101", None), await registered(house, "102", 200)
    phone = await house.phone("100")
    calling = asyncio.create_task(phone.invite("101", 4000))
    invite = await away.wait("INVITE")
    vias = "".join(f"Via: {via}\r\n" for via in invite.vias)
    away.send(
        f"SIP/2.0 302 Moved Temporarily\r\n{vias}From: {invite.headers['from']}\r\nTo: {invite.headers['to']};tag=c\r\n"
        f"Call-ID: {invite.headers['call-id']}\r\nCSeq: {invite.headers['cseq']}\r\n"
        f"Contact: <sip:+19005551234@{house.domain}>, <sip:102@{house.domain}>\r\nContent-Length: 0\r\n\r\n"
    )
    assert (await calling).status == 200  # 102; the premium number is not allowed by any trunk
    assert (await there.wait("INVITE")).headers["call-id"] != invite.headers["call-id"]
    assert (await phone.bye()).status == 200
    await there.wait("BYE")
    await house.until("select * from call where finished")
    legs = await house.fetch("select outcome from leg where kind = 'callee' order by id")
    assert sorted(leg["outcome"] for leg in legs) == ["302", "ended"]


async def test_session_timers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = await carrier(house)
    uri = ask(phone, DID, sdp(phone.host, 4000), "Supported: timer\r\nSession-Expires: 60\r\n")
    short = await phone.wait(422)
    assert short.headers["min-se"] == "90"
    phone.ack(short, uri)
    monkeypatch.setattr(session_timer, "MINIMUM", 1)
    allow = "Allow: INVITE, ACK, BYE, UPDATE\r\n"
    ask(phone, DID, sdp(phone.host, 4000), f"Supported: timer\r\nSession-Expires: 3;refresher=uas\r\n{allow}")
    ok = await phone.wait((200, "INVITE"))
    assert ok.headers["session-expires"] == "3;refresher=uas"
    up(phone, ok)
    update = await phone.wait("UPDATE", timeout=3)
    assert (update.headers["session-expires"], update.body) == ("3;refresher=uac", "")
    phone.answer(update, 405, "Method Not Allowed")  # then with a re-INVITE
    refresh = await phone.wait("INVITE", timeout=3)
    assert refresh.rtp_port == ok.rtp_port
    assert refresh.body == ok.body  # the same o= version: nothing was changed
    phone.answer(refresh, 200, "OK", sdp(phone.host, 4000))
    mark = len(phone.inbox)
    await phone.wait("ACK")
    bye = await phone.wait("BYE", timeout=6, after=mark)  # the next refresh stays without an answer
    assert 'text="session_expired"' in bye.headers["reason"]
    call = await house.until("select * from call where finished")
    assert (call["hangup_cause"], call["hangup_class"]) == ("session_expired", "network")


async def test_a_phone_that_has_to_refresh_and_does_not_is_hung_up_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_timer, "MINIMUM", 1)
    phone = await carrier(house)
    ask(phone, DID, sdp(phone.host, 4000), "Supported: timer\r\nSession-Expires: 3;refresher=uac\r\n")
    ok = await phone.wait((200, "INVITE"))
    assert (ok.headers["session-expires"], ok.headers["require"]) == ("3;refresher=uac", "timer")
    up(phone, ok)
    await asyncio.sleep(1)
    fresh = await again(phone, "UPDATE", extra="Supported: timer\r\nSession-Expires: 3;refresher=uac\r\n")
    assert (fresh.status, fresh.headers["session-expires"]) == (200, "3;refresher=uac")
    mark = len(phone.inbox)
    await asyncio.sleep(1.5)  # 2.5 s after the answer, 1.5 after the refresh: without it the end would have been at 2.0
    assert [m.first_line for m in phone.inbox[mark:]] == []
    await phone.wait("BYE", timeout=3, after=mark)
    assert (await house.until("select * from call where finished"))["hangup_cause"] == "session_expired"


async def test_offers_of_every_kind_in_a_call(house: House) -> None:
    """Hold in three ways, video, packet times, codecs nobody knows, an UPDATE without SDP, glare."""
    phone = await carrier(house)
    ask(phone, DID, sdp(phone.host, 4000, codecs="96 0 97 8"))
    ok = await phone.wait((200, "INVITE"))
    up(phone, ok)
    assert re.findall(r"^m=audio \d+ RTP/AVP (.*)\r$", ok.body, re.M) == ["0"]
    for direction, ours in (("sendonly", "recvonly"), ("inactive", "inactive"), ("sendrecv", "sendrecv")):
        answer = await again(phone, "INVITE", sdp(phone.host, 4000, direction=direction))
        assert (answer.status, f"a={ours}\r\n" in answer.body) == (200, True)
    old_hold = sdp(phone.host, 4000).replace(f"c=IN IP4 {phone.host}", "c=IN IP4 0.0.0.0")
    answer = await again(phone, "UPDATE", old_hold)
    assert (answer.status, "a=sendrecv" in answer.body) == (200, False)
    video = sdp(phone.host, 4000) + "m=video 5000 RTP/AVP 31\r\n"
    assert "m=video 0 RTP/AVP 31\r\n" in (await again(phone, "INVITE", video)).body
    for ptime in (10, 30):
        answer = await again(phone, "INVITE", sdp(phone.host, 4000) + f"a=ptime:{ptime}\r\n")
        assert f"a=ptime:{ptime}\r\n" in answer.body
    answer = await again(phone, "UPDATE")
    assert (answer.status, answer.body) == (200, "")
    assert (await again(phone, "INVITE", sdp(phone.host, 4000, codecs="18"))).status == 488
    mark = len(phone.inbox)
    phone.send(phone.request("INVITE", phone.remote_target, to=f"sip:x@{phone.domain}"))  # no offer: ours is open now
    offer = await phone.wait((200, "INVITE"), after=mark)
    assert (await again(phone, "UPDATE", sdp(phone.host, 4000))).status == 491
    phone.ack(offer, phone.remote_target)
    assert (await again(phone, "OPTIONS")).status == 200
    assert (await again(phone, "BYE")).status == 200


async def test_loops_strays_and_hops(house: House) -> None:
    phone = await carrier(house)
    stray = phone.request("BYE", f"sip:{DID}@127.0.0.1").replace(f"To: <sip:{DID}@127.0.0.1>", "To: <sip:x@y>;tag=no")
    phone.send(stray.replace("carrier.example", house.domain))
    assert (await phone.wait((481, "BYE"))).status == 481
    phone.send(phone.request("INVITE", f"sip:{DID}@127.0.0.1").replace("Max-Forwards: 70", "Max-Forwards: 0"))
    assert (await phone.wait(483)).method == "INVITE"
    ask(phone, DID, sdp(phone.host, 4000))
    await phone.wait((200, "INVITE"))
    looped = phone.request("INVITE", f"sip:{DID}@127.0.0.1", sdp(phone.host, 4000), cseq=phone.cseq)
    phone.send(looped)
    assert (await phone.wait(482)).method == "INVITE"


async def test_two_calls_with_one_call_id_are_told_apart_by_their_tags(house: House) -> None:
    """A third party that connects two calls, or a carrier that brings our own call back, uses one Call-ID (§12)."""
    one, two = await carrier(house), await carrier(house)
    two.call_id = one.call_id
    for phone in (one, two):
        ask(phone, DID, sdp(phone.host, 4000))
        up(phone, await phone.wait((200, "INVITE")))
    for phone in (two, one):
        assert (await again(phone, "BYE")).status == 200
