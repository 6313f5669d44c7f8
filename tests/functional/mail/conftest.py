"""Fixtures of this room's tests; what is slow to start is shared by a module."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.ground import Ground, open_ground
from support.mail_desk import Desk, House, open_desk, open_house
from support.smtp_world import Mailbox, SmtpWorld, smtp_world


@pytest_asyncio.fixture(loop_scope="module")
async def smtp(tmp_path: Path) -> AsyncIterator[SmtpWorld]:
    """A server with STARTTLS."""
    async with smtp_world(tmp_path) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(pg: Any) -> AsyncIterator[Ground]:
    async with open_ground(pg) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(pg: Any) -> AsyncIterator[House]:
    async with open_house(pg) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def office(house: House) -> Desk:
    """A tenant of the test's own."""
    return await open_desk(house)


@pytest.fixture
def mailbox(house: House, office: Desk) -> Mailbox:
    """What the server of the house took since the test began."""
    assert house.mailbox is not None
    return house.mailbox
