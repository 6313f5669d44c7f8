"""Calls that would never end are ended, and the record says whose fault it was."""

from __future__ import annotations

import asyncio
import re

from call_house import DID, House

from sivo.sip import Timers
from support.raw_phone import RawPhone, sdp

CARRIER = "127.0.0.8"


async def connected(house: House, *, acknowledge: bool = True) -> RawPhone:
    """A call from the carrier to the AI agent, without any RTP."""
    phone = await RawPhone.open("+34600111222", "carrier.example", "", house.sip, CARRIER)
    house.phones.append(phone)
    phone.send(phone.request("INVITE", f"sip:{DID}@127.0.0.1", sdp(phone.host, 4000)))
    ok = await phone.wait((200, "INVITE"))
    phone.to_tag = re.search(r"tag=([^;>]+)", ok.headers["to"]).group(1)  # type: ignore[union-attr]
    phone.remote_target = re.search(r"<([^>]+)>", ok.headers["contact"]).group(1)  # type: ignore[union-attr]
    if acknowledge:
        phone.ack(ok, phone.remote_target)
    return phone


async def test_a_200_that_nobody_acknowledges_ends_in_a_bye(house: House) -> None:
    house.node.services.sip.layer.timers = Timers(t1=0.05, t2=0.4)  # 64 * T1 = 3.2 s
    phone = await connected(house, acknowledge=False)
    bye = await phone.wait("BYE", timeout=8)
    assert 'text="no_ack"' in bye.headers["reason"]
    assert sum(m.status == 200 and m.method == "INVITE" for m in phone.inbox) > 5  # it was repeated
    call = await house.until("select * from call where finished")
    assert (call["hangup_cause"], call["hangup_class"]) == ("no_ack", "network")


async def test_silence_of_30_seconds_ends_a_call_but_not_one_on_hold(house: House) -> None:
    silent, holding = await connected(house), await connected(house)
    mark = len(holding.inbox)
    body = sdp(holding.host, 4000, direction="sendonly")
    holding.send(holding.request("INVITE", holding.remote_target, body, to=f"sip:x@{holding.domain}"))
    holding.ack(await holding._final(mark, "INVITE"), holding.remote_target)
    bye = await silent.wait("BYE", timeout=45)
    assert 'text="rtp_timeout"' in bye.headers["reason"]
    call = await house.until("select * from call where finished")
    assert (call["hangup_cause"], call["hangup_class"]) == ("rtp_timeout", "network")
    await asyncio.sleep(2)
    assert not any(m.method == "BYE" for m in holding.inbox)
    assert (await holding.bye()).status == 200
