"""A running ``api`` whose mails are sent by the worker's own parts, step by step, on the virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.identity.forgotten import Forgotten
from sivo.mail.post import Post
from sivo.mail.sender import MailSender
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
ADMIN = "ana@acme.example"


@dataclass
class Desk:
    """The api, a tenant with an admin, and the two halves of the worker that concern mail."""

    api: RunningApi
    clock: VirtualClock
    tenant: str
    admin_id: str
    sender: MailSender
    forgotten: Forgotten
    headers: dict[str, str]
    sources: dict[str, int] = field(default_factory=dict)

    async def work(self) -> None:
        """Everything that waits, once."""
        while await self.forgotten.run_once():
            pass
        while await self.sender.step():
            pass

    async def post(self, path: str, body: Any = None, **kwargs: Any) -> httpx.Response:
        """A request of a stranger, from an address of its own."""
        return await self.request("POST", path, json=body, **kwargs)

    async def request(self, method: str, path: str, *, source: str = "", **kwargs: Any) -> httpx.Response:
        """A request from loopback address ``source``, else from the next one that nobody used."""
        self.sources["next"] = number = self.sources.get("next", 0) + 1
        transport = httpx.AsyncHTTPTransport(local_address=source or f"127.0.60.{number}", verify=False)
        async with httpx.AsyncClient(transport=transport, base_url=self.api.url, timeout=20) as client:
            return await client.request(method, path, **kwargs)

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """A request of the tenant's admin."""
        return await self.api.http.request(method, path, json=body, headers=self.headers)

    async def login(self, email: str, password: str) -> httpx.Response:
        """The password step alone."""
        return await self.post("/auth/login", {"email": email, "password": password})

    async def bearer(self, email: str, password: str = PASSWORD) -> dict[str, str]:
        """Signed in, second factor included."""
        self.sources["next"] = number = self.sources.get("next", 0) + 1
        answer = await self.api.login(email, password, f"127.0.61.{number}")
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def states(self) -> list[dict[str, Any]]:
        """What the tenant's admin sees of its mails, newest first."""
        found: list[dict[str, Any]] = (await self.ask("GET", "/api/mail")).json()["items"]
        return found


def token_of(link: str) -> str:
    """The token in a link."""
    return urlsplit(link).fragment.removeprefix("token=")


@asynccontextmanager
async def desk(settings: Settings, database: Database, clock: VirtualClock) -> AsyncIterator[Desk]:
    """With the SMTP server of ``settings``, or none."""
    async with running_api(settings, database, clock) as api:
        tenant = await api.tenant("acme")
        admin = await api.user(tenant, ADMIN, PASSWORD, role="admin")
        context = api.context
        sender = MailSender(settings, database, context.vault, clock)
        forgotten = Forgotten(database, context.vault, Post(settings, context.vault, clock), clock)
        made = Desk(api, clock, tenant, admin, sender, forgotten, {})
        made.headers = await made.bearer(ADMIN)
        yield made
