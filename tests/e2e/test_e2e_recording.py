"""What a recording holds: each voice on its own channel and nothing else, as long as the call, only under a policy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from support.ai_desk import GREETING, open_desk
from support.company import Company, Heard, Line, level_db, open_company, spread
from support.provider_double import Double, Sound
from support.raw_phone import RawPhone
from support.rtp_phone import RtpPhone, tone
from support.running_node import CARRIER, Node

pytestmark = pytest.mark.asyncio(loop_scope="session")

LEFT_HZ, RIGHT_HZ, THIRD_HZ = 400, 1000, 1700
SEPARATION_DB = 40.0
LENGTH_MS = 60.0
TALK_SECONDS = 4.0


def assert_apart(heard: Heard, *, skip_ms: int = 400) -> None:
    """400 Hz on the left only, 1000 Hz on the right only; without the moments before anybody speaks."""
    caller, agent = heard.caller[8 * skip_ms :], heard.agent[8 * skip_ms :]
    left, right = level_db(caller, LEFT_HZ), level_db(agent, RIGHT_HZ)
    assert left > -30 and right > -30, f"{left:.1f} dB, {right:.1f} dB"
    assert left - level_db(caller, RIGHT_HZ) > SEPARATION_DB
    assert right - level_db(agent, LEFT_HZ) > SEPARATION_DB
    print(
        f"caller 400 Hz {left:.1f} dB, 1000 Hz {level_db(caller, RIGHT_HZ):.1f} dB; "
        f"agent 1000 Hz {right:.1f} dB, 400 Hz {level_db(agent, LEFT_HZ):.1f} dB"
    )


@dataclass
class Bridged:
    """Extension 201 and extension 202 on the line with each other, both with sound."""

    caller: Line
    callee: Line


@asynccontextmanager
async def bridged(company: Company) -> AsyncIterator[Bridged]:
    """201 rings 202, who answers; both say their tone."""
    async with company.phone("201") as one, company.phone("202") as two:
        caller, callee = Line(one, await RtpPhone.open()), Line(two, await RtpPhone.open())
        two.auto_answer, two.rtp_port = 200, callee.rtp.port
        assert (await two.register()).status == 200
        answer = await one.invite("202", caller.rtp.port)
        assert answer.status == 200
        caller.rtp.play(tone(LEFT_HZ, 30))
        callee.rtp.play(tone(RIGHT_HZ, 30))
        callee.talk(await two.wait("INVITE"))
        caller.talk(answer)
        try:
            yield Bridged(caller, callee)
        finally:
            await caller.rtp.close()
            await callee.rtp.close()


async def test_two_people_on_two_channels(company: Company) -> None:
    async with bridged(company) as line:
        await asyncio.sleep(TALK_SECONDS)
        assert (await line.caller.sip.bye()).status == 200
    cdr = await company.ended("201")
    recording = await company.recorded(cdr["id"])
    assert recording["state"] == "stored", recording
    heard = await company.download(recording["id"])
    print(f"call {cdr['duration_ms']} ms, recording {heard.ms:.0f} ms")
    assert abs(heard.ms - cdr["duration_ms"]) <= LENGTH_MS
    assert heard.ms == recording["duration_ms"]
    assert_apart(heard)


async def test_caller_and_agent_on_two_channels(node: Node, double: Double) -> None:
    desk = await open_desk(node, double, agent={"greeting_interruptible": False, "greeting": GREETING})
    await desk.api("POST", "/api/recording-policies", {"name": "all"})
    desk.account.sounds[GREETING] = Sound(RIGHT_HZ, 20_000)
    await asyncio.sleep(1.0)
    async with desk.call() as caller:
        await caller.hears(RIGHT_HZ)
        caller.rtp.play(tone(LEFT_HZ, 30))
        await asyncio.sleep(TALK_SECONDS)
        await caller.sip.bye()
        trace = await desk.trace(caller.number)
    company = Company(node, desk.tenant_id, "", desk.sip_domain, desk.number)
    recording = await company.recorded(trace["call"]["id"])
    heard = await company.download(recording["id"])
    print(f"call {trace['call']['duration_ms']} ms, recording {heard.ms:.0f} ms")
    assert abs(heard.ms - trace["call"]["duration_ms"]) <= LENGTH_MS
    # Half of what is left holds both for certain, also when the machine was slow to begin.
    half = int(len(heard.caller) * 0.6)
    assert_apart(Heard(heard.caller[-half:], heard.agent[-half:]))


async def test_nobody_else_gets_into_the_call(company: Company) -> None:
    """The first source is latched; what comes from another address or port is neither recorded nor passed on."""
    async with bridged(company) as line:
        await asyncio.sleep(1.0)
        intruder = await RtpPhone.open("127.0.0.9")
        target = line.caller.rtp._target
        assert target is not None
        intruder.call(*target)
        intruder.play(tone(THIRD_HZ, 10))
        intruder.start()
        await asyncio.sleep(2.0)
        assert (await line.caller.sip.bye()).status == 200
        assert intruder.received == []
        await intruder.close()
    cdr = await company.ended("201")
    heard = await company.download((await company.recorded(cdr["id"]))["id"])
    assert_apart(heard)
    assert level_db(heard.caller, LEFT_HZ) - level_db(heard.caller, THIRD_HZ) > SEPARATION_DB
    strangers = cdr["stats"]["media"]["legs"]["caller"]["strangers"]
    assert strangers > 50


async def test_without_a_policy_nothing_is_kept(node: Node) -> None:
    company = await open_company(node, recording=False)
    async with bridged(company) as line:
        await asyncio.sleep(1.0)
        assert (await line.caller.sip.bye()).status == 200
    cdr = await company.ended("201")
    recording = await company.recorded(cdr["id"])
    assert recording["state"] == "refused"
    with pytest.raises(RuntimeError, match="404"):
        await company.download(recording["id"])
    assert list((node.platform.home / "journal").glob(f"{cdr['id']}*")) == []

    # The same two phones under a policy, to show that the policy was what was missing; switched off it stops again.
    policy = await company.make("recording-policies", {"name": "all"})
    await spread(company)
    assert await _fate(company) == "stored"
    await company.api("PATCH", f"/api/recording-policies/{policy['id']}", {"active": False})
    await spread(company)
    assert await _fate(company) == "refused"


async def _fate(company: Company) -> str:
    before = {call["id"] for call in (await company.api("GET", "/api/calls"))["items"]}
    async with bridged(company) as line:
        await asyncio.sleep(0.5)
        assert (await line.caller.sip.bye()).status == 200
    cdr = await company.call_of("201", lambda call: call["id"] not in before and call["state"] == "ended")
    return str((await company.recorded(cdr["id"]))["state"])


@pytest.mark.parametrize("ends", [3, 1, 0])
async def test_each_key_press_counts_once(node: Node, double: Double, ends: int) -> None:
    """RFC 4733: a press is a dozen packets with the end sent three times; however many are lost, it is one digit."""
    desk = await open_desk(node, double)
    await asyncio.sleep(1.0)
    async with desk.call() as caller:
        for digit in "10#A*7":
            caller.rtp.press(digit, ends=ends)
            await asyncio.sleep(0.4)
        await asyncio.sleep(0.4)
        await caller.sip.bye()
        trace = await desk.trace(caller.number)
    digits = [fact["body"] for fact in trace["media_facts"] if fact["kind"] == "digit"]
    assert "".join(one["digit"] for one in digits) == "10#A*7"
    assert all(one["leg"] == "caller" for one in digits)


async def test_audio_is_not_given_to_another_tenant_and_its_loss_is_said(node: Node, company: Company) -> None:
    assert await _fate(company) == "stored"
    other = await open_company(node)
    call = (await company.api("GET", "/api/calls"))["items"][0]
    recording = await company.recorded(call["id"])
    with pytest.raises(RuntimeError, match="404"):
        await other.download(recording["id"])
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{node.platform.ports.http}/api/recordings/{recording['id']}/audio"
        async with session.get(url) as answer:
            assert answer.status == 401
    (lost,) = node.platform.home.rglob(f"{recording['id']}.wav.sivo")
    lost.unlink()
    with pytest.raises(RuntimeError, match="RECORDING_LOST"):
        await company.download(recording["id"])


async def test_a_trunk_call_to_a_phone_with_another_codec(company: Company) -> None:
    """PCMA on one side, PCMU on the other: both voices arrive and are recorded."""
    rtp, other = await RtpPhone.open(CARRIER, payload_type=8), await RtpPhone.open()
    async with company.phone("202") as callee, company.carrier("+34600400100") as carrier:
        callee.auto_answer, callee.rtp_port = 200, other.port
        assert (await callee.register()).status == 200
        body = _only(carrier, rtp.port, 8)
        answer = await carrier.invite(company.did, rtp.port, auth=False, body=body)
        assert answer.status == 200
        rtp.play(tone(LEFT_HZ, 10))
        other.play(tone(RIGHT_HZ, 10))
        Line(callee, other).talk(await callee.wait("INVITE"))
        Line(carrier, rtp).talk(answer)
        await asyncio.sleep(2.0)
        assert (await carrier.bye()).status == 200
    assert {packet.payload_type for packet in rtp.received} == {8}
    assert {packet.payload_type for packet in other.received} == {0}
    cdr = await company.ended("+34600400100")
    assert_apart(await company.download((await company.recorded(cdr["id"]))["id"]))
    await rtp.close()
    await other.close()


def _only(phone: RawPhone, port: int, payload_type: int) -> str:
    name = {0: "PCMU", 8: "PCMA"}[payload_type]
    return (
        f"v=0\r\no=- 1 1 IN IP4 {phone.host}\r\ns=-\r\nc=IN IP4 {phone.host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {payload_type}\r\na=rtpmap:{payload_type} {name}/8000\r\n"
    )
