"""Damaged messages from an address that we listen to: no handler breaks, and the next call works."""

from __future__ import annotations

import asyncio
import random

from call_house import DID, House

from support.raw_phone import RawPhone, sdp

MESSAGES = 1500


def damaged(rng: random.Random, text: bytes) -> bytes:
    """``text`` with one to four wounds."""
    data = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(5):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randint(1, 40)]
            case 2:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 20)))
            case 3:
                data[at:at] = data[at : at + rng.randint(1, 200)]
            case _:
                lines = bytes(data).split(b"\r\n")
                rng.shuffle(lines)
                data = bytearray(b"\r\n".join(lines))
        if not data:
            data = bytearray(b"\r\n")
    return bytes(data)


async def test_a_nul_in_a_number_costs_no_record(house: House) -> None:
    carrier = await RawPhone.open("%00600%00", "carrier.example", "", house.sip, "127.0.0.8")
    house.phones.append(carrier)
    assert (await carrier.invite(DID, 4000, auth=False)).status == 200
    assert (await carrier.bye()).status == 200
    call = await house.until("select * from call where finished")
    assert "600" in call["from_number"] and "\0" not in call["from_number"]
    assert len(await house.fetch("select 1 from sip_message")) >= 5


async def test_damaged_messages_break_nothing(house: House) -> None:
    rng = random.Random(3261)
    carrier = await RawPhone.open("+34600111222", "carrier.example", "", house.sip, "127.0.0.8")
    house.phones.append(carrier)
    for number in range(MESSAGES):
        method = rng.choice(("INVITE", "INVITE", "OPTIONS", "BYE", "CANCEL", "REGISTER", "ACK", "UPDATE"))
        host = rng.choice(("carrier.example", house.domain))
        carrier.domain = host
        text = carrier.request(method, f"sip:{rng.choice((DID, '+349'))}@{house.domain}", sdp("127.0.0.8", 4000))
        carrier.call_id = f"{number}"
        carrier.transport.sendto(damaged(rng, text.encode())[:9000], house.sip)
        if number % 50 == 0:
            await asyncio.sleep(0.02)
    await asyncio.sleep(1)
    statistics = house.node.services.sip.statistics
    assert statistics["received"] > MESSAGES * 0.9
    assert statistics["handler_errors"] == 0, statistics
    assert house.node.services.recorder.failed == 0
    phone = await house.phone("100")
    answer = await phone.invite(DID, 4000)
    assert answer.status in (200, 503)
