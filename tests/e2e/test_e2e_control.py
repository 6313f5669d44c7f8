"""Orders to running calls over the public API of a whole node: pass on, listen in, press keys; and who may not."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from support.company import Company, Line, level_db, spread
from support.rtp_phone import RtpPhone, tone

pytestmark = pytest.mark.asyncio(loop_scope="session")

HERTZ = {"201": 400, "202": 1000, "203": 1700}


def hears(line: Line, hertz: int) -> bool:
    stream = line.rtp.received[-1].ssrc
    line.rtp.received = [packet for packet in line.rtp.received if packet.ssrc == stream]
    heard = np.frombuffer(line.rtp.heard()[-16 * 600 :], "<i2").astype(float)
    return level_db(heard, hertz) > -30


async def test_transfer_and_listening_by_the_api(company: Company) -> None:
    made = await company.make("extensions", {"number": "203"})
    company.passwords["203"] = str(made["sip_password"])
    await spread(company)
    async with company.phone("201") as one, company.phone("202") as two, company.phone("203") as three:
        lines = {}
        for number, phone in (("201", one), ("202", two), ("203", three)):
            lines[number] = Line(phone, await RtpPhone.open())
            lines[number].rtp.play(tone(HERTZ[number], 30))
            if number != "201":
                phone.auto_answer, phone.rtp_port = 200, lines[number].rtp.port
                assert (await phone.register()).status == 200
        answer = await one.invite("202", lines["201"].rtp.port)
        lines["201"].talk(answer)
        lines["202"].talk(await two.wait("INVITE"))
        call = await company.call_of("201", lambda call: bool(call["state"] == "answered"))
        path = f"/api/calls/{call['id']}"
        await company.api("POST", f"{path}/supervise", {"extension": "203", "mode": "listen"})
        lines["203"].talk(await three.wait("INVITE"))
        await asyncio.sleep(1.2)
        assert hears(lines["203"], HERTZ["201"]) and hears(lines["203"], HERTZ["202"])
        assert not hears(lines["201"], HERTZ["203"]) and not hears(lines["202"], HERTZ["203"])
        await company.api("POST", f"{path}/leave", {"to": "203"})
        await three.wait("BYE")
        mark = len(three.inbox)
        await company.api("POST", f"{path}/transfer", {"to": "203"})
        lines["203"].rtp.stop()
        lines["203"].talk(await three.wait("INVITE", after=mark))
        await two.wait("BYE")
        await asyncio.sleep(1.2)
        assert hears(lines["201"], HERTZ["203"]) and hears(lines["203"], HERTZ["201"])
        with pytest.raises(RuntimeError, match="422"):
            await company.api("POST", f"{path}/transfer", {"to": "sip:evil@example.com"})
        with pytest.raises(RuntimeError, match="422"):
            await company.api("POST", f"{path}/supervise", {"extension": "203", "mode": "record"})
        assert (await one.bye()).status == 200
        cdr = await company.ended("201")
        with pytest.raises(RuntimeError, match="409"):
            await company.api("POST", f"{path}/transfer", {"to": "202"})
        trace = await company.trace(cdr["id"])
        kinds = [(one["kind"], one["outcome"]) for one in trace["decisions"]]
        assert ("supervision", "listen") in kinds and ("transfer", "transferred") in kinds
        heard = await company.download((await company.recorded(cdr["id"]))["id"])
        assert level_db(heard.caller, HERTZ["203"]) < -45, "each voice on its own channel"
        assert level_db(heard.agent[-8 * 800 :], HERTZ["203"]) > -30
        for line in lines.values():
            await line.rtp.close()
