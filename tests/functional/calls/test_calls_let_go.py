"""What a call held is free a moment after its end, without a search for cycles: those are rare in a busy process."""

from __future__ import annotations

import asyncio
import gc

import pytest
from call_house import DID, DID_TO_EXTENSION, House

from sivo.calls import switchboard
from sivo.calls.call import Call
from sivo.sip import Timers
from support.raw_phone import RawPhone
from support.rtp_phone import RtpPhone


async def one_call(house: House, number: str) -> None:
    phone = await RawPhone.open("+34600111222", "carrier.example", "", house.sip, "127.0.0.8")
    house.phones.append(phone)
    rtp = await RtpPhone.open("127.0.0.8")
    answer = await phone.invite(number, rtp.port, auth=False)
    assert answer.status == 200
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    await asyncio.sleep(0.3)
    assert (await phone.bye()).status == 200
    await rtp.close()


def calls_in_memory() -> int:
    return sum(isinstance(one, Call) for one in gc.get_objects())


async def test_calls_are_freed_without_the_collector(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.node.services.sip.layer.timers = Timers(t1=0.02, t2=0.1)  # transactions are over after 1.3 s
    monkeypatch.setattr(switchboard, "LINGER_SECONDS", 0.1)
    person, rtp = await house.phone("101"), await RtpPhone.open("127.0.0.1")
    person.auto_answer, person.rtp_port = 200, rtp.port
    assert (await person.register()).status == 200
    gc.collect()
    before = calls_in_memory()
    gc.disable()
    try:
        await one_call(house, DID)
        await one_call(house, DID_TO_EXTENSION)
        assert calls_in_memory() > before
        await house.settled(lambda: calls_in_memory() <= before, timeout=8)
    finally:
        gc.enable()
        await rtp.close()
