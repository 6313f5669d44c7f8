"""The customer's system of the demo: takes webhooks and checks their signatures itself."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """One delivery as it came over the wire."""

    event_id: str
    type: str
    call_id: str
    verified: bool


@dataclass
class Receiver:
    """An HTTP server on loopback that answers 200 to signed events and 401 to anything else."""

    secret: str = ""
    received: list[Received] = field(default_factory=list)
    _runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        """Listen on 127.0.0.1:``port``."""
        application = web.Application()
        application.router.add_post("/events", self._take)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    async def stop(self) -> None:
        """Close the server."""
        if self._runner is not None:
            await self._runner.cleanup()

    def of_call(self, call_id: str) -> list[Received]:
        """The deliveries that belong to one call."""
        return [one for one in self.received if one.call_id == call_id]

    async def _take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        expected = "sha256=" + hmac.new(self.secret.encode(), raw, hashlib.sha256).hexdigest()
        verified = bool(self.secret) and hmac.compare_digest(expected, request.headers.get("X-Sivo-Signature", ""))
        event: dict[str, Any] = json.loads(raw)
        data = event.get("data") or {}
        self.received.append(
            Received(
                event_id=request.headers.get("X-Sivo-Event-Id", ""),
                type=str(event.get("type", "")),
                call_id=str(data.get("callId", "")),
                verified=verified and request.headers.get("X-Sivo-Event-Id") == event.get("id"),
            )
        )
        return web.Response(status=200 if verified else 401)
