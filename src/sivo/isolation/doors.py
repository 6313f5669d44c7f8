"""The doors of the running node as anybody finds them: TCP with a token, and the local socket of the operator."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import aiohttp

from sivo.base.errors import SivoError
from sivo.base.settings import Settings

TIMEOUT_S = 30.0
#: Longest Retry-After that is waited for: the window of the general limit.
PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: status, headers in lower case, text (bytes that are no UTF-8 are replaced)."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The decoded body; None when it is no JSON."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    @property
    def code(self) -> str:
        """The problem's code, empty without one."""
        body = self.json
        return str(body.get("code", "")) if isinstance(body, dict) else ""


class Door:
    """A way in, with whatever credential it carries. To be closed."""

    def __init__(self, base: str, connector: aiohttp.BaseConnector, headers: Mapping[str, str] | None = None) -> None:
        self._base = base
        self._session = aiohttp.ClientSession(
            connector=connector, headers=dict(headers or {}), timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
        )
        self.token = ""

    @classmethod
    def local(cls, settings: Settings) -> Door:
        """The operator's socket: the kernel says who we are."""
        return cls("http://local", aiohttp.UnixConnector(str(settings.api_socket), force_close=True))

    @classmethod
    def public(cls, settings: Settings) -> Door:
        """The TCP door, from a loopback address of our own where there are many: limits count by address."""
        host = settings.http_host
        served = "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else host  # noqa: S104
        served = f"[{served}]" if ":" in served and not served.startswith("[") else served
        local = (loopback(), 0) if served.startswith("127.") or served == "localhost" else None
        connector = aiohttp.TCPConnector(local_addr=local, force_close=True)
        return cls(f"http://{served}:{settings.http_port}", connector)

    async def close(self) -> None:
        """Free the connections."""
        await self._session.close()

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request."""
        answer = await self._once(method, path, body, query, headers)
        wait = answer.headers.get("retry-after", "")
        if answer.status == 429 and wait.isdigit() and int(wait) <= PATIENCE_S:
            # Some hundred requests in a minute are more than one person may make; the audit is counted like anybody.
            await asyncio.sleep(int(wait))
            answer = await self._once(method, path, body, query, headers)
        return answer

    async def _once(
        self, method: str, path: str, body: Any, query: Mapping[str, str] | None, headers: Mapping[str, str] | None
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self._session.request(
            method, self._base + path, json=body, params=query or {}, headers={**sent, **(headers or {})}
        ) as response:
            raw = await response.read()
            lowered = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, lowered, raw.decode("utf-8", "replace"))

    async def must(self, method: str, path: str, body: Any = None, tenant: object = None) -> Any:
        """A request that has to succeed; its JSON. Raises UNAVAILABLE with what the platform said."""
        headers = {"X-Tenant-Id": str(tenant)} if tenant else {}
        answer = await self.ask(method, path, body, headers=headers)
        if answer.status // 100 != 2:
            raise SivoError(
                "UNAVAILABLE",
                f"the audit could not be prepared: {method} {path} was answered {answer.status} {answer.code}",
                where="isolation audit",
            )
        return answer.json


def loopback() -> str:
    """A random address of 127.0.0.0/8, so that nobody else's limits and bans are touched."""
    return f"127.{random.randint(64, 126)}.{random.randint(0, 255)}.{random.randint(2, 254)}"  # noqa: S311


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an address of this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
