"""The kill matrix: roles and the whole node killed with SIGKILL at random moments of calls; nothing may be lost."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from support.ai_desk import Caller
from support.company import open_company, spread
from support.event_sink import lost_nothing
from support.kills import (
    back,
    kill,
    kill_everything,
    kill_media_under_agent,
    kill_media_under_people,
    start_again,
    talking,
)
from support.place_to_hurt import Place
from support.reckoning import reckon
from support.traffic import traffic

pytestmark = pytest.mark.asyncio(loop_scope="session")

KILLS = int(os.environ.get("SIVO_TEST_KILLS", "20"))
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


#: Who is killed. ``node``: the supervisor, every role and PostgreSQL at once, and then the node is started again.
VICTIMS = ("call", "media", "worker", "api", "speech", "node")
MATRIX = int(os.environ.get("SIVO_TEST_MATRIX", "20"))
CALLERS = 4


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.timeout(MATRIX * 60 + 300)
async def test_each_role_and_the_whole_node_are_killed_under_calls(place: Place, victim: str) -> None:
    """Callers' own logs, the database and a webhook receiver agree: nothing is missing, nothing is there twice."""
    rng = random.Random(f"{SEED}-{victim}")
    company = await open_company(place.node)
    await company.make("webhooks", place.sink.endpoint())
    await spread(company)
    # Calls that outlive the restart of who was killed: their phones have to be told.
    most_s = 15.0 if victim in ("call", "node") else 4.0
    async with traffic(company, CALLERS, rng, most_s) as calls:
        for number in range(MATRIX):
            await asyncio.sleep(rng.uniform(0.5, 4.0))
            if victim == "node":
                kill_everything(place.node)
                await start_again(place.node)
            else:
                index = number % 2 if victim == "media" else 0
                await back(place.node, victim, index)
                kill(place.node, victim, index)
        if victim != "node":
            await back(place.node, victim)
        await asyncio.sleep(2.0)
    found = await reckon(company, place.sink, calls.attempts, timeout=180)
    print(f"\n{MATRIX:>3} x {victim:<6} {found.line()}", flush=True)
    assert (found.missing, found.wrong) == ([], [])
    assert found.answered >= MATRIX / 2, "there was hardly a call"
    if victim in ("call", "media", "node"):
        assert found.cut > 0, "nobody was on the line when it died"
