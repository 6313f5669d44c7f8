"""The one HTTP and WebSocket client for every URL that a tenant can set.

Each final address is judged twice: all answers of a name when it is resolved (one bad answer refuses all), and the one
address that is used when its socket is made, so that no rebinding, literal or odd notation gets past. No redirects, no
proxies or credentials from the environment, no cookies, no compression (a small answer cannot unpack to a large one),
bounded time and size.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from sivo.base.settings import Settings
from sivo.outbound.address import as_http, checked_url, origin
from sivo.outbound.answer import Answer, Stream
from sivo.outbound.connections import Checks, guarded_session
from sivo.outbound.failure import HandshakeRefused, explaining
from sivo.outbound.guard import ExactGuard, Guard, GuardRefused, parse_allow
from sivo.outbound.websocket import Socket

#: Bytes of an answer's body that are read at most unless the caller says otherwise.
DEFAULT_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one exchange, in seconds and bytes. ``idle`` bounds the wait for the next piece of an answer."""

    total: float = 30.0
    connect: float = 5.0
    idle: float | None = None
    max_bytes: int = DEFAULT_MAX_BYTES


class GuardedClient:
    """One per process. ``allow``: the operator's allow-list (see :func:`sivo.outbound.guard.parse_allow`);
    ``allow_http``: plain http:// is possible for addresses on it; ``internal``: base URLs of the platform's own roles.

    ``resolver`` replaces name resolution (its answers are judged all the same).
    """

    def __init__(
        self,
        allow: str = "",
        allow_http: bool = False,
        *,
        internal: Iterable[str] = (),
        resolver: AbstractResolver | None = None,
        connections_per_host: int = 100,
    ) -> None:
        self._allow = parse_allow(allow)
        self._allow_http = allow_http
        self._places = frozenset((str(url.host), int(url.port or 0)) for url in map(URL, internal))
        self._resolver = resolver
        self._per_host = connections_per_host
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The client of one process: the operator's allow-list, and our speech role as the only internal place."""
        return cls(
            settings.dangerous_outbound_allow,
            settings.dangerous_outbound_http,
            internal=(settings.speech_base_url(),),
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | str | aiohttp.FormData | AsyncIterator[bytes] | None = None,
        limits: Limits | None = None,
        internal: bool = False,
    ) -> Answer:
        """Send a request and read the whole answer.

        Raises :class:`GuardRefused` (``OUTBOUND_REFUSED``) before a byte is sent, else :class:`SivoError` with
        ``OUTBOUND_FAILED`` (no connection, cut off), ``OUTBOUND_TIMEOUT`` or ``OUTBOUND_TOO_LARGE``.
        """
        async with self.stream(
            method, url, headers=headers, params=params, json=json, data=data, limits=limits, internal=internal
        ) as stream:
            return Answer(stream.status, stream.headers, await stream.read())

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | str | aiohttp.FormData | AsyncIterator[bytes] | None = None,
        limits: Limits | None = None,
        internal: bool = False,
    ) -> AsyncIterator[Stream]:
        """Send a request and hand over the answer once its headers are there; raises as :meth:`request`, also while
        the answer is read inside the ``async with``. ``limits.total`` bounds the whole block."""
        bounds = limits or Limits()
        target = checked_url(url)
        session = self._session(target, internal)
        timeout = aiohttp.ClientTimeout(total=bounds.total, connect=bounds.connect, sock_read=bounds.idle)
        with explaining(target):
            response = await session.request(
                method,
                target,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                params=params,
                json=json,
                data=data,
                timeout=timeout,
                allow_redirects=False,
            )
        try:
            yield Stream(response, bounds.max_bytes)
        finally:
            # A finished answer has given its connection back already; an unfinished one must not be kept.
            response.close()

    async def websocket(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Iterable[tuple[str, str]] = (),
        limits: Limits | None = None,
        internal: bool = False,
    ) -> Socket:
        """Open a WebSocket to an http(s) or ws(s) URL. ``limits.connect`` bounds everything up to the open socket,
        ``limits.max_bytes`` one message. Raises as :meth:`request`, and :class:`HandshakeRefused`."""
        bounds = limits or Limits()
        target = checked_url(as_http(url)).update_query(list(params))
        session = self._session(target, internal, lasting=True)
        timeout = aiohttp.ClientWSTimeout(ws_close=1.0)
        with explaining(target):
            try:
                async with asyncio.timeout(bounds.connect):
                    inner = await session.ws_connect(
                        target, headers=headers, timeout=timeout, max_msg_size=bounds.max_bytes
                    )
            except aiohttp.WSServerHandshakeError as error:
                raise HandshakeRefused(error.status, dict(error.headers or {}), origin(target)) from error
        return Socket(inner)

    async def warm(self, url: str, *, internal: bool = False, limits: Limits | None = None) -> None:
        """Resolve, connect and shake hands with the host of ``url`` so that the first real request does not have to.

        Raises as :meth:`request`; the answer itself does not matter.
        """
        await self.request("HEAD", url, limits=limits, internal=internal)

    async def close(self) -> None:
        """Close all connections."""
        sessions, self._sessions = list(self._sessions.values()), {}
        await asyncio.gather(*(session.close() for session in sessions))

    def _session(self, target: URL, internal: bool, *, lasting: bool = False) -> aiohttp.ClientSession:
        # One pool per way of judging: a kept connection must never serve a request that it was not judged for.
        if internal:
            return self._pool("internal", ExactGuard(self._places), lasting)
        if target.scheme == "https":
            return self._pool("https", Guard(self._allow), lasting)
        if self._allow_http:
            return self._pool("http", Guard(self._allow, plain=True), lasting)
        raise GuardRefused(
            "outbound requests use https://",
            where=origin(target),
            remedy="use https://, or let the operator set SIVO_DANGEROUS_OUTBOUND_HTTP for allow-listed addresses",
        )

    def _pool(self, name: str, guard: Checks, lasting: bool) -> aiohttp.ClientSession:
        """``lasting``: WebSockets stay for a whole call, two or three a call; they are counted by nobody's limit."""
        name = f"{name} sockets" if lasting else name
        session = self._sessions.get(name)
        if session is None:
            session = guarded_session(guard, self._resolver, 0 if lasting else self._per_host)
            self._sessions[name] = session
        return session
