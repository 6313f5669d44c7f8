"""One node and one provider double for the whole tier."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from support import provider_double
from support.company import Company, open_company
from support.hep_collector import HepCollector
from support.place_to_hurt import Place, place_to_hurt
from support.ports import free_port
from support.provider_double import Double
from support.running_node import Node, running_node

_PORTS = range(37900, 37990)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def double() -> AsyncIterator[Double]:
    """Providers that answer with tones."""
    async with provider_double.serve(_PORTS) as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hep() -> AsyncIterator[HepCollector]:
    """A collector of the node's SIP ladder."""
    collector = HepCollector()
    yield collector
    collector.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node(double: Double, hep: HepCollector) -> AsyncIterator[Node]:
    """A running platform with the demo tenant; what a test changes on it, it makes for itself."""
    settings = {
        "SIVO_OPERATOR_PORT": str(free_port()),
        "SIVO_HEP_COLLECTOR": hep.address,
        "SIVO_HEP_PASSWORD": "hep-key",
    }
    async with running_node(allow=[f"127.0.0.1/32:{double.port}"], settings=settings) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def company(node: Node) -> Company:
    """A fresh tenant with people and phones, everything recorded."""
    return await open_company(node)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def place(double: Double) -> AsyncIterator[Place]:
    """A second node, whose parts are killed: the tests of the first one shall not notice."""
    async with place_to_hurt(double) as made:
        yield made
