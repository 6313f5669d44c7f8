"""Who guesses a port of a running call: not heard by the other side, not recorded, not sent to speech-to-text."""

from __future__ import annotations

import asyncio
import time

import pytest

from support.ai_desk import GREETING, clip, open_desk
from support.company import Company, open_company
from support.provider_double import STT, Double, Sound
from support.rtp_phone import RtpPhone
from support.running_node import CARRIER, Node

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = "en_order_slt"


async def test_a_third_address_is_not_given_to_speech_to_text_nor_recorded(node: Node, double: Double) -> None:
    desk = await open_desk(node, double)
    desk.account.sounds[GREETING] = Sound(500, 300)
    desk.account.heard = ["where is my order"]
    await desk.api("POST", "/api/recording-policies", {"name": "all"})
    await asyncio.sleep(1.0)
    intruders = [await RtpPhone.open(host) for host in ("127.0.0.9", CARRIER)]
    async with desk.call() as caller:
        await caller.hears(500)
        target = caller.rtp._target
        assert target is not None
        for intruder in intruders:  # another host, and another port of the caller's own host
            intruder.call(*target)
            intruder.play(clip(WORDS) + bytes(16_000) + clip(WORDS))
            intruder.start()
        await asyncio.sleep(4.0)
        assert desk.account.asked(STT) == [], "somebody else's words"
        assert all(intruder.received == [] for intruder in intruders)
        caller.rtp.play(clip(WORDS))
        await caller.until(lambda: desk.account.asked(STT), "the caller's own words are asked about")
        await caller.sip.bye()
        trace = await desk.trace(caller.number)
    company = Company(node, desk.tenant_id, "", desk.sip_domain, desk.number)
    heard = await company.download((await company.recorded(trace["call"]["id"]))["id"])
    before_own = heard.caller[: 8 * 4000]
    print(f"loudest sample while only strangers spoke: {abs(before_own).max():.0f}")
    assert abs(before_own).max() < 50
    assert abs(heard.caller[8 * 4000 :]).max() > 1000
    assert trace["call"]["stats"]["media"]["legs"]["caller"]["strangers"] > 150
    for intruder in intruders:
        await intruder.close()


async def test_the_cdr_tells_loss_jitter_and_mos_of_each_leg(node: Node) -> None:
    company = await open_company(node, recording=False)
    async with company.phone("201") as one, company.phone("202") as two:
        rtp, other = await RtpPhone.open(), await RtpPhone.open()
        two.auto_answer, two.rtp_port = 200, other.port
        assert (await two.register()).status == 200
        answer = await one.invite("202", rtp.port)
        rtp.call("127.0.0.1", answer.rtp_port)
        other.call("127.0.0.1", (await two.wait("INVITE")).rtp_port)
        other.start()
        begun = time.monotonic()
        for number in range(150):  # the caller's network loses every tenth packet
            if number % 10:
                rtp.send_packet(b"\x80" * 160)
            else:
                rtp.sequence = (rtp.sequence + 1) & 0xFFFF
            rtp.timestamp = (rtp.timestamp + 160) & 0xFFFFFFFF
            await asyncio.sleep(max(begun + 0.02 * (number + 1) - time.monotonic(), 0))
        assert (await one.bye()).status == 200
        await rtp.close()
        await other.close()
    cdr = await company.ended("201")
    quality = cdr["stats"]["quality"]
    print(quality, cdr["mos"])
    assert cdr["stats"]["media"]["legs"]["caller"]["lost"] == pytest.approx(15, abs=2)
    assert 8 < quality["caller"]["loss_percent"] < 25, "packets that were late on a busy machine count too"
    assert quality["callee"]["loss_percent"] < 6
    assert cdr["mos"] == pytest.approx(quality["caller"]["mos"], abs=0.01)
    assert quality["caller"]["mos"] < quality["callee"]["mos"] - 0.4
