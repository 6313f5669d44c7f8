"""kill -9 of one process while calls are up, and what is promised about it.

In short; ``make test-long`` does it at length.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from support.ai_desk import Caller, Desk, open_desk
from support.company import Company, open_company
from support.event_sink import EventSink, lost_nothing
from support.kills import back, kill, kill_media_under_agent, kill_media_under_people, ready, talking
from support.provider_double import Double
from support.running_node import Node, running_node

pytestmark = pytest.mark.asyncio(loop_scope="session")

_SINK_PORT = 37890


@dataclass
class Place:
    """A node to be hurt, with an agent and people on it, and a receiver of their events."""

    node: Node
    desk: Desk
    company: Company
    sink: EventSink


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(double: Double) -> AsyncIterator[Place]:
    """A node of its own: the others shall not notice."""
    async with (
        EventSink.serve(_SINK_PORT) as sink,
        running_node(2, [f"127.0.0.1/32:{double.port}", sink.allow]) as node,
    ):
        desk = await open_desk(node, double)
        for plural, body in (("recording-policies", {"name": "all"}), ("webhooks", sink.endpoint())):
            await desk.api("POST", f"/api/{plural}", body)
        company = await open_company(node)
        await ready(desk, company)
        yield Place(node, desk, company, sink)


def agents(place: Place) -> Company:
    """The agent's tenant as one whose calls can be looked at."""
    return Company(place.node, place.desk.tenant_id, "", place.desk.sip_domain, place.desk.number)


async def test_media_dies_under_a_talk_with_the_agent(place: Place) -> None:
    print((await kill_media_under_agent(place.desk, agents(place), 6.0)).line())


async def test_media_dies_under_two_people(place: Place) -> None:
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
