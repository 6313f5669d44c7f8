"""The real worker role in a process of its own, killed with -9 while requests are under way."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

from support.webhook_world import Receiver, World

_WORKER = """
import asyncio
from sivo.base.settings import Settings
from sivo.node import worker_role
asyncio.run(worker_role.run(Settings(), asyncio.Event()))
"""
_PATIENCE_S = 60


def start_worker(world: World, app_dsn: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "SIVO_HOME": str(world.settings.home),
        "SIVO_APP_DSN": app_dsn,
        "SIVO_DANGEROUS_OUTBOUND_ALLOW": "127.0.0.0/8",
        "SIVO_DANGEROUS_OUTBOUND_HTTP": "true",
    }
    return subprocess.Popen([sys.executable, "-c", _WORKER], env=environment)


async def until(condition) -> bool:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if await condition():
            return True
        await asyncio.sleep(0.05)
    return False


async def test_no_delivery_is_lost_and_duplicates_have_the_same_id(
    world: World, receiver: Receiver, app_dsn: str
) -> None:
    await world.endpoint(receiver.url(), events=["call.ended"])
    await world.sender.run_once()
    receiver.requests.clear()
    events = {await world.happen() for _ in range(12)}
    receiver.delay_s = 0.3

    async def finished() -> bool:
        async with world.database.tenant(world.tenant) as connection:
            count: int = await connection.fetchval(
                "select count(*) from webhook_delivery where type = 'call.ended' and state = 'delivered'"
            )
        return count == len(events)

    for _ in range(3):
        seen = len(receiver.requests)
        worker = start_worker(world, app_dsn)
        try:
            assert await until(lambda seen=seen: _more(receiver, seen))
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    worker = start_worker(world, app_dsn)
    try:
        assert await until(finished)
    finally:
        worker.kill()
        worker.wait()
    sent = [one.headers["X-Sivo-Event-Id"] for one in receiver.of_type("call.ended")]
    assert set(sent) == events
    assert len(sent) > len(events), "a kill in the middle makes at least one duplicate"
    bodies = {(one.headers["X-Sivo-Event-Id"], one.body) for one in receiver.of_type("call.ended")}
    assert len(bodies) == len(events), "a duplicate is the same bytes"


async def _more(receiver: Receiver, seen: int) -> bool:
    return len(receiver.requests) > seen
