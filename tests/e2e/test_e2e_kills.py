"""kill -9 of one process while calls are up, and what is promised about it.

In short; ``make test-long`` does it at length.
"""

from __future__ import annotations

import asyncio

import pytest

from support.ai_desk import Caller
from support.event_sink import lost_nothing
from support.kills import back, kill, kill_media_under_agent, kill_media_under_people, talking
from support.place_to_hurt import Place

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_media_dies_under_a_talk_with_the_agent(place: Place) -> None:
    print((await kill_media_under_agent(place.desk, place.agents, 6.0)).line())


async def test_media_dies_under_two_people(place: Place) -> None:
    for index in range(2):
        await back(place.node, "media", index)
    print((await kill_media_under_people(place.desk, place.company, 2.0)).line())


async def test_worker_and_api_die_and_no_event_is_lost(place: Place) -> None:
    replies: list[float] = []
    caller = await Caller.dial(place.desk)
    talk = asyncio.create_task(talking(place.desk, caller, asyncio.get_running_loop().time() + 7, replies))
    for role in ("worker", "api", "worker"):
        await asyncio.sleep(1.5)
        await back(place.node, role)
        kill(place.node, role)
    await talk
    await caller.close()
    await back(place.node, "api")
    await lost_nothing(place.sink, place.desk, caller.number, len(replies))
    assert len(replies) >= 2
