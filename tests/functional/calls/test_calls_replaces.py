"""INVITE with Replaces: a phone of the tenant takes another's place in a call; everybody else is refused."""

from __future__ import annotations

import asyncio
import re

from call_desk import connect, desk
from call_house import PASSWORD, House

from support.raw_phone import Message, RawPhone, sdp


async def replace(phone: RawPhone, value: str, rtp_port: int, body: str | None = None) -> Message:
    """INVITE with that Replaces, with the digest that is asked for; the final answer, acknowledged."""
    uri = f"sip:{phone.user}@{phone.domain}"
    extra = f"Replaces: {value}\r\nRequire: replaces\r\n"
    text = sdp(phone.host, rtp_port) if body is None else body
    mark = len(phone.inbox)
    phone.send(phone.request("INVITE", uri, text, extra))
    challenge = await phone.wait(401, after=mark)
    phone.ack(challenge, uri)
    mark = len(phone.inbox)
    phone.send(phone.request("INVITE", uri, text, extra + phone.authorization(challenge, "INVITE", uri)))
    answer = await phone._final(mark, "INVITE")
    target = uri
    if answer.status == 200:
        phone.to_tag = re.search(r"tag=([^;>]+)", answer.headers["to"]).group(1)  # type: ignore[union-attr]
        target = phone.remote_target = answer.headers["contact"].strip("<>")
    phone.ack(answer, target)
    return answer


async def test_a_phone_takes_the_place_of_another_and_nobody_else_does(house: House) -> None:
    await house.create("extension", {"number": "102", "sip_password": PASSWORD})
    await house.second_tenant("globex", "+34910000099", "127.0.0.99/32")
    await house.settled(lambda: len(house.node.services.directory.current.pictures) == 2)
    await house.settled(lambda: house.node.services.directory.current.extension(house.tenant, "102") is not None)
    one, two, third = await desk(house, "100"), await desk(house, "101"), await desk(house, "102")
    await connect(one, two)
    assert two.invite is not None
    from_tag = re.search(r"tag=([^;>]+)", two.invite.headers["from"]).group(1)  # type: ignore[union-attr]
    # As the phone that was called sees it: our tag is the one of From, its own is "callee".
    value = f"{two.invite.headers['call-id']};to-tag={from_tag};from-tag=callee"

    refused = {
        f"{value};early-only": 486,
        f"nobody;to-tag={from_tag};from-tag=callee": 481,
        f"{two.invite.headers['call-id']};to-tag={from_tag};from-tag=other": 481,
        f"{two.invite.headers['call-id']};from-tag=callee": 400,
    }
    for wrong, status in refused.items():
        stranger = await house.phone("102")
        assert (await replace(stranger, wrong, 4000)).status == status, wrong
    tenant, domain = house.tenant, house.domain
    house.domain = f"globex.{house.settings.sip_domain_suffix}"
    other = next(id for id in house.node.services.directory.current.pictures if id != tenant)
    house.tenant = other
    await house.create("extension", {"number": "102", "sip_password": PASSWORD})
    await house.settled(lambda: house.node.services.directory.current.extension(other, "102") is not None)
    foreign = await house.phone("102")
    assert (await replace(foreign, value, 4000)).status == 481
    house.tenant, house.domain = tenant, domain

    phone = third.sip
    answer = await replace(phone, value, third.rtp.port)
    assert answer.status == 200
    assert (await two.sip.wait("BYE")).headers["reason"].startswith("Q.850;cause=16")
    third.talk(answer.rtp_port)
    await asyncio.sleep(1.2)
    assert one.hears("102") and third.hears("100")
    event = await house.until("select * from outbox where type = 'call.transferred'")
    assert (event["data"]["transferType"], event["data"]["transferTo"]) == ("attended", "102")
    assert (await replace(await house.phone("101"), value, 4000)).status == 603  # that place is gone
    assert (await phone.bye()).status == 200
    await one.sip.wait("BYE")
    call = await house.until("select * from call where finished and tenant_id = $1", tenant)
    assert (call["hangup_by"], call["hangup_cause"]) == ("callee", "NORMAL_CLEARING")
    legs = await house.fetch("select outcome from leg where call_id = $1", call["id"])
    assert [leg["outcome"] for leg in legs] == ["ended"] * 3
    for each in (one, two, third):
        await each.close()
