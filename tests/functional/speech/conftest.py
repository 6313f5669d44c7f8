"""The running role, which the modules of this room share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from speech_server import Client, Server, start_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    running = start_server()
    yield running
    children = running.children
    running.process.terminate()
    assert running.process.wait(15) == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, f"http://127.0.0.1:{server.port}")
