"""Connections whose final address is judged twice: when its name is resolved, and when its socket is made."""

from __future__ import annotations

import socket
from typing import Any, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from sivo.outbound.failure import BlockedError
from sivo.outbound.guard import GuardRefused


class Checks(Protocol):
    """Judges one address; raises :class:`GuardRefused`."""

    def check(self, host: str, port: int) -> None:
        """See :class:`sivo.outbound.guard.Guard`."""
        ...


def guarded_session(guard: Checks, resolver: AbstractResolver | None, per_host: int) -> aiohttp.ClientSession:
    """A pool of connections that ``guard`` judges, at most ``per_host`` to one host (0: any number)."""
    connector = aiohttp.TCPConnector(
        resolver=_GuardedResolver(resolver or ThreadedResolver(), guard),
        socket_factory=_socket_factory(guard),
        limit=0,
        limit_per_host=per_host,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=[_no_redirects()],
    )


class _GuardedResolver(AbstractResolver):
    """Refuses a name as a whole when one of its addresses is refused."""

    def __init__(self, inner: AbstractResolver, guard: Checks) -> None:
        self._inner = inner
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answers = await self._inner.resolve(host, port, family)
        for answer in answers:
            try:
                self._guard.check(answer["host"], port)
            except GuardRefused as refusal:
                raise BlockedError(refusal) from refusal
        return answers

    async def close(self) -> None:
        await self._inner.close()


def _socket_factory(guard: Checks) -> Any:
    def make(address_info: Any) -> socket.socket:
        family, kind, protocol, _, place = address_info
        try:
            guard.check(place[0], place[1])
        except GuardRefused as refusal:
            raise BlockedError(refusal) from refusal
        return socket.socket(family=family, type=kind, proto=protocol)

    return make


def _no_redirects() -> aiohttp.TraceConfig:
    """A WebSocket handshake follows redirects, credential header included, unless somebody objects."""

    async def refuse(*_: Any) -> None:
        raise BlockedError(
            GuardRefused("the server redirects a WebSocket", where="handshake", remedy="configure the final URL")
        )

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    return trace
