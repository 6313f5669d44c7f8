"""SIP over TCP and TLS (RFC 3261 §18, RFC 5626): connections, what arrives on them, and their reuse.

A connection is state that a stranger can make, so it is bounded: few unheard ones a host and for seconds only, one
unfinished message for half a minute, a write queue of a megabyte.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import cast

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.sip.errors import SipParseError
from sivo.sip.framing import PING, PONG, Framer
from sivo.sip.peer import Peer, unbracketed

MAX_CONNECTIONS = 5000
#: Connections of one host from which nothing was taken yet; the seconds they have; the seconds for one message.
MAX_UNHEARD = 20
UNHEARD_SECONDS = 10.0
MESSAGE_SECONDS = 32.0
#: Longer than the longest registration.
IDLE_SECONDS = 7500.0
CONNECT_SECONDS = 8.0
_MAX_QUEUED = 1024 * 1024
_SWEEP_SECONDS = 2.0
_log = logs.get("sip")

#: ``deliver(message, source, local)`` says whether the source is heard at all.
Deliver = Callable[[bytes, Peer, Peer], bool]
Failed = Callable[[Peer], None]


class Connection(asyncio.Protocol):
    """One TCP or TLS connection, whoever opened it."""

    def __init__(self, streams: Streams, transport_name: str, flow: str, *, ours: bool) -> None:
        self._streams = streams
        self._framer = Framer()
        self._io: asyncio.Transport | None = None
        self.name, self.flow = transport_name, flow
        self.peer = self.local = Peer("", 0, transport_name, flow)
        self.heard = ours
        self.since = self.active = self.unfinished_since = streams.clock.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._io = cast(asyncio.Transport, transport)
        there, here = (transport.get_extra_info(name) for name in ("peername", "sockname"))
        if not there:  # gone before we looked
            self._io.abort()
            return
        self.peer = Peer(unmapped(there[0]), there[1], self.name, self.flow)
        self.local = Peer(unmapped(here[0]), here[1], self.name)
        if not self._streams.admit(self):
            self._io.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._io = None
        self._streams.forget(self)

    def data_received(self, data: bytes) -> None:
        if not self._framer.unfinished:
            self.unfinished_since = self._streams.clock.monotonic()
        try:
            messages = self._framer.feed(data)
        except SipParseError as error:
            _log.info("a sip stream cannot be read on", peer=str(self.peer), error=str(error))
            self.abort()
            return
        for message in messages:
            self._take(message)

    def _take(self, message: bytes) -> None:
        self.active = self.unfinished_since = self._streams.clock.monotonic()
        if message == PING:
            if self.heard:
                self.write(PONG)
        elif self._streams.deliver(message, self.peer, self.local):
            self.heard = True
        elif not self.heard:
            self.abort()

    def overdue(self, now: float) -> bool:
        """Whether this connection has had its time."""
        if not self.heard and now - self.since > UNHEARD_SECONDS:
            return True
        if self._framer.unfinished and now - self.unfinished_since > MESSAGE_SECONDS:
            return True
        return now - self.active > IDLE_SECONDS

    @property
    def open(self) -> bool:
        """Whether something can be sent."""
        return self._io is not None and not self._io.is_closing()

    def write(self, data: bytes) -> None:
        """Send; a peer that does not read loses its connection."""
        if self._io is None:
            return
        self._io.write(data)
        if self._io.get_write_buffer_size() > _MAX_QUEUED:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        if self._io is not None:
            self._io.abort()


class Streams:
    """All connections of one process. ``failed`` is told of a peer that no connection could be made to."""

    def __init__(self, deliver: Deliver, failed: Failed, clock: Clock, statistics: Counter[str]) -> None:
        self.deliver = deliver
        self.clock = clock
        self._failed = failed
        self._statistics = statistics
        self._servers: list[asyncio.Server] = []
        self._ports: dict[str, int] = {}
        self._flows: dict[str, Connection] = {}
        self._peers: dict[tuple[str, str, int], Connection] = {}
        self._waiting: dict[Peer, list[bytes]] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        #: For connections that we open with TLS; None: the system's authorities, names checked.
        self.client_tls: ssl.SSLContext | None = None

    def __len__(self) -> int:
        return len(self._flows)

    def port(self, transport: str) -> int | None:
        """The port that we listen on with this transport, or None."""
        return self._ports.get(transport)

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Serve TCP, or TLS with ``tls`` (port 0: any). Raises OSError if the address is taken."""
        name = "TCP" if tls is None else "TLS"
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, name, self._flow(name), ours=False),
            sock=_bound(host, port),
            ssl=tls,
            ssl_handshake_timeout=UNHEARD_SECONDS if tls else None,
            backlog=512,
        )
        self._servers.append(server)
        self._ports[name] = server.sockets[0].getsockname()[1]
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep(), name="sip-streams")

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        for task in [*self._tasks, *([self._sweeper] if self._sweeper else [])]:
            task.cancel()
        self._sweeper = None
        for server in self._servers:
            server.close()
        for connection in list(self._flows.values()):
            connection.abort()
        self._servers.clear()
        await asyncio.sleep(0)  # connection_lost comes with the next turn

    def send(self, data: bytes, destination: Peer) -> None:
        """Send on the flow, on a connection to the same address, or on a new one."""
        connection = self._flows.get(destination.flow)
        if connection is None or not connection.open:
            connection = self._peers.get((destination.transport, destination.host, destination.port))
        if connection is not None and connection.open:
            connection.write(data)
            return
        plain = destination._replace(flow="")
        waiting = self._waiting.get(plain)
        if waiting is not None:
            waiting.append(data)
            del waiting[:-50]
            return
        self._waiting[plain] = [data]
        task = asyncio.get_running_loop().create_task(self._connect(plain, destination))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, plain: Peer, wanted: Peer) -> None:
        context = (self.client_tls or ssl.create_default_context()) if plain.transport == "TLS" else None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self, plain.transport, self._flow(plain.transport), ours=True),
                    plain.host,
                    plain.port,
                    ssl=context,
                    server_hostname=plain.host if context is not None else None,
                )
        except (OSError, TimeoutError, ssl.SSLError) as error:
            self._waiting.pop(plain, None)
            self._statistics["send_errors"] += 1
            _log.warning("no sip connection", peer=str(plain), error=str(error) or type(error).__name__)
            self._failed(wanted)
            return
        self._peers[plain.transport, plain.host, plain.port] = connection  # also under its name
        for data in self._waiting.pop(plain, []):
            connection.write(data)

    def _flow(self, transport: str) -> str:
        return f"{transport.lower()}-{next(self._numbers)}"

    def admit(self, connection: Connection) -> bool:
        """Take a new connection in, unless there are too many."""
        host = connection.peer.host
        if not connection.heard:
            unheard = sum(not other.heard and other.peer.host == host for other in self._flows.values())
            if len(self._flows) >= MAX_CONNECTIONS or unheard >= MAX_UNHEARD:
                self._statistics["connections_refused"] += 1
                return False
        self._flows[connection.flow] = connection
        self._peers[connection.name, host, connection.peer.port] = connection
        return True

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self._flows.pop(connection.flow, None)
        for key in [key for key, known in self._peers.items() if known is connection]:
            del self._peers[key]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = self.clock.monotonic()
            for connection in list(self._flows.values()):
                if connection.overdue(now):
                    connection.abort()


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket; ``::`` serves both families (asyncio's own would not)."""
    six = ":" in host
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((unbracketed(host), port))
    except BaseException:
        sock.close()
        raise
    return sock


def unmapped(host: str) -> str:
    """An IPv4 address as such, also when it comes from a socket of both families (``::ffff:192.0.2.1``)."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host.partition("%")[0]
