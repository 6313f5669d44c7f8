"""The kill matrix: media, worker and api killed with SIGKILL at random moments of calls, and nothing may be lost."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from support.ai_desk import Caller
from support.event_sink import lost_nothing
from support.kills import back, kill, kill_media_under_agent, kill_media_under_people, talking
from support.place_to_hurt import Place

pytestmark = pytest.mark.asyncio(loop_scope="session")

KILLS = int(os.environ.get("SIVO_TEST_KILLS", "10"))
ROUNDS = int(os.environ.get("SIVO_TEST_ROUNDS", "5"))
SEED = 20261122


@pytest.mark.timeout(KILLS * 120)
async def test_media_is_killed_at_random_moments(place: Place) -> None:
    rng = random.Random(SEED)
    print()
    for number in range(KILLS):
        seconds = rng.uniform(0.5, 12.0)
        if number % 2:
            after = await kill_media_under_people(place.desk, place.company, seconds)
        else:
            after = await kill_media_under_agent(place.desk, place.agents, seconds)
        print(f"{number + 1:>3}  {after.line()}", flush=True)
        for index in range(2):
            await back(place.node, "media", index)
        await asyncio.sleep(0.5)


@pytest.mark.timeout(ROUNDS * 200)
async def test_worker_and_api_are_killed_at_random_moments(place: Place) -> None:
    rng = random.Random(SEED + 1)
    duplicates = 0
    for _ in range(ROUNDS):
        replies: list[float] = []
        caller = await Caller.dial(place.desk)
        talk = asyncio.create_task(talking(place.desk, caller, asyncio.get_running_loop().time() + 20, replies))
        while not talk.done():
            await asyncio.sleep(rng.uniform(0.3, 3.0))
            role = rng.choice(["worker", "worker", "api"])
            await back(place.node, role)
            kill(place.node, role)
        await talk
        await caller.close()
        await back(place.node, "api")
        duplicates += await lost_nothing(place.sink, place.desk, caller.number, len(replies), timeout=180)
    print(f"{ROUNDS} calls, {duplicates} duplicates, nothing lost")
