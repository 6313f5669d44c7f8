"""A running ``api`` whose mails are sent by the worker's own parts, step by step, on the virtual clock.

One house for a whole test module; each test opens a desk in it: a tenant of its own with an admin.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from sivo.base.clock import VirtualClock
from sivo.identity.forgotten import Forgotten
from sivo.mail.post import Post
from sivo.mail.sender import MailSender
from support.ground import Server, open_ground
from support.running_api import RunningApi, running_api
from support.smtp_world import Mailbox, SmtpWorld, smtp_world

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)
_sources = itertools.count(1)


@dataclass
class House:
    """The api and the two halves of the worker that concern mail."""

    api: RunningApi
    clock: VirtualClock
    sender: MailSender
    forgotten: Forgotten
    mailbox: Mailbox | None

    async def work(self) -> None:
        """Everything that waits, once."""
        while await self.forgotten.run_once():
            pass
        while await self.sender.step():
            pass


@dataclass
class Desk:
    """A tenant with an admin who is signed in."""

    house: House
    slug: str
    tenant: str
    admin: str
    admin_id: str
    headers: dict[str, str]

    @property
    def api(self) -> RunningApi:
        return self.house.api

    @property
    def clock(self) -> VirtualClock:
        return self.house.clock

    @property
    def host(self) -> str:
        """Of the tenant's console, as shipped."""
        return f"{self.slug}.app.sivocenter.com"

    def email(self, name: str) -> str:
        """An address that nobody else has."""
        return f"{name}@{self.slug}.example"

    async def work(self) -> None:
        await self.house.work()

    async def post(self, path: str, body: Any = None, **kwargs: Any) -> httpx.Response:
        """A request of a stranger, from an address of its own."""
        return await self.request("POST", path, json=body, **kwargs)

    async def request(self, method: str, path: str, *, source: str = "", **kwargs: Any) -> httpx.Response:
        """A request from loopback address ``source``, else from the next one that nobody used."""
        transport = httpx.AsyncHTTPTransport(local_address=source or fresh_source(), verify=False)
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
        return await bearer(self.api, email, password)

    async def states(self) -> list[dict[str, Any]]:
        """What the tenant's admin sees of its mails, newest first."""
        found: list[dict[str, Any]] = (await self.ask("GET", "/api/mail")).json()["items"]
        return found


def fresh_source() -> str:
    """A loopback address that no request came from yet: the limits count by address."""
    number = next(_sources)
    return f"127.60.{number // 250}.{number % 250 + 1}"


async def bearer(api: RunningApi, email: str, password: str) -> dict[str, str]:
    """Signed in, second factor included."""
    answer = await api.login(email, password, fresh_source())
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def token_of(link: str) -> str:
    """The token in a link."""
    return urlsplit(link).fragment.removeprefix("token=")


async def open_desk(house: House) -> Desk:
    """A new tenant; what waited for others is done, and the mailbox is empty."""
    await house.work()
    if house.mailbox is not None:
        house.mailbox.received.clear()
    slug = f"acme{next(_numbers)}"
    tenant = await house.api.tenant(slug, name="Acme")
    admin = f"ana@{slug}.example"
    admin_id = await house.api.user(tenant, admin, PASSWORD, role="admin")
    return Desk(house, slug, tenant, admin, admin_id, await bearer(house.api, admin, PASSWORD))


@asynccontextmanager
async def open_house(pg: Server, *, mail: bool = True) -> AsyncIterator[House]:
    """An ``api`` with an SMTP server (STARTTLS), or with none."""
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(open_ground(pg))
        settings, clock, database = ground.settings, ground.clock, ground.database
        smtp: SmtpWorld | None = None
        if mail:
            smtp = await stack.enter_async_context(smtp_world(settings.home))
            settings = smtp.settings(settings)
        api = await stack.enter_async_context(running_api(settings, database, clock))
        vault = api.context.vault
        sender = MailSender(settings, database, vault, clock)
        forgotten = Forgotten(database, vault, Post(settings, vault, clock), clock)
        yield House(api, clock, sender, forgotten, smtp.mailbox if smtp else None)
