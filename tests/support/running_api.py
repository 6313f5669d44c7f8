"""A running ``api`` on real sockets for functional tests, and requests through both of its doors.

There is no TLS here; ``verify=False`` only spares each client the 40 ms of loading certificate authorities.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from sivo.api.context import Context
from sivo.api.role import serve
from sivo.api.services import open_context
from sivo.base.clock import Clock, SystemClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.sign_in import SignIn


@dataclass
class RunningApi:
    """Both doors of one ``api``: ``http`` over TCP (no credentials), ``local`` over the Unix socket (operator)."""

    context: Context
    http: httpx.AsyncClient
    local: httpx.AsyncClient
    url: str
    sign_in: SignIn = field(default_factory=SignIn)

    async def ok(self, method: str, path: str, body: Any = None, tenant: Any = None, **kwargs: Any) -> Any:
        """A request of the local operator that must succeed; the decoded answer."""
        headers = {"X-Tenant-Id": str(tenant), **kwargs.pop("headers", {})} if tenant else kwargs.pop("headers", {})
        answer = await self.local.request(method, path, json=body, headers=headers, **kwargs)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def logged(self, tenant: str, event: str) -> list[dict[str, Any]]:
        """Entries of the tenant's audit log about ``event``, newest first."""
        found = await self.ok("GET", f"/api/audit?limit=200&event={event}", tenant=tenant)
        return list(found["items"])

    async def tenant(self, slug: str, **fields: Any) -> str:
        """A new tenant; its id."""
        body = {"slug": slug, "name": slug.title(), "plan": "pro", **fields}
        return str((await self.ok("POST", "/api/tenants", body))["id"])

    async def user(self, tenant: str, email: str, password: str, role: str = "admin", **fields: Any) -> str:
        """A new user with a password; its id."""
        body = {"email": email, "name": email.partition("@")[0], "role": role, **fields}
        user = await self.ok("POST", "/api/users", body, tenant)
        await self.ok("POST", f"/api/users/{user['id']}/password", {"password": password}, tenant)
        return str(user["id"])

    async def login(self, email: str, password: str, source: str = "127.0.0.1", **body: Any) -> httpx.Response:
        """Sign in from the loopback address ``source`` (the login limit counts by address), second factor included."""
        transport = httpx.AsyncHTTPTransport(local_address=source, verify=False)
        async with httpx.AsyncClient(transport=transport, base_url=self.url) as client:
            answer = await client.post("/api/auth/login", json={"email": email, "password": password, **body})
            return await self.sign_in.finish(client, email, answer)


def twin(settings: Settings) -> Settings:
    """Settings of one more process on the same database: its own port and socket, the same key-encryption key.

    To be called once the first process runs, because that makes the key.
    """
    home = settings.home / f"twin{len(list(settings.home.glob('twin*')))}"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    made = settings.model_copy(update={"home": home, "http_port": port})
    made.run_dir.mkdir(mode=0o700, parents=True)
    shutil.copy2(settings.kek_file, made.kek_file)
    return made


@asynccontextmanager
async def running_api(settings: Settings, database: Database, clock: Clock | None = None) -> AsyncIterator[RunningApi]:
    """Serve on ``settings``' port and socket until the block ends."""
    stop = asyncio.Event()
    async with open_context(settings, clock or SystemClock(), database) as context:
        serving = asyncio.create_task(serve(context, stop))
        try:
            async with asyncio.timeout(15):
                while not settings.api_socket.exists():
                    if serving.done():
                        serving.result()
                    await asyncio.sleep(0.01)
            url = f"http://127.0.0.1:{settings.http_port}"
            uds = httpx.AsyncHTTPTransport(uds=str(settings.api_socket), verify=False)
            async with (
                httpx.AsyncClient(base_url=url, timeout=20, verify=False) as http,
                httpx.AsyncClient(transport=uds, base_url="http://local", timeout=20) as local,
            ):
                yield RunningApi(context, http, local, url)
        finally:
            stop.set()
            await serving
