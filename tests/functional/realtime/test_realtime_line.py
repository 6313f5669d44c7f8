"""The feed over its real socket: tenants apart, a slow reader harms nobody, the end is told."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from sivo.base.errors import SivoError
from sivo.realtime.feed import Message
from sivo.realtime.line import WAITING_UP_TO, FeedServer, look_on

TENANT, OTHER, TOPIC = uuid4(), uuid4(), "call-1"
GREETING = {"event": "call.state", "state": "bridged"}


def greet(tenant: UUID, topic: str) -> list[Message] | None:
    return [GREETING] if tenant == TENANT and topic == TOPIC else None


@pytest.fixture
async def server(tmp_path: Path):  # type: ignore[no-untyped-def]
    started = FeedServer(greet)
    await started.start(tmp_path / "realtime.sock")
    yield started, tmp_path / "realtime.sock"
    await started.stop()


async def joined(server: FeedServer, count: int) -> None:
    async with asyncio.timeout(5):
        while len(server.hub) != count:
            await asyncio.sleep(0.005)


async def test_an_onlooker_hears_the_greeting_what_happens_and_the_end(server: tuple[FeedServer, Path]) -> None:
    feed, path = server
    async with look_on(path, TENANT, TOPIC) as messages:
        assert messages is not None
        assert await anext(messages) == GREETING
        await joined(feed, 1)
        feed.hub.publish(TENANT, TOPIC, {"event": "transcript.interim", "text": "¿dónde?\n"})
        feed.hub.publish(OTHER, TOPIC, {"event": "transcript.interim", "text": "another tenant's"})
        feed.hub.publish(TENANT, "call-2", {"event": "transcript.interim", "text": "another call's"})
        feed.hub.over(TENANT, TOPIC)
        assert [message async for message in messages] == [{"event": "transcript.interim", "text": "¿dónde?\n"}]
    await joined(feed, 0)


async def test_what_is_not_carried_here_or_another_tenants_is_refused(server: tuple[FeedServer, Path]) -> None:
    feed, path = server
    for tenant, topic in ((OTHER, TOPIC), (TENANT, "call-2")):
        async with look_on(path, tenant, topic) as messages:
            assert messages is None
    assert len(feed.hub) == 0


async def test_a_slow_reader_is_dropped_with_a_code_and_others_hear_everything(
    server: tuple[FeedServer, Path],
) -> None:
    feed, path = server
    reader, writer = await asyncio.open_unix_connection(str(path), limit=1024)
    writer.write(json.dumps({"tenant": str(TENANT), "topic": TOPIC}).encode() + b"\n")
    async with look_on(path, TENANT, TOPIC) as messages:
        assert messages is not None
        await anext(messages)
        await joined(feed, 2)
        words = "x" * 8_000
        sent = 0
        while len(feed.hub) == 2:
            feed.hub.publish(TENANT, TOPIC, {"event": "transcript.interim", "text": words, "n": sent})
            assert (await anext(messages))["n"] == sent
            sent += 1
            assert sent < 200, "the slow reader is never dropped"
        assert sent * 8_000 < WAITING_UP_TO + 1024 * 1024, "what waits for one reader is bounded"
    last = b""
    while line := await reader.read(65536):
        last = (last + line)[-200:]
    assert last.endswith(b'{"event":"stream.dropped","code":"REALTIME_SLOW"}\n')
    writer.close()


async def test_garbage_closes_the_line_and_nobody_else_may_open_it(server: tuple[FeedServer, Path]) -> None:
    _, path = server
    assert os.stat(path).st_mode & 0o777 == 0o600
    for garbage in (b"{\n", b'{"tenant": "x", "topic": 1}\n', b"y" * 2000):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(garbage)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_without_a_call_role_the_reader_is_told(tmp_path: Path) -> None:
    with pytest.raises(SivoError) as gone:
        async with look_on(tmp_path / "nobody.sock", TENANT, TOPIC):
            pass
    assert gone.value.code == "REALTIME_GONE"
