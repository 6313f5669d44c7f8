"""One node for the whole tier."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from support.running_node import Node, running_node


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node() -> AsyncIterator[Node]:
    """A running platform with the demo tenant; what a test changes on it, it makes for itself."""
    async with running_node() as started:
        yield started
