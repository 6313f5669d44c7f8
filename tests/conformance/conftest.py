"""One node and one provider double for the whole tier; every test makes its own tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support import conformance_table, provider_double, vendor_world
from support.provider_double import Double
from support.running_node import Node, running_node
from support.vendor_world import Vendors

evidence = conformance_table.evidence
pytest_runtest_setup = conformance_table.pytest_runtest_setup


def pytest_configure(config: pytest.Config) -> None:
    conformance_table.pytest_configure(config)


_PORTS = range(37000, 37100)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def double() -> AsyncIterator[Double]:
    """The provider double."""
    async with provider_double.serve(_PORTS) as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def doomed(double: Double) -> AsyncIterator[Double]:
    """A second one with the same accounts; one test stops it in the middle of a call."""
    async with provider_double.serve(_PORTS, double.accounts) as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def vendors() -> AsyncIterator[Vendors]:
    """The product's simulators, which the vendors' own SDKs agree with (tests/functional/simulators)."""
    async with vendor_world.serve(range(38000, 38100)) as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node(double: Double, doomed: Double, vendors: Vendors) -> AsyncIterator[Node]:
    """A node whose operator lets tenants reach the doubles, and the port beside them where nobody listens."""
    allow = [f"127.0.0.1/32:{port}" for port in (double.port, double.closed_port, doomed.port, vendors.port)]
    async with running_node(allow=allow) as started:
        yield started
