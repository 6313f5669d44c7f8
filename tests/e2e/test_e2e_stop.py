"""Ctrl-C while people talk: every phone gets its BYE, and nothing of the calls is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from support.ai_desk import GREETING, PITCH, Caller
from support.company import Line
from support.place_to_hurt import Place
from support.rtp_phone import RtpPhone, tone

pytestmark = pytest.mark.asyncio(loop_scope="session")

TALK_SECONDS = 2.0
#: What BYE, CDRs and a clean PostgreSQL may take together, times three.
STOP_SECONDS = 60.0


def _postgres_of(home: Path) -> bool:
    return any(home.rglob("postmaster.pid"))


async def test_ctrl_c_hangs_up_and_the_next_start_has_it_all(place: Place) -> None:
    node, desk, company, agents = place.node, place.desk, place.company, place.agents
    caller = await Caller.dial(desk)
    await caller.hears(PITCH[GREETING])
    async with company.phone("201") as one, company.phone("202") as two:
        left, right = Line(one, await RtpPhone.open()), Line(two, await RtpPhone.open())
        two.auto_answer, two.rtp_port = 200, right.rtp.port
        assert (await two.register()).status == 200
        answer = await one.invite("202", left.rtp.port)
        assert answer.status == 200
        left.rtp.play(tone(400, 30))
        left.talk(answer)
        right.talk(await two.wait("INVITE"))
        await asyncio.sleep(TALK_SECONDS)

        assert _postgres_of(node.platform.home)
        begun = time.monotonic()
        await asyncio.wait_for(node.platform.stop(), STOP_SECONDS)
        print(f"stopped in {time.monotonic() - begun:.1f} s")
        byes = [await phone.wait("BYE", 1) for phone in (one, two, caller.sip)]
        assert all('text="shutdown"' in bye.headers["reason"] for bye in byes), [bye.headers for bye in byes]
        await left.rtp.close()
        await right.rtp.close()
    await caller.rtp.close()
    caller.sip.close()
    assert node.platform.exit_status == 0
    assert not _postgres_of(node.platform.home), "PostgreSQL was stopped cleanly"

    await node.platform.start(fresh=False)
    for owner, number in ((company, "201"), (agents, caller.number)):
        cdr = await owner.ended(number)
        assert cdr["hangup_cause"] == "shutdown"
        recording = await owner.recorded(cdr["id"])
        assert recording["state"] == "stored", recording
        heard = await owner.download(recording["id"])
        print(f"call {cdr['duration_ms']} ms, recording {heard.ms:.0f} ms")
        assert abs(heard.ms - cdr["duration_ms"]) <= 60
    trace = await desk.trace(caller.number)
    assert trace["call"]["exit_reason"] == "shutdown"
    said = await desk.api("GET", f"/api/calls/{trace['call']['id']}/transcript")
    assert [one["speaker"] for one in said] == ["agent"]
