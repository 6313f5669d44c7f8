"""20 calls at a time, people and the agent, for ``SOAK_MINUTES`` (30): nothing grows, nothing is held afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
import pytest_asyncio

from support import holdings, provider_double
from support.ai_desk import Caller, Desk, clip, open_desk
from support.company import Company, Line, open_company, spread
from support.kills import REPLY, REPLY_HZ, REPLY_MS
from support.ports import free_port
from support.provider_double import Sound
from support.rtp_phone import RtpPhone, tone
from support.running_node import Node, running_node
from support.steady import Steady

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
PEOPLE, AGENTS, MEDIA = 14, 6, 2
#: Caches, pools and code that is used for the first time fill up in this share of the run: some minutes, so that the
#: slope of a run that is shorter than ten says more of them than of anything else.
WARM_UP = 0.3
#: MB a minute of any process.
MOST_SLOPE = 1.0
BACK_SECONDS = 15.0
_PORTS = range(34900, 34980)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def soaked() -> AsyncIterator[tuple[Node, Desk, Company]]:
    settings = {"SIVO_OPERATOR_PORT": str(free_port())}
    async with (
        provider_double.serve(_PORTS) as double,
        running_node(MEDIA, [f"127.0.0.1/32:{double.port}"], settings) as node,
    ):
        desk = await open_desk(node, double)
        await desk.api("POST", "/api/recording-policies", {"name": "all"})
        company = await open_company(node)
        await spread(company)
        yield node, desk, company


async def _people(company: Company, rng: random.Random, until: float) -> int:
    """One call after the other to extension 202; how many there were."""
    calls = 0
    while time.monotonic() < until:
        async with company.carrier(f"+34622{rng.randrange(10**6):06}") as phone:
            line = Line(phone, await RtpPhone.open(phone.host))
            try:
                answer = await phone.invite(company.did, line.rtp.port, auth=False, insist=True)
                assert answer.status == 200, answer.first_line
                line.rtp.play(tone(440, 5))
                line.talk(answer)
                await asyncio.sleep(rng.uniform(5, 25))
                assert (await phone.bye(insist=True)).status == 200
                calls += 1
            finally:
                await line.rtp.close()
    return calls


async def _agents(desk: Desk, rng: random.Random, until: float) -> int:
    """One talk with the agent after the other."""
    calls = 0
    while time.monotonic() < until:
        caller = await Caller.dial(desk)
        ends = time.monotonic() + rng.uniform(8, 25)
        while time.monotonic() < ends:
            caller.rtp.play(clip("en_order_slt"))
            await asyncio.sleep(4)
        assert (await caller.sip.bye(insist=True)).status == 200
        caller.sip.close()
        await caller.rtp.close()
        calls += 1
    return calls


def _mix(soaked: tuple[Node, Desk, Company], rng: random.Random, until: float) -> list[Coroutine[Any, Any, int]]:
    """All callers at once."""
    _, desk, company = soaked
    callers = [_people(company, rng, until) for _ in range(PEOPLE)]
    return callers + [_agents(desk, rng, until) for _ in range(AGENTS)]


@pytest.mark.timeout(MINUTES * 60 + 300)
async def test_twenty_calls_at_a_time_leave_the_node_as_it_was(soaked: tuple[Node, Desk, Company]) -> None:
    node, desk, company = soaked
    desk.account.heard, desk.account.replies = ["where is my order"] * 100_000, [REPLY]
    desk.account.sounds[REPLY] = Sound(REPLY_HZ, REPLY_MS)
    rng = random.Random(20261122)
    steady = Steady(node, MEDIA)
    async with company.phone("202") as person:
        person.auto_answer, person.rtp_port = 200, 4002
        assert (await person.register(7200)).status == 200
        await asyncio.gather(*_mix(soaked, rng, time.monotonic() + 5))  # what the first calls open belongs to the node
        await asyncio.sleep(6)
        before = await asyncio.to_thread(steady.take)
        begun, until = time.monotonic(), time.monotonic() + MINUTES * 60
        _, *calls = await asyncio.gather(steady.watch(until), *_mix(soaked, rng, until))
        held, took = await holdings.back(node, before.holdings, MEDIA, BACK_SECONDS)
        await asyncio.sleep(6)  # media tells its figures every 5 s
        after = await asyncio.to_thread(steady.take)
    slopes = steady.slopes(begun + WARM_UP * MINUTES * 60)
    at_once = sorted(one.holdings.calls for one in steady.samples)[len(steady.samples) // 2]
    print(f"\n{sum(calls)} calls in {MINUTES:g} minutes, {at_once} at a time")
    for name, slope in slopes.items():
        course = " ".join(f"{one.memory[name]:.0f}" for one in steady.samples[:: max(len(steady.samples) // 12, 1)])
        change = f"{before.memory[name]:6.1f} MB -> {after.memory[name]:6.1f} MB"
        print(f"{name:<8} {change}   {slope:+.2f} MB/min   {course}")
    print(f"held before {before.holdings}, {took:.1f} s after {held}")
    print(f"tasks {before.tasks} -> {after.tasks}", flush=True)
    assert all(slope < MOST_SLOPE for slope in slopes.values()), slopes
    assert held.within(before.holdings), (before.holdings, held)
    assert after.tasks <= before.tasks + 5, (before.tasks, after.tasks)
