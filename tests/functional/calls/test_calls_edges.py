"""Outbound by rule, an INVITE without SDP, an offer without our codecs, a replaced domain."""

from __future__ import annotations

import asyncio

from call_house import AUTHOR, DID, PASSWORD, House

from sivo.config.change import SetKey
from support.raw_phone import RawPhone, sdp


async def test_an_outbound_call_leaves_through_a_trunk_that_allows_it(house: House) -> None:
    carrier = await RawPhone.open("carrier", "carrier.example", "", house.sip, "127.0.0.9")
    house.phones.append(carrier)
    carrier.auto_answer, carrier.rtp_port = 200, 4000
    await house.create(
        "trunk",
        {"name": "out", "host": "127.0.0.9", "port": carrier.port, "caller_id": DID, "outbound": [{"prefix": "+44"}]},
    )
    directory = house.node.services.directory
    await house.settled(lambda: len(directory.current.trunks_of(house.tenant)) == 2)
    phone = await house.phone("100")
    assert (await phone.invite("00442071234567", 4000)).status == 200
    invite = await carrier.wait("INVITE")
    assert invite.first_line.startswith(f"INVITE sip:+442071234567@127.0.0.9:{carrier.port} ")
    assert f"<sip:{DID}@" in invite.headers["from"]
    assert (await phone.bye()).status == 200
    await carrier.wait("BYE")
    call = await house.until("select * from call where finished")
    assert (call["direction"], call["to_number"]) == ("outbound", "+442071234567")


async def test_an_invite_without_sdp_gets_our_offer(house: House) -> None:
    phone = await house.phone("100")
    uri = f"sip:{DID}@{house.domain}"
    phone.send(phone.request("INVITE", uri))
    challenge = await phone.wait(401)
    phone.ack(challenge, uri)
    phone.send(phone.request("INVITE", uri, extra=phone.authorization(challenge, "INVITE", uri)))
    ok = await phone.wait((200, "INVITE"))
    assert "a=rtpmap:0 PCMU/8000" in ok.body and "a=rtpmap:8 PCMA/8000" in ok.body
    cseq = ok.headers["cseq"].split()[0]
    answer = sdp(phone.host, 4000, codecs="8 101")
    target = ok.headers["contact"].strip("<>").split(">")[0]
    phone.send(
        f"ACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP {phone.host}:{phone.port};branch=z9hG4bKlate\r\nMax-Forwards: 70\r\n"
        f"From: {ok.headers['from']}\r\nTo: {ok.headers['to']}\r\nCall-ID: {phone.call_id}\r\nCSeq: {cseq} ACK\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(answer)}\r\n\r\n{answer}"
    )
    await asyncio.sleep(0.3)
    phone.to_tag, phone.remote_target = ok.headers["to"].split("tag=")[1], target
    assert (await phone.bye()).status == 200
    row = await house.until("select stats from call where finished")
    assert row["stats"]["media"]["legs"]["caller"]["packets_sent"] > 0


async def test_what_we_do_not_do_is_refused_by_name(house: House) -> None:
    phone = await RawPhone.open("+34600111222", "carrier.example", "", house.sip, "127.0.0.8")
    house.phones.append(phone)
    uri = f"sip:{DID}@{house.domain}"
    phone.send(phone.request("INVITE", uri, sdp(phone.host, 4000), "Require: 100rel, gruu\r\n"))
    assert (await phone.wait(420)).headers["unsupported"] == "gruu"
    other = await RawPhone.open("+34600111222", "carrier.example", "", house.sip, "127.0.0.8")
    house.phones.append(other)
    text = other.request("INVITE", uri, "hello")
    other.send(text.replace("application/sdp", "text/plain"))
    assert (await other.wait(415)).headers["accept"] == "application/sdp"
    assert await house.fetch("select 1 from call") == []


async def test_an_offer_without_our_codecs_is_488_and_stands_in_the_cdr(house: House) -> None:
    phone = await house.phone("100")
    g729 = f"v=0\r\no=- 1 1 IN IP4 {phone.host}\r\ns=-\r\nc=IN IP4 {phone.host}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n"
    assert (await phone.invite(DID, 4000, body=g729)).status == 488
    call = await house.until("select * from call where finished")
    assert call["hangup_cause"] == "INCOMPATIBLE_DESTINATION"


async def test_a_replaced_domain_stays_valid_for_a_week(house: House) -> None:
    old = house.domain
    await house.resources.apply(house.tenant, AUTHOR, "rename", [SetKey("tenant.sip_domain", "voice.acme.example")])
    directory = house.node.services.directory
    await house.settled(lambda: directory.current.tenant_of_domain("voice.acme.example") is not None)
    phone = await house.phone("100")
    assert (await phone.register()).status == 200
    house.domain = "voice.acme.example"
    renamed = await house.phone("100")
    assert (await renamed.register()).status == 200
    tenant = directory.current.tenant(house.tenant)
    assert tenant is not None and tenant.domains == ("voice.acme.example", old)
    stale_at = directory.current.pictures[house.tenant].stale_at
    assert stale_at is not None and 6.9 < (stale_at - house.node.services.clock.now()).total_seconds() / 86400 < 7.1
    assert PASSWORD not in repr(directory.current.pictures[house.tenant])
