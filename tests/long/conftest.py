"""The long tier: what takes minutes or hours, run by ``make test-long``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from support import provider_double
from support.place_to_hurt import Place, place_to_hurt

# Long tests of telephony use the call role and the phones that stand beside the short ones.
sys.path.append(str(Path(__file__).parents[1] / "functional" / "calls"))
_PORTS = range(37800, 37880)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place() -> AsyncIterator[Place]:
    """A node whose parts are killed."""
    async with provider_double.serve(_PORTS) as double, place_to_hurt(double) as made:
        yield made
