"""A tenant with endpoints made through change-sets, a real HTTP receiver, and a sender on the virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from sivo.audit.checkpoints import Checkpoints
from sivo.audit.keys import LedgerKey
from sivo.base.clock import VirtualClock
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.config import all_kinds
from sivo.config.change import Author, Change, Create, Update
from sivo.config.changes import ChangeSets
from sivo.db.scopes import Database
from sivo.events import outbox
from sivo.outbound.client import GuardedClient
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault
from sivo.webhooks.sender import Sender

AUTHOR = Author("local:0", "superadmin")
SECRET = "whsec_test_0123456789abcdef"


@dataclass
class Received:
    """One request as the receiver saw it."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers every POST with ``answer(request number)`` (a status) and remembers it."""

    port: int = 0
    answer: Callable[[int], int] = lambda number: 204
    delay_s: float = 0.0
    requests: list[Received] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(Received(request.path, dict(request.headers), await request.read()))
        self.arrived.set()
        status = self.answer(len(self.requests))
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        headers = {"Location": self.url("/elsewhere")} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=headers)

    def of_type(self, type_: str) -> list[Received]:
        return [one for one in self.requests if one.headers["X-Sivo-Event-Type"] == type_]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/{tail:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    yield made
    await runner.cleanup()


@dataclass
class World:
    """What a test of this room works with."""

    settings: Settings
    clock: VirtualClock
    database: Database
    vault: Vault
    changes: ChangeSets
    client: GuardedClient
    sender: Sender
    tenant: UUID

    async def apply(self, *changes: Change) -> list[UUID]:
        entry = await self.changes.apply(self.tenant, AUTHOR, "test", changes)
        return list(entry.ids)

    async def endpoint(self, url: str, **body: Any) -> UUID:
        """Save an endpoint and deliver the test event that saving fires."""
        (made,) = await self.apply(Create("webhook_endpoint", {"url": url, "secret": SECRET, **body}))
        return made

    async def change(self, endpoint: UUID, **patch: Any) -> None:
        await self.apply(Update("webhook_endpoint", endpoint, patch))

    async def happen(self, type_: str = "call.ended", **data: Any) -> str:
        async with self.database.tenant(self.tenant) as connection:
            return await outbox.put(connection, self.tenant, type_, data)

    def another_sender(self, client: GuardedClient | None = None) -> Sender:
        return Sender(
            self.settings, self.database, self.vault, client or self.client, self.clock, node=f"node-{uuid7()}"
        )


@pytest.fixture
async def world(settings: Settings, clock: VirtualClock, database: Database) -> AsyncIterator[World]:
    all_kinds.load()
    settings = settings.model_copy(update={"dangerous_outbound_allow": "127.0.0.0/8", "dangerous_outbound_http": True})
    vault = Vault(database, FileKek.load(settings.kek_file))
    changes = ChangeSets(
        settings, clock, database, vault, await LedgerKey.load(vault), Checkpoints(settings.home / "checkpoints")
    )
    tenant = uuid7()
    await changes.apply(tenant, AUTHOR, "test", [Create("tenant", {"name": "Acme", "plan": "pro"}, tenant)])
    client = GuardedClient.from_settings(settings)
    sender = Sender(settings, database, vault, client, clock)
    yield World(settings, clock, database, vault, changes, client, sender, tenant)
    await sender.drain()
    await client.close()
