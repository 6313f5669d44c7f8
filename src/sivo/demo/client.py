"""The demo's way into the API: the same Unix socket that the command line uses."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp


class DemoClient:
    """HTTP over the local socket, acting for one tenant once :attr:`tenant_id` is set."""

    def __init__(self, socket: Path) -> None:
        self.tenant_id: str | None = None
        # A connection each: the server drops idle ones, and a POST on a dropped one could not be repeated.
        connector = aiohttp.UnixConnector(str(socket), force_close=True)
        self._session = aiohttp.ClientSession("http://sivo", connector=connector)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: Any = None, tenant_id: str | None = None) -> Any:
        """One request; the JSON answer. ``RuntimeError`` with the server's own words on anything but 2xx."""
        async with self._session.request(method, path, json=body, headers=self._headers(tenant_id)) as response:
            if response.status // 100 != 2:
                raise RuntimeError(f"{method} {path}: {response.status} {await response.text()}")
            return await response.json() if response.status != 204 else None

    async def get(self, path: str) -> Any:
        """The JSON document at ``path``."""
        return await self.call("GET", path)

    async def get_bytes(self, path: str, tenant_id: str | None = None) -> bytes:
        """The raw body at ``path``."""
        async with self._session.get(path, headers=self._headers(tenant_id)) as response:
            if response.status != 200:
                raise RuntimeError(f"GET {path}: {response.status} {await response.text()}")
            return await response.read()

    def _headers(self, tenant_id: str | None) -> dict[str, str]:
        tenant = tenant_id or self.tenant_id
        return {"X-Tenant-Id": tenant} if tenant else {}
