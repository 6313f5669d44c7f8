"""A node of its own for tests that kill parts of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from support.ai_desk import Desk, open_desk
from support.company import Company, open_company
from support.event_sink import EventSink
from support.kills import ready
from support.provider_double import Double
from support.running_node import Node, running_node


@dataclass
class Place:
    """A node to be hurt, with an agent and people on it, and a receiver of the agent's events."""

    node: Node
    desk: Desk
    #: The agent's tenant, as one whose calls and recordings can be looked at.
    agents: Company
    #: Another tenant, of people.
    company: Company
    sink: EventSink


@asynccontextmanager
async def place_to_hurt(double: Double) -> AsyncIterator[Place]:
    """Start it, with two media processes as on a machine with two cores."""
    allow = f"127.0.0.1/32:{double.port}"
    async with EventSink.serve() as sink, running_node(2, [allow, sink.allow]) as node:
        desk = await open_desk(node, double)
        for plural, body in (("recording-policies", {"name": "all"}), ("webhooks", sink.endpoint())):
            await desk.api("POST", f"/api/{plural}", body)
        company = await open_company(node)
        await ready(desk, company)
        agents = Company(node, desk.tenant_id, "", desk.sip_domain, desk.number)
        yield Place(node, desk, agents, company, sink)
