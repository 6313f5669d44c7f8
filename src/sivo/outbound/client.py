"""The one HTTP and WebSocket client for every URL that a tenant can set.

Each final address is judged twice: all answers of a name when it is resolved (one bad answer refuses all), and the one
address that is used when its socket is made, so that no rebinding, literal or odd notation gets past. No redirects, no
proxies or credentials from the environment, no cookies, no compression (a small answer cannot unpack to a large one),
bounded time and size.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json as jsonlib
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from sivo.base.errors import SivoError, register
from sivo.base.settings import Settings
from sivo.outbound.guard import ExactGuard, Guard, GuardRefused, parse_allow
from sivo.outbound.websocket import Socket

OUTBOUND_FAILED = register("OUTBOUND_FAILED", 502)
OUTBOUND_TIMEOUT = register("OUTBOUND_TIMEOUT", 504)
OUTBOUND_TOO_LARGE = register("OUTBOUND_TOO_LARGE", 502)

#: Bytes of an answer's body that are read at most unless the caller says otherwise.
DEFAULT_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one exchange, in seconds and bytes. ``idle`` bounds the wait for the next piece of an answer."""

    total: float = 30.0
    connect: float = 5.0
    idle: float | None = None
    max_bytes: int = DEFAULT_MAX_BYTES


class _Checks(Protocol):
    def check(self, host: str, port: int) -> None: ...


class HandshakeRefused(SivoError):  # noqa: N818 - named after what the server did
    """The server answered a WebSocket handshake with something else (code ``OUTBOUND_FAILED``); ``headers`` of that
    answer are there because some providers put the reason into one."""

    def __init__(self, status: int, headers: Mapping[str, str], where: str) -> None:
        super().__init__(OUTBOUND_FAILED, f"the server refused the WebSocket (HTTP {status})", where=where)
        self.http_status = status
        self.headers = headers


class _BlockedError(OSError):
    """Carries a refusal through the connector, which passes on only errors of the operating system's kind."""

    def __init__(self, refusal: GuardRefused) -> None:
        super().__init__("refused by the outbound guard")
        self.refusal = refusal


class _GuardedResolver(AbstractResolver):
    """Refuses a name as a whole when one of its addresses is refused."""

    def __init__(self, inner: AbstractResolver, guard: _Checks) -> None:
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
                raise _BlockedError(refusal) from refusal
        return answers

    async def close(self) -> None:
        await self._inner.close()


class Answer:
    """A whole answer: ``status`` (a 3xx is not followed), ``headers`` (case-insensitive) and ``body``."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON; ``ValueError`` when it is none."""
        return jsonlib.loads(self.body)


class Stream:
    """An answer that is still arriving. Leaving the ``async with`` closes the connection if it is not done."""

    def __init__(self, response: aiohttp.ClientResponse, max_bytes: int) -> None:
        self._response = response
        self._max_bytes = max_bytes
        self._taken = 0
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    async def chunks(self) -> AsyncIterator[bytes]:
        """Pieces of the body as they arrive. Raises as :meth:`GuardedClient.request` does."""
        content = self._response.content
        while True:
            with _explaining(self._response.url):
                chunk = await content.readany()
            if not chunk:
                return
            self._taken += len(chunk)
            if self._taken > self._max_bytes:
                raise SivoError(
                    OUTBOUND_TOO_LARGE,
                    f"the answer is larger than {self._max_bytes} bytes",
                    where=self._response.url.host,
                )
            yield chunk

    async def lines(self) -> AsyncIterator[str]:
        """Lines without their end (LF or CRLF), as server-sent events are framed; a line may span chunks."""
        pending = b""
        async for chunk in self.chunks():
            *whole, pending = (pending + chunk).split(b"\n")
            for line in whole:
                yield line.rstrip(b"\r").decode("utf-8", "replace")
        if pending:
            yield pending.rstrip(b"\r").decode("utf-8", "replace")

    async def read(self) -> bytes:
        """The rest of the body."""
        return b"".join([chunk async for chunk in self.chunks()])


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
        target = _checked_url(url)
        session = self._session(target, internal)
        timeout = aiohttp.ClientTimeout(total=bounds.total, connect=bounds.connect, sock_read=bounds.idle)
        with _explaining(target):
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
        target = _checked_url(_as_http(url)).update_query(list(params))
        session = self._session(target, internal, lasting=True)
        timeout = aiohttp.ClientWSTimeout(ws_close=1.0)
        with _explaining(target):
            try:
                async with asyncio.timeout(bounds.connect):
                    inner = await session.ws_connect(
                        target, headers=headers, timeout=timeout, max_msg_size=bounds.max_bytes
                    )
            except aiohttp.WSServerHandshakeError as error:
                raise HandshakeRefused(error.status, dict(error.headers or {}), _origin(target)) from error
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
            where=_origin(target),
            remedy="use https://, or let the operator set SIVO_DANGEROUS_OUTBOUND_HTTP for allow-listed addresses",
        )

    def _pool(self, name: str, guard: _Checks, lasting: bool) -> aiohttp.ClientSession:
        """``lasting``: WebSockets stay for a whole call, two or three a call; they are counted by nobody's limit."""
        name = f"{name} sockets" if lasting else name
        session = self._sessions.get(name)
        if session is None:
            connector = aiohttp.TCPConnector(
                resolver=_GuardedResolver(self._resolver or ThreadedResolver(), guard),
                socket_factory=_socket_factory(guard),
                limit=0,
                limit_per_host=0 if lasting else self._per_host,
            )
            session = self._sessions[name] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                trace_configs=[_no_redirects()],
            )
        return session


def _no_redirects() -> aiohttp.TraceConfig:
    """A WebSocket handshake follows redirects, credential header included, unless somebody objects."""

    async def refuse(*_: Any) -> None:
        raise _BlockedError(
            GuardRefused("the server redirects a WebSocket", where="handshake", remedy="configure the final URL")
        )

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    return trace


def _as_http(url: str) -> str:
    """ws:// and wss:// are http:// and https:// to everything here."""
    return f"http{url[2:]}" if url.startswith(("ws://", "wss://")) else url


def _socket_factory(guard: _Checks) -> Any:
    def make(address_info: Any) -> socket.socket:
        family, kind, protocol, _, place = address_info
        try:
            guard.check(place[0], place[1])
        except GuardRefused as refusal:
            raise _BlockedError(refusal) from refusal
        return socket.socket(family=family, type=kind, proto=protocol)

    return make


def _checked_url(text: str) -> URL:
    try:
        url = URL(text)
        host, _ = url.host, url.port
    except ValueError as error:
        raise GuardRefused("the URL cannot be read", remedy="write it as https://host[:port]/path") from error
    if url.scheme not in ("http", "https") or not host:
        raise GuardRefused(
            "the URL is not an http(s) URL with a host", where=url.scheme, remedy="write it as https://host[:port]/path"
        )
    if url.raw_user is not None or url.raw_password is not None:
        raise GuardRefused(
            "the URL holds a user name or password",
            where=_origin(url),
            remedy="store the credential as a secret; URLs end up in logs and traces",
        )
    return url


@contextmanager
def _explaining(url: URL) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise _explained(error, url) from error


def _explained(error: Exception, url: URL) -> SivoError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _BlockedError):
            refusal = cause.refusal
            where = refusal.where if _is_literal(url) else f"{url.host} = {refusal.where}"
            return GuardRefused(refusal.message, where=where, remedy=refusal.remedy)
        cause = getattr(cause, "os_error", None) or cause.__cause__
    if isinstance(error, aiohttp.InvalidURL):
        return GuardRefused(
            "the host is neither a name nor an IP address in its usual form",
            where=_origin(url),
            remedy="write an IPv4 address as four decimal numbers",
        )
    if isinstance(error, TimeoutError):
        return SivoError(OUTBOUND_TIMEOUT, "the server took too long", where=_origin(url))
    kind = type(error).__name__
    return SivoError(OUTBOUND_FAILED, f"the request failed ({kind})", where=_origin(url))


def _is_literal(url: URL) -> bool:
    try:
        ipaddress.ip_address(url.host or "")
    except ValueError:
        return False
    return True


def _origin(url: URL) -> str:
    return f"{url.scheme}://{url.host}:{url.port}"
