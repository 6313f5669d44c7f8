"""One node and one provider double for the whole tier."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from support import provider_double
from support.company import Company, open_company
from support.place_to_hurt import Place, place_to_hurt
from support.provider_double import Double
from support.running_node import Node, running_node

_PORTS = range(37900, 37990)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def double() -> AsyncIterator[Double]:
    """Providers that answer with tones."""
    async with provider_double.serve(_PORTS) as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node(double: Double) -> AsyncIterator[Node]:
    """A running platform with the demo tenant; what a test changes on it, it makes for itself."""
    async with running_node(allow=[f"127.0.0.1/32:{double.port}"]) as started:
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
