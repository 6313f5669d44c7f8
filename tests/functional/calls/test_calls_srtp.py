"""Protected audio on TLS (RFC 4568, RFC 3711): both ways, in the record, through hold and new keys; and refusals."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from pathlib import Path
from urllib.parse import quote

import pytest
from call_desk import HERTZ, Desk, desk
from call_house import AUTHOR, PASSWORD, House
from secure_phone import GCM, SecurePhone, SecureRtp, secure_desk

from support.raw_phone import Message, sdp
from support.rtp_phone import level_db


def phone(one: Desk) -> SecurePhone:
    assert isinstance(one.sip, SecurePhone)
    return one.sip


def rtp(one: Desk) -> SecureRtp:
    assert isinstance(one.rtp, SecureRtp)
    return one.rtp


async def reinvite(one: Desk, body: str) -> Message:
    """A re-INVITE of the caller; gives the 200, acknowledged."""
    sip = one.sip
    mark = len(sip.inbox)
    sip.send(sip.request("INVITE", sip.remote_target, body, to=f"sip:101@{sip.domain}"))
    answer = await sip.wait((200, "INVITE"), after=mark)
    sip.ack(answer, sip.remote_target)
    return answer


async def call(one: Desk, number: str, body: str | None = None) -> Message:
    """A new call; gives the final answer."""
    one.sip.call_id, one.sip.to_tag = secrets.token_hex(8), ""
    return await one.sip.invite(number, one.rtp.port, body=body)


async def test_two_phones_on_tls_are_protected_end_to_end_and_in_the_record(
    secure_house: tuple[House, ssl.SSLContext, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    house, trust, _ = secure_house
    one, two = await secure_desk(house, "100", trust), await secure_desk(house, "101", trust, GCM)
    answer = await call(one, "101", phone(one).offer())
    assert answer.status == 200
    assert "RTP/SAVP 0" in answer.body
    phone(one).agree(answer)
    invite = await two.sip.wait("INVITE")
    assert "RTP/SAVP 0 8 101" in invite.body
    assert len(phone(two).keys_in(invite)) == 4
    one.talk(answer.rtp_port)
    two.talk(invite.rtp_port)
    await asyncio.sleep(1.2)
    assert one.hears("101") and two.hears("100")
    assert len(rtp(one).wire[-1]) == 12 + 160 + 10
    assert len(rtp(two).wire[-1]) == 12 + 160 + 16

    held = await reinvite(one, phone(one)._protected(1, phone(one).key, "sendonly"))
    assert phone(one).keys_in(held) == phone(one).keys_in(answer), "nothing has changed but the direction"
    await asyncio.sleep(0.3)
    renewed = await reinvite(one, phone(one).offer())
    assert phone(one).keys_in(renewed) != phone(one).keys_in(answer)
    phone(one).agree(renewed)
    one.rtp.received.clear()
    await asyncio.sleep(1.2)
    assert one.hears("101") and two.hears("100"), "under the new keys"
    one.rtp.press("5")
    await asyncio.sleep(0.6)
    assert any(packet.payload_type == 101 and packet.payload[0] == 5 for packet in two.rtp.received)

    assert (await one.sip.bye()).status == 200
    await two.sip.wait("BYE")
    row = await house.until("select * from call where finished")
    assert row["hangup_cause"] == "NORMAL_CLEARING"
    caller, callee = await house.record(row)
    assert level_db(caller, HERTZ["100"]) > -30 and level_db(callee, HERTZ["101"]) > -30
    assert level_db(caller, HERTZ["101"]) < -45 and level_db(callee, HERTZ["100"]) < -45
    assert rtp(two).refused == 0 and rtp(one).refused < 20
    legs = row["stats"]["media"]["legs"]
    assert legs["callee"]["unauthentic"] == 0
    assert legs["caller"]["unauthentic"] < 20, "what was on its way under the old key"
    written = "".join(row["raw"] for row in await house.fetch("select raw from sip_message"))
    assert "a=crypto:1 AES_CM_128_HMAC_SHA1_80 ***" in written
    told = written + "".join(capfd.readouterr())
    keys = [key for message in (answer, renewed, invite) for key in message.body.split() if "inline:" in key]
    assert len(keys) == 6
    assert not [key for key in keys if key.removeprefix("inline:") in told]
    for closing in (one, two):
        await closing.close()


async def test_policies_of_extensions(secure_house: tuple[House, ssl.SSLContext, Path]) -> None:
    house, trust, _ = secure_house
    plain, two = await desk(house, "100"), await secure_desk(house, "101", trust)

    # optional: a phone that takes no keys is rung again without them
    phone(two).answers = 488
    answer = await call(plain, "101")
    assert answer.status == 200
    offers = [m.body for m in two.sip.inbox if m.method == "INVITE" and not m.status]
    assert ["RTP/SAVP" in offer for offer in offers] == [True, False]
    assert "crypto" not in offers[1]
    assert (await plain.sip.bye()).status == 200

    # optional: a phone that ignores our keys is heard in the clear
    phone(two).answers = "clear"
    assert (await call(plain, "101")).status == 200
    assert (await plain.sip.bye()).status == 200
    await two.sip.wait("BYE")

    # keys in clear SIP are not taken, whoever offers them
    other = SecurePhone("100", house.domain, "", house.sip)
    other.host, other.rtp_port = "127.0.0.1", plain.rtp.port
    refused = await call(plain, "101", other.offer())
    assert refused.status == 488
    assert refused.headers["warning"].startswith('399 sivo "SRTP is not taken here')

    # required: no call without, in either direction, and the phone is told why
    for number in ("100", "101"):
        await house.resources.update(house.tenant, "extension", house.ids[number], {"srtp": "required"}, author=AUTHOR)
    directory = house.node.services.directory
    await house.settled(
        lambda: all(one.srtp == "required" for one in directory.current.pictures[house.tenant].extensions)
    )
    refused = await call(plain, "101")
    assert refused.status == 488
    assert "may not go in the clear: use TLS" in refused.headers["warning"]
    refused = await call(two, "100", sdp("127.0.0.1", two.rtp.port))
    assert refused.status == 488
    assert "SRTP is required" in refused.headers["warning"]
    refused = await call(two, "100", phone(two).offer())
    assert refused.status == 480, "the other phone is registered without TLS: there is no way to ring it"
    assert not [m for m in plain.sip.inbox if m.method == "INVITE" and not m.status]

    # required: a callee that answers without keys has no call
    await house.resources.update(house.tenant, "extension", house.ids["100"], {"srtp": "optional"}, author=AUTHOR)
    await house.settled(
        lambda: any(one.srtp == "optional" for one in directory.current.pictures[house.tenant].extensions)
    )
    mark = len(two.sip.inbox)
    refused = await call(plain, "101")
    assert refused.status == 488
    await two.sip.wait("BYE", after=mark)
    for closing in (plain, two):
        await closing.close()


async def connect(caller: Desk, callee: Desk) -> None:
    """``caller`` rings ``callee``, both protected; both say their tone."""
    mark = len(callee.sip.inbox)
    answer = await call(caller, callee.number, phone(caller).offer())
    phone(caller).agree(answer)
    callee.invite = await callee.sip.wait("INVITE", after=mark)
    caller.talk(answer.rtp_port)
    callee.talk(callee.invite.rtp_port)


async def test_an_attended_transfer_moves_a_protected_phone_into_the_other_call(
    secure_house: tuple[House, ssl.SSLContext, Path],
) -> None:
    """The phone is given a new place for its audio, and with it new keys."""
    house, trust, _ = secure_house
    await house.create("extension", {"number": "102", "sip_password": PASSWORD, "srtp": "required"})
    directory = house.node.services.directory
    await house.settled(lambda: len(directory.current.pictures[house.tenant].extensions) == 3)
    one, two, three = [await secure_desk(house, number, trust) for number in ("100", "101", "102")]
    middle = await secure_desk(house, "101", trust, GCM, register=False)
    await connect(one, two)
    await connect(middle, three)
    await asyncio.sleep(0.8)
    assert one.hears("101") and three.hears("101")
    sip = middle.sip
    replaces = quote(f"{sip.call_id};to-tag={sip.to_tag};from-tag={sip.from_tag}", safe="")
    mark = len(three.sip.inbox)
    two.in_dialog("REFER", f"Refer-To: <sip:102@{house.domain}?Replaces={replaces}>\r\n")
    again = await three.sip.wait("INVITE", after=mark)
    assert len(phone(three).keys_in(again)) == 4
    assert three.invite is not None
    assert not set(phone(three).keys_in(again).values()) & set(phone(three).keys_in(three.invite).values())
    three.rtp.call("127.0.0.1", again.rtp_port)
    await two.sip.wait("BYE")
    await asyncio.sleep(1.2)
    assert one.hears("102") and three.hears("100")
    assert (await one.sip.bye()).status == 200
    for closing in (one, two, three, middle):
        await closing.close()
