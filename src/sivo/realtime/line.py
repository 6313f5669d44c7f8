"""The feed over a Unix socket of the node: ``call`` serves, ``api`` connects once for every onlooker.

The onlooker sends one line of JSON (``tenant``, ``topic``) and then only reads: one message a line. Who reads more
slowly than things happen fills its own bounded buffer and nobody else's; when that is full it gets a last message,
``stream.dropped`` with code ``REALTIME_SLOW``, and the line is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from uuid import UUID

from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.realtime.feed import Hub, Message

REALTIME_SLOW = register("REALTIME_SLOW", 503)
REALTIME_GONE = register("REALTIME_GONE", 503)

#: Bytes that may wait for one onlooker, beside the kernel's own buffers.
WAITING_UP_TO = 128 * 1024
#: Onlookers of a node at a time.
ONLOOKERS = 500
_FLUSH_S = 5.0
_LINE_UP_TO = 64 * 1024
#: What an onlooker is told first; None: the topic is not carried here.
Greeting = Callable[[UUID, str], list[Message] | None]
log = logs.get("realtime")


def socket_path(run_dir: Path) -> Path:
    """Where ``call`` serves its feed."""
    return run_dir / "realtime.sock"


class _Line(asyncio.Protocol):
    """One onlooker on the side of ``call``."""

    def __init__(self, server: FeedServer) -> None:
        self._server = server
        self._asked = b""
        self._subject: tuple[UUID, str] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods but not the base class.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.set_write_buffer_limits(high=WAITING_UP_TO)

    def data_received(self, data: bytes) -> None:
        if self._subject is not None or self._transport is None:
            return
        self._asked += data
        if b"\n" not in self._asked:
            if len(self._asked) > 1024:
                self._transport.abort()
            return
        try:
            asked = json.loads(self._asked)
            subject = UUID(asked["tenant"]), str(asked["topic"])
        except (ValueError, KeyError, TypeError):
            self._transport.abort()
            return
        self._subject = subject
        self._server.asked(self, *subject)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._subject is not None:
            self._server.hub.leave(*self._subject, self)

    def tell(self, message: Message) -> None:
        """See :class:`~sivo.realtime.feed.Onlooker`."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > WAITING_UP_TO:
            self._write({"event": "stream.dropped", "code": REALTIME_SLOW})
            self.end()
        else:
            self._write(message)

    def end(self) -> None:
        """See :class:`~sivo.realtime.feed.Onlooker`; what waits is flushed, for a while."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            asyncio.get_running_loop().call_later(_FLUSH_S, transport.abort)
        if self._subject is not None:
            self._server.hub.leave(*self._subject, self)

    def _write(self, message: Message) -> None:
        if self._transport is not None:
            self._transport.write(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


class FeedServer:
    """The feed of the ``call`` role. ``greeting`` says what an onlooker is told first."""

    def __init__(self, greeting: Greeting) -> None:
        self.hub = Hub()
        self._greeting = greeting
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._inode = 0

    async def start(self, path: Path) -> None:
        """Listen on ``path`` (mode 0600; a stale socket file is replaced)."""
        sock = _listen(path)
        self._path, self._inode = path, os.stat(path).st_ino
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Line(self), sock=sock)

    async def stop(self) -> None:
        """Let everybody go."""
        if self._server is not None:
            self._server.close()
        for tenant, topic in self.hub.topics():
            self.hub.over(tenant, topic)
        if self._path is not None:
            # A role that was started after us listens at this path by now: that socket is not ours to remove.
            with contextlib.suppress(FileNotFoundError):
                if os.stat(self._path).st_ino == self._inode:
                    os.unlink(self._path)

    def asked(self, line: _Line, tenant: UUID, topic: str) -> None:
        """Somebody wants to look on."""
        greeting = self._greeting(tenant, topic) if len(self.hub) < ONLOOKERS else None
        if greeting is None:
            line.tell({"event": "stream.refused"})
            line.end()
            return
        line.tell({"event": "stream.open"})
        for message in greeting:
            line.tell(message)
        self.hub.join(tenant, topic, line)


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    mask = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(mask)
    return sock


@asynccontextmanager
async def look_on(path: Path, tenant: UUID, topic: str) -> AsyncIterator[AsyncIterator[Message] | None]:
    """The messages of a topic, from its greeting on; None when it is not carried here. SivoError ``REALTIME_GONE``
    when nobody serves the socket."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=_LINE_UP_TO)
    except OSError as error:
        raise SivoError(REALTIME_GONE, "the call role of this node does not answer", where="call") from error
    try:
        writer.write(json.dumps({"tenant": str(tenant), "topic": topic}).encode() + b"\n")
        first = await _read(reader)
        opened = first is not None and first["event"] == "stream.open"
        yield _messages(reader) if opened else None
    finally:
        writer.close()


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[Message]:
    while (message := await _read(reader)) is not None:
        yield message


async def _read(reader: asyncio.StreamReader) -> Message | None:
    try:
        line = await reader.readline()
    except (OSError, ValueError):
        return None
    return dict(json.loads(line)) if line.endswith(b"\n") else None
