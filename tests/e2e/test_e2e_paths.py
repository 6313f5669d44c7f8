"""Every way through the platform: who rings whom, with our media in the middle, and a stock phone that answers."""

from __future__ import annotations

import asyncio
import socket
import wave
from pathlib import Path

import numpy as np
import pytest

from sivo.demo.platform import free_port
from support.ai_desk import GREETING, PITCH, open_desk
from support.baresip import Baresip
from support.company import Company, level_db, open_company, spread
from support.provider_double import Double, Sound
from support.raw_phone import RawPhone, sdp
from support.rtp_phone import RtpPhone, tone
from support.running_node import CARRIER, Node

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: How much louder a phone hears the other side than anything that is not there.
CLEAR_DB = 30.0


async def test_trunk_to_did_to_agent(node: Node, double: Double) -> None:
    desk = await open_desk(node, double)
    async with desk.call() as caller:
        await caller.hears(PITCH[GREETING])
        await caller.sip.bye()
        trace = await desk.trace(caller.number)
    assert (trace["route"]["rule"], trace["route"]["outcome"]) == ("trunk.did", "ai_agent")
    assert trace["call"]["direction"] == "inbound"


async def test_extension_to_did_to_agent(node: Node, double: Double) -> None:
    desk = await open_desk(node, double)
    made = await desk.api("POST", "/api/extensions", {"number": "201"})
    proxy = ("127.0.0.1", node.platform.ports.sip)
    # An address of its own: others of this tier guess passwords from 127.0.0.1, and guessers are banned for a while.
    phone = await RawPhone.open("201", desk.sip_domain, made["sip_password"], proxy, host="127.0.0.7")
    rtp = await RtpPhone.open("127.0.0.7")
    await asyncio.sleep(3.2)  # the role call looks for changes every 3 s when a notification is late
    answer = await phone.invite(desk.number, rtp.port)
    assert answer.status == 200
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    await asyncio.sleep(2.0)
    assert (await phone.bye()).status == 200
    trace = await desk.trace("201")
    assert (trace["route"]["rule"], trace["route"]["outcome"]) == ("extension.did", "ai_agent")
    heard = _samples(rtp)
    assert level_db(heard, PITCH[GREETING]) > -50
    await rtp.close()
    phone.close()


def _samples(rtp: RtpPhone) -> np.ndarray:
    return np.frombuffer(rtp.heard(), "<i2").astype(float)


def _voice(path: Path, hertz: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(tone(hertz, 20))
    return path


async def _talk(company: Company, caller: RawPhone, number: str, voice: Path, *, auth: bool) -> None:
    """Ring ``number``, where baresip answers by itself and says 1000 Hz; both sides hear each other."""
    account = company.account("202", answer="auto")
    port = free_port(0, socket.SOCK_DGRAM)
    with Baresip(account, port=port, rtp=37840, voice=voice, seconds=20) as phone:
        await _registered(phone)
        rtp = await RtpPhone.open(caller.host)
        answer = await caller.invite(number, rtp.port, auth=auth)
        assert answer.status == 200, phone.output()[-2000:]
        rtp.call("127.0.0.1", answer.rtp_port)
        rtp.play(tone(400, 10))
        rtp.start()
        await asyncio.sleep(2.5)
        assert (await caller.bye()).status == 200
        await rtp.close()
        await asyncio.sleep(0.3)
        said, heard = phone.output(), phone.heard()
    ours = _samples(rtp)
    assert level_db(ours, 1000) - level_db(ours, 400) > CLEAR_DB
    assert level_db(heard, 400) - level_db(heard, 1000) > CLEAR_DB
    assert "session closed" in said.lower() or "terminated" in said.lower(), said[-2000:]


async def _registered(phone: Baresip) -> None:
    for _ in range(100):
        if "200 OK" in phone.output():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(phone.output()[-2000:])


async def test_trunk_to_did_to_extension(company: Company, tmp_path: Path) -> None:
    async with company.carrier("+34600300100") as caller:
        await _talk(company, caller, company.did, _voice(tmp_path / "voice.wav", 1000), auth=False)
    cdr = await company.ended("+34600300100")
    route = (await company.trace(cdr["id"]))["route"]
    assert (route["rule"], route["outcome"], cdr["direction"]) == ("trunk.did", "extension", "inbound")


async def test_extension_to_extension(company: Company, tmp_path: Path) -> None:
    async with company.phone("201") as caller:
        await _talk(company, caller, "202", _voice(tmp_path / "voice.wav", 1000), auth=True)
    cdr = await company.ended("201")
    route = (await company.trace(cdr["id"]))["route"]
    assert (route["rule"], route["outcome"], cdr["direction"]) == ("extension", "extension", "internal")


async def test_nothing_leaves_to_a_carrier_until_a_rule_allows_it(company: Company) -> None:
    async with company.carrier("+34600300101") as carrier, company.phone("201") as phone:
        carrier.auto_answer, carrier.rtp_port = 200, 4000
        place = {"host": carrier.host, "port": carrier.port, "caller_id": company.did}
        await company.api("PATCH", f"/api/trunks/{company.ids['trunk']}", place)
        await spread(company)
        assert (await phone.invite("+34911222333", 4000)).status == 403
        denied = (await company.trace((await company.ended("201"))["id"]))["route"]
        assert (denied["rule"], denied["outcome"]) == ("outbound.denied", "refused")
        # The platform asks every trunk whether it is there; that is no call.
        assert [one.first_line for one in carrier.inbox if not one.first_line.startswith("OPTIONS ")] == []

        rules = {"outbound": [{"prefix": "+3491"}]}
        await company.api("PATCH", f"/api/trunks/{company.ids['trunk']}", rules)
        await spread(company)
        async with company.phone("201") as again:
            assert (await again.invite("+34922222333", 4000)).status == 403
        assert [one.first_line for one in carrier.inbox if not one.first_line.startswith("OPTIONS ")] == []
        async with company.phone("201") as again:
            assert (await again.invite("+34911222333", 4000)).status == 200
            invite = await carrier.wait("INVITE")
            assert f"sip:{company.did}@" in invite.headers["from"]
            assert invite.first_line.split()[1].startswith(f"sip:+34911222333@{carrier.host}")
            assert (await again.bye()).status == 200
            await carrier.wait("BYE")
    cdr = await company.call_of("201", lambda call: call["to_number"] == "+34911222333" and call["state"] == "ended")
    assert cdr["direction"] == "outbound"


async def test_no_carrier_brings_a_call_for_another_carrier(node: Node) -> None:
    """A carrier that asks for a number that is not a DID gets 404, whatever the outbound rules of its trunk say."""
    company = await open_company(node)
    rules = {"outbound": [{"prefix": "+3491"}], "host": CARRIER, "port": 5060}
    await company.api("PATCH", f"/api/trunks/{company.ids['trunk']}", rules)
    await spread(company)
    async with company.carrier("+34600300102") as carrier:
        assert (await carrier.invite("+34911222333", 4000, auth=False)).status == 404


async def test_a_private_address_in_sdp_does_not_make_the_agent_mute(node: Node, double: Double) -> None:
    """A phone behind NAT names an address that nobody can reach; it hears the agent where it sends from."""
    desk = await open_desk(node, double)
    desk.account.sounds[GREETING] = Sound(PITCH[GREETING], 4000)
    await asyncio.sleep(1.0)
    host, _, port = node.proxy.partition(":")
    phone = await RawPhone.open("+34600300103", "carrier.example.com", "", (host, int(port)), CARRIER)
    rtp = await RtpPhone.open(CARRIER)
    answer = await phone.invite(desk.number, rtp.port, auth=False, body=sdp("192.168.77.10", 40000))
    assert answer.status == 200
    rtp.call(host, answer.rtp_port)
    rtp.start()
    await asyncio.sleep(2.0)
    assert (await phone.bye()).status == 200
    assert level_db(_samples(rtp), PITCH[GREETING]) > -50
    await rtp.close()
    phone.close()
