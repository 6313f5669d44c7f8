"""A customer's webhook receiver that takes its time, and the proof that nothing that happened was kept from it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from support.ai_desk import Desk
from support.kills import rows


@dataclass(frozen=True)
class Arrived:
    """One request that came in: its event, and whether the signature was right."""

    event_id: str
    body: bytes
    verified: bool

    @property
    def event(self) -> dict[str, Any]:
        """The envelope."""
        return dict(json.loads(self.body))


@dataclass
class EventSink:
    """Answers 200 after :attr:`delay_s`, so that a worker that is killed is often killed while it waits."""

    port: int
    secret: str = "whsec_" + "sink" * 10
    delay_s: float = 0.2
    arrived: list[Arrived] = field(default_factory=list)

    @property
    def allow(self) -> str:
        """Entry of the operator's allow-list."""
        return f"127.0.0.1/32:{self.port}"

    def endpoint(self) -> dict[str, Any]:
        """Body of the webhook endpoint."""
        url = f"http://127.0.0.1:{self.port}/events"
        return {"name": "sink", "url": url, "events": ["*"], "secret": self.secret}

    @classmethod
    @asynccontextmanager
    async def serve(cls) -> AsyncIterator[EventSink]:
        """Listen on a free port of 127.0.0.1."""
        server = socket.create_server(("127.0.0.1", 0))
        sink = cls(server.getsockname()[1])
        application = web.Application()
        application.router.add_post("/events", sink._take)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.SockSite(runner, server).start()
        try:
            yield sink
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        expected = "sha256=" + hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        verified = hmac.compare_digest(expected, request.headers.get("X-Sivo-Signature", ""))
        self.arrived.append(Arrived(request.headers.get("X-Sivo-Event-Id", ""), body, verified))
        await asyncio.sleep(self.delay_s)
        return web.Response()


async def _call_of(desk: Desk, caller: str) -> dict[str, Any]:
    """The CDR; the API may just be coming back."""
    deadline = time.monotonic() + 30
    while True:
        try:
            calls = (await desk.api("GET", "/api/calls"))["items"]
            found = next((one for one in calls if one["from_number"] == caller), None)
            if found is not None and found["state"] == "ended":
                return dict(found)
        except (aiohttp.ClientError, RuntimeError):
            pass
        assert time.monotonic() < deadline, f"no ended call of {caller}"
        await asyncio.sleep(0.1)


#: What one call with an agent, a recording and a transcript tells of, besides one segment for everything said.
ONCE = {
    "call.created",
    "call.answered",
    "call.ended",
    "call.recorded",
    "transcript.completed",
    "ai_agent.completed",
}


async def lost_nothing(sink: EventSink, desk: Desk, caller: str, replies: int, timeout: float = 60.0) -> int:
    """Compare caller, database and receiver for one call; gives the number of duplicates."""
    call = await _call_of(desk, caller)
    query = "select id, type, data from outbox where tenant_id = $1::text::uuid and data ->> 'callId' = $2"
    open_ = """select event_id from webhook_delivery where tenant_id = $1::text::uuid and call_id = $2::text::uuid
                and state <> 'delivered'"""
    deadline = time.monotonic() + timeout
    while True:
        happened = {row["id"]: row["type"] for row in await rows(desk.node, query, desk.tenant_id, call["id"])}
        waiting = await rows(desk.node, open_, desk.tenant_id, call["id"])
        arrived = [one for one in sink.arrived if one.event["data"].get("callId") == call["id"]]
        if set(happened.values()) >= ONCE and happened.keys() == {one.event_id for one in arrived} and not waiting:
            break
        missing = happened.keys() - {one.event_id for one in arrived}
        assert time.monotonic() < deadline, f"missing {missing} of {happened}; waiting {waiting}"
        await asyncio.sleep(0.2)
    bodies: dict[str, set[bytes]] = {}
    for one in arrived:
        assert one.verified and one.event["id"] == one.event_id
        bodies.setdefault(one.event_id, set()).add(one.body)
    assert all(len(body) == 1 for body in bodies.values()), "a duplicate is the same event, byte for byte"
    counts = Counter(happened.values())
    assert all(counts[kind] == 1 for kind in ONCE), counts
    spoken = await rows(
        desk.node, "select speaker, count(*) from segment where call_id = $1::text::uuid group by 1", call["id"]
    )
    by = {row["speaker"]: row["count"] for row in spoken}
    assert counts["transcript.segment"] == sum(by.values())
    assert by["caller"] >= replies and by["agent"] >= replies, f"{by}, while the caller heard {replies} replies"
    duplicates = len(arrived) - len(bodies)
    print(f"{len(bodies)} events, {duplicates} duplicates, {replies} replies heard, segments {by}")
    return duplicates
